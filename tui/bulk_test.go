package tui

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/muesli/termenv"

	"faasctl/core"
)

// bulkBackend keeps the operations that were asked for.
type bulkBackend struct {
	stillBackend
	said []string
}

func (b *bulkBackend) Apply(ctx context.Context, kind core.OperationKind, f core.BulkFilter, now bool) (core.Operation, error) {
	if now {
		b.said = append(b.said, "for good:")
	}
	b.said = append(b.said, string(kind)+" "+filterText(f, nil))
	return b.stillBackend.Apply(ctx, kind, f, now)
}

func (b *bulkBackend) Undo(ctx context.Context, id core.OperationID) (core.Operation, error) {
	b.said = append(b.said, "undo "+string(id))
	return b.stillBackend.Undo(ctx, id)
}

// TestBulk is the table of keys and the operations that come of them.
func TestBulk(t *testing.T) {
	for _, c := range []struct {
		keys   string
		screen screen
		said   string
		shows  string
	}{
		{"6 r", planning, "", "Run again 1,234 dead letters? y does it"},
		{"6 r enter", planning, "", "Run again 1,234 dead letters?"},
		{"6 r q", planning, "", "Run again 1,234 dead letters?"},
		{"6 r n", failuresScreen, "", "nothing was done"},
		{"6 r esc", failuresScreen, "", "nothing was done"},
		{"6 r y", failuresScreen, "retry fn=f-3 error=ValueError", "✓ 1,233 dead letters run again, 1 skipped: their function was removed"},
		{"6 r y u", failuresScreen, "retry fn=f-3 error=ValueError, undo " + string(bulkID), "undone"},
		{"6 x", planning, "", "Forget 1,234 dead letters?"},
		{"6 x", planning, "", "takes effect after 5s; until then u undoes it"},
		{"6 x", planning, "", "   1,200  fetch@1  ValueError"},
		{"6 x", planning, "", "the oldest submitted 3h00m ago"},
		{"6 x", planning, "", "forget · fn=fetch@1 error=ValueError"},
		{"6 x y", failuresScreen, "purge fn=f-3 error=ValueError", "↻ forget 1,234 dead letters in 5s"},
		{"6 x y 1 u", overview, "purge fn=f-3 error=ValueError, undo " + string(bulkID), "forget undone: nothing had happened"},
		{"6 j x", failuresScreen, "", "nothing to forget: no such dead letters: fn=pi@1 error=timeout"},
		{"6 / fetch enter x y", failuresScreen, "purge fn=f-3 error=ValueError", "in 5s"},
		{"6 / nosuch enter x", failuresScreen, "", "nothing to forget: no task has failed"},
		{"2 C", tasksScreen, "", "say which: / fn=NAME"},
		{"2 / fn=PI enter C", planning, "", "Cancel 1,234 tasks? y does it"},
		{"2 / fn=PI enter C y", tasksScreen, "cancel fn=pi", "↻ cancel 1,234 tasks in 5s"},
		{"2 / fn=Resize@3 enter C y", tasksScreen, "cancel fn=resize@3", ""},
		{"2 / queued enter / queue=slow enter C y", tasksScreen, "cancel state=queued queue=slow", ""},
		{"2 / failed enter C", tasksScreen, "", "tasks that are failed have ended"},
		{"2 / worker=w-1 enter C", tasksScreen, "", "not by worker=w-1: V marks"},
		{"2 / !fn=pi enter C", tasksScreen, "", "not by !fn=pi"},
		{"u", overview, "", "nothing to undo here: faasctl undo lists"},
		{"3 C x", workersScreen, "", ""},
	} {
		b := &bulkBackend{}
		m := atWork(b, strings.Fields(c.keys)...)
		if got := strings.Join(b.said, ", "); m.screen() != c.screen || got != c.said {
			t.Errorf("%s: screen %d, %q; want %d, %q", c.keys, m.screen(), got, c.screen, c.said)
		}
		if frame := sized(m, 130, 30); !strings.Contains(frame, c.shows) {
			t.Errorf("%s: %q is not shown\n%s", c.keys, c.shows, frame)
		}
	}
}

