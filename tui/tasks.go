package tui

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"faasctl/core"
)

// tasksPane lists tasks that run, and the newest others.
type tasksPane struct {
	theme *theme
	table table[taskView]
}

// taskView is a task together with the moment it is looked at.
type taskView struct {
	*core.Task
	pic *picture
}

func newTasksPane(t *theme) tasksPane {
	columns := []column[taskView]{
		{head: "", min: 1, rank: 1, cell: func(r taskView, _ int) line {
			glyph, _, as := t.state(r.State, r.retried())
			return line{{glyph, as}}
		}},
		{head: "TASK", min: 13, max: 36, step: true, rank: 2, grow: 3, cell: func(r taskView, w int) line {
			return line{{t.tail(clean(string(r.ID)), w), plain}}
		}},
		{head: "FUNCTION", min: 10, max: 28, rank: 3, grow: 2, cell: func(r taskView, w int) line {
			return line{{clip(clean(r.function()), w, t.cut), strong}}
		}},
		{head: "STATE", min: 10, max: 20, from: 60, rank: 4, grow: 4, cell: func(r taskView, w int) line {
			return t.stateOf(r)
		}},
		{head: "AGE", min: 4, rank: 5, right: true, cell: func(r taskView, _ int) line { return r.age(t) }},
		{head: "RUN", min: 7, rank: 6, right: true, cell: func(r taskView, _ int) line { return r.ran(t) }},
		{head: "WORKER", min: 8, max: 14, rank: 7, step: true, grow: 1, cell: func(r taskView, w int) line {
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
	case r.State == core.Running && r.Progress != nil:
		word += " " + share100(*r.Progress)
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
	for i := range tasks {
		out[i] = taskView{&tasks[i], pic}
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
	out = append(out, p.theme.ruled("tasks", "running, then the newest", w))
	page, there := known[core.TaskPage](m)
	switch {
	case len(page.Tasks) > 0:
		return append(out, p.table.lines(views(page.Tasks, m.picture()), w, h-len(out))...)
	case there && m.desk.now.err == nil:
		return append(out, line{{" no task yet " + p.theme.dot + " run one: ", dim}, {"faasctl run FILE.py --args '[3, 4]'", plain}})
	}
	return out
}

// stateWords are the states of tasks as people type them.
func stateWords() []string {
	var out []string
	for _, s := range core.States {
		out = append(out, strings.ToLower(string(s)))
	}
	return out
}

// newTasksPanel is the screen of tasks: one page of all that the server has.
func newTasksPanel(t *theme) panel {
	return &listing[taskView]{
		lexicon: lexicon{"tasks", []string{"fn", "state", "worker", "queue", "kind", "id"}, stateWords(), "completed"},
		table:   table[taskView]{theme: t, columns: newTasksPane(t).table.columns},
		example: "fn=resize failed !ok worker=w-2",
		rows: func(m *Model) ([]taskView, bool) {
			page, ok := known[core.TaskPage](m)
			return views(page.Tasks, m.picture()), ok
		},
		id: func(r taskView) string { return string(r.ID) },
		field: func(r taskView, key string) string {
			switch key {
			case "fn":
				return r.function()
			case "state":
				return string(r.State)
			case "worker":
				return string(r.Worker)
			case "queue":
				return r.Queue
			case "kind":
				return string(r.Failure)
			}
			return string(r.ID)
		},
		filtered: func(m *Model, f filter) []filterWord {
			_, here := f.split(m.picture().functions)
			return here
		},
		sorts: []sorting[taskView]{
			{"newest first", nil},
			{"longest run first", func(a, b taskView) int {
				x, _ := a.took()
				y, _ := b.took()
				return cmp.Compare(y, x)
			}},
			{"by function", func(a, b taskView) int { return cmp.Compare(a.function(), b.function()) }},
			{"by state", func(a, b taskView) int { return cmp.Compare(a.State, b.State) }},
		},
		open:   func(m *Model, r taskView) { m.open(&place{screen: taskScreen, task: r.ID}) },
		empty:  "no task yet " + t.dot + " run one: faasctl run FILE.py --args '[3, 4]'",
		detail: pageDetail,
		part: func(m *Model) string {
			page, _ := known[core.TaskPage](m)
			if page.Next == "" && len(m.here().before) == 0 {
				return ""
			}
			return fmt.Sprintf("the %d of this page; down at its end reads on", len(page.Tasks))
		},
	}
}

// pageDetail says which part of all tasks is listed.
func pageDetail(m *Model) string {
	page, _ := known[core.TaskPage](m)
	text := ""
	if n := len(m.here().before); n > 0 || page.Next != "" {
		text = fmt.Sprintf("page %d", n+1)
		if page.Next != "" {
			text += ", more follow"
		}
	}
	if page.Scanned > 0 {
		text += fmt.Sprintf(" among %s looked at", count(int64(page.Scanned)))
	}
	return strings.TrimSpace(text)
}
