package coretest

import (
	"context"
	"slices"
	"time"

	"faasctl/core"
)

var eventCases = map[string]func(*fixture){
	"a life in events": func(f *fixture) {
		id := f.submitOne("add")
		c := f.claimOne()
		f.start(c)
		f.wantSettle(failed(c.Lease, core.KindTimeout), core.VerdictOK)
		var kinds []core.EventKind
		for _, e := range f.events("") {
			if e.Task == id {
				kinds = append(kinds, e.Kind)
				if e.At.IsZero() || e.ID == "" || e.Function == "" {
					f.Fatalf("event: %+v", e)
				}
			}
			if e.Kind == core.TaskFailed && (e.Detail != string(core.KindTimeout) || e.Worker != "w-one" || e.Attempt != 1) {
				f.Fatalf("event: %+v", e)
			}
		}
		want := []core.EventKind{core.TaskSubmitted, core.TaskClaimed, core.TaskStarted, core.TaskFailed}
		if !slices.Equal(kinds, want) {
			f.Fatalf("events %v, want %v", kinds, want)
		}
	},
	"resuming anywhere skips nothing and repeats nothing": func(f *fixture) {
		f.submit(f.function("add").ID, 20)
		f.claim(20, longLease)
		all := f.events("")
		if len(all) != 41 {
			f.Fatalf("%d events, want 41", len(all))
		}
		for i := range all {
			rest := f.events(all[i].ID)
			if len(rest) != len(all)-i-1 || (len(rest) > 0 && rest[0].ID != all[i+1].ID) {
				f.Fatalf("after event %d: %d events", i, len(rest))
			}
		}
		few, err := f.Store.Events(f.ctx, "", 7, 0)
		f.must(err)
		if len(few) != 7 {
			f.Fatalf("asked for 7 events, got %d", len(few))
		}
	},
	"waiting for the next": func(f *fixture) {
		f.function("first")
		got := make(chan []core.Event, 1)
		last, err := f.LastEvent(f.ctx)
		f.must(err)
		go func() {
			events, err := f.Store.Events(f.ctx, last, 10, time.Minute)
			if err != nil {
				f.Error(err)
			}
			got <- events
		}()
		f.function("second")
		if events := <-got; len(events) != 1 || events[0].Kind != core.FunctionRegistered {
			f.Fatalf("events: %+v", events)
		}
		events, err := f.Store.Events(f.ctx, "$", 10, time.Millisecond)
		f.must(err)
		if len(events) != 0 {
			f.Fatalf("old events after $: %+v", events)
		}
	},
	"numbers agree": func(f *fixture) {
		fn := f.function("add")
		f.submit(fn.ID, 6)
		c := f.claim(4, longLease)
		f.wantSettle(completed(c[0].Lease, "1"), core.VerdictOK)
		f.wantSettle(failed(c[1].Lease, core.KindException), core.VerdictOK)
		f.releaseOne(c[2].Lease, core.ReleaseVanished)
		f.cancelOne(c[2].Task)
		f.accept([]core.Submission{{ID: core.NewTaskID(), Spec: spec(fn.ID), Delay: time.Hour}})
		stats, err := f.Stats(f.ctx)
		f.must(err)
		want := core.Totals{Submitted: 7, Started: 2, Completed: 1, Failed: 1, Cancelled: 1, Lost: 1}
		if stats.Totals != want || stats.Queued != 2 || stats.Delayed != 1 || stats.Running != 1 {
			f.Fatalf("stats: %+v", stats)
		}
		if last, err := f.LastEvent(f.ctx); err != nil || stats.Through != last || last == "" {
			f.Fatalf("through %q, last %q, %v", stats.Through, last, err)
		}
	},
	"each function has its numbers": func(f *fixture) {
		one, two, idle := f.function("one"), f.function("two"), f.function("idle")
		f.submit(one.ID, 2)
		f.submit(two.ID, 1)
		for _, c := range f.claim(3, longLease) {
			s := completed(c.Lease, "1")
			if s.Elapsed = 10 * time.Millisecond; c.Spec.Function == two.ID {
				s = failed(c.Lease, core.KindException)
			}
			f.wantSettle(s, core.VerdictOK)
		}
		all, err := f.FunctionStats(f.ctx)
		f.must(err)
		of := map[core.FunctionID]core.FunctionStats{}
		for _, s := range all {
			of[s.Function] = s
		}
		if a := of[one.ID]; a.Totals != (core.Totals{Submitted: 2, Started: 2, Completed: 2}) || a.Run.Count() != 2 || a.Wait.Count() != 2 {
			f.Fatalf("one: %+v", a)
		}
		if b := of[two.ID]; b.Totals != (core.Totals{Submitted: 1, Started: 1, Failed: 1}) || b.Run.Count() != 1 {
			f.Fatalf("two: %+v", b)
		}
		if c, there := of[idle.ID]; there && c.Totals != (core.Totals{}) {
			f.Fatalf("idle: %+v", c)
		}
		stats, err := f.Stats(f.ctx)
		f.must(err)
		if stats.Run.Count() != 3 || stats.Wait.Count() != 3 || stats.Now.IsZero() {
			f.Fatalf("all: %+v", stats)
		}
		f.must(f.RemoveFunction(f.ctx, one.ID))
		all, err = f.FunctionStats(f.ctx)
		f.must(err)
		for _, s := range all {
			if s.Function == one.ID {
				f.Fatal("a removed function is still told of")
			}
		}
	},
	"each queue has its depth": func(f *fixture) {
		fn := f.function("add")
		wanted := func(want ...core.QueueInfo) {
			f.Helper()
			got, err := f.Queues(f.ctx)
			for i := range got {
				if got[i].Oldest.IsZero() {
					f.Fatalf("nobody waits longest: %+v", got[i])
				}
				got[i].Oldest = time.Time{}
			}
			if err != nil || !slices.Equal(got, want) {
				f.Fatalf("queues %v, %v; want %v", got, err, want)
			}
		}
		wanted()
		slow := spec(fn.ID)
		slow.Queue = "slow"
		ids := f.accept([]core.Submission{{ID: core.NewTaskID(), Spec: slow}, {ID: core.NewTaskID(), Spec: slow}, {ID: core.NewTaskID(), Spec: slow, Delay: time.Hour}})
		f.submit(fn.ID, 3)
		wanted(core.QueueInfo{Name: "default", Queued: 3}, core.QueueInfo{Name: "slow", Queued: 2})
		f.cancelOne(ids[0])
		f.cancelOne(ids[2])
		wanted(core.QueueInfo{Name: "default", Queued: 3}, core.QueueInfo{Name: "slow", Queued: 1})
		for _, c := range f.claim(10, longLease)[:2] {
			f.releaseOne(c.Lease, core.ReleaseVanished)
		}
		all, err := f.Queues(f.ctx)
		f.must(err)
		sum := int64(0)
		for _, q := range all {
			sum += q.Queued
		}
		if sum != 2 {
			f.Fatalf("queues %v after a release of two", all)
		}
		f.claim(10, longLease)
		wanted()
	},
	"hints wake": func(f *fixture) {
		fn := f.function("add")
		ctx, cancel := context.WithCancel(f.ctx)
		hints, done := make(chan core.Hint, 100), make(chan error, 1)
		go func() { done <- f.Listen(ctx, func(h core.Hint) { hints <- h }) }()
		hear := func(kind core.HintKind, id core.TaskID) {
			f.Helper()
			for {
				select {
				case h := <-hints:
					if h.Kind == kind && (id == "" || slices.Contains(h.Tasks, id)) {
						return
					}
				case <-f.ctx.Done():
					f.Fatalf("no hint of %s", kind)
				}
			}
		}
		hear(core.HintReset, "")
		id := f.submit(fn.ID, 1)[0]
		hear(core.HintWork, "")
		c := f.claimOne()
		f.cancelOne(id)
		hear(core.HintCancel, id)
		f.wantSettle(completed(c.Lease, "1"), core.VerdictOK)
		hear(core.HintEnded, id)
		cancel()
		f.must(<-done)
	},
	"hints come as asked for": func(f *fixture) {
		fn := f.function("add")
		ctx, cancel := context.WithCancel(f.ctx)
		hints, done := make(chan core.Hint, 100), make(chan error, 1)
		go func() {
			done <- f.Listen(ctx, func(h core.Hint) { hints <- h }, core.HintEnded, core.HintCancel)
		}()
		next := func(kind core.HintKind) {
			f.Helper()
			select {
			case h := <-hints:
				if h.Kind != kind {
					f.Fatalf("a hint of %s, not of %s", h.Kind, kind)
				}
			case <-f.ctx.Done():
				f.Fatalf("no hint of %s", kind)
			}
		}
		next(core.HintReset)
		id := f.submit(fn.ID, 1)[0] // there is work: nobody asked
		c := f.claimOne()
		f.cancelOne(id)
		next(core.HintCancel)
		f.wantSettle(completed(c.Lease, "1"), core.VerdictOK)
		next(core.HintEnded)
		cancel()
		f.must(<-done)
	},
}

