package core_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"faasctl/core"
)

// watcher keeps the picture that it was shown, delta by delta.
type watcher struct {
	mu   sync.Mutex
	seen seen
}

type seen struct {
	picture core.Top
	calls   int
	wholes  int
}

func (w *watcher) see(t core.Top, whole bool) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.seen.calls++
	if whole {
		w.seen.wholes++
		w.seen.picture = t
	} else {
		w.seen.picture = w.seen.picture.Merge(t)
	}
	return nil
}

// now is what it has seen so far.
func (w *watcher) now() seen {
	synctest.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.seen
}

// onBoard runs a test with a board that has one watcher.
func onBoard(t *testing.T, run func(*desk, *watcher)) {
	serve(t, core.ServiceConfig{}, func(d *desk) {
		board := core.NewBoard(d.Service)
		ctx, cancel := context.WithCancel(d.ctx)
		ended := make(chan error, 2)
		w := &watcher{}
		go func() { ended <- board.Run(ctx) }()
		go func() { ended <- board.Watch(ctx, 10*time.Second, w.see) }()
		synctest.Wait()
		run(d, w)
		cancel()
		for range 2 {
			if err := <-ended; err != nil && !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
		}
	})
}

func TestABoardShowsThePictureAndThenWhatChanged(t *testing.T) {
	onBoard(t, func(d *desk, w *watcher) {
		if s := w.now(); s.wholes != 1 || s.picture.Numbers == nil || s.picture.Numbers.Totals.Submitted != 0 {
			t.Fatalf("%+v", s)
		}
		d.register("f", "1")
		first := d.submit("f")
		d.submit("f")
		d.end(first)
		time.Sleep(1500 * time.Millisecond) // of the bubble
		p := w.now().picture
		if n := p.Numbers; n.Totals.Submitted != 2 || n.Totals.Completed != 1 || n.Queued != 1 {
			t.Fatalf("%+v", n)
		}
		if p.Run.Count() != 1 || len(p.Functions) != 1 || p.Functions[0].Name != "f@1" || len(*p.Queues) != 1 {
			t.Fatalf("%+v", p)
		}
		if n := w.now().wholes; n != 1 {
			t.Fatalf("the whole picture was sent %d times", n)
		}
	})
}

// A board tells of operations while they go on, and for a minute after.
func TestABoardShowsOperations(t *testing.T) {
	onBoard(t, func(d *desk, w *watcher) {
		d.register("f", "1")
		d.submit("f")
		op, err := d.Service.StartOperation(d.ctx, core.OperationRequest{Kind: core.OperationCancel})
		if err != nil {
			t.Fatal(err)
		}
		shown := func() []core.Operation {
			time.Sleep(1200 * time.Millisecond)
			return *w.now().picture.Operations
		}
		if all := shown(); len(all) != 1 || all[0].ID != op.ID || all[0].State != core.OperationPending || all[0].Due.IsZero() {
			t.Fatalf("%+v", all)
		}
		time.Sleep(10 * time.Second)
		if all := shown(); len(all) != 1 || all[0].State != core.OperationDone || all[0].Applied != 1 {
			t.Fatalf("%+v", all)
		}
		time.Sleep(time.Minute)
		if all := shown(); len(all) != 0 {
			t.Fatalf("a minute later: %+v", all)
		}
	})
}

func TestABoardIsQuietWhenNothingChanges(t *testing.T) {
	onBoard(t, func(d *desk, w *watcher) {
		time.Sleep(2 * time.Second)
		before := w.now().calls
		time.Sleep(time.Minute)
		if beats := w.now().calls - before; beats < 5 || beats > 7 {
			t.Fatalf("%d calls in a quiet minute, want a beat each 10 s", beats)
		}
	})
}

// That a worker was heard from is no news by itself, yet ages are counted from it.
func TestABoardTellsWhoWasHeardFrom(t *testing.T) {
	onBoard(t, func(d *desk, w *watcher) {
		began := time.Now()
		for range 10 {
			_, err := d.store.Announce(d.ctx, core.Announcement{Dispatcher: core.DispatcherInfo{ID: "d-1"}, Workers: []core.Worker{{ID: "w-1", State: core.WorkerRunning}}})
			if err != nil {
				t.Fatal(err)
			}
			time.Sleep(5 * time.Second)
		}
		s := w.now()
		if p := s.picture; p.Workers == nil || len(*p.Workers) != 1 || (*p.Workers)[0].Seen.Sub(began) < 30*time.Second {
			t.Fatalf("%+v", p.Workers)
		}
		if s.calls > 12 {
			t.Fatalf("%d calls in 50 s for who was heard from, want one each 10 s", s.calls)
		}
	})
}

func TestABoardSaysWhenTheStoreIsGone(t *testing.T) {
	dispatch(t, core.Push, func(r *rig) {
		service, err := core.NewService(core.ServiceConfig{Store: r.Store})
		r.must(err)
		board := core.NewBoard(service)
		ctx, cancel := context.WithCancel(r.ctx)
		ended := make(chan error, 2)
		w := &watcher{}
		go func() { ended <- board.Run(ctx) }()
		go func() { ended <- board.Watch(ctx, time.Minute, w.see) }()
		r.submit(1, nil)
		r.pass(2 * time.Second)
		r.down.Store(true)
		r.pass(2 * time.Second)
		if p := w.now().picture; p.Trouble == "" || p.Numbers.Queued != 1 {
			t.Fatalf("%+v", p)
		}
		r.down.Store(false)
		r.pass(2 * time.Second)
		if p := w.now().picture; p.Trouble != "" {
			t.Fatalf("still in trouble: %s", p.Trouble)
		}
		cancel()
		<-ended
		<-ended
	})
}

