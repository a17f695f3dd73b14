package core_test

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"faasctl/core"
	"faasctl/core/coretest"
	"faasctl/core/memstore"
)

// rig is a dispatcher on a memory store in a synctest bubble: its clock moves
// only when everybody waits.
type rig struct {
	*testing.T
	core.Store
	ctx       context.Context
	transport *coretest.Transport
	down      atomic.Bool // the store is out of reach
	mute      atomic.Bool // it claims, but its answers are lost
	function  core.FunctionID
	stop      func()
}

// dispatch runs a test with a dispatcher of default times.
func dispatch(t *testing.T, mode core.Mode, run func(*rig)) {
	synctest.Test(t, func(t *testing.T) {
		r := &rig{T: t, ctx: t.Context(), transport: coretest.NewTransport(mode)}
		r.Store = &outage{Store: memstore.New(memstore.Config{}), down: &r.down, mute: &r.mute}
		f, _, err := r.PutFunction(r.ctx, core.Function{Name: "f", Codec: core.Source, Entry: "f", Body: []byte("def f(): pass")})
		r.must(err)
		r.function = f.ID
		d, err := core.NewDispatcher(core.DispatcherConfig{Store: r.Store, Transports: []core.Transport{r.transport}, Logger: slog.New(slog.DiscardHandler)})
		r.must(err)
		ctx, cancel := context.WithCancel(r.ctx)
		ended := make(chan error, 1)
		go func() { ended <- d.Run(ctx) }()
		r.stop = func() {
			cancel()
			if err, open := <-ended; open && err != nil {
				t.Errorf("Run: %v", err)
			}
			r.stop = func() {}
		}
		run(r)
		r.stop()
	})
}

// outage makes every call fail while down is set, and claims after they were
// carried out while mute is.
type outage struct {
	core.Store
	down, mute *atomic.Bool
	claims     atomic.Int64 // how many there were
}

func (o *outage) err() error {
	if o.down.Load() {
		return core.Errorf(core.ErrUnavailable, "store", "pulled the plug")
	}
	return nil
}

func (o *outage) DueOperations(ctx context.Context) ([]core.Operation, time.Duration, error) {
	if err := o.err(); err != nil {
		return nil, 0, err
	}
	return o.Store.DueOperations(ctx)
}

func (o *outage) Claim(ctx context.Context, r core.ClaimRequest) ([]core.Claimed, error) {
	o.claims.Add(1)
	if err := o.err(); err != nil {
		return nil, err
	}
	claimed, err := o.Store.Claim(ctx, r)
	if o.mute.Load() {
		return nil, context.DeadlineExceeded
	}
	return claimed, err
}

func (o *outage) Settle(ctx context.Context, b []core.Settlement) ([]core.Verdict, error) {
	if err := o.err(); err != nil {
		return nil, err
	}
	return o.Store.Settle(ctx, b)
}

func (o *outage) Renew(ctx context.Context, b []core.Renewal, lease time.Duration) ([]core.Verdict, error) {
	if err := o.err(); err != nil {
		return nil, err
	}
	return o.Store.Renew(ctx, b, lease)
}

func (o *outage) Reap(ctx context.Context, grace time.Duration) (int, error) {
	if err := o.err(); err != nil {
		return 0, err
	}
	return o.Store.Reap(ctx, grace)
}

func (o *outage) Stats(ctx context.Context) (core.Stats, error) {
	if err := o.err(); err != nil {
		return core.Stats{}, err
	}
	return o.Store.Stats(ctx)
}

func (o *outage) Announce(ctx context.Context, a core.Announcement) ([]core.WorkerID, error) {
	if err := o.err(); err != nil {
		return nil, err
	}
	return o.Store.Announce(ctx, a)
}

func (r *rig) must(err error) {
	r.Helper()
	if err != nil {
		r.Fatal(err)
	}
}

