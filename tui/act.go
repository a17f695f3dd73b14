package tui

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	tea "github.com/charmbracelet/bubbletea"

	"faasctl/core"
)

// actTimeout is for everything that one confirmation sets off.
const actTimeout = 30 * time.Second

// deed is something that can be done to rows. Its key, description and place
// stand in the table of bindings; what it would do is told by the plan.
type deed struct {
	verb, noun string // "cancel", "task"
	// dangerous cannot be undone: only y confirms it. Default: Enter as well.
	dangerous bool
	// effect is what it does to a target in its state, and whether it does
	// anything at all.
	effect func(t target) (text string, does bool)
	// caution is what else to know before it is done to targets. Default: nothing.
	caution func(m *Model, targets []target) string
	do      func(ctx context.Context, b Backend, ids []string) outcome
}

// target is one row to act on, as far as it is known.
type target struct {
	id, name string // what people call it, for the plan
	state    string // of a task, of a worker or of a queue
	asked    bool   // its end was asked for already
	held     int    // tasks that a worker holds
}

// proposal is what waits to be confirmed.
type proposal interface {
	// lines tell what is about to be done, the question last.
	lines(m *Model, w int) []line
	// confirm does it, or leaves it open when the key is not enough.
	confirm(m *Model, key string) tea.Cmd
}

// plan is a deed that waits to be confirmed. What it acts on was fixed when it
// was made; the states of these are of now.
type plan struct {
	deed *deed
	ids  []string
}

// outcome is what became of a deed.
type outcome struct {
	did    []string // such as "3 cancelled"
	failed []string // one for each target that it was not done to: which, and why
	fresh  core.TaskID
}

// done brings the outcome back.
type done struct {
	deed *deed
	outcome
}

func taskTarget(t core.Task) target {
	name := t.Name
	if name == "" {
		name = string(t.Function)
	}
	return target{id: string(t.ID), name: name, state: string(t.State), asked: t.Cancelling}
}

func workerTarget(w core.Worker) target {
	return target{id: string(w.ID), name: string(w.Mode) + " on " + w.Host, state: string(w.State), held: w.Held}
}

// pausedQueue is the state of a queue that hands out nothing.
const pausedQueue = "paused"

func queueTarget(q core.QueueInfo) target {
	t := target{id: q.Name, name: q.Name}
	if !q.Paused.IsZero() {
		t.state = pausedQueue
	}
	return t
}

// inSight are the rows of this screen that something can be done to.
func (m *Model) inSight() map[string]target {
	all := map[string]target{}
	switch m.here().screen {
	case tasksScreen:
		page, _ := known[core.TaskPage](m)
		for _, t := range page.Tasks {
			all[string(t.ID)] = taskTarget(t)
		}
	case taskScreen:
		if d, ok := known[Detail](m); ok {
			all[string(d.Task.ID)] = taskTarget(d.Task)
		}
	case whyScreen:
		if why, ok := known[core.Why](m); ok {
			all[string(why.Task.ID)] = taskTarget(why.Task)
		}
	case workersScreen:
		for _, w := range m.picture().workers {
			all[string(w.ID)] = workerTarget(w)
		}
	case queuesScreen:
		for _, q := range m.picture().queues {
			all[q.Name] = queueTarget(q)
		}
	}
	return all
}

// chosen are the ids to act on: what is marked, else the row of the cursor.
func (m *Model) chosen() []string {
	if pl := m.here(); len(pl.marks) > 0 {
		return slices.Sorted(maps.Keys(pl.marks))
	}
	return m.chosenRow()
}

// chosenRow is the id that the screen is about, or its row of the cursor.
func (m *Model) chosenRow() []string {
	pl := m.here()
	switch {
	case pl.screen&texts != 0 && pl.task != "":
		return []string{string(pl.task)}
	case pl.screen&lists != 0:
		if ids := m.panels[pl.screen].ids(m, pl); len(ids) > 0 {
			return []string{ids[pl.row(ids)]}
		}
	}
	return nil
}

// targets are ids as they stand now: as this screen shows them, else as they
// were when they were marked.
func (m *Model) targets(ids []string) []target {
	seen, pl := m.inSight(), m.here()
	out := make([]target, 0, len(ids))
	for _, id := range ids {
		t, ok := seen[id]
		if !ok {
			t, ok = pl.marks[id]
		}
		if !ok {
			t = target{id: id}
		}
		out = append(out, t)
	}
	return out
}

// propose shows what a deed would do. A deed that would do nothing says why.
func (m *Model) propose(d *deed) {
	ids := m.chosen()
	if len(ids) == 0 {
		m.say(warn, "nothing to "+d.verb+": there is no "+d.noun+" here")
		return
	}
	does := false
	targets := m.targets(ids)
	for _, t := range targets {
		_, one := d.effect(t)
		does = does || one
	}
	if !does {
		why, _ := d.effect(targets[0])
		why, _, _ = strings.Cut(why, ":")
		m.say(warn, fmt.Sprintf("nothing to %s: %s %s", d.verb, m.called(d, targets), why))
		return
	}
	m.status, m.plan = status{}, &plan{d, ids}
}

