package core_test

import (
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"faasctl/core"
)

func TestGraceOf(t *testing.T) {
	for _, test := range []struct {
		asked, want time.Duration
		refused     bool
	}{
		{asked: 0, want: core.NoGrace}, {asked: time.Microsecond, want: core.NoGrace}, {asked: time.Second, want: time.Second},
		{asked: core.MaxGrace, want: core.MaxGrace}, {asked: core.MaxGrace + 1, refused: true}, {asked: -1, refused: true},
	} {
		got, err := core.GraceOf(&test.asked)
		if refused := errors.Is(err, core.ErrInvalid); got != test.want || refused != test.refused || refused && core.HintOf(err) == "" {
			t.Errorf("%s: %s, %v", test.asked, got, err)
		}
	}
	if got, err := core.GraceOf(nil); got != 0 || err != nil {
		t.Errorf("none: %s, %v", got, err)
	}
}

func TestCancellingSaysItsGrace(t *testing.T) {
	for grace, want := range map[time.Duration]time.Duration{
		0: 0, time.Microsecond: core.NoGrace, core.NoGrace: core.NoGrace, time.Second: time.Second, core.MaxGrace: core.MaxGrace,
	} {
		if got, yes := core.CancellingWithin(grace).Cancelling(); !yes || got != want {
			t.Errorf("%s: %s, %v", grace, got, yes)
		}
	}
	for _, v := range []core.Verdict{core.VerdictOK, core.VerdictStale, core.VerdictAlready, "", "cancelling x", "cancelling -1", "cancelling 99999999999"} {
		if _, yes := v.Cancelling(); yes {
			t.Errorf("%q asks for an end", v)
		}
	}
}

// cancelWithin cancels one task and waits until everybody has heard of it.
func (r *rig) cancelWithin(id core.TaskID, grace time.Duration) {
	r.Helper()
	_, err := r.Cancel(r.ctx, []core.TaskID{id}, grace)
	r.must(err)
	synctest.Wait()
}

// A worker hears of a cancel, and again of one with less patience; never of more.
func TestTheGraceOfACancelReachesTheWorker(t *testing.T) {
	dispatch(t, core.Push, func(r *rig) {
		w := r.transport.Join("w-1", 2, 2)
		ids := r.submit(2, nil)
		for _, grace := range []time.Duration{time.Minute, core.MaxGrace, time.Second, time.Second, 0, core.NoGrace} {
			r.cancelWithin(ids[0], grace)
		}
		r.cancelWithin(ids[1], 0)
		r.cancelWithin(ids[1], time.Second)
		r.pass(5*time.Second, w) // renewals say it again, and it is not told again
		heard := w.Heard()
		want := []time.Duration{time.Minute, time.Second, 500 * time.Millisecond, core.NoGrace, 500 * time.Millisecond}
		if !slices.Equal(heard.Graces, want) || !slices.Equal(heard.Cancels, []core.TaskID{ids[0], ids[0], ids[0], ids[0], ids[1]}) {
			t.Fatalf("told %v of %v", heard.Graces, heard.Cancels)
		}
	})
}

// A dispatcher that was not there, or did not hear of it, learns the grace with
// the next renewal; whoever registers again is told with the grace that holds.
func TestAGraceIsNotForgotten(t *testing.T) {
	dispatch(t, core.Push, func(r *rig) {
		held := r.orphan(true)
		r.cancelWithin(held.Task, time.Minute) // its dispatcher is dead
		w := r.transport.Join("w-1", 1, 0)
		again := core.UpJoin{Worker: core.Worker{ID: "w-1", Mode: core.Push, Slots: 1}, Holds: []core.Held{held}}
		w.Say(again)
		r.pass(4*time.Second, w)
		if got := w.Heard().Graces; !slices.Equal(got, []time.Duration{time.Minute}) {
			t.Fatalf("told %v", got)
		}
		r.cancelWithin(held.Task, time.Second)
		w.Say(again)
		synctest.Wait()
		if got := w.Heard().Graces; !slices.Equal(got, []time.Duration{time.Minute, time.Second, time.Second}) {
			t.Fatalf("told %v", got)
		}
	})
}
