package tui

import (
	"context"
	"fmt"
	"strings"
	"time"

	tea "github.com/charmbracelet/bubbletea"

	"faasctl/core"
)

// bulk is an operation on many tasks that waits to be confirmed. The server says
// what it would do; what it is done to is what fits then.
type bulk struct {
	kind   core.OperationKind
	filter core.BulkFilter
	of     string     // the filter, for people
	plan   *core.Plan // nil until the server has answered
}

type (
	// planned brings what the server says of a bulk.
	planned struct {
		bulk *bulk
		plan core.Plan
		err  error
	}
	// started brings an operation that was asked for, or its undo.
	started struct {
		verb string
		op   core.Operation
		err  error
	}
)

// bulkWords are the words of operations: what is to do, what was done, and to what.
var bulkWords = map[core.OperationKind]struct{ do, done, noun string }{
	core.OperationCancel: {"cancel", "cancelled", "task"},
	core.OperationRetry:  {"run again", "run again", "dead letter"},
	core.OperationPurge:  {"forget", "forgotten", "dead letter"},
}

// filterText is a filter in the words of the dashboard.
func filterText(f core.BulkFilter, names []core.FunctionStats) string {
	function := f.Function
	for _, known := range names {
		if string(known.Function) == function && known.Name != "" {
			function = known.Name
		}
	}
	var words []string
	for _, part := range [][2]string{{"fn=", function}, {"state=", strings.ToLower(string(f.State))}, {"queue=", f.Queue}, {"error=", f.Error}} {
		if part[1] != "" {
			words = append(words, part[0]+clean(part[1]))
		}
	}
	if len(words) == 0 {
		return "all"
	}
	return strings.Join(words, " ")
}

// consider asks the server what an operation would do.
func (m *Model) consider(kind core.OperationKind, filter core.BulkFilter, of string) tea.Cmd {
	if m.backend == nil {
		return nil
	}
	b := &bulk{kind: kind, filter: filter, of: of}
	m.status, m.plan = status{}, b
	return m.sent(actTimeout, func(ctx context.Context, backend Backend) tea.Msg {
		plan, err := backend.Plan(ctx, kind, filter)
		return planned{b, plan, err}
	})
}

// hearPlanned takes in what the server says, unless it was dismissed meanwhile.
func (m *Model) hearPlanned(p planned) {
	if m.plan != proposal(p.bulk) {
		return
	}
	word := bulkWords[p.bulk.kind]
	switch {
	case p.err != nil:
		m.plan = nil
		m.say(bad, word.do+": "+explained(p.err))
	case p.plan.Tasks == 0:
		m.plan = nil
		m.say(warn, fmt.Sprintf("nothing to %s: no such %ss: %s", word.do, word.noun, p.bulk.of))
	default:
		p.bulk.plan = &p.plan
	}
}

// explained is an error with the way out of it.
func explained(err error) string {
	text := clean(err.Error())
	if hint := core.HintOf(err); hint != "" {
		text += ": " + clean(hint)
	}
	return text
}

// bulkCancel proposes to cancel all tasks that the filter of this list selects.
func (m *Model) bulkCancel(string) tea.Cmd {
	filter, err := bulkFilter(m.here().filter, m.live.functions)
	if err != nil {
		m.say(warn, err.Error())
		return nil
	}
	return m.consider(core.OperationCancel, filter, filterText(filter, nil))
}

// bulkFilter is the filter of a list as the server takes one for a cancel, which it
// does for all tasks and not for those in sight.
func bulkFilter(f filter, functions []core.FunctionStats) (core.BulkFilter, error) {
	var out core.BulkFilter
	for _, w := range f.words {
		var of *string
		value := w.value
		switch w.key {
		case "fn":
			of, value = &out.Function, functionNamed(value, functions)
		case "queue":
			of = &out.Queue
		case "state":
			value = strings.ToUpper(value)
			of = (*string)(&out.State)
		}
		switch {
		case of == nil || w.not:
			return out, fmt.Errorf("all tasks can be cancelled by fn=, queue= and state= only, not by %s: V marks those in sight, and c cancels them", w)
		case *of != "" && *of != value:
			return out, fmt.Errorf("no task is of both: %s", f.text)
		case w.key == "state" && core.State(value).Terminal():
			return out, fmt.Errorf("nothing to cancel: tasks that are %s have ended", strings.ToLower(value))
		}
		*of = value
	}
	if len(f.words) == 0 {
		return out, fmt.Errorf("say which: / fn=NAME, queue=NAME or state=queued; faasctl cancel --all is for every task")
	}
	return out, nil
}