// TestBulkFails tells why the server refuses, and what to do.
func TestBulkFails(t *testing.T) {
	m := atWork(stillBackend{}, "6")
	m.backend = stillBackend{unreachable}
	play(m, "x")
	if frame := sized(m, 130, 30); m.plan != nil || !strings.Contains(frame, "✗ forget: cannot reach http://127.0.0.1:8000: connection refused: start it: faasctl up") {
		t.Error(frame)
	}
	m = atWork(stillBackend{}, "6", "x")
	m.Update(started{"forget", core.Operation{}, errors.New("too\x1b[2J late")})
	if frame := m.View(); strings.Contains(frame, "\x1b[2J") {
		t.Errorf("%q", frame)
	}
}

// TestPlanThatWasDismissed: an answer that comes late proposes nothing.
func TestPlanThatWasDismissed(t *testing.T) {
	m := atWork(stillBackend{}, "6")
	late := press(m, "x")
	if frame := m.View(); !strings.Contains(frame, "asking") || m.screen() != planning {
		t.Error(frame)
	}
	if cmd := press(m, "y"); cmd != nil || m.plan == nil {
		t.Error("what was not read yet was confirmed")
	}
	press(m, "n")
	m.Update(late())
	if m.plan != nil || m.screen() != failuresScreen {
		t.Error("it is proposed all the same")
	}
}

// TestOperationsOfOthers are seen while they go on, and undone after a question
// only.
func TestOperationsOfOthers(t *testing.T) {
	b := &bulkBackend{}
	m := atWork(b)
	at := m.live.now
	show := func(ops ...core.Operation) string {
		at = at.Add(time.Second)
		top := fixtureTop(20000, 19000, at)
		top.Operations = &ops
		m.Update(Batch{At: at, News: []News{NewsTop{at, top}}})
		return sized(m, 120, 30)
	}
	store := func() time.Time { return at.Add(ahead) }
	purge := core.Operation{ID: "op-1", Kind: core.OperationPurge, State: core.OperationPending, Planned: 70, By: "uid 1000", Created: store(), Due: store().Add(5 * time.Second)}
	frame := show(purge)
	if !strings.Contains(frame, "↻ forget 70 dead letters in 4s · all, by uid 1000") || !strings.Contains(frame, "u undoes it") {
		t.Error(frame)
	}
	play(m, "u")
	if len(b.said) > 0 || m.screen() != planning || !strings.Contains(m.View(), "undo · asked for by uid 1000") {
		t.Errorf("%v\n%s", b.said, m.View())
	}
	play(m, "n")
	play(m, "u")
	play(m, "y")
	if len(b.said) != 1 || b.said[0] != "undo op-1" {
		t.Errorf("%v", b.said)
	}
	if frame = show(purge); !strings.Contains(frame, "forget undone") { // the picture is late, the answer is not
		t.Error(frame)
	}
	m.journal = journal{}
	purge.State, purge.Applied = core.OperationApplying, 30
	if frame = show(purge); !strings.Contains(frame, "forget: 30 of 70 dead letters so far") || strings.Contains(frame, "undoes") {
		t.Error(frame)
	}
	purge.State, purge.Applied, purge.Ended = core.OperationDone, 70, store()
	if frame = show(purge); !strings.Contains(frame, "✓ 70 dead letters forgotten") {
		t.Error(frame)
	}
	at = at.Add(journalFor)
	if frame = show(purge); strings.Contains(frame, "forgotten") {
		t.Errorf("it is told for ever:\n%s", frame)
	}
}

// TestManyOperations leaves room for the rest.
func TestManyOperations(t *testing.T) {
	m := feedAll(newTestModel(termenv.Ascii, false), lively())
	for i := range 9 {
		m.live.operations = append(m.live.operations, core.Operation{ID: core.OperationID(rune('a' + i)), Kind: core.OperationCancel, State: core.OperationPending, Planned: i, By: nasty[i]})
	}
	for _, size := range sizes {
		frame := sized(m, size[0], size[1])
		checkFrame(t, frame, size[0], size[1])
		if n := strings.Count(frame, "undoes"); n > 1 {
			t.Errorf("%v: %d operations claim the key", size, n)
		}
	}
}
