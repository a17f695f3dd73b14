package agent

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"faasctl/core"
	"faasctl/workers/pyrun"
)

// runner is a fake whose calls take as long as their function's name says. Calls
// of one batch run one after another.
type runner struct {
	mu      sync.Mutex
	batches [][]core.Assignment
	running int
	most    int // calls that ran at once
	doomed  map[core.TaskID]bool
	killed  []core.TaskID
	follows []string
	over    chan struct{} // closed at the end of the test
}

func (r *runner) Start(batch []core.Assignment, sink pyrun.Sink) {
	r.mu.Lock()
	r.batches = append(r.batches, batch)
	r.running++
	r.most = max(r.most, r.running)
	r.mu.Unlock()
	go func() {
		for i, a := range batch {
			took, err := time.ParseDuration(a.Function.Name)
			if err != nil {
				panic(err)
			}
			began := time.Now()
			sink.Started(a.Lease, began)
			select {
			case <-time.After(took):
			case <-r.over:
				return
			}
			r.mu.Lock()
			state := core.Completed
			if r.doomed[a.Task] {
				state = core.Cancelled
			}
			if i == len(batch)-1 {
				r.running--
			}
			r.mu.Unlock()
			sink.Ended(core.Outcome{Lease: a.Lease, State: state, Started: true, Elapsed: took})
		}
	}()
}

func (r *runner) Cancel(tasks []core.TaskID, _ time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, id := range tasks {
		r.doomed[id] = true
	}
}

func (r *runner) Kill(tasks []core.TaskID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.killed = append(r.killed, tasks...)
}

func (r *runner) Follow(tasks []core.TaskID, on bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, id := range tasks {
		r.follows = append(r.follows, fmt.Sprintf("%s %v", id, on))
	}
}

func (r *runner) followed() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.follows)
}

func (r *runner) sizes() []int {
	r.mu.Lock()
	defer r.mu.Unlock()
	var sizes []int
	for _, b := range r.batches {
		sizes = append(sizes, len(b))
	}
	return sizes
}

// boss is a dispatcher that remembers what it was told.
type boss struct {
	*testing.T
	*Agent
	runner *runner

	mu       sync.Mutex
	joins    []core.UpJoin
	windows  []int
	started  []core.TaskID
	beats    int
	outcomes []core.Outcome
	progress []core.TaskProgress
	printed  []core.Printed
	returned []core.Lease
	drains   int
	left     int
	made     int
}

func work(t *testing.T, slots int, run func(*boss)) {
	synctest.Test(t, func(t *testing.T) {
		b := &boss{T: t, runner: &runner{doomed: map[core.TaskID]bool{}, over: make(chan struct{})}}
		b.Agent = New(Config{Worker: core.Worker{ID: "w-1", Slots: slots}, Runner: b.runner})
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- b.Agent.Run(ctx, b.hear) }()
		defer close(b.runner.over)
		synctest.Wait()
		run(b)
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

func (b *boss) hear(word core.Up) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch word := word.(type) {
	case core.UpJoin:
		b.joins = append(b.joins, word)
	case core.UpWindow:
		b.windows = append(b.windows, word.Size)
	case core.UpBeat:
		b.beats++
		b.progress = append(b.progress, word.Progress...)
		for _, s := range word.Started {
			b.started = append(b.started, s.Task)
		}
	case core.UpOutput:
		b.printed = append(b.printed, word.Printed...)
	case core.UpFinish:
		b.outcomes = append(b.outcomes, word.Outcomes...)
	case core.UpReturn:
		b.returned = append(b.returned, word.Leases...)
	case core.UpDrain:
		b.drains++
	case core.UpLeave:
		b.left++
	}
}

// said is how many beats were heard.
func (b *boss) said() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.beats
}

// give hands n calls of a function that takes so long to the agent.
func (b *boss) give(n int, took string) []core.Assignment {
	f := &core.Function{ID: core.FunctionID("f-" + took), Name: took}
	tasks := make([]core.Assignment, n)
	for i := range tasks {
		b.made++
		tasks[i] = core.Assignment{Lease: core.Lease{Task: core.TaskID(fmt.Sprintf("t-%03d", b.made)), Epoch: 1, Claim: "c"}, Function: f}
	}
	b.Deliver(core.DownTasks{Tasks: tasks})
	synctest.Wait()
	return tasks
}

func (b *boss) window() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.windows[len(b.windows)-1]
}

func (b *boss) ended() []core.Outcome {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.outcomes)
}

func pass(d time.Duration) {
	time.Sleep(d) // of the bubble
	synctest.Wait()
}

