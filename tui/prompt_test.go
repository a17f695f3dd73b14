package tui

import (
	"strings"
	"testing"

	tea "github.com/charmbracelet/bubbletea"
	"github.com/muesli/termenv"

	"faasctl/core"
)

// TestFilterWords reads filters of tasks and says what is wrong with others.
func TestFilterWords(t *testing.T) {
	x := lexicon{"tasks", []string{"fn", "state", "worker"}, stateWords(), "completed"}
	for text, want := range map[string]string{
		"":                            "",
		"fn=Resize":                   "fn=Resize",
		"failed":                      "state=failed",
		"STATE=Failed":                "state=Failed",
		"ok !ok":                      "state=completed !state=completed",
		"!failed fn!=pi":              "!state=failed !fn=pi",
		"harbour":                     "harbour",
		"  fn=a   worker=w-2 ":        "fn=a worker=w-2",
		"colour=red":                  `error: tasks have no "colour": filter by fn, state, worker`,
		"state=":                      "error: state= needs a value",
		"state=done":                  `error: no state "done": queued, delayed, running, completed, failed, cancelled`,
		"!":                           "error: ! turns a word around, as in !ok: it needs one",
		"fn=\x1b[31mred\x1b[0m\u202e": "fn=red",
	} {
		f, err := x.parse(text)
		var words []string
		for _, w := range f.words {
			words = append(words, w.String())
		}
		got := strings.Join(words, " ")
		if err != nil {
			got = "error: " + err.Error()
		}
		if got != want {
			t.Errorf("%q → %q, want %q", text, got, want)
		}
	}
}

// TestFilterSplit gives to the server what its indexes answer for all tasks, and
// keeps the rest.
func TestFilterSplit(t *testing.T) {
	called := []core.FunctionStats{{Function: "f-1", Name: "resize@3"}, {Function: "f-2", Name: "pi@1"}, {Function: "f-3", Name: "pi@2"}}
	x := lexicon{"tasks", []string{"fn", "state", "worker"}, stateWords(), "completed"}
	for _, c := range []struct {
		text string
		want core.TaskFilter
		here string
	}{
		{"failed", core.TaskFilter{State: core.Failed}, ""},
		{"!failed", core.TaskFilter{}, "!state=failed"},
		{"fn=resize failed", core.TaskFilter{State: core.Failed, Function: "f-1"}, ""},
		{"fn=pi", core.TaskFilter{}, "fn=pi"}, // of two versions
		{"fn=pi@2 worker=w", core.TaskFilter{Function: "pi@2"}, "worker=w"},
		{"fn=unheard", core.TaskFilter{}, "fn=unheard"},
		{"failed queued", core.TaskFilter{State: core.Failed}, "state=queued"}, // nothing is both
	} {
		f, err := x.parse(c.text)
		got, here := f.split(called)
		var words []string
		for _, w := range here {
			words = append(words, w.String())
		}
		if err != nil || got != c.want || strings.Join(words, " ") != c.here {
			t.Errorf("%q → %+v and %v, %v", c.text, got, words, err)
		}
	}
}

