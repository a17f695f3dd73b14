package core_test

import (
	"testing"
	"testing/synctest"
	"time"

	"faasctl/core"
)

func TestWhatWaitsTooLongEndsThoughNobodyIsThere(t *testing.T) {
	dispatch(t, core.Push, func(r *rig) {
		short := r.submit(1, func(s *core.Spec) { s.Expires = 5 * time.Second })[0]
		long := r.submit(1, func(s *core.Spec) { s.Expires = time.Hour })[0]
		r.pass(4 * time.Second)
		r.wantState(short, core.Queued)
		r.pass(2 * time.Second)
		r.wantState(short, core.Failed)
		if task := r.task(short); task.Failure != core.KindExpired || task.Attempt != 0 || task.Finished.Sub(task.Submitted) > 6*time.Second {
			t.Fatalf("%+v", task)
		}
		w := r.transport.Join("w-1", 1, 2)
		r.pass(time.Second, w)
		if n := len(w.Given()); n != 1 {
			t.Fatalf("given %d tasks", n)
		}
		r.wantState(long, core.Running)
	})
}

func TestARateLetsTasksThroughInTime(t *testing.T) {
	dispatch(t, core.Push, func(r *rig) {
		r.must(r.SetPolicy(r.ctx, r.function, core.Policy{Rate: core.Rate{N: 2, Per: time.Second}}))
		w := r.transport.Join("w-1", 100, 100)
		r.submit(50, nil)
		began := time.Now()
		for range 20 {
			r.pass(time.Second, w)
			passed := time.Since(began).Seconds()
			// A second's worth at once, then two a second; the keeper may be late
			// by half a second.
			if n := float64(len(w.Given())); n > 2+2*passed || n < 2+2*(passed-0.7)-1 {
				t.Fatalf("%v tasks after %v seconds", n, passed)
			}
		}
	})
}

func TestACapHoldsWhileOneEndsAfterTheOther(t *testing.T) {
	dispatch(t, core.Push, func(r *rig) {
		r.must(r.SetPolicy(r.ctx, r.function, core.Policy{Concurrency: 3}))
		w := r.transport.Join("w-1", 100, 100)
		ids := r.submit(10, nil)
		for done := 0; done < 10; done++ {
			r.pass(time.Second, w)
			if n := len(w.Given()) - done; n != min(3, 10-done) {
				t.Fatalf("%d run at once after %d", n, done)
			}
			w.Finish(1, core.Completed)
			synctest.Wait()
		}
		for _, id := range ids {
			r.wantState(id, core.Completed)
		}
	})
}

func TestAPausedQueueIsHandedOutAtItsResume(t *testing.T) {
	dispatch(t, core.Push, func(r *rig) {
		w := r.transport.Join("w-1", 4, 4)
		_, err := r.PauseQueue(r.ctx, core.DefaultQueue, true)
		r.must(err)
		r.submit(3, nil)
		r.pass(time.Minute, w)
		if n := len(w.Given()); n != 0 {
			t.Fatalf("given %d", n)
		}
		_, err = r.PauseQueue(r.ctx, core.DefaultQueue, false)
		r.must(err)
		synctest.Wait() // a bell rings: no time passes
		if n := len(w.Given()); n != 3 {
			t.Fatalf("given %d", n)
		}
	})
}
