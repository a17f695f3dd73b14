package coretest

import (
	"bytes"
	"slices"
	"time"

	"faasctl/core"
)

var taskCases = map[string]func(*fixture){
	"a task is queued with its spec": func(f *fixture) {
		fn := f.function("add")
		s := spec(fn.ID)
		s.Args, s.Labels, s.Retries, s.Priority, s.Codec = []byte("\x80\x04\x00\xff."), map[string]string{"a": "1,2"}, 3, 7, core.Dill
		id := f.accept([]core.Submission{{ID: core.NewTaskID(), Spec: s}})[0]
		task := f.wantState(id, core.Queued)
		if task.Function != fn.ID || task.Codec != core.Dill || task.Priority != 7 || task.Queue != core.DefaultQueue || task.Submitted.IsZero() || task.Attempt != 0 {
			f.Fatalf("record: %+v", task)
		}
		got, err := f.Spec(f.ctx, id)
		f.must(err)
		if !bytes.Equal(got.Args, s.Args) || got.Retries != 3 || got.Timeout != s.Timeout || got.Labels["a"] != "1,2" || got.Codec != core.Dill {
			f.Fatalf("spec: %+v", got)
		}
		if f.result(id) != nil {
			f.Fatal("a queued task has a result")
		}
	},
	"a repeated submit creates one task": func(f *fixture) {
		item := core.Submission{ID: core.NewTaskID(), Spec: spec(f.function("add").ID)}
		f.accept([]core.Submission{item})
		f.accept([]core.Submission{item})
		if n := len(f.claim(10, longLease)); n != 1 {
			f.Fatalf("%d tasks", n)
		}
		stats, err := f.Stats(f.ctx)
		f.must(err)
		if stats.Totals.Submitted != 1 {
			f.Fatalf("submitted %d", stats.Totals.Submitted)
		}
	},
	"one unknown function does not spoil the batch": func(f *fixture) {
		good, bad := spec(f.function("add").ID), spec(core.NewFunctionID())
		batch := []core.Submission{{ID: core.NewTaskID(), Spec: good}, {ID: core.NewTaskID(), Spec: bad}, {ID: core.NewTaskID(), Spec: good}}
		refused, err := f.Submit(f.ctx, batch)
		f.must(err)
		if refused[0] != nil || refused[2] != nil {
			f.Fatalf("refused: %v", refused)
		}
		f.wantErr(refused[1], core.ErrNotFound)
		if n := len(f.claim(10, longLease)); n != 2 {
			f.Fatalf("%d tasks", n)
		}
	},
	"arguments of every size survive": func(f *fixture) {
		fn := f.function("add")
		for _, size := range []int{3, 65, 64 << 10, 64<<10 + 1, 3 << 20} {
			s := spec(fn.ID)
			s.Codec, s.Args = core.Dill, append(append([]byte{0x80}, bytes.Repeat([]byte{0, '\r', 0xfe}, size/3)...), '.')
			id := f.accept([]core.Submission{{ID: core.NewTaskID(), Spec: s}})[0]
			c := f.claimOne()
			if c.Task != id || !bytes.Equal(c.Spec.Args, s.Args) || c.Spec.Function != fn.ID || c.Spec.Timeout != s.Timeout {
				f.Fatalf("%d bytes came back as %d", len(s.Args), len(c.Spec.Args))
			}
			got, err := f.Spec(f.ctx, id)
			f.must(err)
			if !bytes.Equal(got.Args, s.Args) {
				f.Fatalf("Spec gave %d bytes", len(got.Args))
			}
		}
	},
	"a full batch is accepted and claimed in order": func(f *fixture) {
		want := f.submit(f.function("add").ID, core.MaxBatch)
		got := ids(f.claim(core.MaxBatch, longLease))
		if !slices.Equal(got, want) {
			f.Fatalf("%d of %d came, or in another order", len(got), len(want))
		}
	},
	"what does not exist": func(f *fixture) {
		id := core.NewTaskID()
		tasks, err := f.Tasks(f.ctx, []core.TaskID{id, f.submitOne("add")})
		f.must(err)
		if tasks[0].ID != "" || tasks[1].ID == "" {
			f.Fatalf("tasks: %+v", tasks)
		}
		_, err = f.Spec(f.ctx, id)
		f.wantErr(err, core.ErrNotFound)
		if f.result(id) != nil || f.cancelOne(id) != core.CancelUnknown {
			f.Fatal("an unknown task has a result or can be cancelled")
		}
	},
	"results and output survive": func(f *fixture) {
		id := f.submitOne("add")
		s := completed(f.claimOne().Lease, `{"a":[1,null,"☃"]}`)
		s.Result.Pickle, s.Result.Repr = bytes.Repeat([]byte{0, 0xff}, 100_000), "re\npr\t☃"
		s.Output = core.Output{Stdout: core.Stream{Head: []byte("he\x00ad"), Tail: []byte("tail"), Cut: 7}, Stderr: core.Stream{Head: []byte("oops\n")}}
		f.wantSettle(s, core.VerdictOK)
		task := f.wantState(id, core.Completed)
		if task.Worker != "w-one" || task.Attempt != 1 || task.Started.IsZero() || task.Finished.Before(task.Started) {
			f.Fatalf("record: %+v", task)
		}
		got := f.result(id)
		if string(got.JSON) != string(s.Result.JSON) || !bytes.Equal(got.Pickle, s.Result.Pickle) || got.Repr != s.Result.Repr || got.Failure != nil {
			f.Fatalf("result: %+v", got)
		}
		output, err := f.Output(f.ctx, id)
		f.must(err)
		if string(output.Stdout.Head) != "he\x00ad" || string(output.Stdout.Tail) != "tail" || output.Stdout.Cut != 7 || string(output.Stderr.Head) != "oops\n" {
			f.Fatalf("output: %+v", output)
		}
	},
	"failures survive": func(f *fixture) {
		id := f.submitOne("add")
		s := failed(f.claimOne().Lease, core.KindCrash)
		status := 9
		s.Result.Failure.Exit, s.Result.Failure.Signal, s.Result.Failure.Traceback, s.Result.Failure.Last = &status, "SIGKILL", "Traceback…\n  line\n", "last words"
		f.wantSettle(s, core.VerdictOK)
		if task := f.wantState(id, core.Failed); task.Failure != core.KindCrash {
			f.Fatalf("kind %q", task.Failure)
		}
		got := f.result(id).Failure
		if got == nil || got.Kind != core.KindCrash || *got.Exit != 9 || got.Signal != "SIGKILL" || got.Traceback != s.Result.Failure.Traceback || got.Last != "last words" || got.Type != "ValueError" {
			f.Fatalf("failure: %+v", got)
		}
	},
	"cancel of waiting tasks is at once and holds": func(f *fixture) {
		fn := f.function("add")
		queued := f.submit(fn.ID, 3)
		delayed := f.accept([]core.Submission{{ID: core.NewTaskID(), Spec: spec(fn.ID), Delay: time.Hour}})[0]
		for _, id := range []core.TaskID{queued[1], delayed} {
			if v := f.cancelOne(id); v != core.CancelDone {
				f.Fatalf("cancel said %q", v)
			}
			if task := f.wantState(id, core.Cancelled); task.Failure != core.KindCancelled || task.Finished.IsZero() {
				f.Fatalf("record: %+v", task)
			}
			if r := f.result(id); r == nil || r.Failure.Kind != core.KindCancelled {
				f.Fatalf("result: %+v", r)
			}
			if v := f.cancelOne(id); v != core.CancelTooLate {
				f.Fatalf("second cancel said %q", v)
			}
		}
		if got := ids(f.claim(10, longLease)); !slices.Equal(got, []core.TaskID{queued[0], queued[2]}) {
			f.Fatalf("claimed %v", got)
		}
	},
	"cancel of a running task is never overtaken by its success": func(f *fixture) {
		id := f.submitOne("add")
		c := f.claimOne()
		if v := f.cancelOne(id); v != core.CancelRequested {
			f.Fatalf("cancel said %q", v)
		}
		if task := f.wantState(id, core.Running); !task.Cancelling {
			f.Fatal("the mark is not seen")
		}
		if v := f.start(c); v != core.VerdictCancelling {
			f.Fatalf("renew said %q", v)
		}
		f.wantSettle(completed(c.Lease, "1"), core.VerdictOK)
		f.wantState(id, core.Cancelled)
		if r := f.result(id); r == nil || r.JSON != nil || r.Failure.Kind != core.KindCancelled {
			f.Fatalf("result: %+v", r)
		}
	},
	"a cancel has a grace of its own, in the hint and in every renewal, and the last one holds": func(f *fixture) {
		id := f.submitOne("add")
		c := f.claimOne()
		hints := f.listen()
		for _, grace := range []time.Duration{5 * time.Second, core.NoGrace, 0, core.MaxGrace, time.Second} {
			verdicts, err := f.Cancel(f.ctx, []core.TaskID{id, core.NewTaskID()}, grace)
			f.must(err)
			if !slices.Equal(verdicts, []core.CancelVerdict{core.CancelRequested, core.CancelUnknown}) {
				f.Fatalf("cancel said %q", verdicts)
			}
			if h := f.hint(hints, core.HintCancel); h.Grace != grace || !slices.Equal(h.Tasks, []core.TaskID{id}) {
				f.Fatalf("the hint of a grace of %s is %+v", grace, h)
			}
			for range 2 {
				if got, yes := f.start(c).Cancelling(); !yes || got != grace {
					f.Fatalf("renewed with a grace of %s, %v, not %s", got, yes, grace)
				}
			}
		}
		f.wantSettle(completed(c.Lease, "1"), core.VerdictOK)
		f.wantState(id, core.Cancelled)
		if got := f.start(c); got != core.VerdictAlready {
			f.Fatalf("renewed: %q", got)
		}
	},
}
