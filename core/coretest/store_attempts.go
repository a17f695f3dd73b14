package coretest

import (
	"bytes"
	"fmt"
	"strings"
	"time"

	"faasctl/core"
)

// attemptCases: a task's record tells of its last attempt, its history of those
// before.
var attemptCases = map[string]func(*fixture){
	"a task that ends at its first attempt has no history": func(f *fixture) {
		id := f.submitOne("add")
		c := f.claimOne()
		f.start(c)
		f.wantSettle(failed(c.Lease, core.KindException), core.VerdictOK)
		f.wantEnds(id)
		if task := f.wantState(id, core.Failed); task.Type != "ValueError" {
			f.Fatalf("the record says %q of the failure's type", task.Type)
		}
	},
	"each attempt that did not end its task is told": func(f *fixture) {
		id := f.submitRetrying("add")
		c := f.retry(f.claimOne(), "first try\n")
		f.start(c)
		f.releaseOne(c.Lease, core.ReleaseVanished)
		c = f.claimOne()
		f.start(c)
		f.releaseOne(c.Lease, core.ReleaseGraceful)
		f.releaseOne(f.claimOne().Lease, core.ReleaseGraceful) // was not started, and so no attempt
		f.releaseOne(f.claimOne().Lease, core.ReleaseVanished)
		f.wantSettle(completed(f.claimOne().Lease, "1"), core.VerdictOK)
		all := f.wantEnds(id, core.AttemptRetried, core.AttemptLost, core.AttemptReleased)
		for i, a := range all {
			if a.Number != i+1 || a.Worker != "w-one" || a.Claimed.IsZero() || a.Started.Before(a.Claimed) || a.Ended.Before(a.Started) {
				f.Fatalf("attempt %d: %+v", i+1, a)
			}
			if (a.Failure != nil) != (i == 0) || a.Output != (i == 0) {
				f.Fatalf("attempt %d: %+v", i+1, a)
			}
		}
		first := all[0]
		if *first.Failure != (core.AttemptFailure{Kind: core.KindException, Type: "ValueError", Message: "no such luck"}) || first.ElapsedMS != 5 {
			f.Fatalf("first: %+v, %+v", first, first.Failure)
		}
		if got := f.attemptOutput(id, 1); string(got.Stdout.Head) != "first try\n" || got.Stdout.Cut != 0 {
			f.Fatalf("its output: %+v", got)
		}
		if !f.attemptOutput(id, 2).Empty() {
			f.Fatal("a lost attempt has an output")
		}
		if task := f.wantState(id, core.Completed); task.Attempt != 4 {
			f.Fatalf("attempt %d", task.Attempt)
		}
	},
	"between two attempts the record is nobody's": func(f *fixture) {
		id := f.submitRetrying("add")
		c := f.claimOne()
		f.start(c)
		f.wantSettle(failed(c.Lease, core.KindTimeout), core.VerdictOK)
		if task := f.wantState(id, core.Delayed); task.Worker != "" || !task.Started.IsZero() || !task.Claimed.IsZero() || task.Attempt != 1 {
			f.Fatalf("record: %+v", task)
		}
	},
	"a failure before the start is not tried again, and no attempt": func(f *fixture) {
		id := f.submitRetrying("add")
		s := failed(f.claimOne().Lease, core.KindUnloadable)
		s.Started = false
		f.wantSettle(s, core.VerdictOK)
		f.wantEnds(id)
		if task := f.wantState(id, core.Failed); task.Attempt != 0 {
			f.Fatalf("record: %+v", task)
		}
	},
	"a history is bounded, and what it keeps of failures and output too": func(f *fixture) {
		id := f.submitRetrying("add")
		c := f.claimOne()
		last := core.KeepAttempts + 2
		for n := 1; n <= last; n++ {
			s := failed(c.Lease, core.KindException)
			s.Result.Failure.Type = strings.Repeat("☃", 100)
			s.Result.Failure.Message = "tab\there\n" + strings.Repeat("☃", 1000)
			s.Output.Stdout = core.Stream{Head: bytes.Repeat([]byte("h"), 32<<10), Tail: bytes.Repeat([]byte("t"), 32<<10), Cut: 5}
			s.Output.Stderr = core.Stream{Head: []byte(fmt.Sprint("attempt ", n))}
			f.wantSettle(s, core.VerdictOK)
			c = f.claimDelayed()
		}
		all, err := f.Attempts(f.ctx, id)
		f.must(err)
		if len(all) != core.KeepAttempts || all[0].Number != 3 || all[len(all)-1].Number != last {
			f.Fatalf("%d attempts, from %d to %d", len(all), all[0].Number, all[len(all)-1].Number)
		}
		for _, a := range all {
			if kept := a.Number > last-core.KeepAttemptOutputs; a.Output != kept || kept == f.attemptOutput(id, a.Number).Empty() {
				f.Fatalf("output of attempt %d: %v", a.Number, a.Output)
			}
			if w := a.Failure; len(w.Type) > 64 || len(w.Message) > 300 || !strings.HasPrefix(w.Message, "tab\there\n☃") || !strings.HasSuffix(w.Message, "…") {
				f.Fatalf("failure of attempt %d: %+v", a.Number, w)
			}
		}
		got := f.attemptOutput(id, last)
		if out := got.Stdout; len(out.Head)+len(out.Tail) != core.KeepAttemptStream || out.Cut != 5+64<<10-core.KeepAttemptStream ||
			out.Head[0] != 'h' || out.Tail[0] != 't' || string(got.Stderr.Head) != fmt.Sprint("attempt ", last) {
			f.Fatalf("output: %d + %d bytes, %d cut; %q", len(out.Head), len(out.Tail), out.Cut, got.Stderr.Head)
		}
	},
	"of an unknown task there is no history": func(f *fixture) {
		_, err := f.Attempts(f.ctx, core.NewTaskID())
		f.wantErr(err, core.ErrNotFound)
		_, err = f.AttemptOutput(f.ctx, core.NewTaskID(), 1)
		f.wantErr(err, core.ErrNotFound)
	},
	"the new task points at the old one, and the old at the newest": func(f *fixture) {
		fn := f.function("add")
		old := f.submit(fn.ID, 1)[0]
		f.wantSettle(failed(f.claimOne().Lease, core.KindException), core.VerdictOK)
		again := func() core.TaskID {
			s := spec(fn.ID)
			s.RetryOf = old
			return f.accept([]core.Submission{{ID: core.NewTaskID(), Spec: s}})[0]
		}
		for range 2 {
			id := again()
			if task := f.wantState(old, core.Failed); task.RetriedAs != id {
				f.Fatalf("retried as %q, want %q", task.RetriedAs, id)
			}
			s, err := f.Spec(f.ctx, id)
			f.must(err)
			if s.RetryOf != old {
				f.Fatalf("retry of %q", s.RetryOf)
			}
		}
	},
}

