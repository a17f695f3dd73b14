package coretest

import (
	"fmt"
	"slices"
	"time"

	"faasctl/core"
)

// queueCases: pausing, limits of functions, fairness.
var queueCases = map[string]func(*fixture){
	"a paused queue takes tasks and hands out none": func(f *fixture) {
		fn := f.function("add")
		one := f.submit(fn.ID, 1)[0]
		f.pause(core.DefaultQueue, true, true)
		f.pause(core.DefaultQueue, true, false)
		two := f.submit(fn.ID, 1)[0]
		if n := len(f.claim(10, longLease)); n != 0 {
			f.Fatalf("claimed %d of a paused queue", n)
		}
		all, err := f.Queues(f.ctx)
		f.must(err)
		if len(all) != 1 || all[0].Name != core.DefaultQueue || all[0].Queued != 2 || all[0].Paused.IsZero() {
			f.Fatalf("queues: %+v", all)
		}
		f.cancelOne(one)
		f.pause(core.DefaultQueue, false, true)
		f.pause(core.DefaultQueue, false, false)
		if got := ids(f.claim(10, longLease)); !slices.Equal(got, []core.TaskID{two}) {
			f.Fatalf("claimed %v", got)
		}
		if all, err = f.Queues(f.ctx); err != nil || len(all) != 0 {
			f.Fatalf("queues: %+v, %v", all, err)
		}
	},
	"a queue is paused before it has tasks, and others go on": func(f *fixture) {
		fn := f.function("add")
		f.pause("slow", true, true)
		s := spec(fn.ID)
		s.Queue = "slow"
		held := f.accept([]core.Submission{{ID: core.NewTaskID(), Spec: s}})[0]
		other := f.submit(fn.ID, 1)[0]
		if got := ids(f.claim(10, longLease)); !slices.Equal(got, []core.TaskID{other}) {
			f.Fatalf("claimed %v", got)
		}
		f.pause("slow", false, true)
		if got := ids(f.claim(10, longLease)); !slices.Equal(got, []core.TaskID{held}) {
			f.Fatalf("claimed %v", got)
		}
	},
	"a queue tells since when its oldest task waits": func(f *fixture) {
		slow, quick := f.function("slow"), f.function("quick")
		in := func(queue string, fn core.Function, n int, delay time.Duration) []core.TaskID {
			var batch []core.Submission
			for range n {
				s := spec(fn.ID)
				s.Queue = queue
				batch = append(batch, core.Submission{ID: core.NewTaskID(), Spec: s, Delay: delay})
			}
			return f.accept(batch)
		}
		oldest := func(queue string) time.Time {
			all, err := f.Queues(f.ctx)
			f.must(err)
			for _, q := range all {
				if q.Name == queue {
					return q.Oldest
				}
			}
			return time.Time{}
		}
		delayed := in("other", quick, 1, 30*time.Millisecond)[0]
		first := in("one", slow, 20, 0)
		f.eventually("the next millisecond", func() bool {
			stats, err := f.Stats(f.ctx)
			f.must(err)
			return stats.Now.Sub(f.task(first[0]).Submitted) >= time.Millisecond
		})
		second, other := in("one", quick, 1, 0)[0], in("other", slow, 1, 0)[0]
		if got, want := oldest("one"), f.task(first[0]).Submitted; !got.Equal(want) {
			f.Fatalf("the oldest waits since %v, not %v", got, want)
		}
		_, err := f.Cancel(f.ctx, first, 0)
		f.must(err)
		if got, want := oldest("one"), f.task(second).Submitted; !got.Equal(want) {
			f.Fatalf("what was cancelled counts: since %v, not %v", got, want)
		}
		f.must(f.SetPolicy(f.ctx, quick.ID, core.Policy{Rate: core.Rate{N: 1, Per: time.Hour}}))
		f.eventually("the delayed task", func() bool {
			_, _, err := f.Promote(f.ctx)
			f.must(err)
			return f.task(delayed).State == core.Queued
		})
		due := f.task(delayed).Submitted.Add(30 * time.Millisecond)
		want := f.task(other).Submitted
		if due.Before(want) {
			want = due
		}
		if got := oldest("other"); !got.Equal(want) {
			f.Fatalf("a task that was put off waits since %v, not %v", got, want)
		}
		f.claim(2, longLease) // one of each function: the rest of quick is parked
		f.claim(10, longLease)
		rest, err := f.List(f.ctx, core.TaskFilter{State: core.Queued})
		f.must(err)
		if len(rest.Tasks) != 1 {
			f.Fatalf("%d wait", len(rest.Tasks))
		}
		if want = rest.Tasks[0].Submitted; rest.Tasks[0].ID == delayed {
			want = due
		}
		if got := oldest(rest.Tasks[0].Queue); !got.Equal(want) {
			f.Fatalf("a task that its rate holds back waits since %v, not %v", got, want)
		}
		stats, err := f.Stats(f.ctx)
		f.must(err)
		if waits := stats.Now.Sub(want).Milliseconds(); max(stats.OldestWait-waits, waits-stats.OldestWait) > 1 {
			f.Fatalf("the oldest of all waits for %d ms, not %d", stats.OldestWait, waits)
		}
	},
	"a cap holds over all claimers, and each end gives back one slot": func(f *fixture) {
		capped, free := f.function("capped"), f.function("free")
		f.must(f.SetPolicy(f.ctx, capped.ID, core.Policy{Concurrency: 2}))
		s := spec(capped.ID)
		s.Retries, s.Backoff = 1, core.Backoff{First: time.Hour, Last: time.Hour}
		for range 9 {
			f.accept([]core.Submission{{ID: core.NewTaskID(), Spec: s}})
		}
		f.submit(free.ID, 3)
		c := f.claim(100, longLease)
		if n := f.of(c, capped.ID); n != 2 || len(c) != 5 {
			f.Fatalf("claimed %d, %d of the capped function", len(c), n)
		}
		mine := func(all []core.Claimed) (held []core.Claimed) {
			for _, one := range all {
				if one.Spec.Function == capped.ID {
					held = append(held, one)
				}
			}
			return held
		}
		held := mine(c)
		for name, end := range map[string]func(core.Claimed){
			"completed": func(c core.Claimed) { f.wantSettle(completed(c.Lease, "1"), core.VerdictOK) },
			"retried":   func(c core.Claimed) { f.wantSettle(failed(c.Lease, core.KindException), core.VerdictOK) },
			"released":  func(c core.Claimed) { f.releaseOne(c.Lease, core.ReleaseGraceful) },
			"vanished":  func(c core.Claimed) { f.releaseOne(c.Lease, core.ReleaseVanished) },
			"cancelled": func(c core.Claimed) {
				f.cancelOne(c.Task)
				f.wantSettle(completed(c.Lease, "1"), core.VerdictOK)
			},
		} {
			if n := len(f.claim(100, longLease)); n != 0 {
				f.Fatalf("%d above the cap", n)
			}
			end(held[0])
			again := f.claim(100, longLease)
			if len(again) != 1 {
				f.Fatalf("%s gave back %d slots", name, len(again))
			}
			held = append(held[1:], again...)
		}
		f.must(f.SetPolicy(f.ctx, capped.ID, core.Policy{Concurrency: 3}))
		if n := len(f.claim(100, longLease)); n != 1 {
			f.Fatalf("a higher cap let in %d", n)
		}
		f.must(f.SetPolicy(f.ctx, capped.ID, core.Policy{}))
		if n := len(f.claim(100, longLease)); n < 1 {
			f.Fatal("no cap let in none")
		}
	},
	"a rate holds over all claimers, and its time lets in more": func(f *fixture) {
		limited, free := f.function("limited"), f.function("free")
		f.must(f.SetPolicy(f.ctx, limited.ID, core.Policy{Rate: core.Rate{N: 5, Per: time.Second}}))
		f.submit(limited.ID, 20)
		f.submit(free.ID, 20)
		began := time.Now()
		c := f.claim(100, longLease)
		if n := f.of(c, limited.ID); n != 5 || len(c) != 25 {
			f.Fatalf("claimed %d, %d of them limited", len(c), n)
		}
		n := 5
		f.eventually("the rest", func() bool {
			_, next, err := f.Promote(f.ctx)
			f.must(err)
			got := len(f.claim(100, longLease))
			if n += got; n < 20 && next == 0 {
				// What was let in may have been taken just now; the next claim
				// parks it and says when.
				f.claim(1, longLease)
			}
			if most := 5 + 5*time.Since(began).Seconds() + 1; float64(n) > most {
				f.Fatalf("%d within %s", n, time.Since(began))
			}
			return n >= 10
		})
	},
	"what was not started gives back what the rate counted": func(f *fixture) {
		fn := f.function("limited")
		f.must(f.SetPolicy(f.ctx, fn.ID, core.Policy{Rate: core.Rate{N: 1, Per: 24 * time.Hour}}))
		f.submit(fn.ID, 2)
		c := f.claimOne()
		if n := len(f.claim(5, longLease)); n != 0 {
			f.Fatalf("%d above the rate", n)
		}
		f.releaseOne(c.Lease, core.ReleaseGraceful)
		c = f.claimOne()
		f.start(c)
		f.releaseOne(c.Lease, core.ReleaseGraceful)
		if n := len(f.claim(5, longLease)); n != 0 {
			f.Fatal("one that was started was given back")
		}
		if _, next, err := f.Promote(f.ctx); err != nil || next < 23*time.Hour {
			f.Fatalf("the next comes in %s, %v", next, err)
		}
	},
	"a function at its limits does not keep claims from others": func(f *fixture) {
		stuck := f.function("stuck")
		f.must(f.SetPolicy(f.ctx, stuck.ID, core.Policy{Concurrency: 1}))
		for range 5 {
			f.submit(stuck.ID, 1000)
		}
		f.claimOne()
		other := f.submit(f.function("other").ID, 3)
		if got := ids(f.claim(3, longLease)); !slices.Equal(got, other) {
			f.Fatalf("claimed %v", got)
		}
	},
	"while both wait, neither gets fewer than 4 of any 10": func(f *fixture) {
		flood, other := f.function("flood"), f.function("other")
		for range 10 {
			f.submit(flood.ID, 1000)
		}
		f.claim(500, longLease)
		f.submit(other.ID, 300)
		var order []core.FunctionID
		for _, n := range []int{1, 1, 7, 3, 100, 10, 2, 2, 50, 13, 1, 200} { // claims of any size
			for _, c := range f.claim(n, longLease) {
				order = append(order, c.Spec.Function)
			}
		}
		for i := 0; i+10 <= len(order); i++ {
			n := 0
			for _, fn := range order[i : i+10] {
				if fn == other.ID {
					n++
				}
			}
			if n < 4 || n > 6 {
				f.Fatalf("of the claims %d to %d, %d were the other function's", i, i+9, n)
			}
		}
	},
	"who comes to a busy queue goes before who was served last": func(f *fixture) {
		one, other := f.function("one"), f.function("other")
		for range 2 { // whose id is the lower one does not count
			f.submit(one.ID, 20)
			for range 3 {
				f.claimOne()
			}
			for range 3 { // one call at a time, as whoever waits for each makes them
				probe := f.submit(other.ID, 1)[0]
				if c := f.claimOne(); c.Task != probe {
					f.Fatal("the other function's first call waited for one more of the flood")
				}
				if c := f.claimOne(); c.Spec.Function != one.ID {
					f.Fatal("the flood has no turn")
				}
			}
			f.claim(100, longLease)
			one, other = other, one
		}
	},
	"each priority gets its share": func(f *fixture) {
		fn := f.function("add")
		at := func(priority, n int) {
			s := spec(fn.ID)
			s.Priority = priority
			batch := make([]core.Submission, n)
			for i := range batch {
				batch[i] = core.Submission{ID: core.NewTaskID(), Spec: s}
			}
			f.accept(batch)
		}
		at(9, 1000)
		at(7, 100)
		at(5, 10)
		seen := map[int]int{}
		for range 52 {
			for _, c := range f.claim(10, longLease) {
				seen[c.Spec.Priority]++
			}
		}
		// A task of 7 for each 16 of 9, one of 5 for each 16 of 7.
		if seen[7] < 25 || seen[7] > 35 || seen[5] < 1 || seen[5] > 3 {
			f.Fatalf("of 520: %v", seen)
		}
	},
}

