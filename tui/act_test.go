package tui

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/muesli/termenv"

	"faasctl/core"
)

// askedBackend keeps what the backend was asked to do.
type askedBackend struct {
	stillBackend
	cancelled, retried []core.TaskID
	drained            []string
	queues             []string // "pause NAME" or "resume NAME"
}

func (b *askedBackend) PauseQueue(ctx context.Context, name string, paused bool) (bool, error) {
	b.queues = append(b.queues, map[bool]string{true: "pause ", false: "resume "}[paused]+clean(name))
	return b.stillBackend.PauseQueue(ctx, name, paused)
}

func (b *askedBackend) Cancel(ctx context.Context, ids []core.TaskID) ([]core.CancelVerdict, error) {
	b.cancelled = append(b.cancelled, ids...)
	return b.stillBackend.Cancel(ctx, ids)
}

func (b *askedBackend) Retry(ctx context.Context, ids []core.TaskID) ([]core.Submitted, error) {
	b.retried = append(b.retried, ids...)
	return b.stillBackend.Retry(ctx, ids)
}

func (b *askedBackend) DrainWorker(ctx context.Context, id string) (core.Worker, error) {
	b.drained = append(b.drained, id)
	return b.stillBackend.DrainWorker(ctx, id)
}

// atWork is a dashboard over a lively system, after keys.
func atWork(backend Backend, keys ...string) *Model {
	m := feedAll(newTestModel(termenv.Ascii, false), lively())
	m.backend, m.ctx = backend, context.Background()
	m.w, m.h = 100, 30
	for _, key := range keys {
		play(m, key)
	}
	return m
}

// TestActing is the table of keys and what comes of them.
func TestActing(t *testing.T) {
	for _, c := range []struct {
		keys                        string // apart by blanks; SPACE is one
		screen                      screen
		cancelled, retried, drained int
		shows                       string
	}{
		{"2 c", planning, 0, 0, 0, "Cancel 1 task? no way back; y does it"},
		{"2 c n", tasksScreen, 0, 0, 0, "nothing was done"},
		{"2 c esc", tasksScreen, 0, 0, 0, "nothing was done"},
		{"2 c enter", planning, 0, 0, 0, "Cancel 1 task?"},
		{"2 c q", planning, 0, 0, 0, "Cancel 1 task?"},
		{"2 c y", tasksScreen, 1, 0, 0, "✓ 1 cancelled"},
		{"2 j c", tasksScreen, 0, 0, 0, "nothing to cancel: task …5f6071a3c2d0 ended before"},
		{"2 r", tasksScreen, 0, 0, 0, "nothing to run again: task …5f6071a3c1d0 not ended yet"},
		{"2 j r enter", tasksScreen, 0, 1, 0, "runs again as " + string(taskID(9)) + ": 8 opens it"},
		{"2 j r y 8", taskScreen, 0, 1, 0, ""},
		{"2 V c", planning, 0, 0, 0, "Cancel 4 tasks?"},
		{"2 V c y", tasksScreen, 4, 0, 0, "2 cancelled, 1 told to stop; failed for 1 task"},
		{"2 V c y esc", tasksScreen, 4, 0, 0, "1 of 7"},
		{"2 V r y", tasksScreen, 0, 3, 0, "3 run again as new tasks"},
		{"2 SPACE SPACE c y", tasksScreen, 1, 0, 0, "1 cancelled"},
		{"2 j j r esc", tasksScreen, 0, 0, 0, ""},
		{"2 j j enter r y", taskScreen, 0, 1, 0, "runs again"},
		{"3 d y", workersScreen, 0, 0, 1, "1 told to drain"},
		{"3 V d", planning, 0, 0, 0, "Drain 2 workers?"},
		{"3 V d y", workersScreen, 0, 0, 2, "2 told to drain"},
		{"3 c", workersScreen, 0, 0, 0, ""},
		{"4 SPACE c d r", functionsScreen, 0, 0, 0, ""},
		{"c d r", overview, 0, 0, 0, ""},
	} {
		var keys []string
		for _, key := range strings.Fields(c.keys) {
			keys = append(keys, strings.ReplaceAll(key, "SPACE", " "))
		}
		b := &askedBackend{}
		m := atWork(b, keys...)
		if m.screen() != c.screen || len(b.cancelled) != c.cancelled || len(b.retried) != c.retried || len(b.drained) != c.drained {
			t.Errorf("%s: screen %d, %d cancelled, %d retried, %d drained", c.keys, m.screen(), len(b.cancelled), len(b.retried), len(b.drained))
		}
		if frame := sized(m, 100, 30); !strings.Contains(frame, c.shows) {
			t.Errorf("%s: %q is not shown\n%s", c.keys, c.shows, frame)
		}
	}
}

// TestQueuesArePaused, and resumed, from their list.
func TestQueuesArePaused(t *testing.T) {
	for _, c := range []struct{ keys, said, shows string }{
		{"5 P", "", "Pause 1 queue? y or Enter does it"},
		{"5 P", "", "hand out no more tasks"},
		{"5 P enter", "pause default", "1 paused"},
		{"5 R", "", "nothing to resume: queue default not paused"},
		{"5 j R y", "resume slow_ones", "1 resumed"},
		{"5 V P y", "pause default", "1 paused"},
		{"5 V R y", "resume slow_ones", "1 resumed"},
		{"2 P R", "", ""},
	} {
		b := &askedBackend{}
		m := atWork(b, strings.Fields(c.keys)...)
		if got := strings.Join(b.queues, ", "); got != c.said {
			t.Errorf("%s: %q, want %q", c.keys, got, c.said)
		}
		if frame := sized(m, 100, 30); !strings.Contains(frame, c.shows) {
			t.Errorf("%s: %q is not shown\n%s", c.keys, c.shows, frame)
		}
	}
}