// Whatever two pictures there are: what has changed since the first, merged into
// it, is the second.
func TestADeltaLeadsFromOnePictureToTheOther(t *testing.T) {
	workers := func(names ...core.WorkerID) *[]core.Worker {
		list := []core.Worker{}
		for _, n := range names {
			list = append(list, core.Worker{ID: n})
		}
		return &list
	}
	pictures := []core.Top{
		{},
		{Numbers: &core.TopNumbers{Queued: 1}, Workers: workers("w-1"), Wait: core.Histogram{3: 1}, Store: &core.StoreInfo{Kind: "redis"}},
		{Numbers: &core.TopNumbers{Queued: 2}, Workers: workers("w-1", "w-2"), Wait: core.Histogram{3: 2, 9: 1}, Store: &core.StoreInfo{Kind: "redis"},
			Functions: []core.FunctionStats{{Function: "a", Totals: core.Totals{Submitted: 1}}}},
		{Numbers: &core.TopNumbers{}, Workers: workers(), Wait: core.Histogram{3: 2, 9: 2}, Store: &core.StoreInfo{Kind: "redis"}, Trouble: "gone",
			Functions: []core.FunctionStats{{Function: "a", Totals: core.Totals{Submitted: 2}}, {Function: "b"}}},
	}
	for i := 1; i < len(pictures); i++ {
		delta, news := pictures[i].Since(pictures[i-1])
		if got := pictures[i-1].Merge(delta); !news || !reflect.DeepEqual(got, pictures[i]) {
			t.Errorf("picture %d: %+v, want %+v", i, got, pictures[i])
		}
		if _, news := pictures[i].Since(pictures[i]); news {
			t.Errorf("picture %d differs from itself", i)
		}
	}
}

func TestRetryRunsTheSameAgain(t *testing.T) {
	serve(t, core.ServiceConfig{}, func(d *desk) {
		d.register("f", "1")
		ended, waiting := d.submit("f"), core.TaskID("")
		d.end(ended)
		waiting = d.submit("f")
		answers, err := d.Retry(d.ctx, []core.TaskID{ended, waiting, core.NewTaskID()})
		if err != nil {
			t.Fatal(err)
		}
		wantClass(t, answers[1].Err, core.ErrConflict, string(waiting))
		wantClass(t, answers[2].Err, core.ErrNotFound)
		spec, err := d.Spec(d.ctx, answers[0].ID)
		if err != nil || answers[0].Err != nil || spec.RetryOf != ended || string(spec.Args) != "[[],{}]" {
			t.Fatalf("%+v %v %v", spec, err, answers[0].Err)
		}
	})
}

func TestFailuresAreGroupedByWhatTheyDiedOf(t *testing.T) {
	serve(t, core.ServiceConfig{}, func(d *desk) {
		d.register("f", "1")
		for _, kind := range []string{"ValueError", "ValueError", "KeyError"} {
			id := d.submit("f")
			claimed, err := d.store.Claim(d.ctx, core.ClaimRequest{ID: string(id), Max: 1, Lease: time.Hour})
			if err != nil {
				t.Fatal(err)
			}
			outcome := core.Outcome{Lease: claimed[0].Lease, State: core.Failed, Started: true, Result: core.Result{
				Failure: &core.Failure{Kind: core.KindException, Type: kind, Message: "no such\nluck"},
			}}
			if _, err := d.store.Settle(d.ctx, []core.Settlement{{Outcome: outcome}}); err != nil {
				t.Fatal(err)
			}
		}
		groups, err := d.Failures(d.ctx)
		if err != nil || len(groups) != 2 || groups[0].Count != 2 || groups[0].Type != "ValueError" || groups[0].Message != "no such" || groups[0].Name != "f@1" {
			t.Fatalf("%+v %v", groups, err)
		}
	})
}

// BenchmarkFold takes the difference of two pictures of a system with 200 workers
// and 200 functions, a tenth of which have changed, and puts it back together: what
// a watcher costs, ten times a second.
func BenchmarkFold(b *testing.B) {
	picture := func(moved int64) core.Top {
		workers := make([]core.Worker, 200)
		functions := make([]core.FunctionStats, 200)
		for i := range workers {
			workers[i] = core.Worker{ID: core.WorkerID(fmt.Sprintf("w-%03d", i)), Slots: 2, State: core.WorkerRunning}
			functions[i].Function = core.FunctionID(fmt.Sprintf("f-%03d", i))
			if i%10 == 0 {
				workers[i].Busy, functions[i].Totals.Started = int(moved%2), moved
			}
		}
		return core.Top{Numbers: &core.TopNumbers{Totals: core.Totals{Started: moved}}, Workers: &workers, Functions: functions,
			Wait: core.Histogram{1: moved, 2: 5}, Run: core.Histogram{1: moved}}
	}
	before, now := picture(1), picture(2)
	b.ReportAllocs()
	for b.Loop() {
		delta, changed := now.Since(before)
		if merged := before.Merge(delta); !changed || merged.Functions[0].Totals.Started != 2 {
			b.Fatal(changed, merged)
		}
	}
}
