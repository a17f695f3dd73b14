package coretest

import (
	"reflect"
	"time"

	"faasctl/core"
)

var wholePolicy = core.Policy{
	Timeout: 90 * time.Second, Retries: 3, Backoff: core.Backoff{First: 5 * time.Second, Last: 5 * time.Second},
	RetryOn: core.RetryOn{"ValueError", "timeout"}, Concurrency: 4, Rate: core.Rate{N: 30, Per: time.Minute}, Expires: time.Hour,
	Env:    core.Env{"A=1", "SECRET"},
	Limits: core.Limits{Memory: 1 << 30, CPUSeconds: 2.5, Processes: 7, Isolation: core.Fork},
}

var policyCases = map[string]func(*fixture){
	"a policy is stored with a new function and kept by an equal one": func(f *fixture) {
		first := source("add", "v1")
		first.Policy = wholePolicy
		stored, _, err := f.PutFunction(f.ctx, first)
		f.must(err)
		again, outcome, err := f.PutFunction(f.ctx, source("add", "v1"))
		f.must(err)
		if outcome != core.RegisteredSame || !reflect.DeepEqual(stored.Policy, wholePolicy) || !reflect.DeepEqual(again.Policy, wholePolicy) {
			f.Fatalf("%s: %+v, %+v", outcome, stored.Policy, again.Policy)
		}
	},
	"a policy is replaced and identity stays": func(f *fixture) {
		fn := f.function("add")
		if !fn.Policy.Equal(core.Policy{}) {
			f.Fatalf("%+v", fn.Policy)
		}
		for _, want := range []core.Policy{wholePolicy, {Retries: 1}, {}} {
			f.must(f.SetPolicy(f.ctx, fn.ID, want))
			byID, err := f.FunctionByID(f.ctx, fn.ID)
			f.must(err)
			byName, err := f.FunctionByName(f.ctx, "add", 1)
			f.must(err)
			all, err := f.ListFunctions(f.ctx)
			f.must(err)
			for _, got := range []core.Function{byID, byName, all[0]} {
				if got.ID != fn.ID || got.Version != 1 || !reflect.DeepEqual(got.Policy, want) {
					f.Fatalf("%+v, want %+v", got, want)
				}
			}
		}
		if again, outcome, err := f.PutFunction(f.ctx, source("add", "def add(): pass\n")); err != nil || outcome != core.RegisteredSame || again.ID != fn.ID {
			f.Fatalf("%s %+v %v", outcome, again, err)
		}
		f.wantErr(f.SetPolicy(f.ctx, core.NewFunctionID(), wholePolicy), core.ErrNotFound)
		f.must(f.RemoveFunction(f.ctx, fn.ID))
		f.wantErr(f.SetPolicy(f.ctx, fn.ID, wholePolicy), core.ErrNotFound)
	},
	"what was accepted keeps its limits": func(f *fixture) {
		fn := f.function("add")
		s := spec(fn.ID)
		s.Retries, s.Backoff, s.RetryOn, s.Expires = 2, core.Backoff{First: 1, Last: 2}, core.RetryOn{"a.B"}, time.Hour
		s.Env = core.Env{"B"}
		s.Limits = core.Limits{Memory: 1 << 29, CPUSeconds: 1, Isolation: core.Fresh}
		id := f.accept([]core.Submission{{ID: core.NewTaskID(), Spec: s}})[0]
		f.must(f.SetPolicy(f.ctx, fn.ID, wholePolicy))
		got, err := f.Spec(f.ctx, id)
		f.must(err)
		if !reflect.DeepEqual(got, s) {
			f.Fatalf("%+v, want %+v", got, s)
		}
		if c := f.claimOne(); !reflect.DeepEqual(c.Spec, s) {
			f.Fatalf("claimed %+v", c.Spec)
		}
	},
	"only failures that retry-on names are tried again": func(f *fixture) {
		fn := f.function("add")
		for _, c := range []struct {
			names core.RetryOn
			kind  core.FailureKind
			class string
			again bool
		}{
			{nil, core.KindCrash, "", true},
			{core.RetryOn{"ValueError"}, core.KindException, "ValueError", true},
			{core.RetryOn{"KeyError", "ValueError"}, core.KindException, "app.errors.ValueError", true},
			{core.RetryOn{"errors.ValueError"}, core.KindException, "app.errors.ValueError", false},
			{core.RetryOn{"app.errors.ValueError"}, core.KindException, "app.errors.ValueError", true},
			{core.RetryOn{"ValueError"}, core.KindException, "MyValueError", false},
			{core.RetryOn{"ValueError"}, core.KindException, "ValueErro", false},
			{core.RetryOn{"A", "B"}, core.KindException, "A,B", false},
			{core.RetryOn{"ValueError"}, core.KindTimeout, "", false},
			{core.RetryOn{"ValueError", "timeout"}, core.KindTimeout, "", true},
			{core.RetryOn{"exception"}, core.KindException, "KeyError", true},
		} {
			s := spec(fn.ID)
			s.Retries, s.RetryOn = 1, c.names
			id := f.accept([]core.Submission{{ID: core.NewTaskID(), Spec: s}})[0]
			end := failed(f.claimOne().Lease, c.kind)
			end.Result.Failure.Type = c.class
			f.wantSettle(end, core.VerdictOK)
			if got := f.task(id).State; (got == core.Delayed) != c.again {
				f.Fatalf("%v, %s %s: %s", c.names, c.kind, c.class, got)
			}
		}
	},
	"the wait grows as the back-off says, within its jitter": func(f *fixture) {
		fn := f.function("add")
		s := spec(fn.ID)
		s.Retries, s.Backoff = 5, core.Backoff{First: time.Hour, Last: 3 * time.Hour}
		// The attempts before are made without waiting: the back-off of a task of
		// its own stands for each of them.
		for attempt, jitter := range map[int]float64{1: 0, 2: 1, 3: -1, 4: 0.5} {
			before := s
			before.Backoff = core.Backoff{First: time.Hour, Last: 3 * time.Hour}
			id := f.accept([]core.Submission{{ID: core.NewTaskID(), Spec: before}})[0]
			for n := 1; n < attempt; n++ {
				c := f.claimOne()
				f.start(c)
				f.releaseOne(c.Lease, core.ReleaseVanished)
			}
			c := f.claimOne()
			end := failed(c.Lease, core.KindException)
			end.Jitter = jitter
			asked := time.Now()
			f.wantSettle(end, core.VerdictOK)
			task := f.wantState(id, core.Delayed)
			want := s.Backoff.Wait(attempt, jitter)
			if off := task.Due.Sub(asked) - want; task.Attempt != attempt || off < -time.Second || off > time.Minute {
				f.Fatalf("attempt %d is tried again after %s, want %s", task.Attempt, task.Due.Sub(asked), want)
			}
		}
	},
	"retries end, and what was not started has none": func(f *fixture) {
		fn := f.function("add")
		s := spec(fn.ID)
		s.Retries, s.Backoff = 1, core.Backoff{First: 1, Last: 1}
		id := f.accept([]core.Submission{{ID: core.NewTaskID(), Spec: s}})[0]
		f.wantSettle(failed(f.claimOne().Lease, core.KindException), core.VerdictOK)
		f.eventually("the retry", func() bool {
			_, _, err := f.Promote(f.ctx)
			f.must(err)
			return f.task(id).State == core.Queued
		})
		f.wantSettle(failed(f.claimOne().Lease, core.KindException), core.VerdictOK)
		if task := f.wantState(id, core.Failed); task.Attempt != 2 {
			f.Fatalf("%+v", task)
		}
		unstarted := f.accept([]core.Submission{{ID: core.NewTaskID(), Spec: s}})[0]
		end := failed(f.claimOne().Lease, core.KindUnloadable)
		end.Started = false
		f.wantSettle(end, core.VerdictOK)
		f.wantState(unstarted, core.Failed)
	},
}
