package tui

import (
	"cmp"
	"fmt"
	"slices"

	"faasctl/core"
)

// workersPane lists the workers: running ones first, oldest first, so that
// rows keep their places.
type workersPane struct {
	theme *theme
	table table[core.Worker]
}

func newWorkersPane(t *theme) workersPane {
	text := func(of func(core.Worker) string) func(core.Worker, int) line {
		return func(r core.Worker, _ int) line { return line{{clean(of(r)), plain}} }
	}
	number := func(of func(core.Worker) int64) func(core.Worker, int) line {
		return func(r core.Worker, _ int) line { return line{{count(of(r)), plain}} }
	}
	columns := []column[core.Worker]{
		{head: "", min: 1, rank: 1, cell: func(r core.Worker, _ int) line {
			glyph, _, as := t.worker(r.State)
			return line{{glyph, as}}
		}},
		{head: "WORKER", min: 9, max: 14, step: true, rank: 2, grow: 1, cell: func(r core.Worker, w int) line {
			return line{{clip(clean(string(r.ID)), w, ""), strong}}
		}},
		{head: "MODE", min: 5, rank: 7, cell: text(func(r core.Worker) string { return string(r.Mode) })},
		{head: "HOST", min: 6, max: 20, rank: 8, grow: 3, cell: text(func(r core.Worker) string { return r.Host })},
		{head: "SLOTS", min: 5, max: 8, rank: 3, grow: 2, cell: func(r core.Worker, w int) line { return t.bar(r.Busy, r.Slots, w) }},
		{head: "BUSY", min: 5, rank: 4, right: true, cell: text(func(r core.Worker) string { return fmt.Sprintf("%d/%d", r.Busy, r.Slots) })},
		{head: "HELD", min: 5, rank: 10, right: true, cell: number(func(r core.Worker) int64 { return int64(r.Held) })},
		{head: "STATE", min: 8, rank: 5, cell: func(r core.Worker, _ int) line {
			_, word, as := t.worker(r.State)
			return line{{word, as}}
		}},
		{head: "DONE", min: 8, rank: 6, right: true, cell: number(func(r core.Worker) int64 { return r.Done })},
		{head: "FAILED", min: 7, rank: 9, right: true, cell: number(func(r core.Worker) int64 { return r.Failures })},
	}
	return workersPane{t, table[core.Worker]{theme: t, columns: columns, indent: 1}}
}

// worker is the glyph, word and role of a worker's state.
func (t *theme) worker(s core.WorkerState) (glyph, word string, as role) {
	switch s {
	case core.WorkerRunning:
		return t.running, "running", good
	case core.WorkerDraining:
		return t.delayed, "draining", warn
	case core.WorkerGone:
		return t.cancelled, "gone", dim
	case core.WorkerLost:
		return t.failed, "lost", bad
	}
	return "?", clip(clean(string(s)), 8, t.cut), dim
}

func (p *workersPane) lines(pic *picture, w, h int, gap bool) []line {
	if h < 2 {
		return nil
	}
	var out []line
	if gap {
		out = append(out, nil)
	}
	workers := sorted(pic.workers)
	detail, shown := "", min(len(workers), h-len(out)-2)
	if len(workers) > 0 {
		running := 0
		for _, r := range workers {
			if r.State == core.WorkerRunning {
				running++
			}
		}
		detail = fmt.Sprintf("%d running", running)
		if rest := len(workers) - running; rest > 0 {
			detail += fmt.Sprintf(", %d draining or gone", rest)
		}
		if shown < len(workers) {
			detail += fmt.Sprintf(", %d of %d shown", shown, len(workers))
		}
	}
	out = append(out, p.theme.ruled("workers", detail, w))
	switch {
	case len(workers) > 0:
		return append(out, p.table.lines(workers, w, h-len(out))...)
	case pic.seen:
		return append(out, line{{" no worker is connected " + p.theme.dot + " start two: ", dim}, {"faasctl dispatcher -w 2", plain}})
	}
	return out
}

// sorted returns the workers in an order that does not depend on their load.
func sorted(workers []core.Worker) []core.Worker {
	order := map[core.WorkerState]int{core.WorkerRunning: 0, core.WorkerDraining: 1, core.WorkerLost: 2, core.WorkerGone: 3}
	workers = slices.Clone(workers)
	slices.SortStableFunc(workers, func(a, b core.Worker) int {
		return cmp.Or(order[a.State]-order[b.State], a.Joined.Compare(b.Joined), cmp.Compare(a.ID, b.ID))
	})
	return workers
}
