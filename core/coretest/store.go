package coretest

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"faasctl/core"
)

// Open makes an empty store that ends with the test.
type Open func(t *testing.T) core.Store

// RunStore runs the conformance suite of stores.
func RunStore(t *testing.T, open Open) {
	suites := []struct {
		name  string
		cases map[string]func(*fixture)
	}{
		{"Functions", functionCases},
		{"Policies", policyCases},
		{"Tasks", taskCases}, {"Results", resultCases},
		{"Keys", keyCases},
		{"Listing", listCases},
		{"Queues", queueCases},
		{"Fits", fitCases},
		{"Expiry", expiryCases},
		{"Leases", leaseCases},
		{"Release", releaseCases},
		{"Attempts", attemptCases},
		{"Live", liveCases},
		{"Operations", operationCases},
		{"Bulk", bulkCases},
		{"Time", timeCases},
		{"Events", eventCases},
		{"Roster", rosterCases},
		{"States", stateCases},
		{"Why", whyCases},
	}
	for _, suite := range suites {
		t.Run(suite.name, func(t *testing.T) {
			for name, run := range suite.cases {
				t.Run(name, func(t *testing.T) {
					ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
					defer cancel()
					run(&fixture{T: t, Store: open(t), ctx: ctx})
				})
			}
		})
	}
}

// fixture is one case's store with the verbs that cases are written in.
type fixture struct {
	*testing.T
	core.Store
	ctx   context.Context
	count int
}

const longLease = time.Hour

func (f *fixture) must(err error) {
	f.Helper()
	if err != nil {
		f.Fatal(err)
	}
}

func (f *fixture) wantErr(err error, class *core.Class) {
	f.Helper()
	if !errors.Is(err, class) {
		f.Fatalf("got error %v, want %s", err, class.Name)
	}
}

// function registers a function of its own for each name.
func (f *fixture) function(name string) core.Function {
	f.Helper()
	fn, _, err := f.PutFunction(f.ctx, source(name, "def "+name+"(): pass\n"))
	f.must(err)
	return fn
}

func source(name, text string) core.Function {
	return core.Function{Name: name, Codec: core.Source, Entry: name, Body: []byte(text), BodyHash: core.HashBody([]byte(text)), BodySize: len(text)}
}

func spec(id core.FunctionID) core.Spec {
	return core.Spec{Function: id, Codec: core.JSON, Args: []byte(`[[],{}]`), Queue: core.DefaultQueue, Priority: core.DefaultPriority, Timeout: time.Minute}
}

// submit accepts n tasks of a function and returns their ids in order.
func (f *fixture) submit(id core.FunctionID, n int) []core.TaskID {
	f.Helper()
	batch := make([]core.Submission, n)
	for i := range batch {
		batch[i] = core.Submission{ID: core.NewTaskID(), Spec: spec(id)}
	}
	return f.accept(batch)
}

func (f *fixture) accept(batch []core.Submission) []core.TaskID {
	f.Helper()
	refused, err := f.Submit(f.ctx, batch)
	f.must(err)
	ids := make([]core.TaskID, len(batch))
	for i, item := range batch {
		ids[i] = item.ID
		f.must(refused[i])
	}
	return ids
}

func (f *fixture) submitOne(name string) core.TaskID {
	f.Helper()
	return f.submit(f.function(name).ID, 1)[0]
}

const dispatcher = core.DispatcherID("d-one")

func (f *fixture) claim(max int, lease time.Duration) []core.Claimed {
	f.Helper()
	f.count++
	claimed, err := f.Claim(f.ctx, core.ClaimRequest{ID: fmt.Sprintf("claim-%d", f.count), Dispatcher: dispatcher, Max: max, Lease: lease})
	f.must(err)
	return claimed
}

func (f *fixture) claimOne() core.Claimed {
	f.Helper()
	claimed := f.claim(1, longLease)
	if len(claimed) != 1 {
		f.Fatalf("claimed %d tasks, want 1", len(claimed))
	}
	return claimed[0]
}