func TestOneCallASlotUntilMeasured(t *testing.T) {
	work(t, 2, func(b *boss) {
		if b.window() != 2 {
			t.Fatalf("window %d before anything ran", b.window())
		}
		b.give(2, "1s")
		pass(3 * time.Second)
		if len(b.ended()) != 2 || b.window() != 2 || b.runner.most != 2 {
			t.Fatalf("%d ended, window %d, %d at once", len(b.ended()), b.window(), b.runner.most)
		}
	})
}

func TestCheapCallsAreHeldInDepthAndRunInBatches(t *testing.T) {
	work(t, 2, func(b *boss) {
		b.give(2, "100us")
		pass(time.Second)
		if b.window() != 100 { // 2 slots × 5 ms / 100 µs
			t.Fatalf("window %d", b.window())
		}
		b.give(100, "100us")
		pass(time.Second)
		if len(b.ended()) != 102 || b.runner.most != 2 {
			t.Fatalf("%d ended, %d at once", len(b.ended()), b.runner.most)
		}
		if sizes := b.runner.sizes(); !slices.Equal(sizes, []int{1, 1, 50, 50}) {
			t.Fatalf("batches %v", sizes)
		}
	})
}

func TestTheDepthIsBounded(t *testing.T) {
	work(t, 1, func(b *boss) {
		b.give(1, "1us")
		pass(time.Second)
		if b.window() != maxDepth {
			t.Fatalf("window %d", b.window())
		}
	})
}

// When calls of an unknown function arrive in depth, what cannot start goes back
// so that others may run it.
func TestUnknownCallsAreNotQueuedBehindOneAnother(t *testing.T) {
	work(t, 1, func(b *boss) {
		b.give(1, "100us")
		pass(time.Second)
		given := b.give(5, "1h")
		if b.window() != 1 || len(b.returned) != 4 || b.returned[0] != given[1].Lease {
			t.Fatalf("window %d, returned %v", b.window(), b.returned)
		}
	})
}

func TestADearCallRaisesTheCostAtOnce(t *testing.T) {
	p := newPace()
	p.learn("f", 10*time.Microsecond)
	if d := p.depth("f"); d != maxDepth {
		t.Fatalf("depth %d", d)
	}
	p.learn("f", 50*time.Millisecond)
	if d := p.depth("f"); d != 1 {
		t.Fatalf("depth %d after a dear call", d)
	}
	for range 100 {
		p.learn("f", 10*time.Microsecond)
	}
	if d := p.depth("f"); d < 100 {
		t.Fatalf("depth %d after a hundred cheap ones", d)
	}
	for i := range 3 * memory {
		p.learn(core.FunctionID(fmt.Sprint(i)), time.Second)
	}
	if len(p.cost) > memory {
		t.Fatalf("%d functions remembered", len(p.cost))
	}
}

func TestOutcomesAreKeptUntilSettled(t *testing.T) {
	work(t, 1, func(b *boss) {
		done := b.give(1, "1ms")[0]
		pass(time.Second)
		running := b.give(1, "1h")[0]
		b.Deliver(core.DownRegister{})
		synctest.Wait()
		holds := b.joins[1].Holds
		if len(holds) != 2 || holds[0].Lease != running.Lease || holds[1].Lease != done.Lease || !holds[0].Started || !holds[1].Started {
			t.Fatalf("it says it holds %v", holds)
		}
		if ended := b.ended(); len(ended) != 2 || ended[1].Lease != done.Lease {
			t.Fatalf("the result was not sent again: %v", ended)
		}
		b.Deliver(core.DownSettled{Leases: []core.Lease{done.Lease}})
		b.Deliver(core.DownRegister{})
		synctest.Wait()
		if len(b.joins) != 3 || len(b.joins[2].Holds) != 1 || len(b.ended()) != 2 {
			t.Fatalf("%d joins, a settled result was sent again: %v", len(b.joins), b.ended())
		}
	})
}

func TestAFencedWorkerKillsWhatItHolds(t *testing.T) {
	work(t, 1, func(b *boss) {
		done := b.give(1, "1ms")[0]
		pass(time.Second)
		running := b.give(1, "1h")[0]
		b.give(1, "1h")
		b.Fence()
		b.Deliver(core.DownRegister{})
		synctest.Wait()
		holds := b.joins[1].Holds
		if !slices.Equal(b.runner.killed, []core.TaskID{running.Task}) || len(holds) != 1 || holds[0].Lease != done.Lease {
			t.Fatalf("killed %v, holds %v", b.runner.killed, holds)
		}
		if ended := b.ended(); len(ended) != 2 || ended[1].Lease != done.Lease {
			t.Fatalf("the result that was there before is lost: %v", ended)
		}
	})
}

