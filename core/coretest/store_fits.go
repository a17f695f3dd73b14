package coretest

import (
	"fmt"
	"slices"

	"faasctl/core"
)

// Workers that cases claim for.
var (
	old    = []core.Interpreter{{Path: "/a", Version: "3.9.18"}}
	young  = []core.Interpreter{{Path: "/b", Version: "3.12.1", Dill: "0.4.1"}}
	anyone = []core.Interpreter(nil) // says nothing of what it has
)

// fitCases: tasks go only to workers that can run them.
var fitCases = map[string]func(*fixture){
	"a task is claimed only for workers that it fits": func(f *fixture) {
		plain := f.submit(f.function("plain").ID, 1)
		nine := f.submit(f.needing("nine", "3.9").ID, 1)
		twelve := f.submit(f.needing("twelve", ">=3.12").ID, 1)
		pickled := f.submit(f.pickled("pickled", "").ID, 1)
		nowhere := f.submit(f.needing("nowhere", "3.7").ID, 1)
		f.wantClaim(f.claimFor(core.ClaimClass{Interpreters: old, N: 10}), plain, nine)
		f.wantClaim(f.claimFor(core.ClaimClass{Interpreters: old, N: 10}))
		f.wantClaim(f.claimFor(core.ClaimClass{Interpreters: young, N: 10}), twelve, pickled)
		f.wantClaim(f.claimFor(core.ClaimClass{Interpreters: old, N: 10}, core.ClaimClass{Interpreters: young, N: 10}))
		f.wantState(nowhere[0], core.Queued)
		f.wantClaim(f.claimFor(core.ClaimClass{Interpreters: anyone, N: 10}), nowhere)
	},
	"a claim without classes takes what waited for somebody that fits": func(f *fixture) {
		waiting := f.submit(f.needing("nine", "3.9").ID, 2)
		f.wantClaim(f.claimFor(core.ClaimClass{Interpreters: young, N: 10}))
		f.wantClaim(f.claim(10, longLease), waiting)
	},
	"each class takes no more than it has room for": func(f *fixture) {
		plain, nine, twelve := f.function("plain"), f.needing("nine", "3.9"), f.needing("twelve", "3.12")
		f.submit(plain.ID, 20)
		f.submit(nine.ID, 20)
		f.submit(twelve.ID, 20)
		rooms := []core.ClaimClass{{Interpreters: old, N: 5}, {Interpreters: young, N: 3}}
		for range 3 {
			c := f.claimFor(rooms...)
			if len(c) != 8 || f.of(c, nine.ID) > 5 || f.of(c, twelve.ID) > 3 {
				f.Fatalf("claimed %d: %d for 3.9, %d for 3.12", len(c), f.of(c, nine.ID), f.of(c, twelve.ID))
			}
		}
		f.must(f.SetPolicy(f.ctx, plain.ID, core.Policy{Concurrency: 1}))
		if c := f.claimFor(core.ClaimClass{Interpreters: young, N: 4}); len(c) != 4 || f.of(c, twelve.ID) != 4 {
			f.Fatalf("claimed %d, of which %d for 3.12", len(c), f.of(c, twelve.ID))
		}
	},
	"what fits nowhere keeps nobody from others, however much it is": func(f *fixture) {
		for i := range 150 {
			f.submit(f.needing(fmt.Sprint("stuck", i), "3.7").ID, 2)
		}
		for i := range 20 {
			f.submit(f.needing(fmt.Sprint("odd", i), fmt.Sprintf("3.7,!=3.7.%d", i)).ID, 1)
		}
		other := f.submit(f.function("other").ID, 3)
		f.wantClaim(f.claimFor(core.ClaimClass{Interpreters: young, N: 3}), other)
		more := f.submit(f.needing("more", "3.12").ID, 1)
		f.wantClaim(f.claimFor(core.ClaimClass{Interpreters: young, N: 3}), more)
		seven := []core.Interpreter{{Version: "3.7.16"}}
		if n := len(f.claimFor(core.ClaimClass{Interpreters: seven, N: 500})); n != 319 { // one !=3.7.16
			f.Fatalf("claimed %d", n)
		}
	},
	"two kinds of workers take turns, and order holds": func(f *fixture) {
		nine, twelve := f.submit(f.needing("nine", "3.9").ID, 6), f.submit(f.needing("twelve", "3.12").ID, 6)
		for i := range 6 {
			f.wantClaim(f.claimFor(core.ClaimClass{Interpreters: old, N: 1}), nine[i:i+1])
			f.wantClaim(f.claimFor(core.ClaimClass{Interpreters: young, N: 1}), twelve[i:i+1])
		}
	},
	"one that fits nowhere can be cancelled, paused, and comes back behind a cap": func(f *fixture) {
		fn := f.needing("nine", "3.9")
		waiting := f.submit(fn.ID, 4)
		f.wantClaim(f.claimFor(core.ClaimClass{Interpreters: young, N: 10}))
		f.cancelOne(waiting[0])
		f.pause(core.DefaultQueue, true, true)
		f.wantClaim(f.claimFor(core.ClaimClass{Interpreters: old, N: 10}))
		f.pause(core.DefaultQueue, false, true)
		f.must(f.SetPolicy(f.ctx, fn.ID, core.Policy{Concurrency: 1}))
		c := f.claimFor(core.ClaimClass{Interpreters: old, N: 10})
		f.wantClaim(c, waiting[1:2])
		f.wantClaim(f.claimFor(core.ClaimClass{Interpreters: old, N: 10}))
		f.wantSettle(completed(c[0].Lease, "1"), core.VerdictOK)
		f.wantClaim(f.claimFor(core.ClaimClass{Interpreters: young, N: 10}))
		f.wantClaim(f.claimFor(core.ClaimClass{Interpreters: old, N: 10}), waiting[2:3])
	},
	"a repeated claim gives the same tasks": func(f *fixture) {
		nine := f.submit(f.needing("nine", "3.9").ID, 1)
		f.submit(f.needing("twelve", "3.12").ID, 1)
		request := core.ClaimRequest{ID: "again", Dispatcher: dispatcher, Max: 5, Lease: longLease, Classes: []core.ClaimClass{{Interpreters: old, N: 5}}}
		for range 2 {
			c, err := f.Claim(f.ctx, request)
			f.must(err)
			f.wantClaim(c, nine)
		}
	},
}

