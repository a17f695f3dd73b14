package core_test

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"faasctl/core"
)

// orphan makes a task that a dispatcher which is gone had claimed, and whose
// worker holds it still.
func (r *rig) orphan(started bool) core.Held {
	r.Helper()
	id := r.submit(1, func(s *core.Spec) { s.Retries = 1 })[0]
	claimed, err := r.Claim(r.ctx, core.ClaimRequest{ID: "of the dead", Dispatcher: "d-dead", Max: 1, Lease: 30 * time.Second})
	r.must(err)
	if len(claimed) != 1 || claimed[0].Task != id {
		r.Fatalf("claimed %v", claimed)
	}
	return core.Held{Lease: claimed[0].Lease, Attempt: 1, Started: started, Ago: time.Second}
}

func TestWhatAWorkerHoldsIsAdopted(t *testing.T) {
	dispatch(t, core.Push, func(r *rig) {
		held := r.orphan(true)
		w := r.transport.Join("w-1", 1, 0)
		w.Say(core.UpJoin{Worker: core.Worker{ID: "w-1", Mode: core.Push, Slots: 1, Principal: "alice"}, Holds: []core.Held{held}})
		w.Say(core.UpWindow{Seq: 1, Size: 1})
		r.pass(2*time.Minute, w)
		if n := len(w.Given()); n != 0 {
			t.Fatal("the held task was handed out again")
		}
		w.Say(core.UpFinish{Outcomes: []core.Outcome{{Lease: held.Lease, State: core.Failed, Started: true,
			Result: core.Result{Failure: &core.Failure{Kind: core.KindException}}}}})
		synctest.Wait()
		r.wantState(held.Task, core.Delayed) // its retries were known
		if task := r.task(held.Task); task.Attempt != 1 || task.Epoch != 1 {
			t.Fatalf("%+v", task)
		}
	})
}

func TestAForgedHoldIsRefused(t *testing.T) {
	dispatch(t, core.Push, func(r *rig) {
		held := r.orphan(true)
		w := r.transport.Join("w-1", 1, 0)
		forged := held
		forged.Claim = "guessed"
		w.Say(core.UpJoin{Worker: core.Worker{ID: "w-1", Mode: core.Push, Slots: 1}, Holds: []core.Held{forged}})
		synctest.Wait()
		if lost := w.Heard().Lost; !slices.Equal(lost, []core.Lease{forged.Lease}) {
			t.Fatalf("told to forget %v", lost)
		}
		if task := r.task(held.Task); task.State != core.Running {
			t.Fatalf("%+v", task)
		}
	})
}

func TestARegisteredWorkerThatLostTasksOnTheWayGetsThemAgain(t *testing.T) {
	dispatch(t, core.Push, func(r *rig) {
		w := r.transport.Join("w-1", 2, 2)
		ids := r.submit(2, nil)
		kept := w.Held()[0]
		w.Say(core.UpJoin{Worker: core.Worker{ID: "w-1", Mode: core.Push, Slots: 2}, Holds: []core.Held{{Lease: kept.Lease, Attempt: 1}}})
		w.Say(core.UpWindow{Seq: 1, Size: 2})
		synctest.Wait()
		if got := w.Given(); !slices.Equal(got, []core.TaskID{ids[0], ids[1], ids[1]}) {
			t.Fatalf("given %v", got)
		}
	})
}

func TestADrainThatWasAskedForReachesTheWorker(t *testing.T) {
	dispatch(t, core.Push, func(r *rig) {
		w := r.transport.Join("w-1", 1, 1)
		r.pass(2*time.Second, w)
		r.must(r.DrainWorker(r.ctx, "w-1"))
		r.pass(2*time.Second, w)
		if !w.Heard().Draining {
			t.Fatal("the worker was not told")
		}
	})
}

// What was lost with a connection is said again after the registration: a start
// by the worker, a cancel by the dispatcher.
func TestARegistrationBringsBackStartsAndCancels(t *testing.T) {
	dispatch(t, core.Push, func(r *rig) {
		w := r.transport.Join("w-1", 1, 1)
		id := r.submit(1, nil)[0]
		_, err := r.Cancel(r.ctx, []core.TaskID{id}, 0)
		r.must(err)
		synctest.Wait()
		again := core.UpJoin{Worker: core.Worker{ID: "w-1", Mode: core.Push, Slots: 1}, Holds: []core.Held{{
			Lease: w.Held()[0].Lease, Attempt: 1, Started: true, Ago: 5 * time.Second,
		}}}
		w.Say(again)
		r.pass(4*time.Second, w)
		if got := w.Heard().Cancels; len(got) < 2 || got[1] != id {
			t.Fatalf("the cancel was said %d times", len(got))
		}
		if task := r.task(id); task.Attempt != 1 || task.Started.IsZero() {
			t.Fatalf("the start is not known: %+v", task)
		}
	})
}
