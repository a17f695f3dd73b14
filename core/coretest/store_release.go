package coretest

import (
	"slices"
	"time"

	"faasctl/core"
)

var releaseCases = map[string]func(*fixture){
	"a graceful release charges nothing and keeps the place": func(f *fixture) {
		want := f.submit(f.function("add").ID, 4)
		for range 15 {
			c := f.claim(2, longLease)
			verdicts, err := f.Store.Release(f.ctx, []core.Lease{c[0].Lease, c[1].Lease}, core.ReleaseGraceful, dispatcher)
			f.must(err)
			if !slices.Equal(verdicts, []core.Verdict{core.VerdictOK, core.VerdictOK}) {
				f.Fatalf("verdicts %v", verdicts)
			}
		}
		if task := f.wantState(want[0], core.Queued); task.Deliveries != 0 || task.Worker != "" {
			f.Fatalf("record: %+v", task)
		}
		if got := ids(f.claim(4, longLease)); !slices.Equal(got, want) {
			f.Fatalf("order was lost: %v, want %v", got, want)
		}
	},
	"a started task whose worker vanished is charged, in the end it is lost": func(f *fixture) {
		id := f.submitOne("add")
		for n := 1; n <= core.MaxDeliveries; n++ {
			c := f.claimOne()
			f.start(c)
			f.releaseOne(c.Lease, core.ReleaseVanished)
			if task := f.task(id); task.Deliveries != n {
				f.Fatalf("deliveries %d, want %d", task.Deliveries, n)
			}
		}
		if task := f.wantState(id, core.Failed); task.Failure != core.KindLost {
			f.Fatalf("kind %q", task.Failure)
		}
		if r := f.result(id); r == nil || r.Failure == nil || r.Failure.Kind != core.KindLost || r.Failure.Message == "" {
			f.Fatalf("result: %+v", r)
		}
	},
	"an unstarted one is charged from the tenth time on": func(f *fixture) {
		id := f.submitOne("add")
		for n := 1; n <= 11; n++ {
			f.releaseOne(f.claimOne().Lease, core.ReleaseVanished)
			if got, want := f.task(id).Deliveries, max(0, n-9); got != want {
				f.Fatalf("after %d releases: deliveries %d, want %d", n, got, want)
			}
		}
	},
	"a cancelled task is not queued again": func(f *fixture) {
		for _, reason := range []core.ReleaseReason{core.ReleaseGraceful, core.ReleaseVanished} {
			id := f.submitOne("add" + string(reason))
			c := f.claimOne()
			f.cancelOne(id)
			f.releaseOne(c.Lease, reason)
			f.wantState(id, core.Cancelled)
			if n := len(f.claim(1, longLease)); n != 0 {
				f.Fatal("it was claimed again")
			}
		}
	},
	"what another dispatcher has adopted is not released by the first": func(f *fixture) {
		id := f.submitOne("add")
		c := f.claimOne()
		f.renewAs(c.Lease, "", "d-two")
		release := func(by core.DispatcherID, want core.Verdict) {
			verdicts, err := f.Store.Release(f.ctx, []core.Lease{c.Lease}, core.ReleaseVanished, by)
			f.must(err)
			if verdicts[0] != want {
				f.Fatalf("%s was told %s", by, verdicts[0])
			}
		}
		release(dispatcher, core.VerdictStale)
		f.wantState(id, core.Running)
		release("d-two", core.VerdictOK)
		f.wantState(id, core.Queued)
	},
	"orphans of a dead dispatcher come back at once": func(f *fixture) {
		fn := f.function("add")
		want := f.submit(fn.ID, 3)
		f.claim(2, longLease)
		other, err := f.Claim(f.ctx, core.ClaimRequest{ID: "other", Dispatcher: "d-two", Max: 1, Lease: longLease})
		f.must(err)
		n, err := f.Orphan(f.ctx, []core.DispatcherID{dispatcher, "d-nobody"}, "")
		f.must(err)
		if n != 2 {
			f.Fatalf("%d orphans, want 2", n)
		}
		if got := ids(f.claim(3, longLease)); !slices.Equal(got, want[:2]) {
			f.Fatalf("claimed %v, want %v", got, want[:2])
		}
		f.wantSettle(completed(other[0].Lease, "1"), core.VerdictOK)
	},
}

func init() {
	releaseCases["orphans of one principal leave the tasks of others alone"] = func(f *fixture) {
		f.submit(f.function("add").ID, 3)
		c := f.claim(3, longLease)
		f.renewAs(c[0].Lease, "mine", "")
		f.renewAs(c[1].Lease, "theirs", "")
		n, err := f.Orphan(f.ctx, []core.DispatcherID{dispatcher}, "mine")
		f.must(err)
		if n != 1 || f.task(c[0].Task).State != core.Queued {
			f.Fatalf("%d orphans, want the one that mine had", n)
		}
		f.wantState(c[1].Task, core.Running)
		f.wantState(c[2].Task, core.Running)
	}
}

var timeCases = map[string]func(*fixture){
	"a lapsed lease is reaped after the grace, a renewed one is not": func(f *fixture) {
		f.submit(f.function("add").ID, 2)
		lapsing, kept := f.claim(1, 20*time.Millisecond)[0], f.claim(1, 20*time.Millisecond)[0]
		_, err := f.Renew(f.ctx, []core.Renewal{{Lease: kept.Lease}}, longLease)
		f.must(err)
		f.eventually("the reaping", func() bool {
			_, err := f.Reap(f.ctx, time.Second)
			f.must(err)
			return f.task(lapsing.Task).State == core.Queued
		})
		f.wantState(kept.Task, core.Running)
		f.wantSettle(completed(lapsing.Lease, "1"), core.VerdictStale)
	},
	"after a silence nothing is reaped before the grace": func(f *fixture) {
		f.submitOne("add")
		c := f.claim(1, time.Nanosecond)[0]
		// The first reap of a store has nothing to compare with: it must hold back.
		for range 3 {
			if n, err := f.Reap(f.ctx, time.Hour); err != nil || n != 0 {
				f.Fatalf("reaped %d, %v", n, err)
			}
		}
		f.wantSettle(completed(c.Lease, "1"), core.VerdictOK)
	},
	"a delayed task is not handed out early, and once": func(f *fixture) {
		fn := f.function("add")
		early := time.Now()
		id := f.accept([]core.Submission{{ID: core.NewTaskID(), Spec: spec(fn.ID), Delay: 300 * time.Millisecond}})[0]
		if task := f.wantState(id, core.Delayed); task.Due.IsZero() {
			f.Fatal("no due time")
		}
		if n := len(f.claim(1, longLease)); n != 0 {
			f.Fatal("claimed before its time")
		}
		moved := 0
		f.eventually("the promotion", func() bool {
			n, next, err := f.Promote(f.ctx)
			f.must(err)
			if moved += n; n == 0 && next <= 0 {
				f.Fatal("a delayed task is there but next is not told")
			}
			return n > 0
		})
		if waited := time.Since(early); waited < 290*time.Millisecond {
			f.Fatalf("promoted after %s", waited)
		}
		if n, next, err := f.Promote(f.ctx); err != nil || n != 0 || next != 0 {
			f.Fatalf("second promotion: %d %s %v", n, next, err)
		}
		f.wantState(id, core.Queued)
		if got := ids(f.claim(2, longLease)); len(got) != 1 || moved != 1 {
			f.Fatalf("handed out %d times", len(got))
		}
	},
}
