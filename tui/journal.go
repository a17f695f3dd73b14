package tui

import (
	"context"
	"fmt"
	"slices"
	"time"

	tea "github.com/charmbracelet/bubbletea"

	"faasctl/core"
)

const (
	journalLines = 3                // operations that are shown at once
	journalFor   = 15 * time.Second // after the end of one that cannot be undone
)

// journal is what is known of operations on many tasks beyond the picture, which is
// up to a second late.
type journal struct {
	own    map[core.OperationID]bool // asked for here
	latest core.Operation            // as the server answered us last
}

// hearStarted takes in an operation that was asked for here, or its undo.
func (m *Model) hearStarted(s started) {
	if s.err != nil {
		m.say(bad, s.verb+": "+explained(s.err))
		return
	}
	if m.journal.own == nil {
		m.journal.own = map[core.OperationID]bool{}
	}
	m.journal.own[s.op.ID] = true
	m.journal.latest, m.status, m.desk.due = s.op, status{}, true
}

// stage orders the states of an operation: it never goes back.
func stage(s core.OperationState) int {
	return slices.Index([]core.OperationState{core.OperationPending, core.OperationApplying, core.OperationDone, core.OperationUndoing, core.OperationUndone}, s)
}

// operations are those to show, newest first.
func (m *Model) operations() []core.Operation {
	now, last := m.live.storeNow(), m.journal.latest
	var out []core.Operation
	for _, op := range m.live.operations {
		if op.ID == last.ID {
			if stage(last.State) > stage(op.State) {
				op = last
			}
			last = core.Operation{}
		}
		out = append(out, op)
	}
	if last.ID != "" && now.Sub(last.Created) < time.Minute {
		out = append([]core.Operation{last}, out...)
	}
	return slices.DeleteFunc(out, func(op core.Operation) bool {
		return op.State.Ended() && !undoable(op) && now.Sub(op.Ended) > journalFor
	})
}

// moved reports whether operations got on, which changes lists although no total
// does.
func moved(before, now []core.Operation) bool {
	return !slices.EqualFunc(before, now, func(a, b core.Operation) bool {
		return a.ID == b.ID && a.State == b.State && a.Applied == b.Applied && a.Undone == b.Undone
	})
}

// undoable reports whether an undo may still do something.
func undoable(op core.Operation) bool {
	return op.State == core.OperationPending || op.Kind == core.OperationRetry && (op.State == core.OperationApplying || op.State == core.OperationDone && op.Applied > 0)
}

// undo undoes the newest operation that can be. One that somebody else asked for is
// named first.
func (m *Model) undo(string) tea.Cmd {
	all := m.operations()
	i := slices.IndexFunc(all, undoable)
	if i < 0 {
		m.say(warn, "nothing to undo here: faasctl undo lists what was done before")
		return nil
	}
	p := &undoing{all[i]}
	if !m.journal.own[p.op.ID] {
		m.status, m.plan = status{}, p
		return nil
	}
	return p.confirm(m, "y")
}

// undoing is the undo of somebody else's operation, which waits to be confirmed.
type undoing struct{ op core.Operation }

func (p *undoing) lines(m *Model, w int) []line {
	by := "asked for elsewhere"
	if p.op.By != "" {
		by = "asked for by " + clean(p.op.By)
	}
	return []line{m.theme.ruled("undo", by, w), m.operationLine(p.op), {{" Undo it? ", strong}, {"y does it", plain}}}
}

func (p *undoing) confirm(m *Model, key string) tea.Cmd {
	if key != "y" || m.backend == nil {
		return nil
	}
	m.plan = nil
	m.say(plain, "undo: asking for "+string(p.op.ID)+m.theme.cut)
	return m.sent(actTimeout, func(ctx context.Context, b Backend) tea.Msg {
		op, err := b.Undo(ctx, p.op.ID)
		return started{"undo", op, err}
	})
}

// operationLines are the operations that go on, or have just ended, the newest
// last.
func (m *Model) operationLines(w int) []line {
	all := m.operations()
	first := slices.IndexFunc(all, undoable)
	var out []line
	for i, op := range all[:min(len(all), journalLines)] {
		l := m.operationLine(op)
		if i == first {
			l = l.right(w, line{{"u", accent}, {" undoes it ", plain}}, m.theme)
		}
		out = append([]line{l}, out...)
	}
	return out
}

// operationLine says how far an operation is.
func (m *Model) operationLine(op core.Operation) line {
	t, word := m.theme, bulkWords[op.Kind]
	many := func(n int) string { return plural(int64(n), word.noun) }
	glyph, as, text := t.retry, role(warn), ""
	switch op.State {
	case core.OperationPending:
		left := max(0, op.Due.Sub(m.live.storeNow()))
		text = fmt.Sprintf("%s %s in %s", word.do, many(op.Planned), span(left+time.Second-1))
	case core.OperationApplying:
		text = fmt.Sprintf("%s: %s of %s so far", word.do, count(int64(op.Applied)), many(op.Planned))
	case core.OperationDone:
		glyph, as, text = t.done, good, many(op.Applied)+" "+word.done
		if op.Skipped > 0 {
			text += fmt.Sprintf(", %s skipped: their function was removed", count(int64(op.Skipped)))
		}
	default:
		glyph, as, text = t.cancelled, plain, word.do+" undone: nothing had happened"
		if op.Kind == core.OperationRetry && op.Applied > 0 {
			text = fmt.Sprintf("undone: %s cancelled before they began, %s had begun", count(int64(op.Undone)), count(int64(op.Started)))
		}
	}
	l := line{{" " + glyph + " ", as}, {text, as}, {" " + t.dot + " " + filterText(op.Filter, m.live.functions), dim}}
	if by := clean(op.By); by != "" && !m.journal.own[op.ID] {
		l = l.add(dim, ", by "+clip(by, 48, t.cut))
	}
	return l
}