// TestKeysTogether takes keys of one read apart, but none that follow a plan.
func TestKeysTogether(t *testing.T) {
	b := &askedBackend{}
	m := atWork(b, "2")
	press(m, "jjVcy")
	if m.plan == nil || len(m.here().marks) != 7 || m.here().index != 2 {
		t.Errorf("plan %v, %d marked, row %d", m.plan, len(m.here().marks), m.here().index)
	}
	press(m, "n")
	press(m, ":tasks failed")
	if m.prompt == nil || string(m.prompt.text) != "tasks failed" {
		t.Errorf("%+v", m.prompt)
	}
}

// TestPlanIsOfNow keeps what is acted on, and looks again at how it stands.
func TestPlanIsOfNow(t *testing.T) {
	b := &askedBackend{}
	m := atWork(b, "2", "V", "c")
	page, _ := known[core.TaskPage](m)
	page.Tasks = append([]core.Task{{ID: core.NewTaskID(), State: core.Queued}}, page.Tasks...)
	for i := range page.Tasks[:3] { // a new one came, and the running one has ended
		page.Tasks[i].State = core.Completed
	}
	m.desk.now.value = page
	if frame := m.View(); !strings.Contains(frame, "Cancel 3 tasks?") {
		t.Error(frame)
	}
	press(m, "y")
	if m.plan != nil || m.here().marks != nil {
		t.Error("the plan or the marks stay")
	}
}

// TestActionFails tells for each target that the server said nothing of it.
func TestActionFails(t *testing.T) {
	m := atWork(&askedBackend{stillBackend: stillBackend{}}, "2", "V", "c")
	cmd := press(m, "y")
	m.Update(done{cancelDeed, cancelDeed.do(context.Background(), failingBackend{}, []string{"a", "b\x1b[2J"})})
	if frame := m.View(); cmd == nil || !strings.Contains(frame, "failed for 2 tasks") || !strings.Contains(frame, "✗ b connection lost") {
		t.Error(frame)
	}
	m.Update(Batch{At: noon.Add(time.Hour)})
	if m.status.text == "" {
		t.Error("what failed went away unread")
	}
}

type failingBackend struct{ stillBackend }

func (failingBackend) Cancel(context.Context, []core.TaskID) ([]core.CancelVerdict, error) {
	return nil, errors.New("connection lost")
}

// TestCopy writes one OSC 52 sequence and says what it holds.
func TestCopy(t *testing.T) {
	for keys, want := range map[string]string{
		"2 y": "MDE5Y2VjMmYtNGEwMC03YjMzLThkNGUtNWY2MDcxYTNjMWQw", // base64 of the id
		"2 Y": "ZmFhc2N0bCB0b3AgdGFzay8wMTljZWMyZi00YTAwLTdiMzMtOGQ0ZS01ZjYwNzFhM2MxZDA=",
		"3 Y": "ZmFhc2N0bCB0b3Agd29ya2Vycw==",
	} {
		var out bytes.Buffer
		m := atWork(stillBackend{})
		m.clipboard = &out
		for _, key := range strings.Fields(keys) {
			play(m, key)
		}
		if out.String() != "\x1b]52;c;"+want+"\a" {
			t.Errorf("%s: %q", keys, out.String())
		}
		if !strings.Contains(m.View(), "by OSC 52") {
			t.Errorf("%s: not said:\n%s", keys, m.View())
		}
	}
}

// TestStatusPasses shows a status until the next key or for a while.
func TestStatusPasses(t *testing.T) {
	m := atWork(stillBackend{}, "2", "c", "n")
	m.Update(Batch{At: noon.Add(time.Second)})
	if m.status.text == "" {
		t.Error("it is gone at once")
	}
	m.Update(Batch{At: noon.Add(time.Minute)})
	if m.status.text != "" {
		t.Error("it stays for ever")
	}
	m = atWork(stillBackend{}, "2", "c", "n", "j")
	if m.status.text != "" {
		t.Error("it outlives the next key")
	}
}

// TestQuietFrames draws the same frame while nothing changes.
func TestQuietFrames(t *testing.T) {
	quiet := fixtureTop(5000, 4979, noon)
	for _, key := range []string{"1", "2", "3", "4", "5", "6", "7"} {
		m := newTestModel(termenv.ANSI, false)
		m.ctx, m.backend = context.Background(), stillBackend{}
		var before string
		for i := range 20 {
			at := noon.Add(time.Duration(i) * time.Second)
			top := quiet
			top.Now = at.Add(ahead)
			top.Queues = &[]core.QueueInfo{{Name: "default", Queued: 9, Oldest: noon.Add(ahead - time.Hour)}}
			workers := append([]core.Worker{}, (*quiet.Workers)[:1]...)
			workers[0].Seen = top.Now
			top.Workers = &workers
			top.Dispatchers = &[]core.DispatcherInfo{{ID: "d-1", Seen: top.Now, Modes: []core.Mode{core.Local}}}
			m.Update(Batch{At: at, News: []News{NewsTop{at, top}}})
			if i == 0 {
				play(m, key)
				m.desk.now.value = core.TaskPage{Tasks: []core.Task{{ID: taskID(1), State: core.Completed, Submitted: noon.Add(-time.Hour)}}}
				sized(m, 80, 24)
			}
			frame := m.View()
			if i > 13 && key != "1" && frame != before { // the graphs of the overview go on
				t.Fatalf("screen %s moved after %d s:\n%s\n\n%s", key, i, before, frame)
			}
			before = frame
		}
	}
}