// TestPrompts is the table of what is typed and where that leads. TYPED is put in
// as text, single keys are pressed.
func TestPrompts(t *testing.T) {
	whole := string(taskID(3))
	for _, c := range []struct {
		keys   []string
		screen screen
		filter string
		shows  string
	}{
		{[]string{":", "workers", "enter"}, workersScreen, "", "w-deadbeef0000"},
		{[]string{":", "wo", "enter"}, workersScreen, "", ""},
		{[]string{":", "tasks failed", "enter"}, tasksScreen, "failed", "…5f6071a3c3d0"},
		{[]string{":", "tasks state=no", "enter"}, typing, "", `no state "no"`},
		{[]string{":", "t", "enter"}, typing, "", "which of tasks, task?"},
		{[]string{":", "overview x", "enter"}, typing, "", "overview takes no filter"},
		{[]string{":", "nowhere", "enter"}, typing, "", `there is no "nowhere"`},
		{[]string{":", "enter"}, overview, "", ""},
		{[]string{":", "help", "enter"}, helping, "", "Open or close this page"},
		{[]string{":", "task " + whole, "enter"}, taskScreen, "", "task · " + whole},
		{[]string{":", "task/" + whole, "enter"}, taskScreen, "", "task · " + whole},
		{[]string{":", "task 5f6071a3c3d0", "enter"}, taskScreen, "", "task · " + whole},
		{[]string{":", "task 019cec", "enter"}, typing, "", "may be any of 7 tasks"},
		{[]string{":", "task 7", "enter"}, typing, "", "is no task id"},
		{[]string{":", "task", "enter"}, typing, "", "task and why need an id"},
		{[]string{":", "fu", "tab", "enter"}, functionsScreen, "", ""},
		{[]string{":", "f", "tab"}, typing, "", "functions  failures"},
		{[]string{":", "tasks fn=r", "tab", "enter"}, tasksScreen, "", ""},
		{[]string{":", "x", "esc"}, overview, "", ""},
		{[]string{"2", "/", "fai", "tab", "enter"}, tasksScreen, "failed ", "/failed"},
		{[]string{"2", "/", "state=", "tab"}, typing, "", "state=cancelled  state=completed"},
		{[]string{"2", "/", "failed"}, typing, "failed", "1 of 1"},
		{[]string{"2", "/", "failed", "esc"}, tasksScreen, "", "1 of 7"},
		{[]string{"2", "/", "failed", "enter", "/", "x", "esc"}, tasksScreen, "failed", "1 of 1"},
		{[]string{"2", "/", "failed", "enter", "esc"}, tasksScreen, "", "1 of 7"},
		{[]string{"2", "/", "failed", "enter", "esc", "esc"}, overview, "", ""},
		{[]string{"2", "/", "failed", "state=", "enter"}, typing, "failed", "no \"failedstate\""},
		{[]string{"2", "/", "failed x", "ctrl+w", "ctrl+w", "ok"}, typing, "ok", "1 of 1"},
		{[]string{"2", "/", "okk", "backspace", "enter"}, tasksScreen, "ok", "1 of 1"},
		{[]string{"2", "/", "k", "left", "o", "enter"}, tasksScreen, "ok", ""},
		{[]string{"2", "/", "q?:/dcry", "enter"}, tasksScreen, "q?:/dcry", "nothing matches q?:/dcry"},
		{[]string{"3", "/", "mode=pull", "enter"}, workersScreen, "mode=pull", "1 of 1"},
		{[]string{"3", "/", "ok", "enter"}, workersScreen, "ok", "1 of 2"},
		{[]string{"5", "/", "slow", "enter"}, queuesScreen, "slow", "1 of 1"},
		{[]string{"1", "/"}, overview, "", ""},
	} {
		m := atWork(stillBackend{}, c.keys...)
		got := m.here().filter.text
		if m.screen() != c.screen || got != strings.TrimSpace(c.filter) && c.filter != "" {
			t.Errorf("%q: screen %d, filter %q", c.keys, m.screen(), got)
		}
		if frame := m.View(); !strings.Contains(frame, c.shows) {
			t.Errorf("%q: %q is not shown\n%s", c.keys, c.shows, frame)
		}
	}
}

// TestFilterSaysHowFar tells when only a page was looked at.
func TestFilterSaysHowFar(t *testing.T) {
	m := atWork(stillBackend{}, "2", "/", "worker=w-1", "enter")
	if strings.Contains(m.View(), "only among") {
		t.Error("it says so of all there is")
	}
	page, _ := known[core.TaskPage](m)
	page.Next = taskID(9)
	m.desk.now.value = page
	if frame := m.View(); !strings.Contains(frame, "! worker=w-1 only among the 7 of this page") {
		t.Error(frame)
	}
	play(m, "esc")
	m.desk.now.value = page
	if strings.Contains(m.View(), "only among") {
		t.Error("it says so without a filter")
	}
	press(m, "s")
	if frame := m.View(); !strings.Contains(frame, "! longest run first only among the 7 of this page") {
		t.Error(frame)
	}
}

// TestPaste takes a paste as text, whatever keys it looks like.
func TestPaste(t *testing.T) {
	m := atWork(stillBackend{}, "2", "/")
	m.Update(tea.KeyMsg{Type: tea.KeyRunes, Runes: []rune("fn=pi\nq\x1b[A"), Paste: true})
	if got := string(m.prompt.text); got != "fn=pi q" {
		t.Errorf("%q", got)
	}
	m = atWork(stillBackend{}, "2")
	m.Update(tea.KeyMsg{Type: tea.KeyRunes, Runes: []rune("c"), Paste: true})
	if m.plan != nil || m.screen() != tasksScreen {
		t.Error("a paste acts")
	}
	m = atWork(stillBackend{}, "2", "/", strings.Repeat("x", 5000))
	if n := len(m.prompt.text); n != maxPrompt {
		t.Errorf("%d characters are kept", n)
	}
}

// TestFrozenAsks shows also in a frozen picture what was not known yet.
func TestFrozenAsks(t *testing.T) {
	m := atWork(stillBackend{}, "p", "2")
	if _, ok := known[core.TaskPage](m); !ok || !strings.Contains(m.View(), "frozen") {
		t.Error(m.View())
	}
	m = newTestModel(termenv.Ascii, false)
	feedAll(m, lively())
	press(m, "p")
	m.Update(Batch{At: noon.Add(7e9)})
	if frame := sized(m, 80, 24); !strings.Contains(frame, "frozen 7s, stale 7s") {
		t.Error(frame)
	}
}