func (f *fixture) pause(queue string, paused, changes bool) {
	f.Helper()
	changed, err := f.PauseQueue(f.ctx, queue, paused)
	f.must(err)
	if changed != changes {
		f.Fatalf("paused %v: changed %v, want %v", paused, changed, changes)
	}
}

// of counts the claimed tasks of a function.
func (f *fixture) of(claimed []core.Claimed, fn core.FunctionID) (n int) {
	for _, c := range claimed {
		if c.Spec.Function == fn {
			n++
		}
	}
	return n
}

// expiryCases: tasks that waited too long, and tasks for later.
var expiryCases = map[string]func(*fixture){
	"what waited too long is not run, and ends though nobody claims": func(f *fixture) {
		fn := f.function("add")
		s := spec(fn.ID)
		s.Expires = 20 * time.Millisecond
		id := f.accept([]core.Submission{{ID: core.NewTaskID(), Spec: s}})[0]
		kept := f.submit(fn.ID, 1)[0]
		if task := f.wantState(id, core.Queued); !task.Expires.Equal(task.Submitted.Add(20 * time.Millisecond)) {
			f.Fatalf("record: %+v", task)
		}
		f.eventually("the expiry", func() bool {
			n, next, err := f.Expire(f.ctx)
			f.must(err)
			if n == 0 && next == 0 {
				f.Fatal("a task waits to expire, and next is not told")
			}
			return n == 1
		})
		f.wantExpired(id)
		if n, next, err := f.Expire(f.ctx); err != nil || n != 0 || next != 0 {
			f.Fatalf("second sweep: %d %s %v", n, next, err)
		}
		if got := ids(f.claim(5, longLease)); !slices.Equal(got, []core.TaskID{kept}) {
			f.Fatalf("claimed %v", got)
		}
	},
	"a claim refuses what waited too long": func(f *fixture) {
		fn := f.function("add")
		s := spec(fn.ID)
		s.Expires = time.Millisecond
		id := f.accept([]core.Submission{{ID: core.NewTaskID(), Spec: s}})[0]
		f.eventually("the time", func() bool { return time.Since(f.task(id).Submitted) > 50*time.Millisecond })
		if n := len(f.claim(1, longLease)); n != 0 {
			f.Fatal("it was handed out")
		}
		f.wantExpired(id)
		if all, err := f.Queues(f.ctx); err != nil || len(all) != 0 {
			f.Fatalf("queues: %+v, %v", all, err)
		}
	},
	"a delayed task expires after it was due, a cancelled one never": func(f *fixture) {
		fn := f.function("add")
		s := spec(fn.ID)
		s.Expires = time.Minute
		batch := []core.Submission{{ID: core.NewTaskID(), Spec: s, Delay: time.Hour}, {ID: core.NewTaskID(), Spec: s}}
		f.accept(batch)
		if task := f.wantState(batch[0].ID, core.Delayed); !task.Expires.Equal(task.Due.Add(time.Minute)) {
			f.Fatalf("record: %+v", task)
		}
		f.cancelOne(batch[0].ID)
		f.cancelOne(batch[1].ID)
		if n, next, err := f.Expire(f.ctx); err != nil || n != 0 || next != 0 {
			f.Fatalf("a cancelled task waits to expire: %d %s %v", n, next, err)
		}
	},
	"what runs does not expire, what is given back may": func(f *fixture) {
		fn := f.function("add")
		s := spec(fn.ID)
		s.Expires = time.Hour
		id := f.accept([]core.Submission{{ID: core.NewTaskID(), Spec: s}})[0]
		c := f.claimOne()
		if _, next, err := f.Expire(f.ctx); err != nil || next != 0 {
			f.Fatalf("a running task waits to expire: %s %v", next, err)
		}
		f.releaseOne(c.Lease, core.ReleaseGraceful)
		if _, next, err := f.Expire(f.ctx); err != nil || next < 59*time.Minute {
			f.Fatalf("%s %v", next, err)
		}
		f.wantSettle(completed(f.claimOne().Lease, "1"), core.VerdictOK)
		f.wantState(id, core.Completed)
	},
	"a task waits until its time, by the store's clock": func(f *fixture) {
		fn := f.function("add")
		at := time.Now().Add(time.Hour).Truncate(time.Millisecond)
		batch := []core.Submission{
			{ID: core.NewTaskID(), Spec: spec(fn.ID), At: at}, {ID: core.NewTaskID(), Spec: spec(fn.ID), At: time.Now().Add(-time.Minute)},
		}
		refused, err := f.Submit(f.ctx, batch)
		f.must(err)
		f.must(refused[0])
		f.wantErr(refused[1], core.ErrInvalid)
		if task := f.wantState(batch[0].ID, core.Delayed); !task.Due.Equal(at) {
			f.Fatalf("due %s, want %s", task.Due, at)
		}
		if tasks, err := f.Tasks(f.ctx, []core.TaskID{batch[1].ID}); err != nil || tasks[0].ID != "" {
			f.Fatalf("%+v, %v", tasks, err)
		}
	},
	"a sweep is bounded": func(f *fixture) {
		fn := f.function("add")
		s := spec(fn.ID)
		s.Expires = time.Millisecond
		const n = core.MaxBatch + 10
		batch := make([]core.Submission, n)
		for i := range batch {
			batch[i] = core.Submission{ID: core.NewTaskID(), Spec: s}
		}
		f.accept(batch[:core.MaxBatch])
		last := f.accept(batch[core.MaxBatch:])[0]
		f.eventually("the time", func() bool { return time.Since(f.task(last).Submitted) > 50*time.Millisecond })
		var swept []int
		for range 3 {
			k, _, err := f.Expire(f.ctx)
			f.must(err)
			swept = append(swept, k)
		}
		if fmt.Sprint(swept) != fmt.Sprint([]int{core.MaxBatch, 10, 0}) {
			f.Fatalf("swept %v", swept)
		}
	},
}

func (f *fixture) wantExpired(id core.TaskID) {
	f.Helper()
	if task := f.wantState(id, core.Failed); task.Failure != core.KindExpired || task.Attempt != 0 {
		f.Fatalf("record: %+v", task)
	}
	if r := f.result(id); r == nil || r.Failure == nil || r.Failure.Kind != core.KindExpired {
		f.Fatalf("result: %+v", r)
	}
}