// functionNamed is a function as the server spells it, for a word of a filter.
func functionNamed(word string, functions []core.FunctionStats) string {
	for _, f := range functions {
		name, _, _ := strings.Cut(f.Name, "@")
		switch {
		case strings.EqualFold(f.Name, word):
			return f.Name
		case strings.EqualFold(name, word):
			return name
		}
	}
	return word
}

// retryGroup and purgeGroup propose it for the dead letters of the group at the
// cursor.
func (m *Model) retryGroup(string) tea.Cmd { return m.considerGroup(core.OperationRetry) }
func (m *Model) purgeGroup(string) tea.Cmd { return m.considerGroup(core.OperationPurge) }

func (m *Model) considerGroup(kind core.OperationKind) tea.Cmd {
	pl := m.here()
	groups, _ := known[[]core.FailureGroup](m)
	ids := m.panels[pl.screen].ids(m, pl)
	if len(ids) == 0 {
		m.say(warn, "nothing to "+bulkWords[kind].do+": no task has failed")
		return nil
	}
	at := ids[pl.row(ids)]
	for _, g := range groups {
		if string(g.Newest) == at {
			filter := core.BulkFilter{Function: string(g.Function), Error: cause(g)}
			return m.consider(kind, filter, filterText(filter, []core.FunctionStats{{Function: g.Function, Name: g.Name}}))
		}
	}
	return nil
}

// lines tell what the operation would do, the question last.
func (b *bulk) lines(m *Model, w int) []line {
	t, word := m.theme, bulkWords[b.kind]
	out := []line{t.ruled(word.do, b.of, w)}
	if b.plan == nil {
		return append(out, line{{" asking" + t.cut, dim}, {" n leaves it", plain}})
	}
	p := b.plan
	many := plural(int64(p.Tasks), word.noun)
	if p.More {
		many = "more than " + many
	}
	summary := line{{" " + t.cursor + " " + many, strong}}
	if !p.Oldest.IsZero() {
		summary = summary.add(plain, ", the oldest submitted "+span(m.live.storeNow().Sub(p.Oldest))+" ago")
	}
	out = append(out, summary)
	shown := 0
	for _, g := range p.Groups[:min(len(p.Groups), 5)] {
		name := g.Name
		if name == "" {
			name = string(g.Function)
		}
		what := strings.ToLower(string(g.State))
		if g.Error != "" {
			what = g.Error
		}
		out = append(out, line{{"   " + padded(count(int64(g.Count)), 7, true) + "  ", plain}, {clip(clean(name), 40, t.cut), strong}, {"  " + clean(what), plain}})
		shown += g.Count
	}
	if rest := p.Tasks - shown; rest > 0 && shown > 0 {
		out = append(out, line{{"   " + padded(count(int64(rest)), 7, true) + "  others", dim}})
	}
	out = append(out, line{{"   " + b.undoable(), dim}})
	return append(out, line{{" " + title1(word.do) + " " + many + "? ", bad}, {"y does it", plain}})
}

// undoable says for how long there is a way back.
func (b *bulk) undoable() string {
	switch wait := time.Duration(b.plan.WaitMS) * time.Millisecond; {
	case b.kind == core.OperationRetry:
		return "as new tasks, same arguments; u cancels those that have not begun"
	case wait > 0:
		return "takes effect after " + span(wait) + "; until then u undoes it"
	}
	return "takes effect at once; there is no way back"
}

// confirm starts the operation. It concerns many tasks: only y does.
func (b *bulk) confirm(m *Model, key string) tea.Cmd {
	if b.plan == nil || key != "y" {
		return nil
	}
	m.plan = nil
	word := bulkWords[b.kind]
	m.say(plain, fmt.Sprintf("%s: asking for %s%s", word.do, plural(int64(b.plan.Tasks), word.noun), m.theme.cut))
	return m.sent(actTimeout, func(ctx context.Context, backend Backend) tea.Msg {
		op, err := backend.Apply(ctx, b.kind, b.filter, false)
		return started{word.do, op, err}
	})
}
