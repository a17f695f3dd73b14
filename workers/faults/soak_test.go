package faults

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"faasctl/core"
	"faasctl/workers/agent"
	"faasctl/workers/link"
	"faasctl/workers/pull"
	"faasctl/workers/push"
	"faasctl/workers/workertest"
)

func long(t *testing.T) {
	t.Helper()
	if !soaking {
		t.Skip("FAASCTL_SOAK=1 (make soak) has time for it")
	}
}

// additions hands in n calls that cost nothing, and waits for all their results.
func (b *bench) additions(n int) {
	b.Helper()
	began := time.Now()
	var ids []core.TaskID
	first := len(b.given)
	for len(ids) < n {
		ids = append(ids, b.submit("nothing", min(core.MaxBatch, n-len(ids)), func(x int) string { return fmt.Sprintf("[[%d],{}]", x) })...)
	}
	for i, id := range ids {
		task, err := b.service.Wait(b.ctx, id, time.Minute)
		if err != nil || task.State != core.Completed {
			b.Fatalf("%s is %s (%v)", id, task.State, err)
		}
		_, result, err := b.service.Result(b.ctx, id)
		if want := strconv.Itoa(first + i + 1); err != nil || string(result.JSON) != want {
			b.Fatalf("%s has the result %s, want %s (%v)", id, result.JSON, want, err)
		}
	}
	took := time.Since(began)
	b.Logf("%d tasks, handed in, run and read back one by one, took %s (%.0f/s)", n, took.Round(time.Millisecond), float64(n)/took.Seconds())
}

// cost is what a process uses; goroutines are known of dispatchers only.
type cost struct{ goroutines, descriptors, resident int }

func (b *bench) costs(d *dispatcher, workers []*process) []cost {
	b.Helper()
	known := d.numbers() // which frees what memory it can
	costs := []cost{{known.Goroutines, descriptors(b, d.pid()), resident(b, d.pid())}}
	for _, w := range workers {
		costs = append(costs, cost{0, descriptors(b, w.pid()), resident(b, w.pid())})
	}
	return costs
}

// Workers of all modes at once on one dispatcher: every result is right, no task is
// run or completed twice, and nothing grows.
func TestManyTasksInAllModes(t *testing.T) {
	first, all := 200, 1_000
	if soaking {
		first, all = 10_000, 50_000
	}
	b := newBench(t)
	d := b.dispatcher(core.Local, core.Push, core.Pull)
	var workers []*process
	for _, mode := range []core.Mode{core.Push, core.Push, core.Pull, core.Pull} {
		workers = append(workers, b.worker(mode, d.at[mode]))
	}
	b.additions(first)
	before := b.costs(d, workers)
	b.additions(all - first)
	b.until("no more goroutines run than before", func() bool { return d.numbers().Goroutines <= before[0].goroutines+5 })
	after := b.costs(d, workers)
	for i, was := range before {
		is := after[i]
		who := "the dispatcher"
		if i > 0 { // only a dispatcher can be asked for its goroutines
			who = "a " + string(b.card(workers[i-1]).Mode) + " worker"
		} else {
			b.Logf("%s after %d and %d tasks: goroutines %d → %d", who, first, all, was.goroutines, is.goroutines)
		}
		b.Logf("%s after %d and %d tasks: descriptors %d → %d, resident %d → %d KiB",
			who, first, all, was.descriptors, is.descriptors, was.resident, is.resident)
		if is.descriptors > was.descriptors+5 {
			b.Errorf("%s has %d descriptors and had %d", who, is.descriptors, was.descriptors)
		}
		if soaking && is.resident > was.resident+was.resident/4+(8<<10) {
			b.Errorf("%s has %d KiB and had %d", who, is.resident, was.resident)
		}
	}
	completed, claimed, released := b.events(core.TaskCompleted), b.events(core.TaskClaimed), b.events(core.TaskReleased)
	for _, id := range b.handed() {
		if completed[id] != 1 || claimed[id] != 1+released[id] { // a worker that holds too many gives some back
			b.Errorf("%s was claimed %d times, given back %d times and completed %d times", id, claimed[id], released[id], completed[id])
		}
	}
	b.Logf("%d tasks were given back before they began", len(released))
	if n := len(b.noted(core.TaskLost)); n > 0 {
		b.Errorf("%d tasks were lost on the way", n)
	}
	roster, err := b.store.Roster(b.ctx)
	if err != nil {
		b.Fatal(err)
	}
	for _, w := range roster.Workers {
		b.Logf("%s did %d", w.Mode, w.Done)
		if soaking && w.Done == 0 {
			b.Errorf("a %s worker did nothing", w.Mode)
		}
	}
}

