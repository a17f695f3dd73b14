package coretest

import (
	"errors"
	"slices"
	"time"

	"faasctl/core"
)

// operationCases are about the journal: each step once, and what can be undone.
var operationCases = map[string]func(*fixture){
	"an operation is written once and found again": func(f *fixture) {
		op := core.Operation{ID: core.NewOperationID(), Kind: core.OperationPurge, By: "uid 1", GraceMS: 1500, Planned: 7, More: true,
			Filter: core.BulkFilter{Function: "add", Functions: []core.FunctionID{"f"}, Queue: "q", Error: "ValueError"}}
		first, err := f.PutOperation(f.ctx, op, time.Hour)
		f.must(err)
		if first.State != core.OperationPending || first.Created.IsZero() || first.Due.Sub(first.Created) != time.Hour || first.By != "uid 1" || first.GraceMS != 1500 ||
			first.Planned != 7 || !first.More || first.Filter.Error != "ValueError" || first.Filter.Functions[0] != "f" {
			f.Fatalf("%+v", first)
		}
		op.Planned = 8
		again, err := f.PutOperation(f.ctx, op, 0)
		f.must(err)
		if again.Planned != 7 || !again.Due.Equal(first.Due) {
			f.Fatalf("written again: %+v", again)
		}
		second := f.operation(core.OperationCancel, 0)
		all, err := f.Operations(f.ctx, 10)
		f.must(err)
		if len(all) != 2 || !slices.ContainsFunc(all, func(o core.Operation) bool { return o.ID == second.ID }) {
			f.Fatalf("journal: %+v", all)
		}
		due, next, err := f.DueOperations(f.ctx)
		f.must(err)
		if len(due) != 1 || due[0].ID != second.ID || next <= 50*time.Minute || next > time.Hour {
			f.Fatalf("due: %+v, next in %v", due, next)
		}
	},
	"an unknown one is not found": func(f *fixture) {
		id := core.NewOperationID()
		_, err := f.Operation(f.ctx, id)
		f.wantErr(err, core.ErrNotFound)
		_, err = f.UndoOperation(f.ctx, id)
		f.wantErr(err, core.ErrNotFound)
		_, err = f.StepOperation(f.ctx, core.OperationStep{ID: id})
		f.wantErr(err, core.ErrNotFound)
		_, err = f.UndoStep(f.ctx, id, 10)
		f.wantErr(err, core.ErrNotFound)
	},
	"a pending one takes no step, and undone never will": func(f *fixture) {
		id := f.submitOne("add")
		op := f.operation(core.OperationCancel, time.Hour)
		step := core.OperationStep{ID: op.ID, To: "1", Tasks: []core.TaskID{id}, States: []core.State{core.Queued}, Last: true}
		_, err := f.StepOperation(f.ctx, step)
		f.wantErr(err, core.ErrStale)
		for range 2 {
			undone, err := f.UndoOperation(f.ctx, op.ID)
			f.must(err)
			if undone.State != core.OperationUndone || undone.Ended.IsZero() {
				f.Fatalf("%+v", undone)
			}
		}
		_, err = f.StepOperation(f.ctx, step)
		f.wantErr(err, core.ErrStale)
		f.wantState(id, core.Queued)
		if due, next, err := f.DueOperations(f.ctx); err != nil || len(due) != 0 || next != 0 {
			f.Fatalf("due: %v %v %v", due, next, err)
		}
	},
	"a step is carried out once": func(f *fixture) {
		ids := f.submit(f.function("add").ID, 4)
		op := f.operation(core.OperationCancel, 0)
		step := core.OperationStep{ID: op.ID, To: "half", Tasks: ids[:2], States: []core.State{core.Queued}}
		after, err := f.StepOperation(f.ctx, step)
		f.must(err)
		if after.State != core.OperationApplying || after.Applied != 2 || after.At != "half" {
			f.Fatalf("%+v", after)
		}
		after, err = f.StepOperation(f.ctx, step)
		if !errors.Is(err, core.ErrStale) || after.Applied != 2 {
			f.Fatalf("again: %+v, %v", after, err)
		}
		after, err = f.StepOperation(f.ctx, core.OperationStep{ID: op.ID, From: "half", To: "all", Tasks: ids[1:], States: []core.State{core.Queued}, Last: true})
		f.must(err)
		if after.State != core.OperationDone || after.Applied != 4 || after.Ended.IsZero() {
			f.Fatalf("%+v", after)
		}
		_, err = f.UndoOperation(f.ctx, op.ID)
		f.wantErr(err, core.ErrConflict)
		for _, id := range ids {
			f.wantState(id, core.Cancelled)
		}
	},
	"a bulk cancel leaves other states alone, and is not overtaken by a late success": func(f *fixture) {
		f.submit(f.function("add").ID, 3)
		c := f.claim(2, longLease)
		ended, running := c[0], c[1]
		f.wantSettle(completed(ended.Lease, "1"), core.VerdictOK)
		page, err := f.List(f.ctx, core.TaskFilter{State: core.Queued})
		f.must(err)
		all := []core.TaskID{ended.Task, running.Task, page.Tasks[0].ID, core.NewTaskID()}
		waiting := f.step(core.OperationCancel, core.OperationStep{Tasks: all, States: []core.State{core.Queued, core.Delayed}})
		if waiting.Applied != 1 || f.task(running.Task).Cancelling {
			f.Fatalf("%+v, running: %+v", waiting, f.task(running.Task))
		}
		f.wantState(page.Tasks[0].ID, core.Cancelled)
		for i := range 2 { // a task that was told to end is not told, nor counted, again
			grace := []time.Duration{5 * time.Second, core.NoGrace}[i]
			if told := f.step(core.OperationCancel, core.OperationStep{Tasks: all, States: core.States, Grace: grace}); told.Applied != 1-i {
				f.Fatalf("time %d: %+v", i+1, told)
			}
			if got, _ := f.start(running).Cancelling(); got != 5*time.Second {
				f.Fatalf("it has a grace of %s", got)
			}
		}
		f.wantSettle(completed(running.Lease, "1"), core.VerdictOK)
		f.wantState(running.Task, core.Cancelled)
		f.wantState(ended.Task, core.Completed)
	},
	"dead letters are listed until they are run again": func(f *fixture) {
		one, two := f.function("one"), f.function("two")
		want := f.die(one.ID, 3)
		other := f.die(two.ID, 1)[0]
		f.submit(one.ID, 1)
		f.cancelOne(f.submit(one.ID, 1)[0])
		if got := f.dead(""); len(got) != 4 {
			f.Fatalf("%d dead letters, want 4", len(got))
		}
		if got := f.dead(two.ID); len(got) != 1 || got[0] != other {
			f.Fatalf("of two: %v", got)
		}
		page, err := f.List(f.ctx, core.TaskFilter{Dead: true, Function: one.ID, Limit: 2})
		f.must(err)
		if len(page.Tasks) != 2 || page.Next == "" {
			f.Fatalf("page: %+v", page)
		}
		s := spec(one.ID)
		s.RetryOf = want[1]
		f.accept([]core.Submission{{ID: core.NewTaskID(), Spec: s}})
		if got := f.dead(one.ID); len(got) != 2 || slices.Contains(got, want[1]) {
			f.Fatalf("of one: %v", got)
		}
		if page, err := f.List(f.ctx, core.TaskFilter{State: core.Failed}); err != nil || len(page.Tasks) != 4 {
			f.Fatalf("%d failed tasks, %v", len(page.Tasks), err)
		}
	},
	"a purge forgets dead letters and nothing else": func(f *fixture) {
		fn := f.function("add")
		doomed := f.die(fn.ID, 2)
		alive := f.submit(fn.ID, 1)[0]
		op := f.step(core.OperationPurge, core.OperationStep{Tasks: append(doomed, alive, core.NewTaskID())})
		if op.Applied != 2 || len(f.dead("")) != 0 {
			f.Fatalf("%+v", op)
		}
		tasks, err := f.Tasks(f.ctx, append(doomed, alive))
		f.must(err)
		if tasks[0].ID != "" || tasks[1].ID != "" || tasks[2].State != core.Queued || f.result(doomed[0]) != nil {
			f.Fatalf("left: %+v", tasks)
		}
		for _, filter := range []core.TaskFilter{{State: core.Failed}, {State: core.Failed, Function: fn.ID}} {
			if page, err := f.List(f.ctx, filter); err != nil || len(page.Tasks) != 0 {
				f.Fatalf("listed: %+v, %v", page, err)
			}
		}
		_, err = f.Spec(f.ctx, doomed[0])
		f.wantErr(err, core.ErrNotFound)
		f.submit(fn.ID, 1) // what forgets old tasks passes over those that are gone
	},
	"a bulk retry runs dead letters again, each once": func(f *fixture) {
		fn, gone := f.function("add"), f.function("gone")
		dead, orphan := f.die(fn.ID, 2), f.die(gone.ID, 1)[0]
		f.must(f.RemoveFunction(f.ctx, gone.ID))
		news := f.again(append(dead, orphan)...)
		op := f.step(core.OperationRetry, core.OperationStep{Retries: news})
		if op.Applied != 2 || op.Skipped != 1 {
			f.Fatalf("%+v", op)
		}
		for i, id := range dead {
			if f.task(id).RetriedAs != news[i].ID {
				f.Fatalf("%s was retried as %s", id, f.task(id).RetriedAs)
			}
			f.wantState(news[i].ID, core.Queued)
		}
		if got := f.dead(""); len(got) != 1 || got[0] != orphan {
			f.Fatalf("dead: %v", got)
		}
		if second := f.step(core.OperationRetry, core.OperationStep{Retries: f.again(dead...)}); second.Applied != 0 {
			f.Fatalf("a second time: %+v", second)
		}
		if got := ids(f.claim(10, longLease)); !slices.Equal(got, []core.TaskID{news[0].ID, news[1].ID}) {
			f.Fatalf("claimed %v", got)
		}
	},
	"the undo of a retry cancels what has not begun, and says how many had": func(f *fixture) {
		fn := f.function("add")
		dead := f.die(fn.ID, 5)
		news := f.again(dead...)
		op := f.step(core.OperationRetry, core.OperationStep{Retries: news})
		claimed := f.claim(3, longLease)
		f.wantSettle(completed(claimed[0].Lease, "1"), core.VerdictOK)
		f.start(claimed[1])
		f.releaseOne(claimed[1].Lease, core.ReleaseVanished) // it waits again, but has begun
		undoing, err := f.UndoOperation(f.ctx, op.ID)
		f.must(err)
		if undoing.State != core.OperationUndoing || !undoing.Ended.IsZero() {
			f.Fatalf("%+v", undoing)
		}
		if due, _, err := f.DueOperations(f.ctx); err != nil || len(due) != 1 {
			f.Fatalf("due: %v, %v", due, err)
		}
		for range 3 {
			if undoing, err = f.UndoStep(f.ctx, op.ID, 2); err != nil {
				f.Fatal(err)
			}
		}
		if undoing.State != core.OperationUndone || undoing.Undone != 2 || undoing.Started != 3 || undoing.Ended.IsZero() {
			f.Fatalf("%+v", undoing)
		}
		_, err = f.UndoStep(f.ctx, op.ID, 2)
		f.wantErr(err, core.ErrStale)
		for i, want := range []core.State{core.Completed, core.Queued, core.Running, core.Cancelled, core.Cancelled} {
			f.wantState(news[i].ID, want)
			if again := f.task(dead[i]).RetriedAs == ""; again != (want == core.Cancelled) {
				f.Fatalf("task %d: is it a dead letter again? %v", i, again)
			}
		}
		if got := f.dead(fn.ID); len(got) != 2 {
			f.Fatalf("%d dead letters, want 2", len(got))
		}
	},
	"a retry that is being undone goes no further": func(f *fixture) {
		fn := f.function("add")
		dead := f.die(fn.ID, 2)
		op := f.operation(core.OperationRetry, 0)
		_, err := f.StepOperation(f.ctx, core.OperationStep{ID: op.ID, To: "1", Retries: f.again(dead[0])})
		f.must(err)
		_, err = f.UndoOperation(f.ctx, op.ID)
		f.must(err)
		_, err = f.StepOperation(f.ctx, core.OperationStep{ID: op.ID, From: "1", To: "2", Retries: f.again(dead[1])})
		f.wantErr(err, core.ErrStale)
		undone, err := f.UndoStep(f.ctx, op.ID, 10)
		f.must(err)
		if undone.State != core.OperationUndone || undone.Undone != 1 || len(f.dead("")) != 2 {
			f.Fatalf("%+v, %d dead", undone, len(f.dead("")))
		}
	},
	"the journal is bounded, and keeps what is not over": func(f *fixture) {
		open := f.operation(core.OperationPurge, time.Hour)
		for range core.KeepOperations + 5 {
			_, err := f.UndoOperation(f.ctx, f.operation(core.OperationPurge, time.Hour).ID)
			f.must(err)
		}
		last := f.operation(core.OperationPurge, time.Hour)
		all, err := f.Operations(f.ctx, core.KeepOperations+100)
		f.must(err)
		if len(all) != core.KeepOperations+2 {
			f.Fatalf("%d operations are kept", len(all))
		}
		for _, id := range []core.OperationID{open.ID, last.ID} {
			if op, err := f.Operation(f.ctx, id); err != nil || op.State != core.OperationPending {
				f.Fatalf("%+v, %v", op, err)
			}
		}
	},
}

