package coretest

import (
	"time"

	"faasctl/core"
)

// stateCases try every verb in every state: an arrow of core.Transitions must
// be taken, and whatever is no arrow must leave the task as it was.
var stateCases = map[string]func(*fixture){}

func init() {
	for _, from := range core.States {
		for verb := range verbs {
			stateCases[string(from)+" "+string(verb)] = func(f *fixture) { tryVerb(f, from, verb) }
		}
	}
}

// verbs do to a task what the verb says; lease is its last one.
var verbs = map[core.Verb]func(*fixture, core.TaskID, core.Lease){
	core.VerbSubmit: func(f *fixture, id core.TaskID, _ core.Lease) {
		spec, err := f.Spec(f.ctx, id)
		f.must(err)
		f.accept([]core.Submission{{ID: id, Spec: spec}})
	},
	core.VerbDelay: func(f *fixture, id core.TaskID, _ core.Lease) {
		spec, err := f.Spec(f.ctx, id)
		f.must(err)
		f.accept([]core.Submission{{ID: id, Spec: spec, Delay: time.Hour}})
	},
	core.VerbClaim:   func(f *fixture, _ core.TaskID, _ core.Lease) { f.claim(10, longLease) },
	core.VerbSettle:  func(f *fixture, _ core.TaskID, lease core.Lease) { f.settle(completed(lease, "1")) },
	core.VerbFail:    func(f *fixture, _ core.TaskID, lease core.Lease) { f.settle(failed(lease, core.KindException)) },
	core.VerbRelease: func(f *fixture, _ core.TaskID, lease core.Lease) { f.releaseOne(lease, core.ReleaseGraceful) },
	core.VerbRetry: func(f *fixture, _ core.TaskID, lease core.Lease) {
		f.settle(failed(lease, core.KindException))
	},
	core.VerbPromote: func(f *fixture, id core.TaskID, _ core.Lease) {
		f.eventually("the promotion", func() bool {
			_, next, err := f.Promote(f.ctx)
			f.must(err)
			return next == 0
		})
	},
}

func tryVerb(f *fixture, from core.State, verb core.Verb) {
	id, lease := reach(f, from, verb)
	before := f.task(id)
	verbs[verb](f, id, lease)
	after := f.task(id)
	want, ok := from.Next(verb)
	if !ok {
		want = from
		if after.Epoch != before.Epoch || after.Attempt != before.Attempt || !after.Finished.Equal(before.Finished) {
			f.Fatalf("%s of a %s task changed it: %+v → %+v", verb, from, before, after)
		}
	}
	if verb == core.VerbCancel && from == core.Running {
		want = core.Running // only asked for
	}
	if after.State != want {
		f.Fatalf("%s of a %s task made it %s, want %s", verb, from, after.State, want)
	}
}

// reach makes a task in the given state. A DELAYED one is due at once when it is
// to be promoted, else far away.
func reach(f *fixture, state core.State, verb core.Verb) (core.TaskID, core.Lease) {
	fn := f.function("add")
	item := core.Submission{ID: core.NewTaskID(), Spec: spec(fn.ID)}
	if state == core.Delayed {
		if item.Delay = time.Hour; verb == core.VerbPromote {
			item.Delay = time.Millisecond
		}
	}
	if verb == core.VerbRetry {
		item.Spec.Retries, item.Spec.Backoff = 1, core.Backoff{First: time.Hour, Last: time.Hour}
	}
	f.accept([]core.Submission{item})
	lease := core.Lease{Task: item.ID, Epoch: 1, Claim: "nobody"}
	switch state {
	case core.Cancelled:
		f.cancelOne(item.ID)
	case core.Running, core.Completed, core.Failed:
		lease = f.claimOne().Lease
	}
	switch state {
	case core.Completed:
		f.wantSettle(completed(lease, "1"), core.VerdictOK)
	case core.Failed:
		lost := failed(lease, core.KindException)
		lost.Started = false // else its retries would be taken
		f.wantSettle(lost, core.VerdictOK)
	}
	return item.ID, lease
}
