package tui

import (
	"context"
	"slices"
	"testing"
	"time"

	tea "github.com/charmbracelet/bubbletea"
	"github.com/muesli/termenv"

	"faasctl/core"
)

// asking is a dashboard whose server takes a while to answer about tasks.
type asking struct {
	*Model
	at      time.Time
	total   int64
	pending []answer // what was asked and not answered yet
	due     time.Time
	asked   []time.Time
}

func newAsking(keys ...string) *asking {
	a := &asking{Model: newTestModel(termenv.Ascii, false), at: noon, total: 1000}
	a.backend, a.ctx, a.w, a.h = stillBackend{}, context.Background(), 120, 40
	for _, key := range keys {
		press(a.Model, key)
	}
	return a
}

// tick is a Batch: after 100 ms, with tasks that were submitted meanwhile.
func (a *asking) tick(t *testing.T, tasks int64, takes time.Duration) {
	t.Helper()
	a.at, a.total = a.at.Add(batchEvery), a.total+tasks
	if len(a.pending) > 0 && !a.at.Before(a.due) {
		a.Update(a.pending[0])
		a.pending = nil
	}
	_, cmd := a.Update(Batch{At: a.at, News: []News{NewsTop{a.at, submittedTop(a.total)}}})
	if cmd == nil {
		return
	}
	if len(a.pending) > 0 {
		t.Fatalf("asked at %v while a question is on its way", a.at)
	}
	got := cmd().(answer)
	got.took = takes
	a.pending, a.due, a.asked = []answer{got}, a.at.Add(takes), append(a.asked, a.at)
}

// TestAskingPace: a list is asked for with each picture while tasks come, less
// often when the server is slow, one question at a time, and not at all while
// nothing changes.
func TestAskingPace(t *testing.T) {
	for _, c := range []struct {
		name        string
		keys        []string
		tasks       int64
		takes       time.Duration
		least, most int // questions in 10 s
	}{
		{"busy", []string{"2"}, 500, 10 * time.Millisecond, 99, 101},
		{"overview", nil, 500, 10 * time.Millisecond, 99, 101},
		{"slower", []string{"2"}, 500, 120 * time.Millisecond, 30, 36},
		{"slow", []string{"2"}, 500, time.Second, 4, 6},
		{"still", []string{"2"}, 0, 10 * time.Millisecond, 1, 2},
		{"failures", []string{"6"}, 500, 10 * time.Millisecond, 19, 21},
	} {
		a := newAsking(c.keys...)
		for range 100 {
			a.tick(t, c.tasks, c.takes)
		}
		if n := len(a.asked); n < c.least || n > c.most {
			t.Errorf("%s: asked %d times in 10 s, want %d to %d", c.name, n, c.least, c.most)
		}
	}
}

// TestAskingRecovers: one slow answer does not make the dashboard slow for long.
func TestAskingRecovers(t *testing.T) {
	a := newAsking("2")
	for range 50 {
		a.tick(t, 500, 10*time.Millisecond)
	}
	for len(a.pending) > 0 || len(a.asked) < 51 {
		a.tick(t, 500, time.Second)
	}
	a.asked = nil
	for range 100 {
		a.tick(t, 500, 10*time.Millisecond)
	}
	if n := len(a.asked); n < 85 {
		t.Errorf("asked %d times in the 10 s after one slow answer", n)
	}
}

// TestEndedIsNotAskedAgain: what is known of a task that has ended stays, whatever
// others do; of one that runs it is told by time.
func TestEndedIsNotAskedAgain(t *testing.T) {
	for _, c := range []struct {
		keys        []string
		least, most int // in 10 s
	}{
		{[]string{"2", "j", "j", "enter"}, 0, 1}, {[]string{"2", "j", "j", "w"}, 0, 1}, {[]string{"2", "enter"}, 19, 21},
	} {
		a := &asking{Model: atWork(stillBackend{}, c.keys...), total: 100_000}
		a.at = a.live.now
		for range 20 {
			a.tick(t, 500, 10*time.Millisecond)
		}
		a.asked = nil
		for range 100 {
			a.tick(t, 500, 10*time.Millisecond)
		}
		if n := len(a.asked); n < c.least || n > c.most {
			t.Errorf("%v: asked %d times in 10 s, want %d to %d", c.keys, n, c.least, c.most)
		}
	}
}