func (r *rig) submit(n int, change func(*core.Spec)) []core.TaskID {
	r.Helper()
	batch := make([]core.Submission, n)
	ids := make([]core.TaskID, n)
	for i := range batch {
		spec := core.Spec{Function: r.function, Codec: core.JSON, Args: []byte("[[],{}]"), Queue: core.DefaultQueue, Priority: 5, Timeout: time.Minute}
		if change != nil {
			change(&spec)
		}
		ids[i] = core.NewTaskID()
		batch[i] = core.Submission{ID: ids[i], Spec: spec}
	}
	_, err := r.Submit(r.ctx, batch)
	r.must(err)
	synctest.Wait()
	return ids
}

func (r *rig) task(id core.TaskID) core.Task {
	r.Helper()
	tasks, err := r.Tasks(r.ctx, []core.TaskID{id})
	r.must(err)
	return tasks[0]
}

func (r *rig) wantState(id core.TaskID, want core.State) {
	r.Helper()
	if task := r.task(id); task.State != want {
		r.Fatalf("task is %s, want %s", task.State, want)
	}
}

// pass lets time go by while workers beat.
func (r *rig) pass(d time.Duration, beating ...*coretest.Worker) {
	for end := time.Now().Add(d); time.Now().Before(end); {
		for _, w := range beating {
			w.Say(core.UpBeat{})
		}
		time.Sleep(time.Second) // of the bubble: no real time passes
		synctest.Wait()
	}
}

func TestSharesAreEven(t *testing.T) {
	dispatch(t, core.Push, func(r *rig) {
		var workers []*coretest.Worker
		for i := range 4 {
			workers = append(workers, r.transport.Join(core.WorkerID(fmt.Sprintf("w-%d", i)), 4, 16))
		}
		r.submit(1000, nil)
		for {
			ended := 0
			for _, w := range workers {
				if n := len(w.Held()); n > 16 {
					t.Fatalf("%s holds %d, its window is 16", w.ID, n)
				}
				ended += w.Finish(4, core.Completed)
			}
			synctest.Wait()
			if ended == 0 {
				break
			}
		}
		for _, w := range workers {
			if n := len(w.Given()); n < 240 || n > 260 {
				t.Errorf("%s was given %d of 1000", w.ID, n)
			}
		}
	})
}

// One call after the other costs one claim each, which says that there are no more. Its
// end costs none, and what comes to wait then is found at once.
func TestAnIdleStoreIsNotAskedAgain(t *testing.T) {
	dispatch(t, core.Push, func(r *rig) {
		w := r.transport.Join("w-1", 2, 8)
		synctest.Wait()
		asked := &r.Store.(*outage).claims
		before := asked.Load()
		for i := range 10 {
			r.submit(1, nil)
			if n := len(w.Given()); n != i+1 {
				t.Fatalf("given %d of %d", n, i+1)
			}
			w.Finish(1, core.Completed)
			synctest.Wait()
		}
		if n := asked.Load() - before; n > 10 {
			t.Errorf("%d claims for 10 tasks", n)
		}
		// A bell that is lost costs less than the slow poll.
		before = asked.Load()
		time.Sleep(30 * time.Millisecond)
		synctest.Wait()
		if n := asked.Load() - before; n != 1 {
			t.Errorf("%d claims in the 30 ms after the last task", n)
		}
	})
}

func TestNoMoreThanTheCreditAndInOrder(t *testing.T) {
	dispatch(t, core.Push, func(r *rig) {
		w := r.transport.Join("w-1", 2, 3)
		ids := r.submit(8, nil)
		for end := 3; end <= 8; end++ {
			if got := w.Given(); !slices.Equal(got, ids[:end]) {
				t.Fatalf("given %d, want the first %d in order", len(got), end)
			}
			w.Finish(1, core.Completed)
			synctest.Wait()
		}
		w.Finish(8, core.Completed)
		synctest.Wait()
		if n := len(w.Heard().Settled); n != 8 {
			t.Fatalf("%d results settled, want 8", n)
		}
	})
}