func (f *fixture) task(id core.TaskID) core.Task {
	f.Helper()
	tasks, err := f.Tasks(f.ctx, []core.TaskID{id})
	f.must(err)
	if tasks[0].ID != id {
		f.Fatalf("task %s is not there", id)
	}
	return tasks[0]
}

func (f *fixture) wantState(id core.TaskID, want core.State) core.Task {
	f.Helper()
	task := f.task(id)
	if task.State != want {
		f.Fatalf("task %s is %s, want %s", id, task.State, want)
	}
	return task
}

func (f *fixture) result(id core.TaskID) *core.Result {
	f.Helper()
	results, err := f.Results(f.ctx, []core.TaskID{id})
	f.must(err)
	return results[0]
}

func completed(lease core.Lease, json string) core.Settlement {
	return core.Settlement{Worker: "w-one", Outcome: core.Outcome{
		Lease: lease, State: core.Completed, Started: true, Elapsed: 5 * time.Millisecond,
		Result: core.Result{JSON: []byte(json), Repr: json},
	}}
}

func failed(lease core.Lease, kind core.FailureKind) core.Settlement {
	s := completed(lease, "")
	s.State = core.Failed
	s.Result = core.Result{Failure: &core.Failure{Kind: kind, Type: "ValueError", Message: "no such luck"}}
	return s
}

func (f *fixture) settle(s core.Settlement) core.Verdict {
	f.Helper()
	verdicts, err := f.Settle(f.ctx, []core.Settlement{s})
	f.must(err)
	return verdicts[0]
}

func (f *fixture) wantSettle(s core.Settlement, want core.Verdict) {
	f.Helper()
	if got := f.settle(s); got != want {
		f.Fatalf("settle said %q, want %q", got, want)
	}
}

func (f *fixture) releaseOne(lease core.Lease, reason core.ReleaseReason) core.Verdict {
	f.Helper()
	verdicts, err := f.Store.Release(f.ctx, []core.Lease{lease}, reason, "")
	f.must(err)
	return verdicts[0]
}

func (f *fixture) start(c core.Claimed) core.Verdict {
	f.Helper()
	verdicts, err := f.Renew(f.ctx, []core.Renewal{{Lease: c.Lease, Worker: "w-one", Started: true, StartedAgo: time.Millisecond}}, longLease)
	f.must(err)
	return verdicts[0]
}

func (f *fixture) renewAs(lease core.Lease, principal string, by core.DispatcherID) core.Verdict {
	f.Helper()
	verdicts, err := f.Renew(f.ctx, []core.Renewal{{Lease: lease, Worker: "w-one", Principal: principal, Dispatcher: by}}, longLease)
	f.must(err)
	return verdicts[0]
}

func (f *fixture) cancelOne(id core.TaskID) core.CancelVerdict {
	f.Helper()
	verdicts, err := f.Cancel(f.ctx, []core.TaskID{id}, 0)
	f.must(err)
	return verdicts[0]
}

// listen returns the hints that come from now on.
func (f *fixture) listen() <-chan core.Hint {
	hints, ended := make(chan core.Hint, 100), make(chan error, 1)
	ctx, stop := context.WithCancel(f.ctx)
	go func() {
		ended <- f.Listen(ctx, func(h core.Hint) {
			select {
			case hints <- h:
			case <-ctx.Done():
			}
		})
	}()
	f.Cleanup(func() { stop(); <-ended })
	f.hint(hints, core.HintReset)
	return hints
}

// hint waits for the next one of a kind.
func (f *fixture) hint(hints <-chan core.Hint, kind core.HintKind) core.Hint {
	f.Helper()
	for {
		select {
		case h := <-hints:
			if h.Kind == kind {
				return h
			}
		case <-f.ctx.Done():
			f.Fatalf("no hint %s", kind)
		}
	}
}

// eventually repeats try until it holds; the only way a case waits for time.
func (f *fixture) eventually(what string, try func() bool) {
	f.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !try() {
		select {
		case <-tick.C:
		case <-f.ctx.Done():
			f.Fatalf("%s did not come about", what)
		}
	}
}

func ids(claimed []core.Claimed) []core.TaskID {
	all := make([]core.TaskID, len(claimed))
	for i, c := range claimed {
		all[i] = c.Task
	}
	return all
}
