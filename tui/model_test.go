package tui

import (
	"fmt"
	"math/rand"
	"strings"
	"testing"
	"time"

	tea "github.com/charmbracelet/bubbletea"
	"github.com/charmbracelet/x/exp/teatest"
	"github.com/muesli/termenv"

	"faasctl/core"
)

// nasty is text that a function, a worker or a server might send.
var nasty = []string{
	"", "resize@3", "\x1b[2J\x1b]0;owned\a", "a\nb\r\nc\td", "\u202egnp.exe", "漢字かな交じり文の関数名",
	"👩‍👩‍👧‍👦👍🏽", "e\u0301e\u0301", "\xff\xfe\x80", strings.Repeat("x", 500), strings.Repeat("語", 300), "\u200b\u200d\ufeff",
	"\u0085\u009b31mred", "%s%d%!", "\x00\x7f",
}

// randomNews makes news that no server would send.
func randomNews(r *rand.Rand, at time.Time) News {
	text := func() string { return nasty[r.Intn(len(nasty))] }
	stamp := func() time.Time { return at.Add(time.Duration(r.Intn(20000)-10000) * time.Millisecond) }
	number := func() int64 { return []int64{0, 1, 7, 999, 1000, 123456, 1 << 40, -5, -1 << 63, 1<<63 - 1}[r.Intn(10)] }
	if r.Intn(4) == 0 {
		return NewsDown{fmt.Errorf("broken: %s", text())}
	}
	t := core.Top{Now: stamp(), Trouble: []string{"", "", text()}[r.Intn(3)]}
	if r.Intn(5) > 0 {
		t.Numbers = &core.TopNumbers{Queued: number(), Running: number(), Delayed: number(), OldestWait: number(), Slots: r.Intn(9) - 2, Busy: r.Intn(9) - 2}
		t.Numbers.Totals = core.Totals{Submitted: number(), Completed: number(), Failed: number(), Cancelled: number(), Lost: number()}
	}
	if r.Intn(5) > 0 {
		t.Store = &core.StoreInfo{Kind: text(), Version: text(), Durability: text(), Memory: number()}
	}
	t.Wait, t.Run = core.Histogram{int(number() % 400): number()}, core.Histogram{int(number() % 400): number()}
	var workers []core.Worker
	for range r.Intn(6) {
		workers = append(workers, core.Worker{
			ID: core.WorkerID(text()), Host: text(), Mode: core.Mode(text()), State: core.WorkerState(text()),
			Slots: int(number() % 1000), Busy: int(number() % 1000), Held: int(number()), Done: number(), Joined: stamp(), Seen: stamp(),
		})
		t.Functions = append(t.Functions, core.FunctionStats{Function: core.FunctionID(text()), Name: text(), Totals: core.Totals{Completed: number(), Failed: number()}, Wait: t.Wait, Run: t.Run})
	}
	t.Workers = &workers
	t.Dispatchers = &[]core.DispatcherInfo{{Modes: []core.Mode{core.Mode(text())}, Seen: stamp()}}
	t.Queues = &[]core.QueueInfo{{Name: text(), Queued: number(), Oldest: stamp(), Paused: stamp()}}
	t.Operations = &[]core.Operation{{ID: core.OperationID(text()), Kind: []core.OperationKind{core.OperationRetry, core.OperationPurge, "?"}[r.Intn(3)],
		State: core.OperationState([]string{"pending", "applying", "done", "undoing", "undone", text()}[r.Intn(6)]), By: text(), Planned: int(number()), Applied: int(number()),
		Filter: core.BulkFilter{Function: text(), Error: text()}, Created: stamp(), Due: stamp(), Ended: stamp()}}
	return NewsTop{at, t}
}

