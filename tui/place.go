package tui

import (
	"slices"
	"strings"

	"faasctl/core"
)

// screen is what the keys act on; a set of them says where a key works.
type screen uint16

const (
	overview screen = 1 << iota
	tasksScreen
	workersScreen
	functionsScreen
	queuesScreen
	failuresScreen
	eventsScreen
	taskScreen
	helping
	typing   // at a prompt
	planning // before something is done
	whyScreen

	lists      = tasksScreen | workersScreen | functionsScreen | queuesScreen | failuresScreen | eventsScreen
	texts      = taskScreen | whyScreen // about one task
	screens    = overview | lists | texts
	everywhere = screens | helping
	always     = everywhere | typing | planning
)

// screenNames are the words of the screens, by the key that leads there.
var screenNames = []struct {
	screen screen
	name   string
}{
	{overview, "overview"}, {tasksScreen, "tasks"}, {workersScreen, "workers"}, {functionsScreen, "functions"},
	{queuesScreen, "queues"}, {failuresScreen, "failures"}, {eventsScreen, "events"}, {taskScreen, "task"},
}

// textNames are the words of the screens about one task.
var textNames = map[string]screen{"task": taskScreen, "why": whyScreen}

// placeNamed is the place that a word of the command line names.
func placeNamed(text string) (*place, bool) {
	name, id, _ := strings.Cut(text, "/")
	if screen := textNames[name]; screen != 0 {
		task, err := core.ParseTaskID(id)
		return &place{screen: screen, task: task}, err == nil
	}
	for _, s := range screenNames {
		if s.name == text || text == "" && s.screen == overview {
			return &place{screen: s.screen}, true
		}
	}
	return nil, false
}

// place is one screen as it was left: what it is about and where one looks.
type place struct {
	screen screen
	filter filter
	led    filter      // what filter was when one came here
	task   core.TaskID // of the task screen

	cursor string // the id of the row; "" is the first
	index  int    // where that row was, for when it is gone
	sort   int
	follow bool              // the cursor stays at the first row; of a task, at its last line
	marks  map[string]target // rows to act on, as they were when they were marked
	before []core.TaskID     // of each further page of tasks
	scroll int               // lines above the first that is shown
}

// row finds the cursor among rows.
func (pl *place) row(ids []string) int {
	if pl.follow || len(ids) == 0 {
		return 0
	}
	if i := slices.Index(ids, pl.cursor); i >= 0 {
		return i
	}
	if pl.cursor == "" {
		return 0
	}
	return min(pl.index, len(ids)-1)
}

// move sets the cursor to row i.
func (pl *place) move(ids []string, i int) {
	if len(ids) == 0 {
		return
	}
	i = max(0, min(i, len(ids)-1))
	pl.cursor, pl.index = ids[i], i
	if i > 0 {
		pl.follow = false
	}
}

// mark marks a row, or takes its mark away.
func (pl *place) mark(t target) {
	if _, marked := pl.marks[t.id]; marked {
		delete(pl.marks, t.id)
		return
	}
	if pl.marks == nil {
		pl.marks = map[string]target{}
	}
	pl.marks[t.id] = t
}

// here is the place that is shown.
func (m *Model) here() *place { return m.stack[len(m.stack)-1] }

// screen is what keys act on now.
func (m *Model) screen() screen {
	switch {
	case m.prompt != nil:
		return typing
	case m.plan != nil:
		return planning
	case m.helping:
		return helping
	}
	return m.here().screen
}

// open goes on to another place; Esc comes back.
func (m *Model) open(pl *place) {
	if len(m.stack) > 50 {
		m.stack = slices.Delete(m.stack, 1, 2)
	}
	if pl.screen&texts != 0 {
		m.lastTask = pl.task
	}
	m.stack = append(m.stack, pl)
}

// jump goes to a screen with nothing but the overview behind it.
func (m *Model) jump(pl *place) {
	m.stack = m.stack[:1]
	if pl.screen != overview {
		m.open(pl)
	}
}