// operation writes one that is due after wait.
func (f *fixture) operation(kind core.OperationKind, wait time.Duration) core.Operation {
	f.Helper()
	op, err := f.PutOperation(f.ctx, core.Operation{ID: core.NewOperationID(), Kind: kind}, wait)
	f.must(err)
	return op
}

// step carries out an operation of one step.
func (f *fixture) step(kind core.OperationKind, step core.OperationStep) core.Operation {
	f.Helper()
	step.ID, step.To, step.Last = f.operation(kind, 0).ID, "end", true
	op, err := f.StepOperation(f.ctx, step)
	f.must(err)
	return op
}

// die makes n dead letters of a function, in order of submission.
func (f *fixture) die(id core.FunctionID, n int) []core.TaskID {
	f.Helper()
	dead := f.submit(id, n)
	for died := 0; died < n; {
		claimed := f.claim(n, longLease)
		if len(claimed) == 0 {
			f.Fatalf("claimed %d of %d", died, n)
		}
		for _, c := range claimed {
			f.wantSettle(failed(c.Lease, core.KindException), core.VerdictOK)
		}
		died += len(claimed)
	}
	return dead
}

// dead lists dead letters, newest first.
func (f *fixture) dead(id core.FunctionID) []core.TaskID {
	f.Helper()
	page, err := f.List(f.ctx, core.TaskFilter{Dead: true, Function: id})
	f.must(err)
	got := make([]core.TaskID, len(page.Tasks))
	for i, t := range page.Tasks {
		got[i] = t.ID
	}
	return got
}

// again makes a submission for each that runs it again.
func (f *fixture) again(old ...core.TaskID) []core.Submission {
	f.Helper()
	batch := make([]core.Submission, len(old))
	for i, id := range old {
		s, err := f.Spec(f.ctx, id)
		f.must(err)
		s.RetryOf = id
		batch[i] = core.Submission{ID: core.NewTaskID(), Spec: s}
	}
	return batch
}