func (f *fixture) events(after string) []core.Event {
	f.Helper()
	events, err := f.Store.Events(f.ctx, after, 10_000, 0)
	f.must(err)
	return events
}

func (f *fixture) announce(a core.Announcement) []core.WorkerID {
	f.Helper()
	drain, err := f.Store.Announce(f.ctx, a)
	f.must(err)
	return drain
}

var rosterCases = map[string]func(*fixture){
	"who is there": func(f *fixture) {
		d := core.DispatcherInfo{ID: dispatcher, Principal: "p", Host: "here", PID: 7, Modes: []core.Mode{core.Local}}
		w := core.Worker{ID: "w-one", Mode: core.Local, Host: "here", State: core.WorkerRunning, Slots: 2, Busy: 1, Done: 5, Rate: 2.5, Unheard: time.Hour, Interpreters: []core.Interpreter{{Path: "/p", Version: "3.11.7"}}}
		f.announce(core.Announcement{Dispatcher: d, Workers: []core.Worker{w}, Events: []core.Event{{Kind: core.WorkerJoined, Worker: w.ID}}})
		roster, err := f.Store.Roster(f.ctx)
		f.must(err)
		if len(roster.Dispatchers) != 1 || len(roster.Workers) != 1 || roster.Now.IsZero() {
			f.Fatalf("roster: %+v", roster)
		}
		got := roster.Workers[0]
		if silent := roster.Now.Sub(got.Seen); silent < time.Hour || silent > time.Hour+time.Minute || got.Rate != 2.5 || got.Unheard != 0 {
			f.Fatalf("a worker not heard of for an hour when it was announced was seen %s ago, its rate is %v", silent, got.Rate)
		}
		if got.State != core.WorkerRunning || got.Slots != 2 || got.Done != 5 || len(got.Interpreters) != 1 {
			f.Fatalf("worker: %+v", got)
		}
		if gotD := roster.Dispatchers[0]; gotD.Principal != "p" || gotD.PID != 7 || gotD.Seen.IsZero() {
			f.Fatalf("dispatcher: %+v", gotD)
		}
		if events := f.events(""); len(events) != 1 || events[0].Kind != core.WorkerJoined || events[0].Worker != "w-one" {
			f.Fatalf("events: %+v", events)
		}
		w.State = core.WorkerGone
		f.announce(core.Announcement{Dispatcher: d, Workers: []core.Worker{w}, Leaving: true})
		roster, err = f.Store.Roster(f.ctx)
		f.must(err)
		if len(roster.Dispatchers) != 0 || len(roster.Workers) != 1 || roster.Workers[0].State != core.WorkerGone {
			f.Fatalf("roster after leaving: %+v", roster)
		}
	},
	"a drain that was asked for is told with each announcement": func(f *fixture) {
		one, two := core.Worker{ID: "w-one"}, core.Worker{ID: "w-two"}
		f.wantErr(f.DrainWorker(f.ctx, one.ID), core.ErrNotFound)
		a := core.Announcement{Dispatcher: core.DispatcherInfo{ID: dispatcher}, Workers: []core.Worker{one, two}}
		if drain := f.announce(a); len(drain) != 0 {
			f.Fatalf("drain %v", drain)
		}
		f.must(f.DrainWorker(f.ctx, two.ID))
		for range 2 {
			if drain := f.announce(a); !slices.Equal(drain, []core.WorkerID{two.ID}) {
				f.Fatalf("drain %v", drain)
			}
		}
	},
	"ping": func(f *fixture) { f.must(f.Ping(f.ctx)) },
}