// called names targets: one by its id, more by their number.
func (m *Model) called(d *deed, targets []target) string {
	if len(targets) == 1 {
		return d.noun + " " + m.theme.tail(clean(targets[0].id), 13)
	}
	return plural(int64(len(targets)), d.noun)
}

// effect is what the plan does to some of its targets.
type effect struct {
	text string
	does bool
	n    int
}

// effects sorts the targets by what becomes of them, and those to which
// something is done by name.
func (p *plan) effects(targets []target) (all []effect, names map[string]int, does int) {
	names = map[string]int{}
	for _, one := range targets {
		text, done := p.deed.effect(one)
		if done {
			does++
			names[one.name]++
		}
		i := slices.IndexFunc(all, func(e effect) bool { return e.text == text })
		if i < 0 {
			i, all = len(all), append(all, effect{text: text, does: done})
		}
		all[i].n++
	}
	slices.SortFunc(all, func(a, b effect) int {
		if a.does != b.does {
			return map[bool]int{true: -1, false: 1}[a.does]
		}
		return strings.Compare(a.text, b.text)
	})
	return all, names, does
}

// lines tell what the plan is about to do, the question last.
func (p *plan) lines(m *Model, w int) []line {
	t := m.theme
	targets := m.targets(p.ids)
	all, names, does := p.effects(targets)
	out := []line{t.ruled(p.deed.verb, plural(int64(len(targets)), p.deed.noun), w)}
	for _, e := range all {
		glyph, as := t.cursor, role(plain)
		if !e.does {
			glyph, as = t.none, dim
		}
		out = append(out, line{{" " + glyph + " " + padded(count(int64(e.n)), 5, true) + " ", as}, {e.text, as}})
	}
	if len(names) > 0 {
		out = append(out, line{{"   of ", dim}, {most(names, 4), plain}})
	}
	if p.deed.caution != nil {
		out = append(out, line{{" ! ", warn}, {p.deed.caution(m, targets), warn}})
	}
	question, keys := line{{" " + title1(p.deed.verb) + " " + plural(int64(does), p.deed.noun) + "? ", strong}}, "y or Enter does it"
	if p.deed.dangerous {
		question[0].role, keys = bad, "no way back; y does it"
	}
	return append(out, append(question, piece{keys, plain}))
}

func title1(word string) string { return strings.ToUpper(word[:1]) + word[1:] }

// most names the largest counts first, n of them.
func most(counts map[string]int, n int) string {
	names := slices.SortedFunc(maps.Keys(counts), func(a, b string) int {
		if counts[a] != counts[b] {
			return counts[b] - counts[a]
		}
		return strings.Compare(a, b)
	})
	var words []string
	for _, name := range names[:min(n, len(names))] {
		words = append(words, count(int64(counts[name]))+" "+clip(clean(name), 32, ""))
	}
	if rest := len(names) - n; rest > 0 {
		words = append(words, fmt.Sprintf("and %d more", rest))
	}
	return strings.Join(words, ", ")
}

// confirm does what is proposed.
func (m *Model) confirm(key string) tea.Cmd { return m.plan.confirm(m, key) }

// confirm does what was planned, to those that it does anything to.
func (p *plan) confirm(m *Model, key string) tea.Cmd {
	if key == "enter" && p.deed.dangerous {
		return nil // a habit of the hand is no consent
	}
	m.plan = nil
	var ids []string
	for _, t := range m.targets(p.ids) {
		if _, does := p.deed.effect(t); does {
			ids = append(ids, t.id)
		}
	}
	if len(ids) == 0 {
		m.say(warn, "nothing left to "+p.deed.verb)
		return nil
	}
	m.here().marks = nil
	m.say(plain, fmt.Sprintf("%s: asking for %s%s", p.deed.verb, plural(int64(len(ids)), p.deed.noun), m.theme.cut))
	return m.sent(actTimeout, func(ctx context.Context, b Backend) tea.Msg {
		return done{p.deed, p.deed.do(ctx, b, ids)}
	})
}

// dismiss leaves a plan undone.
func (m *Model) dismiss(string) tea.Cmd {
	m.say(plain, "nothing was done")
	m.plan = nil
	return nil
}

// hearDone tells what became of a deed.
func (m *Model) hearDone(d done) {
	text := strings.Join(d.did, ", ")
	as := role(good)
	switch {
	case len(d.failed) > 0 && text == "":
		as, text = bad, fmt.Sprintf("%s: failed for %s", d.deed.verb, plural(int64(len(d.failed)), d.deed.noun))
	case len(d.failed) > 0:
		as, text = warn, fmt.Sprintf("%s; failed for %s", text, plural(int64(len(d.failed)), d.deed.noun))
	}
	if d.fresh != "" {
		m.lastTask = d.fresh
	}
	m.say(as, text)
	m.status.items = d.failed
	m.desk.due = true
}
