package tui

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	tea "github.com/charmbracelet/bubbletea"

	"faasctl/core"
)

const (
	askTimeout = 5 * time.Second        // for one answer of the server
	askEvery   = 500 * time.Millisecond // what a screen shows is asked anew at most so often
	// askLive is for lists of tasks, which an index answers: with each Batch.
	askLive = batchEvery * 4 / 5
	// askShare is how many times as long as its answer takes a question rests, so
	// that a slow server is asked less; dearShare of others than lists of tasks.
	askShare  = 2
	dearShare = 4

	goesOn = 2 * time.Second // what is told of one task changes with time alone

	fewTasks    = 20   // the least that a page of tasks holds
	manyTasks   = 500  // and when they are filtered or sorted here
	runningMany = 1000 // the index of running tasks is read whole; more than so many is dear
)

// question is what a screen wants to know beyond the picture. It is asked when
// the screen is opened, and again when something changed.
type question struct {
	key string // equal questions have equal keys; "" asks nothing
	ask func(ctx context.Context, b Backend) (any, error)
	// every is how long it rests at least. Default: askEvery.
	every time.Duration
	// again is when it is asked again although no number has changed. Default: never.
	again time.Duration
	// over says that the answer will not change by itself.
	over bool
}

// answer is what came back; an error leaves the value before it in place.
type answer struct {
	key   string
	value any
	err   error
	took  time.Duration
}

// desk remembers what was asked and answered last.
type desk struct {
	now     answer
	pending string    // the key of the question on its way
	asked   time.Time // when
	when    core.TopNumbers
	due     bool             // something was done that the numbers need not show
	took    [2]time.Duration // by the last two answers
}

// rests is how long a question is left alone after it was asked: what it was
// given, and longer when the server is slow.
func (d *desk) rests(q question) time.Duration {
	took := min(d.took[0], d.took[1]) // one slow answer is no slow server
	if q.every == 0 || d.now.err != nil {
		return max(askEvery, dearShare*took)
	}
	return max(q.every, askShare*took)
}

// changes are the numbers that change with what tasks do, and not with time.
func changes(n core.TopNumbers) core.TopNumbers {
	n.OldestWait = 0
	return n
}

// refresh asks what the screen wants to know, unless it is known, on its way, or
// was asked just now.
func (m *Model) refresh() tea.Cmd {
	q, d, p := m.question(), &m.desk, &m.live
	if q.key == "" || m.backend == nil || !p.seen || d.pending == q.key && p.now.Sub(d.asked) < askTimeout {
		return nil
	}
	if d.now.key == q.key { // a frozen screen, too, may ask what it never knew
		rested := p.now.Sub(d.asked)
		still := d.now.err == nil && !d.due && (q.over || d.when == changes(p.numbers) && (q.again == 0 || rested < q.again))
		if _, stale := p.stale(); m.frozen() || stale || rested < d.rests(q) || still {
			return nil
		}
	}
	d.pending, d.asked, d.when, d.due = q.key, p.now, changes(p.numbers), false
	return m.sent(askTimeout, func(ctx context.Context, b Backend) tea.Msg {
		began := time.Now()
		value, err := q.ask(ctx, b)
		return answer{q.key, value, err, time.Since(began)}
	})
}

// sent is a command that asks the backend and brings back what it said.
func (m *Model) sent(within time.Duration, ask func(ctx context.Context, b Backend) tea.Msg) tea.Cmd {
	ctx, backend := m.ctx, m.backend
	return func() tea.Msg {
		limited, done := context.WithTimeout(ctx, within)
		defer done()
		return ask(limited, backend)
	}
}

// hear takes an answer in, if it is the one that is waited for.
func (m *Model) hear(a answer) {
	d := &m.desk
	if d.pending != a.key {
		return
	}
	d.pending = ""
	d.took = [2]time.Duration{d.took[1], a.took}
	if a.err != nil && d.now.key == a.key {
		d.now.err = a.err
		return
	}
	d.now = a
}

// question is what the screen that is shown wants to know.
func (m *Model) question() question {
	pl := m.here()
	switch pl.screen {
	case overview:
		n := m.tasksShown()
		return question{key: "overview", ask: func(ctx context.Context, b Backend) (any, error) { return current(ctx, b, n) }, every: m.live.pace(core.Running), again: m.progresses()}
	case tasksScreen:
		return m.aboutTasks(pl)
	case taskScreen:
		if pl.task == "" {
			return question{}
		}
		d, _ := m.desk.now.value.(Detail)
		return question{key: "task " + string(pl.task), ask: func(ctx context.Context, b Backend) (any, error) { return b.Detail(ctx, pl.task) },
			again: goesOn, over: d.Task.ID == pl.task && d.Task.State.Terminal()}
	case whyScreen:
		if pl.task == "" {
			return question{}
		}
		why, _ := m.desk.now.value.(core.Why)
		return question{key: "why " + string(pl.task), ask: func(ctx context.Context, b Backend) (any, error) { return b.Why(ctx, pl.task) },
			again: goesOn, over: why.Task.ID == pl.task && why.Task.State.Terminal()}
	case failuresScreen:
		return question{key: "failures", ask: func(ctx context.Context, b Backend) (any, error) { return b.Failures(ctx) }}
	case eventsScreen:
		before, _ := m.desk.now.value.(eventLog)
		return question{key: "events", ask: before.more}
	}
	return question{}
}

