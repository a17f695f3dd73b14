package tui

import (
	"cmp"
	"fmt"
	"time"

	"faasctl/core"
)

func words[T any](as role, of func(T) string) func(T, int) line {
	return func(r T, _ int) line { return line{{clean(of(r)), as}} }
}

func figure[T any](of func(T) int64) func(T, int) line {
	return func(r T, _ int) line { return line{{count(of(r)), plain}} }
}

// newPanels are the screens that are lists.
func newPanels(t *theme) map[screen]panel {
	return map[screen]panel{
		tasksScreen: newTasksPanel(t), workersScreen: newWorkersPanel(t), functionsScreen: newFunctionsPanel(t),
		queuesScreen: newQueuesPanel(t), failuresScreen: newFailuresPanel(t), eventsScreen: newEventsPanel(t),
	}
}

// led opens the tasks that a filter selects.
func led(m *Model, text string) {
	f, err := m.panels[tasksScreen].parse(text)
	if err != nil {
		m.say(bad, err.Error())
		return
	}
	m.open(&place{screen: tasksScreen, filter: f, led: f})
}

// functionView is a function's numbers and what they were seconds ago.
type functionView struct {
	core.FunctionStats
	rate float64 // ended a second
	run  core.Histogram
}

func functionViews(p *picture) []functionView {
	before, seconds, known := p.earlier()
	then := map[core.FunctionID]core.FunctionStats{}
	for _, f := range before.Functions {
		then[f.Function] = f
	}
	out := make([]functionView, len(p.functions))
	for i, f := range p.functions {
		out[i] = functionView{f, 0, f.Run}
		if known && seconds > 0 {
			out[i].rate = max(0, float64(f.Totals.Ended()-then[f.Function].Totals.Ended())/seconds)
		}
	}
	return out
}

func (r functionView) name() string {
	if r.Name == "" {
		return string(r.Function)
	}
	return r.Name
}

func newFunctionsPanel(t *theme) panel {
	quantile := func(of func(functionView) core.Histogram, q float64) func(functionView, int) line {
		return func(r functionView, _ int) line {
			if of(r).Count() == 0 {
				return line{{t.none, dim}}
			}
			return line{{millis(float64(of(r).Quantile(q)) / float64(time.Millisecond)), plain}}
		}
	}
	run := func(r functionView) core.Histogram { return r.run }
	return &listing[functionView]{
		lexicon: lexicon{"functions", []string{"fn", "id"}, nil, ""},
		example: "fn=resize",
		name:    functionView.name,
		detail:  func(*Model) string { return fmt.Sprintf("rates of %ds, the rest since the beginning", average) },
		table: table[functionView]{theme: t, columns: []column[functionView]{
			{head: "FUNCTION", min: 10, max: 40, rank: 1, grow: 1, cell: func(r functionView, w int) line {
				return line{{clip(clean(r.name()), w, t.cut), strong}}
			}},
			{head: "CALLS", min: 8, rank: 2, right: true, cell: figure(func(r functionView) int64 { return r.Totals.Submitted })},
			{head: "RATE", min: 8, rank: 4, right: true, cell: words(plain, func(r functionView) string { return perSecond(r.rate) })},
			{head: "FAILED", min: 7, rank: 3, right: true, cell: figure(func(r functionView) int64 { return r.Totals.Failed })},
			{head: "RUN P50", min: 7, rank: 5, right: true, cell: quantile(run, 0.5)},
			{head: "RUN P95", min: 7, rank: 6, right: true, cell: quantile(run, 0.95)},
			{head: "WAIT P95", min: 8, rank: 7, right: true, cell: quantile(func(r functionView) core.Histogram { return r.Wait }, 0.95)},
		}},
		rows: func(m *Model) ([]functionView, bool) { return functionViews(m.picture()), m.picture().seen },
		id:   func(r functionView) string { return string(r.Function) },
		field: func(r functionView, key string) string {
			return map[string]string{"id": string(r.Function), "fn": r.name()}[key]
		},
		sorts: []sorting[functionView]{
			{"most calls first", func(a, b functionView) int { return cmp.Compare(b.Totals.Submitted, a.Totals.Submitted) }},
			{"fastest rate first", func(a, b functionView) int { return cmp.Compare(b.rate, a.rate) }},
			{"most failures first", func(a, b functionView) int { return cmp.Compare(b.Totals.Failed, a.Totals.Failed) }},
			{"by name", func(a, b functionView) int { return cmp.Compare(a.name(), b.name()) }},
		},
		open:  func(m *Model, r functionView) { led(m, "fn="+r.name()) },
		empty: "no function was called yet " + t.dot + " run one: faasctl run FILE.py --args '[3, 4]'",
	}
}

