package coretest

import (
	"fmt"
	"slices"
	"sync"
	"time"

	"faasctl/core"
)

var leaseCases = map[string]func(*fixture){
	"a claim raises the epoch and is exclusive": func(f *fixture) {
		id := f.submitOne("add")
		c := f.claimOne()
		if c.Task != id || c.Epoch != 1 || c.Claim != "claim-1" || c.Attempt != 0 {
			f.Fatalf("claim: %+v", c)
		}
		if n := len(f.claim(10, longLease)); n != 0 {
			f.Fatalf("claimed again: %d", n)
		}
		if task := f.wantState(id, core.Running); task.Claimed.IsZero() || !task.Started.IsZero() || task.Attempt != 0 {
			f.Fatalf("record: %+v", task)
		}
	},
	"a repeated claim gives the same tasks": func(f *fixture) {
		f.submit(f.function("add").ID, 5)
		request := core.ClaimRequest{ID: "again", Dispatcher: dispatcher, Max: 3, Lease: longLease}
		first, err := f.Claim(f.ctx, request)
		f.must(err)
		second, err := f.Claim(f.ctx, request)
		f.must(err)
		if len(first) != 3 || !slices.Equal(ids(first), ids(second)) || first[0].Lease != second[0].Lease {
			f.Fatalf("first %v, second %v", ids(first), ids(second))
		}
		if n := len(f.claim(10, longLease)); n != 2 {
			f.Fatalf("%d left, want 2", n)
		}
	},
	"no more than asked for": func(f *fixture) {
		f.submit(f.function("add").ID, 5)
		for _, n := range []int{2, 0, 3} {
			if got := len(f.claim(n, longLease)); got != n {
				f.Fatalf("asked for %d, got %d", n, got)
			}
		}
	},
	"first in, first out within a function": func(f *fixture) {
		one, two := f.function("one"), f.function("two")
		wantOne, wantTwo := f.submit(one.ID, 20), f.submit(two.ID, 20)
		var gotOne, gotTwo []core.TaskID
		for range 8 {
			for _, c := range f.claim(5, longLease) {
				if c.Spec.Function == one.ID {
					gotOne = append(gotOne, c.Task)
				} else {
					gotTwo = append(gotTwo, c.Task)
				}
			}
		}
		if !slices.Equal(gotOne, wantOne) || !slices.Equal(gotTwo, wantTwo) {
			f.Fatal("order was lost")
		}
	},
	"functions share, a flood does not starve": func(f *fixture) {
		flood, other := f.function("flood"), f.function("other")
		f.submit(flood.ID, 100)
		f.claim(10, longLease)
		f.submit(other.ID, 10)
		n := 0
		for range 4 {
			for _, c := range f.claim(5, longLease) {
				if c.Spec.Function == other.ID {
					n++
				}
			}
		}
		if n < 8 {
			f.Fatalf("of 20 claims only %d were the other function's", n)
		}
	},
	"a higher priority goes first": func(f *fixture) {
		fn := f.function("add")
		f.submit(fn.ID, 5)
		s := spec(fn.ID)
		s.Priority = 9
		urgent := f.accept([]core.Submission{{ID: core.NewTaskID(), Spec: s}, {ID: core.NewTaskID(), Spec: s}})
		if got := ids(f.claim(2, longLease)); !slices.Equal(got, urgent) {
			f.Fatalf("claimed %v, want %v", got, urgent)
		}
	},
	"racing claimers never share a task": func(f *fixture) {
		f.submit(f.function("add").ID, 500)
		var mu sync.Mutex
		seen := map[core.TaskID]int{}
		var wg sync.WaitGroup
		for n := range 8 {
			wg.Go(func() {
				for round := range 20 {
					claimed, err := f.Claim(f.ctx, core.ClaimRequest{ID: fmt.Sprintf("r-%d-%d", n, round), Dispatcher: dispatcher, Max: 7, Lease: longLease})
					if err != nil {
						f.Error(err)
						return
					}
					mu.Lock()
					for _, c := range claimed {
						seen[c.Task]++
					}
					mu.Unlock()
				}
			})
		}
		wg.Wait()
		if len(seen) != 500 {
			f.Fatalf("%d tasks claimed, want 500", len(seen))
		}
		for id, n := range seen {
			if n != 1 {
				f.Fatalf("task %s was claimed %d times", id, n)
			}
		}
	},
	"settle once, then already": func(f *fixture) {
		id := f.submitOne("add")
		c := f.claimOne()
		f.wantSettle(completed(c.Lease, "1"), core.VerdictOK)
		f.wantSettle(completed(c.Lease, "2"), core.VerdictAlready)
		if got := f.result(id); string(got.JSON) != "1" {
			f.Fatalf("result changed to %s", got.JSON)
		}
	},
	"the fence compares epoch and claim": func(f *fixture) {
		id := f.submitOne("add")
		first := f.claimOne()
		if v := f.releaseOne(first.Lease, core.ReleaseVanished); v != core.VerdictOK {
			f.Fatalf("release said %q", v)
		}
		second := f.claimOne()
		if second.Epoch != first.Epoch+1 {
			f.Fatalf("epochs %d and %d", first.Epoch, second.Epoch)
		}
		forged := second.Lease
		forged.Claim = first.Claim
		for _, stale := range []core.Lease{first.Lease, forged, {Task: id, Epoch: 7, Claim: second.Claim}, {Task: core.NewTaskID(), Epoch: 1, Claim: "x"}} {
			f.wantSettle(completed(stale, "1"), core.VerdictStale)
			if v := f.releaseOne(stale, core.ReleaseGraceful); v != core.VerdictStale {
				f.Fatalf("release of %+v said %q", stale, v)
			}
			verdicts, err := f.Renew(f.ctx, []core.Renewal{{Lease: stale}}, longLease)
			f.must(err)
			if verdicts[0] != core.VerdictStale {
				f.Fatalf("renewal of %+v said %q", stale, verdicts[0])
			}
		}
		f.wantSettle(completed(second.Lease, "2"), core.VerdictOK)
		if got := f.result(id); string(got.JSON) != "2" {
			f.Fatalf("result %s", got.JSON)
		}
	},
	"a start is counted once": func(f *fixture) {
		id := f.submitOne("add")
		c := f.claimOne()
		for range 3 {
			if v := f.start(c); v != core.VerdictOK {
				f.Fatalf("renew said %q", v)
			}
		}
		if task := f.task(id); task.Attempt != 1 || task.Started.IsZero() || task.Worker != "w-one" {
			f.Fatalf("record: %+v", task)
		}
		f.wantSettle(completed(c.Lease, "1"), core.VerdictOK)
		if task := f.task(id); task.Attempt != 1 {
			f.Fatalf("attempt %d", task.Attempt)
		}
	},
	"an adoption needs the same lease and principal": func(f *fixture) {
		id := f.submitOne("add")
		c := f.claimOne()
		if v := f.renewAs(c.Lease, "alice", ""); v != core.VerdictOK {
			f.Fatalf("renewal said %q", v)
		}
		if v := f.renewAs(c.Lease, "mallory", "d-two"); v != core.VerdictStale {
			f.Fatalf("adoption by another principal said %q", v)
		}
		if n, err := f.Orphan(f.ctx, []core.DispatcherID{"d-two"}, ""); err != nil || n != 0 {
			f.Fatalf("a refused adoption moved the task: %d, %v", n, err)
		}
		if v := f.renewAs(c.Lease, "alice", "d-two"); v != core.VerdictOK {
			f.Fatalf("adoption said %q", v)
		}
		if n, err := f.Orphan(f.ctx, []core.DispatcherID{dispatcher}, ""); err != nil || n != 0 {
			f.Fatalf("the task is still its old dispatcher's: %d, %v", n, err)
		}
		f.wantSettle(completed(c.Lease, "1"), core.VerdictOK)
		if task := f.task(id); task.Epoch != 1 || task.Attempt != 1 {
			f.Fatalf("record: %+v", task)
		}
	},
	"a released lease forgets its principal": func(f *fixture) {
		f.submitOne("add")
		c := f.claimOne()
		f.renewAs(c.Lease, "alice", "")
		f.releaseOne(c.Lease, core.ReleaseVanished)
		if v := f.renewAs(f.claimOne().Lease, "bob", ""); v != core.VerdictOK {
			f.Fatalf("renewal said %q", v)
		}
	},
	"one batch, many verdicts": func(f *fixture) {
		f.submit(f.function("add").ID, 3)
		c := f.claim(3, longLease)
		f.wantSettle(completed(c[1].Lease, "1"), core.VerdictOK)
		stale := c[2].Lease
		stale.Epoch++
		verdicts, err := f.Settle(f.ctx, []core.Settlement{completed(c[0].Lease, "0"), completed(c[1].Lease, "1"), completed(stale, "2"), failed(c[2].Lease, core.KindException)})
		f.must(err)
		want := []core.Verdict{core.VerdictOK, core.VerdictAlready, core.VerdictStale, core.VerdictOK}
		if !slices.Equal(verdicts, want) {
			f.Fatalf("verdicts %v, want %v", verdicts, want)
		}
	},
	"a retry is delayed and claimed again when due": func(f *fixture) {
		again := spec(f.function("add").ID)
		again.Retries, again.Backoff = 1, core.Backoff{First: 30 * time.Millisecond, Last: time.Second}
		id := f.accept([]core.Submission{{ID: core.NewTaskID(), Spec: again}})[0]
		s := failed(f.claimOne().Lease, core.KindException)
		f.wantSettle(s, core.VerdictOK)
		f.wantSettle(s, core.VerdictAlready)
		if f.result(id) != nil {
			f.Fatal("a task that will be retried has a result")
		}
		f.eventually("the retry", func() bool {
			_, _, err := f.Promote(f.ctx)
			f.must(err)
			return f.task(id).State == core.Queued
		})
		c := f.claimOne()
		if c.Attempt != 1 || c.Epoch != 2 {
			f.Fatalf("claim: %+v", c)
		}
		f.wantSettle(completed(c.Lease, "1"), core.VerdictOK)
		if task := f.wantState(id, core.Completed); task.Attempt != 2 || task.Failure != "" {
			f.Fatalf("record: %+v", task)
		}
	},
}
