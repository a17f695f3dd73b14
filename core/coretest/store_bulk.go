package coretest

import (
	"context"
	"sync"
	"time"

	"faasctl/core"
)

// bulkCases are about what a Service makes of the journal.
var bulkCases = map[string]func(*fixture){
	"a plan counts what would be touched": func(f *fixture) {
		s := f.service(time.Hour)
		one, two := f.function("one"), f.function("two")
		f.die(one.ID, 3)
		f.die(two.ID, 1)
		oldest := f.task(f.submit(one.ID, 2)[0]).Submitted
		f.accept([]core.Submission{{ID: core.NewTaskID(), Spec: spec(two.ID), Delay: time.Hour}})
		for _, test := range []struct {
			kind   core.OperationKind
			filter core.BulkFilter
			want   int
		}{
			{core.OperationRetry, core.BulkFilter{}, 4},
			{core.OperationPurge, core.BulkFilter{Function: "one"}, 3},
			{core.OperationPurge, core.BulkFilter{Function: "one@1", Error: "ValueError"}, 3},
			{core.OperationPurge, core.BulkFilter{Error: "exception"}, 4},
			{core.OperationPurge, core.BulkFilter{Error: "KeyError"}, 0},
			{core.OperationPurge, core.BulkFilter{Queue: "elsewhere"}, 0},
			{core.OperationCancel, core.BulkFilter{}, 3},
			{core.OperationCancel, core.BulkFilter{State: core.Queued}, 2},
			{core.OperationCancel, core.BulkFilter{Function: string(two.ID)}, 1},
			{core.OperationCancel, core.BulkFilter{State: core.Running}, 0},
		} {
			plan, err := s.PlanOperation(f.ctx, core.OperationRequest{Kind: test.kind, Filter: test.filter})
			f.must(err)
			grouped := 0
			for _, g := range plan.Groups {
				grouped += g.Count
			}
			if plan.Tasks != test.want || grouped != test.want || plan.More || plan.Oldest.IsZero() != (test.want == 0) {
				f.Fatalf("%s %+v: %+v", test.kind, test.filter, plan)
			}
		}
		plan, err := s.PlanOperation(f.ctx, core.OperationRequest{Kind: core.OperationCancel})
		f.must(err)
		if g := plan.Groups[0]; !plan.Oldest.Equal(oldest) || plan.WaitMS != 3_600_000 || g.Name != "one@1" || g.State != core.Queued || g.Count != 2 {
			f.Fatalf("%+v, oldest %v", plan, oldest)
		}
		for _, wrong := range []core.OperationRequest{
			{Kind: "explode"}, {Kind: core.OperationCancel, Filter: core.BulkFilter{State: core.Failed}},
			{Kind: core.OperationCancel, Filter: core.BulkFilter{Error: "x"}}, {Kind: core.OperationPurge, Filter: core.BulkFilter{State: core.Queued}},
		} {
			_, err := s.StartOperation(f.ctx, wrong)
			f.wantErr(err, core.ErrInvalid)
		}
		_, err = s.StartOperation(f.ctx, core.OperationRequest{Kind: core.OperationRetry, Filter: core.BulkFilter{Function: "three"}})
		f.wantErr(err, core.ErrNotFound)
	},
	"a name stands for its removed versions as well": func(f *fixture) {
		s := f.service(time.Hour)
		one := f.function("one")
		two, _, err := f.PutFunction(f.ctx, source("one", "def one(): return 2\n"))
		f.must(err)
		f.die(one.ID, 2)
		f.die(two.ID, 1)
		f.submit(one.ID, 1)
		f.must(f.RemoveFunction(f.ctx, one.ID))
		for round, gone := range []bool{false, true} {
			if gone {
				f.must(f.RemoveFunction(f.ctx, two.ID))
			}
			for ref, want := range map[string]int{"one": 3, "one@1": 2, "one@2": 1} {
				page, err := s.Dead(f.ctx, core.BulkFilter{Function: ref}, "", 0)
				f.must(err)
				if len(page.Tasks) != want {
					f.Fatalf("round %d, %s: %d dead letters, want %d", round, ref, len(page.Tasks), want)
				}
			}
			plan, err := s.PlanOperation(f.ctx, core.OperationRequest{Kind: core.OperationCancel, Filter: core.BulkFilter{Function: "one"}})
			f.must(err)
			if plan.Tasks != 1 {
				f.Fatalf("round %d: %+v", round, plan)
			}
		}
		_, err = s.Dead(f.ctx, core.BulkFilter{Function: "one@3"}, "", 0)
		f.wantErr(err, core.ErrNotFound)
	},
	"a bulk cancel waits, holds with nobody there, and spares what came later": func(f *fixture) {
		s := f.service(500 * time.Millisecond)
		fn := f.function("add")
		early := f.submit(fn.ID, core.MaxBatch)
		early = append(early, f.submit(fn.ID, 300)...)
		delayed := f.accept([]core.Submission{{ID: core.NewTaskID(), Spec: spec(fn.ID), Delay: time.Hour}})[0]
		running := f.claimOne()
		asked := time.Now()
		op, err := s.StartOperation(f.ctx, core.OperationRequest{Kind: core.OperationCancel, Filter: core.BulkFilter{Function: "add"}, By: "me"})
		f.must(err)
		if op.State != core.OperationPending || op.Planned != len(early)+1 || op.By != "me" {
			f.Fatalf("%+v", op)
		}
		f.wantState(early[5], core.Queued)
		// Times are whole milliseconds: what is submitted in the same one counts as there.
		written := time.Now()
		f.eventually("the next millisecond", func() bool { return time.Since(written) > 5*time.Millisecond })
		late := f.submit(fn.ID, 1)[0]
		done := f.endOf(s, op.ID)
		if took := time.Since(asked); took < 490*time.Millisecond || done.State != core.OperationDone || done.Applied != len(early)+1 {
			f.Fatalf("after %v: %+v", took, done)
		}
		f.wantState(delayed, core.Cancelled)
		f.wantState(early[len(early)-1], core.Cancelled)
		f.wantSettle(completed(running.Lease, "1"), core.VerdictOK)
		f.wantState(running.Task, core.Cancelled)
		f.wantState(late, core.Queued)
		if _, err := s.UndoOperation(f.ctx, op.ID); core.ClassOf(err) != core.ErrConflict || core.HintOf(err) == "" {
			f.Fatalf("undone after the fact: %v", err)
		}
	},
	"a pending purge is undone without a trace": func(f *fixture) {
		s := f.service(time.Hour)
		f.die(f.function("add").ID, 3)
		op, err := s.StartOperation(f.ctx, core.OperationRequest{Kind: core.OperationPurge})
		f.must(err)
		op, err = s.UndoOperation(f.ctx, op.ID)
		f.must(err)
		if op.State != core.OperationUndone || len(f.dead("")) != 3 {
			f.Fatalf("%+v, %d dead", op, len(f.dead("")))
		}
		op, err = s.StartOperation(f.ctx, core.OperationRequest{Kind: core.OperationPurge, Now: true})
		f.must(err)
		if op.State != core.OperationDone || op.Applied != 3 || len(f.dead("")) != 0 {
			f.Fatalf("%+v, %d dead", op, len(f.dead("")))
		}
	},
	"a bulk retry is at once, picks by error, and is undone as far as that goes": func(f *fixture) {
		s := f.service(time.Hour)
		fn := f.function("add")
		dead := append(f.die(fn.ID, core.MaxBatch), f.die(fn.ID, 200)...)
		other := f.submit(fn.ID, 1)[0]
		f.wantSettle(failed(f.claimOne().Lease, core.KindTimeout), core.VerdictOK)
		op, err := s.StartOperation(f.ctx, core.OperationRequest{Kind: core.OperationRetry, Filter: core.BulkFilter{Error: "exception"}})
		f.must(err)
		op = f.endOf(s, op.ID)
		if op.State != core.OperationDone || op.Applied != len(dead) || f.task(other).RetriedAs != "" {
			f.Fatalf("%+v", op)
		}
		if n := len(f.claim(7, longLease)); n != 7 {
			f.Fatalf("claimed %d", n)
		}
		if op, err = s.UndoOperation(f.ctx, op.ID); err != nil {
			f.Fatal(err)
		}
		op = f.endOf(s, op.ID)
		if op.State != core.OperationUndone || op.Undone != len(dead)-7 || op.Started != 7 {
			f.Fatalf("%+v", op)
		}
		if plan, err := s.PlanOperation(f.ctx, core.OperationRequest{Kind: core.OperationRetry}); err != nil || plan.Tasks != len(dead)-7+1 {
			f.Fatalf("%d dead letters, %v", plan.Tasks, err)
		}
	},
	"whoever drives it, and however often they stop, it happens once": func(f *fixture) {
		fn := f.function("add")
		f.die(fn.ID, core.MaxBatch)
		f.die(fn.ID, core.MaxBatch)
		op := f.operation(core.OperationRetry, 0)
		// Four drivers at once, stopped in the middle of something as soon as one of
		// them has got on, again and again.
		for before := -1; op.Applied > before && !op.State.Ended(); {
			before = op.Applied
			ctx, stop := context.WithCancel(f.ctx)
			var drivers sync.WaitGroup
			for range 4 {
				s, err := core.NewService(core.ServiceConfig{Store: f.Store})
				f.must(err)
				drivers.Go(func() { _ = s.Run(ctx) })
			}
			f.eventually("a step", func() (on bool) {
				var err error
				op, err = f.Operation(f.ctx, op.ID)
				f.must(err)
				return op.Applied > before && op.Applied > 0 || op.State.Ended()
			})
			stop()
			drivers.Wait()
		}
		done := op
		stats, err := f.Stats(f.ctx)
		f.must(err)
		if done.Applied != 2*core.MaxBatch || stats.Queued != 2*core.MaxBatch || stats.Totals.Submitted != 4*core.MaxBatch {
			f.Fatalf("%+v, %d queued of %d", done, stats.Queued, stats.Totals.Submitted)
		}
	},
	"dead letters are listed and grouped by what they died of": func(f *fixture) {
		s := f.service(time.Hour)
		one, two := f.function("one"), f.function("two")
		f.die(one.ID, 3)
		f.die(two.ID, 2)
		f.submit(two.ID, 1)
		crash := failed(f.claimOne().Lease, core.KindCrash)
		crash.Result.Failure.Type, crash.Result.Failure.Message = "", "gone\nfor good"
		f.wantSettle(crash, core.VerdictOK)
		page, err := s.Dead(f.ctx, core.BulkFilter{Error: "ValueError"}, "", 4)
		f.must(err)
		if len(page.Tasks) != 4 || page.Next == "" || page.Tasks[0].Name != "two@1" {
			f.Fatalf("%+v", page)
		}
		rest, err := s.Dead(f.ctx, core.BulkFilter{Error: "ValueError"}, page.Next, 4)
		f.must(err)
		if len(rest.Tasks) != 1 || rest.Next != "" {
			f.Fatalf("%+v", rest)
		}
		groups, more, err := s.DeadGroups(f.ctx, core.BulkFilter{})
		f.must(err)
		if len(groups) != 3 || more || groups[0].Count != 3 || groups[0].Name != "one@1" || groups[0].Type != "ValueError" || groups[0].Message != "no such luck" {
			f.Fatalf("%+v", groups)
		}
		if last := groups[2]; last.Kind != core.KindCrash || last.Message != "gone" || last.Newest != crash.Task {
			f.Fatalf("%+v", last)
		}
	},
	"a service tells of every attempt once": func(f *fixture) {
		s := f.service(time.Hour)
		id := f.submitRetrying("add")
		c := f.retry(f.claimOne(), "first\n")
		f.start(c)
		f.wantAttempts(s, id, core.AttemptRetried, core.AttemptRunning)
		last := completed(c.Lease, "1")
		last.Output.Stdout.Head = []byte("last\n")
		f.wantSettle(last, core.VerdictOK)
		all := f.wantAttempts(s, id, core.AttemptRetried, core.AttemptCompleted)
		if !all[0].Output || !all[1].Output || all[1].Number != 2 || all[1].ElapsedMS < 0 {
			f.Fatalf("%+v", all)
		}
		for n, want := range map[int]string{1: "first\n", 2: "last\n"} {
			if _, out, err := s.AttemptOutput(f.ctx, id, n); err != nil || string(out.Stdout.Head) != want {
				f.Fatalf("attempt %d printed %q, %v", n, out.Stdout.Head, err)
			}
		}
		_, _, err := s.AttemptOutput(f.ctx, id, 3)
		f.wantErr(err, core.ErrNotFound)
	},
}

func (f *fixture) wantAttempts(s *core.Service, id core.TaskID, want ...core.AttemptEnd) []core.Attempt {
	f.Helper()
	_, all, err := s.Attempts(f.ctx, id)
	f.must(err)
	if len(all) != len(want) {
		f.Fatalf("%d attempts, want %v", len(all), want)
	}
	for i, a := range all {
		if a.End != want[i] {
			f.Fatalf("attempts %+v, want %v", all, want)
		}
	}
	return all
}

// service runs a Service on the store until the test ends.
func (f *fixture) service(regret time.Duration) *core.Service {
	f.Helper()
	s, err := core.NewService(core.ServiceConfig{Store: f.Store, Regret: regret})
	f.must(err)
	ctx, stop := context.WithCancel(f.ctx)
	ended := make(chan struct{})
	go func() { defer close(ended); _ = s.Run(ctx) }()
	f.Cleanup(func() { stop(); <-ended })
	return s
}

func (f *fixture) endOf(s *core.Service, id core.OperationID) core.Operation {
	f.Helper()
	op, err := s.Operation(f.ctx, id, 30*time.Second)
	f.must(err)
	if !op.State.Ended() {
		f.Fatalf("it has not ended: %+v", op)
	}
	return op
}