// queueView is a queue together with the moment it is looked at.
type queueView struct {
	core.QueueInfo
	now time.Time // by the store's clock
}

func queueViews(p *picture) []queueView {
	out := make([]queueView, len(p.queues))
	for i, q := range p.queues {
		out[i] = queueView{q, p.storeNow()}
	}
	return out
}

// waiting is the role of how long a task has waited for a worker.
func waiting(d time.Duration) role {
	if d >= 10*time.Second {
		return warn
	}
	return plain
}

func newQueuesPanel(t *theme) panel {
	return &listing[queueView]{
		lexicon: lexicon{"queues", []string{"queue"}, nil, ""},
		example: "queue=default",
		table: table[queueView]{theme: t, columns: []column[queueView]{
			{head: "QUEUE", min: 10, max: 40, rank: 1, grow: 1, cell: words(strong, func(r queueView) string { return r.Name })},
			{head: "QUEUED", min: 9, rank: 2, right: true, cell: figure(func(r queueView) int64 { return r.Queued })},
			{head: "OLDEST", min: 6, rank: 3, right: true, cell: func(r queueView, _ int) line {
				if r.Oldest.IsZero() {
					return line{{t.none, dim}}
				}
				return line{{span(r.Waits(r.now)), waiting(r.Waits(r.now))}}
			}},
			{head: "STATE", min: 11, rank: 4, cell: func(r queueView, _ int) line {
				if r.Paused.IsZero() {
					return line{{"open", dim}}
				}
				return line{{"paused " + age(r.now.Sub(r.Paused)), warn}}
			}},
		}},
		rows:  func(m *Model) ([]queueView, bool) { return queueViews(m.picture()), m.picture().seen },
		id:    func(r queueView) string { return r.Name },
		field: func(r queueView, _ string) string { return r.Name },
		sorts: []sorting[queueView]{
			{"longest first", func(a, b queueView) int { return cmp.Compare(b.Queued, a.Queued) }},
			{"oldest first", func(a, b queueView) int { return cmp.Compare(b.Waits(b.now), a.Waits(a.now)) }},
			{"by name", func(a, b queueView) int { return cmp.Compare(a.Name, b.Name) }},
		},
		open:  func(m *Model, r queueView) { led(m, "state=queued queue="+r.Name) },
		empty: "no queue holds a task",
	}
}

