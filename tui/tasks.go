package tui

import (
	"fmt"

	"faasctl/core"
)

// tasksPane lists the tasks that changed last.
type tasksPane struct {
	theme *theme
	table table[taskView]
}

// taskView is a row together with the moment it is looked at.
type taskView struct {
	taskRow
	pic *picture
}

func newTasksPane(t *theme) tasksPane {
	columns := []column[taskView]{
		{head: "", min: 1, rank: 1, cell: func(r taskView, _ int) line {
			glyph, _, as := t.state(r.state, r.retried)
			return line{{glyph, as}}
		}},
		{head: "TASK", min: 9, max: 36, step: true, rank: 2, grow: 1, cell: func(r taskView, w int) line {
			return line{{t.tail(clean(string(r.id)), w), plain}}
		}},
		{head: "FUNCTION", min: 10, max: 28, rank: 3, grow: 2, cell: func(r taskView, w int) line {
			return line{{clip(clean(r.function), w, t.cut), strong}}
		}},
		{head: "STATE", min: 9, max: 20, from: 100, rank: 7, grow: 3, cell: func(r taskView, w int) line {
			return t.stateOf(r.taskRow)
		}},
		{head: "AGE", min: 4, rank: 4, right: true, cell: func(r taskView, _ int) line { return r.age(t) }},
		{head: "RUN", min: 7, rank: 5, right: true, cell: func(r taskView, _ int) line { return r.ran(t) }},
		{head: "WORKER", min: 8, max: 14, rank: 6, step: true, grow: 4, cell: func(r taskView, w int) line {
			return line{{clip(clean(string(r.worker)), w, ""), dim}}
		}},
	}
	return tasksPane{t, table[taskView]{theme: t, columns: columns, indent: 1}}
}

// stateOf is the state in words: for a failed task its kind, for a later
// attempt its number.
func (t *theme) stateOf(r taskRow) line {
	_, word, as := t.state(r.state, r.retried)
	switch {
	case r.state == core.Failed && r.failure != "":
		word = clean(string(r.failure))
	case r.retried && r.failure != "":
		word += " " + clean(string(r.failure))
	case r.attempt > 1:
		word += fmt.Sprintf(", try %d", r.attempt)
	}
	return line{{word, as}}
}

// tail shortens an id to its end: ids of one moment begin alike.
func (t *theme) tail(id string, w int) string {
	if cells(id) <= w || !plainASCII(id) || w < 2 {
		return clip(id, w, t.cut)
	}
	return t.cut + id[len(id)-w+1:]
}

func (r taskView) age(t *theme) line {
	if r.submitted.IsZero() {
		return line{{t.none, dim}}
	}
	return line{{age(r.pic.storeNow().Sub(r.submitted)), plain}}
}

// ran is how long the function ran, or runs so far.
func (r taskView) ran(t *theme) line {
	switch {
	case r.state == core.Running && !r.started.IsZero():
		return line{{span(r.pic.storeNow().Sub(r.started)), accent}}
	case r.run >= 0:
		return line{{millis(r.run), plain}}
	}
	return line{{t.none, dim}}
}

func (p *tasksPane) lines(pic *picture, w, h int, gap bool) []line {
	if h < 2 {
		return nil
	}
	var out []line
	if gap {
		out = append(out, nil)
	}
	out = append(out, p.theme.ruled("tasks", "latest change first", w))
	rows := pic.tasks.latest(max(0, h-len(out)-1))
	switch {
	case len(rows) > 0:
		views := make([]taskView, len(rows))
		for i, r := range rows {
			views[i] = taskView{r, pic}
		}
		return append(out, p.table.lines(views, w, h-len(out))...)
	case pic.seen && pic.tasks.len() == 0:
		return append(out, line{{" no task yet " + p.theme.dot + " run one: ", dim}, {"faasctl run FILE.py --args '[3, 4]'", plain}})
	}
	return out
}