func TestTasksOfAWorkerThatVanishedRunElsewhere(t *testing.T) {
	dispatch(t, core.Push, func(r *rig) {
		first := r.transport.Join("w-1", 1, 2)
		ids := r.submit(2, nil)
		first.Say(core.UpBeat{Busy: 1, Started: []core.Start{{Task: ids[0], Ago: time.Second}}})
		synctest.Wait()
		first.Vanish()
		synctest.Wait()
		second := r.transport.Join("w-2", 2, 2)
		synctest.Wait()
		if got := second.Given(); !slices.Equal(got, ids) {
			t.Fatalf("given %v, want %v", got, ids)
		}
		if a, b := r.task(ids[0]), r.task(ids[1]); a.Deliveries != 1 || a.Attempt != 1 || b.Deliveries != 0 || b.Attempt != 0 {
			t.Fatalf("charged: %+v, %+v", a, b)
		}
		second.Finish(2, core.Completed)
		synctest.Wait()
		if task := r.task(ids[0]); task.State != core.Completed || task.Attempt != 2 {
			t.Fatalf("%+v", task)
		}
	})
}

func TestASilentWorkerLosesItsTasksAndItsLateResult(t *testing.T) {
	dispatch(t, core.Push, func(r *rig) {
		silent := r.transport.Join("w-1", 1, 1)
		id := r.submit(1, nil)[0]
		busy := r.transport.Join("w-2", 1, 1)
		r.pass(70*time.Second, busy)
		if got := busy.Given(); !slices.Equal(got, []core.TaskID{id}) {
			t.Fatalf("the other worker was given %v", got)
		}
		busy.Finish(1, core.Completed)
		silent.Finish(1, core.Failed)
		synctest.Wait()
		r.wantState(id, core.Completed)
		if silent.Heard().Strays == 0 {
			t.Fatal("the worker that came back was not told to register")
		}
	})
}

func TestALongTaskKeepsItsLease(t *testing.T) {
	dispatch(t, core.Push, func(r *rig) {
		w := r.transport.Join("w-1", 1, 1)
		other := r.transport.Join("w-2", 1, 0)
		id := r.submit(1, nil)[0]
		r.pass(10*time.Minute, w, other)
		other.Say(core.UpWindow{Seq: 2, Size: 1})
		r.pass(time.Minute, w, other)
		if n := len(other.Given()); n != 0 {
			t.Fatal("a held task was given to another worker")
		}
		w.Finish(1, core.Completed)
		synctest.Wait()
		if task := r.task(id); task.State != core.Completed || task.Attempt != 1 || task.Epoch != 1 {
			t.Fatalf("%+v", task)
		}
	})
}

func TestAnOutageOfTheStorePunishesNobody(t *testing.T) {
	dispatch(t, core.Push, func(r *rig) {
		w := r.transport.Join("w-1", 2, 2)
		ids := r.submit(4, nil)
		r.pass(5*time.Second, w)
		r.down.Store(true)
		w.Finish(1, core.Completed)
		r.pass(2*time.Minute, w) // four leases long
		r.down.Store(false)
		r.pass(5*time.Second, w)
		w.Finish(3, core.Completed)
		r.pass(5*time.Second, w)
		w.Finish(3, core.Completed)
		r.pass(5*time.Second, w)
		for _, id := range ids {
			if task := r.task(id); task.State != core.Completed || task.Epoch != 1 || task.Attempt != 1 {
				t.Fatalf("%+v", task)
			}
		}
		if got := w.Heard().Store; !slices.Equal(got, []bool{false, true}) {
			t.Fatalf("the worker heard of the store: %v", got)
		}
	})
}

func TestAClaimWhoseAnswersAreLostIsRepeated(t *testing.T) {
	dispatch(t, core.Push, func(r *rig) {
		r.mute.Store(true)
		w := r.transport.Join("w-1", 3, 3)
		ids := r.submit(3, nil)
		r.pass(10*time.Second, w)
		r.mute.Store(false)
		r.pass(5*time.Second, w) // much less than a lease
		w.Finish(3, core.Completed)
		synctest.Wait()
		for _, id := range ids {
			if task := r.task(id); task.State != core.Completed || task.Epoch != 1 {
				t.Fatalf("%+v", task)
			}
		}
	})
}

