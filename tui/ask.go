package tui

import (
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
	pageTasks  = 100                    // tasks on one page of the list
	latestMany = 50                     // tasks that the overview asks for
)

// question is what a screen wants to know beyond the picture. It is asked when
// the screen is opened, and again when something changed.
type question struct {
	key string // equal questions have equal keys; "" asks nothing
	ask func(ctx context.Context, b Backend) (any, error)
}

// answer is what came back; an error leaves the value before it in place.
type answer struct {
	key   string
	value any
	err   error
}

// desk remembers what was asked and answered last.
type desk struct {
	now     answer
	pending string    // the key of the question on its way
	asked   time.Time // when
	when    core.TopNumbers
	due     bool // something was done that the numbers need not show
}

// about is a question about tasks.
func about(f core.TaskFilter) question {
	return question{fmt.Sprintf("tasks %+v", f), func(ctx context.Context, b Backend) (any, error) {
		return b.Tasks(ctx, f)
	}}
}

// refresh asks what the screen wants to know, unless it is known, on its way, or
// was asked just now.
func (m *Model) refresh() tea.Cmd {
	q, d, p := m.question(), &m.desk, &m.live
	if q.key == "" || m.backend == nil || !p.seen || d.pending == q.key && p.now.Sub(d.asked) < askTimeout {
		return nil
	}
	if d.now.key == q.key { // a frozen screen, too, may ask what it never knew
		if _, stale := p.stale(); m.frozen() || stale || p.now.Sub(d.asked) < askEvery || d.now.err == nil && d.when == p.numbers && !d.due {
			return nil
		}
	}
	d.pending, d.asked, d.when, d.due = q.key, p.now, p.numbers, false
	return m.sent(askTimeout, func(ctx context.Context, b Backend) tea.Msg {
		value, err := q.ask(ctx, b)
		return answer{q.key, value, err}
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
		return about(core.TaskFilter{Limit: latestMany})
	case tasksScreen:
		f, _ := pl.filter.split(m.picture().functions)
		f.Limit = pageTasks
		if n := len(pl.before); n > 0 {
			f.Before = pl.before[n-1]
		}
		return about(f)
	case taskScreen:
		if pl.task == "" {
			return question{}
		}
		return question{"task " + string(pl.task), func(ctx context.Context, b Backend) (any, error) { return b.Detail(ctx, pl.task) }}
	case failuresScreen:
		return question{"failures", func(ctx context.Context, b Backend) (any, error) { return b.Failures(ctx) }}
	case eventsScreen:
		before, _ := m.desk.now.value.(eventLog)
		return question{"events", before.more}
	}
	return question{}
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