// submitRetrying accepts a task that is tried again soon after each failure.
func (f *fixture) submitRetrying(name string) core.TaskID {
	f.Helper()
	s := spec(f.function(name).ID)
	s.Retries, s.Backoff = 100, core.Backoff{First: time.Millisecond, Last: time.Millisecond}
	return f.accept([]core.Submission{{ID: core.NewTaskID(), Spec: s}})[0]
}

// retry fails an attempt, with an output, and claims the next.
func (f *fixture) retry(c core.Claimed, printed string) core.Claimed {
	f.Helper()
	s := failed(c.Lease, core.KindException)
	s.Output.Stdout.Head = []byte(printed)
	f.wantSettle(s, core.VerdictOK)
	return f.claimDelayed()
}

// claimDelayed claims one task as soon as it is due.
func (f *fixture) claimDelayed() (c core.Claimed) {
	f.Helper()
	f.eventually("the next attempt", func() bool {
		_, _, err := f.Promote(f.ctx)
		f.must(err)
		claimed := f.claim(1, longLease)
		if len(claimed) == 1 {
			c = claimed[0]
		}
		return len(claimed) == 1
	})
	return c
}

func (f *fixture) attemptOutput(id core.TaskID, number int) core.Output {
	f.Helper()
	output, err := f.AttemptOutput(f.ctx, id, number)
	f.must(err)
	return output
}

// wantEnds compares what became of the attempts in a history.
func (f *fixture) wantEnds(id core.TaskID, want ...core.AttemptEnd) []core.Attempt {
	f.Helper()
	all, err := f.Attempts(f.ctx, id)
	f.must(err)
	var got []core.AttemptEnd
	for _, a := range all {
		got = append(got, a.End)
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		f.Fatalf("attempts ended %v, want %v", got, want)
	}
	return all
}