func TestRetriesComeWithAPauseAndEnd(t *testing.T) {
	dispatch(t, core.Push, func(r *rig) {
		w := r.transport.Join("w-1", 1, 1)
		id := r.submit(1, func(s *core.Spec) { s.Retries = 2 })[0]
		for attempt := 1; attempt <= 3; attempt++ {
			r.pass(10*time.Second, w)
			if n := len(w.Given()); n != attempt {
				t.Fatalf("given %d times, want %d", n, attempt)
			}
			w.Finish(1, core.Failed)
			synctest.Wait()
			if attempt < 3 {
				r.wantState(id, core.Delayed)
			}
		}
		r.wantState(id, core.Failed)
		if task := r.task(id); task.Attempt != 3 {
			t.Fatalf("%+v", task)
		}
	})
}

func TestCancelReachesTheWorker(t *testing.T) {
	dispatch(t, core.Push, func(r *rig) {
		w := r.transport.Join("w-1", 1, 1)
		ids := r.submit(2, nil)
		_, err := r.Cancel(r.ctx, ids, 0)
		r.must(err)
		synctest.Wait()
		if got := w.Heard().Cancels; !slices.Equal(got, ids[:1]) {
			t.Fatalf("cancelled %v", got)
		}
		r.wantState(ids[1], core.Cancelled)
		w.Finish(1, core.Completed) // too late
		synctest.Wait()
		r.wantState(ids[0], core.Cancelled)
	})
}

func TestAFullWorkerKeepsNothingBack(t *testing.T) {
	dispatch(t, core.Push, func(r *rig) {
		full := r.transport.Join("w-1", 1, 4)
		full.SetFull(true)
		ids := r.submit(4, nil)
		other := r.transport.Join("w-2", 1, 4)
		synctest.Wait()
		if got := other.Given(); !slices.Equal(got, ids) {
			t.Fatalf("given %v, want %v", got, ids)
		}
	})
}

// A dispatcher whose workers went away, perhaps to another one, does not sit on what
// it had claimed for them: it had renewed these leases for ever.
func TestWhatNobodyTakesIsGivenBack(t *testing.T) {
	dispatch(t, core.Push, func(r *rig) {
		deaf := r.transport.Join("w-1", 1, 4)
		deaf.SetFull(true)
		ids := r.submit(4, nil)
		r.wantState(ids[0], core.Running)
		r.pass(6*time.Second, deaf)
		for _, id := range ids {
			r.wantState(id, core.Queued)
		}
		if task := r.task(ids[0]); task.Deliveries != 0 {
			t.Errorf("it was charged %d deliveries", task.Deliveries)
		}
		deaf.SetFull(false)
		deaf.Say(core.UpWindow{Seq: 2, Size: 4})
		r.pass(3*time.Second, deaf)
		if got := deaf.Given(); !slices.Equal(got, ids) {
			t.Errorf("given %v, want %v", got, ids)
		}
	})
}

func TestAStopDrainsLocalWorkersAndReleasesTheRest(t *testing.T) {
	dispatch(t, core.Local, func(r *rig) {
		w := r.transport.Join("w-1", 1, 2)
		ids := r.submit(3, nil)
		go func() {
			for !w.Heard().Draining {
				time.Sleep(10 * time.Millisecond)
			}
			w.Finish(1, core.Completed)
		}()
		r.stop()
		r.wantState(ids[0], core.Completed)
		r.wantState(ids[1], core.Queued)
		r.wantState(ids[2], core.Queued)
		if task := r.task(ids[1]); task.Deliveries != 0 {
			t.Fatalf("%+v", task)
		}
		roster, err := r.Store.Roster(r.ctx)
		r.must(err)
		if len(roster.Dispatchers) != 0 || roster.Workers[0].State != core.WorkerGone {
			t.Fatalf("%+v", roster)
		}
	})
}