// aboutTasks asks for the tasks in sight and one page more. What the server has no
// index for is looked for here, among more of them.
func (m *Model) aboutTasks(pl *place) question {
	f, here := pl.filter.split(m.picture().functions)
	if n := len(pl.before); n > 0 {
		f.Before = pl.before[n-1]
	}
	key := fmt.Sprintf("tasks %+v", f) // how many are asked for does not make it another
	f.Limit = 2 * max(fewTasks, m.h)
	if len(here) > 0 || pl.sort > 0 {
		f.Limit = max(f.Limit, manyTasks)
	}
	f.Limit = min(f.Limit, core.MaxBatch)
	return question{key: key, ask: func(ctx context.Context, b Backend) (any, error) { return b.Tasks(ctx, f) }, every: m.live.pace(f.State), again: m.progresses()}
}

// progresses is when a list is asked for again because a task in it says how far it
// has come, which no number tells; 0 for never.
func (m *Model) progresses() time.Duration {
	page, _ := m.desk.now.value.(core.TaskPage)
	if slices.ContainsFunc(page.Tasks, func(t core.Task) bool { return t.State == core.Running && t.Progress != nil }) {
		return time.Second
	}
	return 0
}

// pace is how often tasks in a state may be asked for.
func (p *picture) pace(s core.State) time.Duration {
	if n := p.numbers; s == core.Running && n.Running > runningMany || s == core.Delayed && n.Delayed > runningMany {
		return askEvery
	}
	return askLive
}

// current are the tasks that the overview lists: those that run, the longest of
// them first, and then the newest of the others; n at most.
func current(ctx context.Context, b Backend, n int) (core.TaskPage, error) {
	page, err := b.Tasks(ctx, core.TaskFilter{State: core.Running, Limit: n})
	if err != nil {
		return page, err
	}
	slices.SortStableFunc(page.Tasks, func(a, b core.Task) int { return cmp.Or(cmp.Compare(rank(a), rank(b)), a.Started.Compare(b.Started)) })
	if len(page.Tasks) >= n {
		return page, nil
	}
	newest, err := b.Tasks(ctx, core.TaskFilter{Limit: n})
	for _, t := range newest.Tasks {
		if !slices.ContainsFunc(page.Tasks, func(other core.Task) bool { return other.ID == t.ID }) {
			page.Tasks = append(page.Tasks, t)
		}
	}
	page.Next = newest.Next
	return page, err
}

// rank puts tasks that were started before those that wait at their worker.
func rank(t core.Task) int {
	if t.Started.IsZero() {
		return 1
	}
	return 0
}

// notable are the events that a log for people has; the many that every task
// brings are on the task's own screen.
var notable = []core.EventKind{
	core.TaskFailed, core.TaskRetried, core.TaskCancelled, core.TaskLost, core.FunctionRegistered, core.FunctionRemoved,
	core.WorkerJoined, core.WorkerDrains, core.WorkerLeft, core.WorkerVanished, core.DispatcherUp, core.DispatcherDown,
}

const (
	eventsKept = 500 // of the log
	eventsPart = 500 // asked for at once
)

// eventLog is the newest notable events.
type eventLog struct {
	newest []core.Event // newest first
	after  string       // the last one seen
}

// more reads on from where the log ends.
func (l eventLog) more(ctx context.Context, b Backend) (any, error) {
	for {
		events, err := b.EventsOnceWhere(ctx, core.EventFilter{Kinds: notable}, l.after, eventsPart)
		if errors.Is(err, core.ErrGone) && l.after != "" {
			l.after = ""
			l.newest = nil
			continue
		}
		if err != nil {
			return l, err
		}
		fresh := slices.Clone(events)
		slices.Reverse(fresh)
		l.newest = append(fresh, l.newest...)
		l.newest = l.newest[:min(len(l.newest), eventsKept)]
		if len(events) > 0 {
			l.after = events[len(events)-1].ID
		}
		if len(events) < eventsPart {
			return l, nil
		}
	}
}

// known is the answer to the screen's question, and whether there is one.
func known[T any](m *Model) (value T, ok bool) {
	if m.desk.now.key == m.question().key {
		value, ok = m.desk.now.value.(T)
	}
	return value, ok
}