// needing registers a source function that asks for versions of Python.
func (f *fixture) needing(name, python string) core.Function {
	f.Helper()
	put := source(name, "def "+name+"(): pass\n")
	put.Python = python
	fn, _, err := f.PutFunction(f.ctx, put)
	f.must(err)
	return fn
}

func (f *fixture) pickled(name, python string) core.Function {
	f.Helper()
	put := source(name, "\x80\x02"+name+".")
	put.Codec, put.Entry, put.Python = core.Dill, "", python
	fn, _, err := f.PutFunction(f.ctx, put)
	f.must(err)
	return fn
}

func (f *fixture) claimFor(classes ...core.ClaimClass) []core.Claimed {
	f.Helper()
	f.count++
	max := 0
	for _, c := range classes {
		max += c.N
	}
	claimed, err := f.Claim(f.ctx, core.ClaimRequest{ID: fmt.Sprintf("claim-%d", f.count), Dispatcher: dispatcher, Max: max, Lease: longLease, Classes: classes})
	f.must(err)
	return claimed
}

// wantClaim checks which tasks were claimed, in any order.
func (f *fixture) wantClaim(claimed []core.Claimed, want ...[]core.TaskID) {
	f.Helper()
	got, all := ids(claimed), slices.Concat(want...)
	slices.Sort(got)
	slices.Sort(all)
	if !slices.Equal(got, all) {
		f.Fatalf("claimed %v, want %v", got, all)
	}
}