func newFailuresPanel(t *theme) panel {
	return &listing[core.FailureGroup]{
		lexicon: lexicon{"failures", []string{"fn", "error", "kind", "message"}, nil, ""},
		example: "fn=resize kind=timeout",
		table: table[core.FailureGroup]{theme: t, columns: []column[core.FailureGroup]{
			{head: "TASKS", min: 6, rank: 1, right: true, cell: figure(func(r core.FailureGroup) int64 { return int64(r.Count) })},
			{head: "DEAD", min: 6, rank: 5, right: true, cell: figure(func(r core.FailureGroup) int64 { return int64(r.Dead) })},
			{head: "ERROR", min: 10, max: 18, rank: 2, grow: 2, cell: words(bad, cause)},
			{head: "FUNCTION", min: 10, max: 24, rank: 4, grow: 3, cell: words(strong, func(r core.FailureGroup) string { return r.Name })},
			{head: "MESSAGE", min: 12, max: 120, rank: 3, grow: 4, cell: words(plain, func(r core.FailureGroup) string { return r.Message })},
		}},
		rows: known[[]core.FailureGroup],
		id:   func(r core.FailureGroup) string { return string(r.Newest) },
		field: func(r core.FailureGroup, key string) string {
			return map[string]string{"id": string(r.Newest), "error": cause(r), "fn": r.Name, "message": r.Message, "kind": string(r.Kind)}[key]
		},
		sorts: []sorting[core.FailureGroup]{
			{"most tasks first", func(a, b core.FailureGroup) int { return b.Count - a.Count }},
			{"latest first", func(a, b core.FailureGroup) int { return b.Last.Compare(a.Last) }},
		},
		open: func(m *Model, r core.FailureGroup) {
			led(m, "state=failed kind="+string(r.Kind)+" fn="+cmp.Or(r.Name, string(r.Function)))
		},
		empty:  "no task has failed",
		detail: func(*Model) string { return "of the newest 2,000 " + t.dot + " DEAD: not run again" },
	}
}

// cause is what a group of tasks died of, in a word.
func cause(r core.FailureGroup) string { return cmp.Or(r.Type, string(r.Kind)) }

func newEventsPanel(t *theme) panel {
	return &listing[core.Event]{
		lexicon: lexicon{"events", []string{"kind", "fn", "worker", "id", "detail"}, nil, ""},
		example: "kind=worker !lost",
		table: table[core.Event]{theme: t, columns: []column[core.Event]{
			{head: "AT", min: 8, rank: 2, cell: func(r core.Event, _ int) line { return line{{r.At.Format(time.TimeOnly), dim}} }},
			{head: "EVENT", min: 14, max: 19, rank: 1, grow: 1, cell: words(strong, func(r core.Event) string { return string(r.Kind) })},
			{head: "OF", min: 14, max: 36, step: true, rank: 3, grow: 2, cell: func(r core.Event, w int) line {
				return line{{t.tail(clean(subject(r)), w), plain}}
			}},
			{head: "FUNCTION", min: 10, max: 24, rank: 5, grow: 4, cell: words(plain, func(r core.Event) string { return r.Name })},
			{head: "DETAIL", min: 9, max: 20, rank: 4, grow: 3, cell: words(dim, func(r core.Event) string { return r.Detail })},
		}},
		rows: func(m *Model) ([]core.Event, bool) {
			log, ok := known[eventLog](m)
			return log.newest, ok
		},
		id: func(r core.Event) string { return r.ID },
		field: func(r core.Event, key string) string {
			return map[string]string{"kind": string(r.Kind), "id": subject(r), "fn": r.Name, "worker": string(r.Worker), "detail": r.Detail}[key]
		},
		sorts: []sorting[core.Event]{{"newest first", nil}, {"by kind", func(a, b core.Event) int { return cmp.Compare(a.Kind, b.Kind) }}},
		open: func(m *Model, r core.Event) {
			switch {
			case r.Task != "":
				m.open(&place{screen: taskScreen, task: r.Task})
			case r.Worker != "":
				m.open(&place{screen: workersScreen, cursor: string(r.Worker)})
			case r.Name != "":
				led(m, "fn="+r.Name)
			}
		},
		name:   subject,
		detail: func(*Model) string { return fmt.Sprintf("the last %d but starts and ends, UTC", eventsKept) },
		empty:  "nothing has gone wrong and nobody came or went",
	}
}

// subject is whom an event is about.
func subject(e core.Event) string {
	return cmp.Or(string(e.Task), string(e.Worker), string(e.Dispatcher), string(e.Function))
}
