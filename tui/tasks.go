package tui

import (
	"fmt"
	"time"

	"faasctl/core"
)

// tasksPane lists the newest tasks.
type tasksPane struct {
	theme *theme
	table table[taskView]
}

// taskView is a task together with the moment it is looked at.
type taskView struct {
	core.Task
	pic *picture
}

func newTasksPane(t *theme) tasksPane {
	columns := []column[taskView]{
		{head: "", min: 1, rank: 1, cell: func(r taskView, _ int) line {
			glyph, _, as := t.state(r.State, r.retried())
			return line{{glyph, as}}
		}},
		{head: "TASK", min: 9, max: 36, step: true, rank: 2, grow: 1, cell: func(r taskView, w int) line {
			return line{{t.tail(clean(string(r.ID)), w), plain}}
		}},
		{head: "FUNCTION", min: 10, max: 28, rank: 3, grow: 2, cell: func(r taskView, w int) line {
			return line{{clip(clean(r.function()), w, t.cut), strong}}
		}},
		{head: "STATE", min: 9, max: 20, from: 100, rank: 7, grow: 3, cell: func(r taskView, w int) line {
			return t.stateOf(r)
		}},
		{head: "AGE", min: 4, rank: 4, right: true, cell: func(r taskView, _ int) line { return r.age(t) }},
		{head: "RUN", min: 7, rank: 5, right: true, cell: func(r taskView, _ int) line { return r.ran(t) }},
		{head: "WORKER", min: 8, max: 14, rank: 6, step: true, grow: 4, cell: func(r taskView, w int) line {
			return line{{clip(clean(string(r.Worker)), w, ""), dim}}
		}},
	}
	return tasksPane{t, table[taskView]{theme: t, columns: columns, indent: 1}}
}

// stateOf is the state in words: for a failed task its kind, for a later
// attempt its number.
func (t *theme) stateOf(r taskView) line {
	_, word, as := t.state(r.State, r.retried())
	switch {
	case r.State == core.Failed && r.Failure != "":
		word = clean(string(r.Failure))
	case r.retried() && r.Failure != "":
		word += " " + clean(string(r.Failure))
	case r.Cancelling && !r.State.Terminal():
		word, as = "cancelling", warn
	case r.Attempt > 1:
		word += fmt.Sprintf(", try %d", r.Attempt)
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

// retried reports whether the task waits because an attempt failed.
func (r taskView) retried() bool { return r.State == core.Delayed && r.Attempt > 0 }

func (r taskView) function() string {
	if r.Name == "" {
		return string(r.Function)
	}
	return r.Name
}

func (r taskView) age(t *theme) line {
	if r.Submitted.IsZero() {
		return line{{t.none, dim}}
	}
	return line{{age(r.pic.storeNow().Sub(r.Submitted)), plain}}
}

// took is how long the function ran, or runs so far; false when it did not.
func (r taskView) took() (time.Duration, bool) {
	began := r.Started
	if began.IsZero() && r.State == core.Running {
		began = r.Claimed // its start is told some seconds late
	}
	switch {
	case began.IsZero():
		return 0, false
	case r.State == core.Running:
		return max(0, r.pic.storeNow().Sub(began)), true
	case r.Finished.Before(began):
		return 0, false
	}
	return r.Finished.Sub(began), true
}

func (r taskView) ran(t *theme) line {
	took, did := r.took()
	switch {
	case !did:
		return line{{t.none, dim}}
	case r.State == core.Running:
		return line{{span(took), accent}}
	}
	return line{{millis(float64(took) / float64(time.Millisecond)), plain}}
}

// views pairs tasks with the picture of their moment.
func views(tasks []core.Task, pic *picture) []taskView {
	out := make([]taskView, len(tasks))
	for i, t := range tasks {
		out[i] = taskView{t, pic}
	}
	return out
}

func (p *tasksPane) lines(m *Model, w, h int, gap bool) []line {
	if h < 2 {
		return nil
	}
	var out []line
	if gap {
		out = append(out, nil)
	}
	out = append(out, p.theme.ruled("tasks", "newest first", w))
	page, there := known[core.TaskPage](m)
	switch {
	case len(page.Tasks) > 0:
		return append(out, p.table.lines(views(page.Tasks, m.picture()), w, h-len(out))...)
	case there && m.desk.now.err == nil:
		return append(out, line{{" no task yet " + p.theme.dot + " run one: ", dim}, {"faasctl run FILE.py --args '[3, 4]'", plain}})
	}
	return out
}