// randomTasks are a page of tasks that no server would send.
func randomTasks(r *rand.Rand, at time.Time) (page core.TaskPage) {
	text := func() string { return nasty[r.Intn(len(nasty))] }
	stamp := func() time.Time { return at.Add(time.Duration(r.Intn(20000)-10000) * time.Millisecond) }
	for range r.Intn(150) {
		page.Tasks = append(page.Tasks, core.Task{ID: core.TaskID(text()), Name: text(), State: core.States[r.Intn(len(core.States))], Worker: core.WorkerID(text()),
			Failure: core.FailureKind(text()), Attempt: r.Intn(3), Submitted: stamp(), Started: stamp(), Finished: stamp()})
	}
	return page
}

// TestAnyNewsAnySize folds news of every kind in one batch, and one by one,
// with the same picture and always of the right size.
func TestAnyNewsAnySize(t *testing.T) {
	keys := append([]string{
		"?", "1", "2", "2", "3", "3", "4", "5", "6", "7", "8", "s", "f", "p", "j", "G", "k", "enter", "esc", "c", "r", "d", "x", "C", "u", "y", "n", "Y", "/", ":", " ", "V",
		"tab", "backspace", "left", "delete", "ctrl+w", "state=failed", "fn=", "!", "tasks ", "w",
	}, nasty[1:]...)
	for seed := range int64(50) {
		r := rand.New(rand.NewSource(seed))
		ascii, at := r.Intn(2) == 0, noon
		whole := newTestModel(termenv.ANSI, ascii)
		apart := newTestModel(termenv.ANSI, ascii)
		for range 8 {
			at = at.Add(time.Duration(r.Intn(3000)) * time.Millisecond)
			var all []News
			for range r.Intn(60) {
				all = append(all, randomNews(r, at))
			}
			whole.Update(Batch{At: at, News: all})
			for _, news := range all {
				apart.Update(Batch{At: at, News: []News{news}})
			}
			apart.Update(Batch{At: at})
			for range r.Intn(5) {
				key := keys[r.Intn(len(keys))]
				press(whole, key)
				press(apart, key)
			}
			if r.Intn(3) == 0 {
				said := done{cancelDeed, outcome{did: nasty[:r.Intn(3)], failed: nasty[:r.Intn(len(nasty))]}}
				whole.Update(said)
				apart.Update(said)
			}
			page := randomTasks(r, at)
			for _, m := range []*Model{whole, apart} {
				m.desk.now = answer{key: m.question().key, value: page}
			}
			w, h := r.Intn(150), r.Intn(60)
			frame := sized(whole, w, h)
			if w == 0 || h == 0 {
				if frame != "" {
					t.Errorf("a frame without a screen: %q", frame)
				}
				continue
			}
			checkFrame(t, frame, w, h)
			if other := sized(apart, w, h); other != frame {
				t.Fatalf("seed %d: one by one gives another frame:\n%s\n\n%s", seed, frame, other)
			}
		}
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

// press sends a key as Bubble Tea names it.
func press(m *Model, key string) tea.Cmd {
	msg := tea.KeyMsg{Type: tea.KeyRunes, Runes: []rune(key)}
	if key == " " {
		msg.Type = tea.KeySpace
	}
	for _, special := range []tea.KeyType{tea.KeyEsc, tea.KeyCtrlC, tea.KeyCtrlZ, tea.KeyEnter, tea.KeyTab, tea.KeyBackspace, tea.KeyCtrlU, tea.KeyCtrlW, tea.KeyLeft, tea.KeyDelete, tea.KeyDown} {
		if (tea.KeyMsg{Type: special}).String() == key {
			msg = tea.KeyMsg{Type: special}
		}
	}
	_, cmd := m.Update(msg)
	return cmd
}

// TestKeys is the table of states and keys.
func TestKeys(t *testing.T) {
	for _, c := range []struct {
		from screen
		key  string
		to   screen
		msg  tea.Msg // what the command says; nil without one
	}{
		{overview, "q", overview, tea.QuitMsg{}},
		{overview, "ctrl+c", overview, tea.QuitMsg{}},
		{overview, "?", helping, nil},
		{overview, "esc", overview, nil},
		{overview, "x", overview, nil},
		{overview, "enter", tasksScreen, nil},
		{overview, "3", workersScreen, nil},
		{overview, "8", taskScreen, nil},
		{overview, "ctrl+z", overview, tea.SuspendMsg{}},
		{helping, "?", overview, nil},
		{helping, "esc", overview, nil},
		{helping, "q", helping, tea.QuitMsg{}},
		{helping, "ctrl+c", helping, tea.QuitMsg{}},
		{helping, "x", helping, nil},
		{helping, "ctrl+z", helping, tea.SuspendMsg{}},
	} {
		m := newTestModel(termenv.Ascii, false)
		m.helping = c.from == helping
		var msg tea.Msg
		if cmd := press(m, c.key); cmd != nil {
			msg = cmd()
		}
		if m.screen() != c.to || msg != c.msg {
			t.Errorf("%d + %q → %d, %T; want %d, %T", c.from, c.key, m.screen(), msg, c.to, c.msg)
		}
	}
}

// TestLeavingAStack: where the stack ends with its dashboard, q and ctrl-z ask
// before they take something away, and help says so.
func TestLeavingAStack(t *testing.T) {
	for _, c := range []struct {
		keys  []string
		to    screen
		msg   tea.Msg
		shows string
	}{
		{[]string{"q"}, planning, nil, "running: 6, with 20s to end"},
		{[]string{"q"}, planning, nil, "waiting: 181, there at the next start"},
		{[]string{":", "quit", "enter"}, planning, nil, "Stop the stack? y or Enter does it"},
		{[]string{"q", "q"}, planning, nil, "Stop the stack?"},
		{[]string{"q", "n"}, overview, nil, "nothing was done"},
		{[]string{"q", "y"}, planning, tea.QuitMsg{}, ""},
		{[]string{"q", "enter"}, planning, tea.QuitMsg{}, ""},
		{[]string{"q", "ctrl+c"}, planning, tea.QuitMsg{}, ""},
		{[]string{"ctrl+c"}, overview, tea.QuitMsg{}, ""},
		{[]string{"ctrl+z"}, planning, nil, "Suspend the stack? y does it"},
		{[]string{"2", "/", "ctrl+z"}, planning, nil, "Suspend the stack?"},
		{[]string{"ctrl+z", "enter"}, planning, nil, "Suspend the stack?"},
		{[]string{"ctrl+z", "y"}, overview, tea.SuspendMsg{}, ""},
		{[]string{"?"}, helping, nil, "Stop the stack: what runs has its time to end."},
		{[]string{"?"}, helping, nil, "Suspend the whole stack, after a question"},
	} {
		m := feedAll(newTestModel(termenv.Ascii, false), lively())
		m.ends = 20 * time.Second
		var cmd tea.Cmd
		for _, key := range c.keys {
			cmd = press(m, key)
		}
		var msg tea.Msg
		if cmd != nil {
			msg = cmd()
		}
		if m.screen() != c.to || msg != c.msg || !strings.Contains(sized(m, 110, 70), c.shows) {
			t.Errorf("%v → %d, %T; want %d, %T and %q\n%s", c.keys, m.screen(), msg, c.to, c.msg, c.shows, m.View())
		}
	}
	m := feedAll(newTestModel(termenv.Ascii, false), lively())
	m.ends = 20 * time.Second
	if !strings.Contains(sized(m, 110, 40), " q stop ") {
		t.Errorf("the footer does not say what q does:\n%s", m.View())
	}
	idle := fixtureTop(20000, 19979, noon)
	idle.Numbers.Running = 0
	m.Update(Batch{At: noon.Add(time.Second), News: []News{NewsTop{noon.Add(time.Second), idle}}})
	if cmd := press(m, "q"); cmd == nil || m.plan != nil {
		t.Error("it asks although nothing runs")
	}
}

// TestBindings holds every binding to having help, and its keys to itself.
func TestBindings(t *testing.T) {
	taken := map[string]bool{}
	help := newTestModel(termenv.Ascii, false)
	help.helping = true
	page := sized(help, 100, 70)
	for _, b := range bindings {
		if b.help == "" || b.label == "" || (b.action == nil) == (b.deed == nil) || b.where == 0 || len(b.keys) == 0 {
			t.Errorf("%q is incomplete", b.label)
		}
		if !strings.Contains(page, b.help) {
			t.Errorf("%q is not on the help page", b.help)
		}
		for _, key := range b.keys {
			for _, where := range []screen{overview, tasksScreen, workersScreen, functionsScreen, queuesScreen, failuresScreen, eventsScreen, taskScreen, helping, typing, planning} {
				if at := fmt.Sprint(where, key); b.where&where != 0 {
					if taken[at] {
						t.Errorf("%q does two things on screen %d", key, where)
					}
					taken[at] = true
				}
			}
		}
	}
}

// TestNothingMoves shows that a beat without news changes nothing but ages.
func TestNothingMoves(t *testing.T) {
	m := newTestModel(termenv.ANSI, false)
	m.Update(Batch{At: noon, News: []News{NewsTop{noon, core.Top{Numbers: &core.TopNumbers{}}}}})
	m.Update(Batch{At: noon.Add(time.Minute), News: []News{NewsDown{unreachable}}})
	before := strings.Split(sized(m, 80, 24), "\n")
	m.Update(Batch{At: noon.Add(time.Minute + time.Second)})
	after := strings.Split(sized(m, 80, 24), "\n")
	for i := 1; i < len(before); i++ {
		if before[i] != after[i] {
			t.Errorf("line %d moved: %q → %q", i, before[i], after[i])
		}
	}
	if before[0] == after[0] {
		t.Error("the header does not count how stale the picture is")
	}
}

// TestProgram runs the model as Bubble Tea does and looks at how it ends.
func TestProgram(t *testing.T) {
	tm := teatest.NewTestModel(t, newTestModel(termenv.Ascii, false), teatest.WithInitialTermSize(80, 24))
	for _, b := range lively() {
		tm.Send(b)
	}
	tm.Send(tea.KeyMsg{Type: tea.KeyRunes, Runes: []rune("?")})
	tm.Send(tea.KeyMsg{Type: tea.KeyEsc})
	tm.Send(tea.KeyMsg{Type: tea.KeyRunes, Runes: []rune("q")})
	final := tm.FinalModel(t, teatest.WithFinalTimeout(20*time.Second)).(*Model)
	if !final.quitting || final.screen() != overview {
		t.Errorf("quitting %v on screen %d", final.quitting, final.screen())
	}
	checkFrame(t, final.View(), 80, 24)
	if !strings.Contains(final.View(), "12,616 submitted") {
		t.Errorf("the last snapshot is not shown:\n%s", final.View())
	}
}

// TestRepaired: an index that was wrong is no secret, and health has no word for it.
func TestRepaired(t *testing.T) {
	m := feedAll(newTestModel(termenv.Ascii, false), lively())
	if frame := sized(m, 100, 30); strings.Contains(frame, "repaired") {
		t.Errorf("repairs in health:\n%s", frame)
	}
	top := fixtureTop(20000, 19000, noon)
	top.Numbers.Repaired = 2
	m.Update(Batch{At: noon.Add(time.Second), News: []News{NewsTop{noon.Add(time.Second), top}}})
	if frame := m.View(); !strings.Contains(frame, "! 2 repaired") || !strings.Contains(frame, "! 2 index entries were wrong and repaired while you watched") {
		t.Errorf("the repairs are not told:\n%s", frame)
	}
	later := feedAll(newTestModel(termenv.Ascii, false), []Batch{{At: noon, News: []News{NewsTop{noon, top}}}})
	if frame := sized(later, 100, 30); !strings.Contains(frame, "! 2 repaired") || strings.Contains(frame, "while you watched") {
		t.Errorf("who came later is told otherwise:\n%s", frame)
	}
}