func TestADrainedWorkerLeavesOnceAllIsSettled(t *testing.T) {
	work(t, 1, func(b *boss) {
		b.cfg.Leave = true
		task := b.give(1, "1s")[0]
		b.Deliver(core.DownDrain{})
		pass(5 * time.Second)
		if b.left != 0 {
			t.Fatal("it left with an unsettled result")
		}
		b.Deliver(core.DownSettled{Leases: []core.Lease{task.Lease}})
		synctest.Wait()
		if b.left != 1 {
			t.Fatal("it did not leave")
		}
	})
}

func TestStartsAreToldOnceWithTheBeat(t *testing.T) {
	work(t, 1, func(b *boss) {
		task := b.give(1, "1h")[0]
		pass(3500 * time.Millisecond)
		if b.beats != 3 || !slices.Equal(b.started, []core.TaskID{task.Task}) {
			t.Fatalf("%d beats, starts %v", b.beats, b.started)
		}
	})
}

// Who holds something beats each time, also while its result is not settled; who
// holds nothing every other time, after it has said that nothing runs.
func TestIdleWorkersBeatHalfAsOften(t *testing.T) {
	work(t, 1, func(b *boss) {
		during := func(d time.Duration) int {
			before := b.said()
			pass(d)
			return b.said() - before
		}
		pass(500 * time.Millisecond)
		if n := during(10 * time.Second); n != 5 {
			t.Errorf("%d beats of an idle worker in 10 s", n)
		}
		task := b.give(1, "4s")[0]
		if n := during(8 * time.Second); n != 8 {
			t.Errorf("%d beats in 8 s of a worker that runs a call, and keeps its result", n)
		}
		b.Deliver(core.DownSettled{Leases: []core.Lease{task.Lease}})
		if n := during(10 * time.Second); n != 5 {
			t.Errorf("%d beats in 10 s of one that is idle again", n)
		}
		next := b.give(1, "800ms")[0]
		pass(1 * time.Second) // a beat has said that it runs, and now it does not
		b.Deliver(core.DownSettled{Leases: []core.Lease{next.Lease}})
		if n := during(time.Second); n != 1 {
			t.Errorf("it does not say that nothing runs any more")
		}
	})
}

func TestCancelOfWaitingAndRunningCalls(t *testing.T) {
	work(t, 1, func(b *boss) {
		b.give(1, "1ms")
		pass(time.Second)
		tasks := b.give(3, "1ms")
		b.Deliver(core.DownCancel{Tasks: []core.TaskID{tasks[0].Task}})
		pass(time.Second)
		states := map[core.TaskID]core.State{}
		for _, o := range b.ended() {
			states[o.Task] = o.State
		}
		if states[tasks[0].Task] != core.Cancelled || states[tasks[1].Task] != core.Completed || states[tasks[2].Task] != core.Completed {
			t.Fatalf("ended as %v", states)
		}
		long := b.give(1, "2s")[0]
		waiting := b.give(1, "2s")[0]
		b.Deliver(core.DownCancel{Tasks: []core.TaskID{long.Task, waiting.Task}})
		pass(3 * time.Second)
		last := b.ended()
		if o := last[len(last)-1]; o.Task != long.Task || o.State != core.Cancelled {
			t.Fatalf("%+v", o)
		}
	})
}

func TestLostTasksAreKilledAndForgotten(t *testing.T) {
	work(t, 1, func(b *boss) {
		task := b.give(1, "1s")[0]
		b.Deliver(core.DownLost{Leases: []core.Lease{task.Lease}})
		pass(2 * time.Second)
		if len(b.ended()) != 0 || !slices.Equal(b.runner.killed, []core.TaskID{task.Task}) {
			t.Fatalf("outcomes %v, killed %v", b.ended(), b.runner.killed)
		}
		b.give(1, "1s")
		pass(2 * time.Second)
		if len(b.ended()) != 1 {
			t.Fatal("the slot did not come free")
		}
	})
}

func TestADrainEndsWhatRunsAndReturnsTheRest(t *testing.T) {
	work(t, 1, func(b *boss) {
		b.give(1, "1ms")
		pass(time.Second)
		b.give(5, "1ms")
		b.give(1, "1ms")
		b.Deliver(core.DownDrain{})
		synctest.Wait()
		pass(time.Second)
		late := b.give(2, "1ms")
		if b.drains != 1 || b.window() != 0 {
			t.Fatalf("%d drains, window %d", b.drains, b.window())
		}
		if len(b.ended())+len(b.returned) != 9 || !slices.Contains(b.returned, late[1].Lease) {
			t.Fatalf("%d ended, returned %v", len(b.ended()), b.returned)
		}
	})
}