// Random frames come in while a dispatcher works: it does not panic, and goes on.
func TestNoiseAtALiveDispatcher(t *testing.T) {
	noises, tasks := 2_000, 50
	if soaking {
		noises, tasks = 1_000_000, 2_000
	}
	for _, mode := range []core.Mode{core.Push, core.Pull} {
		t.Run(string(mode), func(t *testing.T) {
			b := newBench(t)
			d := b.dispatcher(mode)
			b.worker(mode, d.at[mode])
			b.additions(tasks)
			before := d.numbers()
			began := time.Now()
			var group sync.WaitGroup
			for i := range 4 {
				group.Go(func() { workertest.Noise(b, d.at[mode], mode == core.Pull, noises/4, uint64(i)) })
			}
			b.additions(tasks)
			group.Wait()
			b.additions(tasks)
			b.until("no more goroutines run than before", func() bool { return d.numbers().Goroutines <= before.Goroutines+5 })
			b.Logf("%d random multiparts in %s; the heap had %d KiB and has %d", noises, time.Since(began).Round(time.Millisecond), before.Heap>>10, d.numbers().Heap>>10)
		})
	}
}

// crowd connects n workers without Python, of one slot each, from this process.
func (b *bench) crowd(mode core.Mode, address string, n int) (runners []*workertest.Runner, leave func()) {
	b.Helper()
	dial := push.Dial
	if mode == core.Pull {
		dial = pull.Dial
	}
	ctx, stop := context.WithCancel(context.Background())
	var group sync.WaitGroup
	for range n {
		runner := workertest.NewRunner()
		runners = append(runners, runner)
		info := core.Worker{ID: core.NewWorkerID(), Mode: mode, Slots: 1, Host: "crowd"}
		a := agent.New(agent.Config{Worker: info, Runner: runner, Leave: true, Logger: quiet})
		conn, err := dial(link.DialConfig{URLs: []string{address}, Logger: quiet}, a)
		if err != nil {
			b.Fatal(err)
		}
		group.Go(func() {
			if err := conn.Run(ctx); err != nil {
				b.Errorf("a worker of the crowd: %v", err)
			}
		})
	}
	leave = sync.OnceFunc(func() {
		stop()
		for _, r := range runners {
			r.StopAll()
		}
		group.Wait()
	})
	b.Cleanup(leave)
	return runners, leave
}

// 200 workers on one dispatcher, with the timers of real life: all join and stay,
// each gets its share, and while they are idle they cost next to nothing.
func TestCrowd(t *testing.T) {
	long(t)
	const many, each, span = 200, 10, 20 * time.Second
	for _, mode := range []core.Mode{core.Push, core.Pull} {
		t.Run(string(mode), func(t *testing.T) {
			b := newBench(t)
			d := b.dispatcher(mode)
			runners, leave := b.crowd(mode, d.at[mode], many)
			crowd := func(state core.WorkerState) (list []core.Worker) {
				roster, err := b.store.Roster(b.ctx)
				if err != nil {
					b.Fatal(err)
				}
				for _, w := range roster.Workers {
					if w.State == state {
						list = append(list, w)
					}
				}
				return list
			}
			b.until("all have joined", func() bool { return len(crowd(core.WorkerRunning)) == many })
			b.register("t50ms")
			ids := b.submit("t50ms", many*each/2, func(x int) string { return fmt.Sprintf("[[%d],{}]", x) })
			ids = append(ids, b.submit("t50ms", many*each/2, func(x int) string { return fmt.Sprintf("[[%d],{}]", x) })...)
			for _, id := range ids {
				if task, err := b.service.Wait(b.ctx, id, time.Minute); err != nil || task.State != core.Completed {
					b.Fatalf("%s is %s (%v)", id, task.State, err)
				}
			}
			shares := make([]int, many)
			for i, r := range runners {
				shares[i] = len(r.Begun())
			}
			low, high := slices.Min(shares), slices.Max(shares)
			b.Logf("%d workers had between %d and %d tasks of %d", many, low, high, len(ids))
			if low < each-4 || high > each+4 { // a busy machine wakes them unevenly
				b.Errorf("shares lie between %d and %d", low, high)
			}

			before := ticks(b, d.pid())
			b.pass(span) // what is measured is time itself
			share := float64(ticks(b, d.pid())-before) / span.Seconds()
			b.Logf("%d idle workers cost the dispatcher %.2f %% of a core over %s", many, share, span)
			if share >= 3 {
				b.Errorf("%d idle workers cost %.2f %% of a core", many, share)
			}
			running := crowd(core.WorkerRunning)
			if len(running) != many {
				b.Errorf("%d workers run", len(running))
			}
			oldest := slices.MinFunc(running, func(a, b core.Worker) int { return cmp.Compare(a.Seen.UnixNano(), b.Seen.UnixNano()) })
			if age := time.Since(oldest.Seen); age > 10*time.Second {
				b.Errorf("a worker was seen %s ago", age)
			}
			if n := len(b.noted(core.WorkerVanished)); n > 0 {
				b.Errorf("%d workers were lost", n)
			}
			leave()
			b.until("all are gone", func() bool { return len(crowd(core.WorkerRunning)) == 0 })
		})
	}
}