// TestWaitingIsNoChange: the age of a task that waits is no reason to ask.
func TestWaitingIsNoChange(t *testing.T) {
	a := newAsking("2")
	for i := range 100 {
		top := submittedTop(7)
		top.Numbers.Queued, top.Numbers.OldestWait = 1, int64(100*i)
		at := noon.Add(time.Duration(i) * batchEvery)
		if _, cmd := a.Update(Batch{At: at, News: []News{NewsTop{at, top}}}); cmd != nil {
			a.Update(cmd())
			a.asked = append(a.asked, at)
		}
	}
	if len(a.asked) != 1 {
		t.Errorf("asked %d times", len(a.asked))
	}
}

// filterBackend keeps the filters that it was asked with.
type filterBackend struct {
	stillBackend
	filters *[]core.TaskFilter
}

func (b filterBackend) Tasks(ctx context.Context, f core.TaskFilter) (core.TaskPage, error) {
	*b.filters = append(*b.filters, f)
	return b.stillBackend.Tasks(ctx, f)
}

// TestAskingForWhatIsSeen: the tasks in sight and one page more; more only when
// they are filtered or sorted here, and no other question when the screen grows.
func TestAskingForWhatIsSeen(t *testing.T) {
	for _, c := range []struct {
		keys []string
		h    int
		want int
	}{
		{[]string{"2"}, 40, 80}, {[]string{"2"}, 10, 40}, {[]string{"2"}, 5000, 1000},
		{[]string{"2", "/", "failed", "enter"}, 40, 80}, {[]string{"2", "/", "worker=w-1", "enter"}, 40, 500}, {[]string{"2", "s"}, 40, 500},
	} {
		var filters []core.TaskFilter
		m := feedAll(newTestModel(termenv.Ascii, false), lively())
		m.backend, m.ctx, m.w, m.h = filterBackend{filters: &filters}, context.Background(), 120, 24
		for _, key := range c.keys {
			play(m, key)
		}
		key := m.question().key
		filters = nil
		_, cmd := m.Update(tea.WindowSizeMsg{Width: 120, Height: c.h})
		if cmd == nil { // it was asked just now
			_, cmd = m.Update(Batch{At: m.live.now.Add(time.Second)})
		}
		if cmd == nil {
			t.Errorf("%v: a larger screen asks nothing", c.keys)
			continue
		}
		cmd()
		if got := filters[len(filters)-1].Limit; got != c.want || m.question().key != key {
			t.Errorf("%v, %d lines: asked for %d, want %d; question %q → %q", c.keys, c.h, got, c.want, key, m.question().key)
		}
	}
}

// longQueue has a few tasks that run, behind many that wait.
type longQueue struct {
	stillBackend
	running, waiting int
}

func (b longQueue) Tasks(_ context.Context, f core.TaskFilter) (page core.TaskPage, _ error) {
	all := make([]core.Task, b.waiting, b.waiting+b.running)
	for i := range all {
		all[i] = core.Task{ID: taskID(i%10) + "w", State: core.Queued}
	}
	for i := range b.running {
		started := noon.Add(-time.Duration(i) * time.Minute)
		if i == 1 {
			started = time.Time{} // waits at its worker
		}
		all = append(all, core.Task{ID: taskID(i), State: core.Running, Started: started})
	}
	for _, t := range all {
		if len(page.Tasks) < f.Limit && (f.State == "" || f.State == t.State) {
			page.Tasks = append(page.Tasks, t)
		}
	}
	return page, b.err
}

// TestOverviewShowsWhatRuns however long the queue is.
func TestOverviewShowsWhatRuns(t *testing.T) {
	page, err := current(context.Background(), longQueue{running: 4, waiting: 1000}, 10)
	var got []core.TaskID
	for _, task := range page.Tasks[:5] {
		got = append(got, task.ID)
	}
	want := []core.TaskID{taskID(3), taskID(2), taskID(0), taskID(1), taskID(0) + "w"}
	if err != nil || len(page.Tasks) < 10 || !slices.Equal(got, want) {
		t.Errorf("%v, %d tasks: %v, want %v", err, len(page.Tasks), got, want)
	}
	if page, err = current(context.Background(), longQueue{running: 40, waiting: 5}, 10); err != nil || len(page.Tasks) != 10 {
		t.Errorf("%v, %d of 40 that run", err, len(page.Tasks))
	}
	page, err = current(context.Background(), longQueue{running: 3}, 10)
	if err != nil || len(page.Tasks) != 3 {
		t.Errorf("%v: %d rows of 3 tasks", err, len(page.Tasks))
	}
}
