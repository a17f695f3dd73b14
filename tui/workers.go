package tui

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"faasctl/core"
)

// workersPane lists the workers: running ones first, oldest first, so that
// rows keep their places.
type workersPane struct {
	theme *theme
	table table[workerView]
}

// workerView is a worker together with the moment it is looked at.
type workerView struct {
	*core.Worker
	pic *picture
}

const (
	joiningFor  = 3 * time.Second // a worker is shown as joining
	silentAfter = 5 * time.Second // without a word one that should beat each second is silent
)

// state is the glyph, the word and the role of a worker's state: also what its
// record does not say, that it has just come, or is not heard of any more.
func (r workerView) state(t *theme) (glyph, word string, as role) {
	glyph, word, as = t.worker(r.State)
	silent := r.pic.roster.Sub(r.Seen)
	switch {
	case r.Seen.IsZero():
	case r.State == core.WorkerLost:
		word += " " + age(silent)
	case r.State == core.WorkerGone:
	case silent > silentAfter:
		return "!", "silent " + age(silent), warn
	case r.State == core.WorkerRunning && r.pic.roster.Sub(r.Joined) < joiningFor:
		return t.empty, "joining", accent
	}
	return glyph, word, as
}

// workerViews are the workers of a picture in an order that does not depend on
// their load.
func workerViews(pic *picture) []workerView {
	workers := sorted(pic.workers)
	out := make([]workerView, len(workers))
	for i := range workers {
		out[i] = workerView{&workers[i], pic}
	}
	return out
}

func newWorkersPane(t *theme) workersPane {
	text := func(of func(workerView) string) func(workerView, int) line {
		return func(r workerView, _ int) line { return line{{clean(of(r)), plain}} }
	}
	number := figure[workerView]
	columns := []column[workerView]{
		{head: "", min: 1, rank: 1, cell: func(r workerView, _ int) line {
			glyph, _, as := r.state(t)
			return line{{glyph, as}}
		}},
		{head: "WORKER", min: 9, max: 14, step: true, rank: 2, grow: 1, cell: func(r workerView, w int) line {
			return line{{clip(clean(string(r.ID)), w, ""), strong}}
		}},
		{head: "MODE", min: 5, rank: 8, cell: text(func(r workerView) string { return string(r.Mode) })},
		{head: "HOST", min: 6, max: 20, rank: 9, grow: 3, cell: text(func(r workerView) string { return r.Host })},
		{head: "SLOTS", min: 5, max: 8, rank: 3, grow: 2, cell: func(r workerView, w int) line { return t.bar(r.Busy, r.Slots, w) }},
		{head: "BUSY", min: 5, rank: 4, right: true, cell: text(func(r workerView) string { return fmt.Sprintf("%d/%d", r.Busy, r.Slots) })},
		{head: "HELD", min: 5, from: 90, rank: 11, right: true, cell: number(func(r workerView) int64 { return int64(r.Held) })},
		{head: "STATE", min: 10, rank: 5, cell: func(r workerView, _ int) line {
			_, word, as := r.state(t)
			return line{{word, as}}
		}},
		{head: "DONE", min: 7, rank: 6, right: true, cell: number(func(r workerView) int64 { return r.Done })},
		{head: "RATE", min: 7, rank: 7, right: true, cell: text(func(r workerView) string { return perSecond(r.Rate) })},
		{head: "P95", min: 6, from: 90, rank: 13, right: true, cell: text(func(r workerView) string {
			if r.P95 == 0 {
				return t.none
			}
			return millis(r.P95)
		})},
		{head: "FAILED", min: 6, rank: 10, right: true, cell: number(func(r workerView) int64 { return r.Failures })},
		{head: "AGE", min: 4, from: 90, rank: 12, right: true, cell: func(r workerView, _ int) line {
			if r.Joined.IsZero() {
				return line{{t.none, dim}}
			}
			return line{{age(r.pic.storeNow().Sub(r.Joined)), plain}}
		}},
	}
	return workersPane{t, table[workerView]{theme: t, columns: columns, indent: 1}}
}

// newWorkersPanel is the screen of workers.
func newWorkersPanel(t *theme) panel {
	states := []string{string(core.WorkerRunning), string(core.WorkerDraining), string(core.WorkerLost), string(core.WorkerGone)}
	return &listing[workerView]{
		lexicon: lexicon{"workers", []string{"worker", "mode", "host", "state"}, states, string(core.WorkerRunning)},
		table:   table[workerView]{theme: t, columns: newWorkersPane(t).table.columns},
		example: "mode=push !ok host=quay",
		rows:    func(m *Model) ([]workerView, bool) { return workerViews(m.picture()), m.picture().seen },
		id:      func(r workerView) string { return string(r.ID) },
		field: func(r workerView, key string) string {
			switch key {
			case "mode":
				return string(r.Mode)
			case "host":
				return r.Host
			case "state":
				return string(r.State)
			}
			return string(r.ID)
		},
		sorts: []sorting[workerView]{
			{"running first", nil},
			{"busiest first", func(a, b workerView) int { return b.Busy - a.Busy }},
			{"most done first", func(a, b workerView) int { return cmp.Compare(b.Done, a.Done) }},
			{"most failures first", func(a, b workerView) int { return cmp.Compare(b.Failures, a.Failures) }},
		},
		open:  func(m *Model, r workerView) { led(m, "worker="+string(r.ID)) },
		empty: "no worker is connected " + t.dot + " start two: faasctl dispatcher -w 2",
	}
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
	workers := workerViews(pic)
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
