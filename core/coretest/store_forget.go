package coretest

import (
	"context"
	"testing"
	"time"

	"faasctl/core"
)

// RunForgetting runs what a store has to pass about removed functions. open makes an
// empty store that keeps what has ended, and removed functions, for some milliseconds;
// sweep forgets what is due, as the store does by itself in its own time.
func RunForgetting(t *testing.T, open Open, sweep func(t *testing.T, s core.Store)) {
	for name, run := range forgetCases {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
			defer cancel()
			f := &fixture{T: t, Store: open(t), ctx: ctx}
			run(f, func() { sweep(t, f.Store) })
		})
	}
}

var forgetCases = map[string]func(f *fixture, sweep func()){
	"a removed function is forgotten once its tasks have ended": func(f *fixture, sweep func()) {
		fn := f.function("add")
		f.submit(fn.ID, 1)
		f.wantSettle(completed(f.claimOne().Lease, "1"), core.VerdictOK)
		f.must(f.RemoveFunction(f.ctx, fn.ID))
		if _, err := f.FunctionByID(f.ctx, fn.ID); err != nil {
			f.Fatalf("its tasks may be looked at: %v", err)
		}
		f.forgotten(fn.ID, sweep)
		if again := f.function("add"); again.ID == fn.ID || again.Version != 1 {
			f.Fatalf("the next of that name is %+v", again)
		}
	},
	"one that a task waits for is kept, with its limits": func(f *fixture, sweep func()) {
		fn, other := f.function("add"), f.function("other")
		f.must(f.SetPolicy(f.ctx, fn.ID, core.Policy{Concurrency: 1}))
		ids := f.submit(fn.ID, 2)
		c := f.claimOne()
		f.must(f.RemoveFunction(f.ctx, fn.ID))
		f.must(f.RemoveFunction(f.ctx, other.ID))
		f.forgotten(other.ID, sweep)
		if n := len(f.claim(5, longLease)); n != 0 {
			f.Fatalf("claimed %d above the cap", n)
		}
		if body, err := f.FunctionByID(f.ctx, fn.ID); err != nil || len(body.Body) == 0 {
			f.Fatalf("%+v, %v", body, err)
		}
		f.wantSettle(completed(c.Lease, "1"), core.VerdictOK)
		f.wantSettle(completed(f.claimOne().Lease, "1"), core.VerdictOK)
		f.wantState(ids[1], core.Completed)
		f.forgotten(fn.ID, sweep)
	},
	"what stood in its lines disturbs nobody": func(f *fixture, sweep func()) {
		fn := f.function("add")
		f.must(f.SetPolicy(f.ctx, fn.ID, core.Policy{Rate: core.Rate{N: 1, Per: 24 * time.Hour}}))
		ids := f.submit(fn.ID, 3)
		f.wantSettle(completed(f.claimOne().Lease, "1"), core.VerdictOK)
		f.claim(1, longLease) // parks the rest
		for _, id := range ids[1:] {
			f.cancelOne(id)
		}
		f.must(f.RemoveFunction(f.ctx, fn.ID))
		f.forgotten(fn.ID, sweep)
		next := f.submitOne("next")
		if got := f.claim(5, longLease); len(got) != 1 || got[0].Task != next {
			f.Fatalf("claimed %v", got)
		}
	},
	"a version is given once while another of the name is there": func(f *fixture, sweep func()) {
		one := f.function("add")
		two, _, err := f.PutFunction(f.ctx, source("add", "def add(): return 2\n"))
		f.must(err)
		f.must(f.RemoveFunction(f.ctx, two.ID))
		f.forgotten(two.ID, sweep)
		three, _, err := f.PutFunction(f.ctx, source("add", "def add(): return 3\n"))
		f.must(err)
		if two.Version != 2 || three.Version != 3 {
			f.Fatalf("versions %d, then %d", two.Version, three.Version)
		}
		if found, err := f.FunctionByID(f.ctx, one.ID); err != nil || len(found.Body) == 0 {
			f.Fatalf("%+v, %v", found, err)
		}
	},
	"a body that another function has stays": func(f *fixture, sweep func()) {
		const text = "def add(): pass\n"
		one, _, err := f.PutFunction(f.ctx, source("add", text))
		f.must(err)
		twin := source("twin", text)
		twin.Entry = "add"
		twin, _, err = f.PutFunction(f.ctx, twin)
		f.must(err)
		f.must(f.RemoveFunction(f.ctx, one.ID))
		f.forgotten(one.ID, sweep)
		if found, err := f.FunctionByID(f.ctx, twin.ID); err != nil || string(found.Body) != text {
			f.Fatalf("%q, %v", found.Body, err)
		}
	},
}

// forgotten sweeps until a function is not there any more.
func (f *fixture) forgotten(id core.FunctionID, sweep func()) {
	f.Helper()
	f.eventually("forgetting", func() bool {
		sweep()
		_, err := f.FunctionByID(f.ctx, id)
		return core.ClassOf(err) == core.ErrNotFound
	})
}
