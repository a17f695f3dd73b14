package faults

import (
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"faasctl/core"
)

// clock is the time of the store.
func (b *bench) clock() time.Time {
	b.Helper()
	stats, err := b.store.Stats(b.ctx)
	if err != nil {
		b.Fatal(err)
	}
	return stats.Now
}

// soon checks, when there is time for the real timers, how long after a fault the
// last of these tasks was claimed again; all by the store's clock.
func (b *bench) soon(fault time.Time, ids []core.TaskID) {
	b.Helper()
	var last time.Duration
	for _, e := range b.noted(core.TaskClaimed) {
		if slices.Contains(ids, e.Task) {
			last = max(last, e.At.Sub(fault))
		}
	}
	b.Logf("others had its tasks %s after", last)
	if last <= 0 || soaking && last > b.timers.briefly {
		b.Errorf("others had its tasks %s after, want at most %s", last, b.timers.briefly)
	}
}

// A worker that is killed in the middle of tasks: others have them soon, and its
// Python children die with it.
func TestWorkerIsKilled(t *testing.T) {
	inBothModes(t, func(b *bench, mode core.Mode) {
		d := b.dispatcher(mode)
		b.worker(mode, d.at[mode])
		doomed := b.worker(mode, d.at[mode])
		gate, open := b.gate("1")
		ids := b.gated(4, gate)
		b.until("all run", func() bool { return b.begun(ids) == 4 })
		b.worker(mode, d.at[mode]) // has room for them
		children := b.children(ids)

		killed := b.clock()
		doomed.kill()
		b.until("others have its tasks", func() bool { return b.begun(ids) == 6 })
		b.soon(killed, ids)
		b.until("its children are dead", func() bool {
			dead := 0
			for pid := range children {
				if !alive(pid) {
					dead++
				}
			}
			return dead == 2
		})
		open()
		b.right()
		twice := 0
		for _, n := range b.times(ids) {
			if n == 2 {
				twice++
			}
		}
		if twice != 2 {
			t := b.times(ids)
			b.Errorf("%d tasks were begun twice, want the 2 of the killed worker: %v", twice, t)
		}
		b.until("the roster shows it as lost", func() bool { return b.card(doomed).State == core.WorkerLost })
	})
}

// A worker that is frozen for longer than its lease: its tasks run elsewhere, what
// it hands in when it wakes is refused, and then it serves again.
func TestWorkerIsFrozen(t *testing.T) {
	inBothModes(t, func(b *bench, mode core.Mode) {
		d := b.dispatcher(mode)
		frozen := b.worker(mode, d.at[mode])
		gate, open := b.gate("1")
		ids := b.gated(2, gate)
		b.until("both run", func() bool { return b.begun(ids) == 2 })
		frozen.signal(syscall.SIGSTOP)
		other := b.worker(mode, d.at[mode])
		b.until("both run elsewhere", func() bool { return b.begun(ids) == 4 })
		open() // also the children of the frozen worker end their tasks
		b.ended(ids)
		b.until("its children have ended, too", func() bool { return len(b.executions()) == 8 })
		frozen.signal(syscall.SIGCONT)
		b.until("it is back", func() bool { return b.card(frozen).State == core.WorkerRunning })

		tasks, err := b.store.Tasks(b.ctx, ids)
		if err != nil {
			b.Fatal(err)
		}
		for _, task := range tasks {
			if task.Worker != b.card(other).ID {
				b.Errorf("the result is that of %s", task.Worker)
			}
		}
		gate, open = b.gate("2")
		more := b.gated(4, gate)
		b.until("both workers serve", func() bool { return b.begun(more) == 4 })
		open()
		b.right()
		b.Logf("late results that were refused: %d", strings.Count(d.Said(), "a late result was refused"))
	})
}

// SIGTERM: the worker takes no more tasks, ends what it has, hands it in, leaves.
func TestWorkerDrains(t *testing.T) {
	inBothModes(t, func(b *bench, mode core.Mode) {
		d := b.dispatcher(mode)
		first := b.worker(mode, d.at[mode])
		gate, open := b.gate("1")
		ids := b.gated(2, gate)
		b.until("both run", func() bool { return b.begun(ids) == 2 })
		id := b.card(first).ID
		first.signal(syscall.SIGTERM)
		b.until("it drains", func() bool { return b.card(first).State == core.WorkerDraining })
		b.worker(mode, d.at[mode])
		b.ended(b.lasting(10, 0))
		open()
		first.leaves()
		b.until("it is gone", func() bool { return b.card(first).State == core.WorkerGone })
		b.right()
		b.once()
		tasks, err := b.store.Tasks(b.ctx, ids)
		if err != nil {
			b.Fatal(err)
		}
		for _, task := range tasks {
			if task.Worker != id {
				b.Errorf("%s ended on %s", task.ID, task.Worker)
			}
		}
	})
}

// A second SIGTERM does not wait: the tasks run elsewhere at once.
func TestWorkerStopsAtOnce(t *testing.T) {
	inBothModes(t, func(b *bench, mode core.Mode) {
		d := b.dispatcher(mode)
		first := b.worker(mode, d.at[mode])
		gate, open := b.gate("1")
		ids := b.gated(2, gate)
		b.until("both run", func() bool { return b.begun(ids) == 2 })
		children := b.children(ids)
		first.signal(syscall.SIGTERM)
		b.until("it drains", func() bool { return b.card(first).State == core.WorkerDraining })
		b.worker(mode, d.at[mode])
		stopped := b.clock()
		first.signal(syscall.SIGTERM)
		first.leaves()
		b.until("another has its tasks", func() bool { return b.begun(ids) == 4 })
		b.soon(stopped, ids)
		for pid := range children {
			b.until("its children are dead", func() bool { return !alive(pid) })
		}
		b.until("it is gone", func() bool { return b.card(first).State == core.WorkerGone })
		open()
		b.right()
		tasks, err := b.store.Tasks(b.ctx, ids)
		if err != nil {
			b.Fatal(err)
		}
		for _, task := range tasks {
			if task.Deliveries != 0 {
				b.Errorf("%d deliveries were charged for a farewell", task.Deliveries)
			}
		}
	})
}

// Somebody asks for a drain through the store.
func TestWorkerIsDrained(t *testing.T) {
	inBothModes(t, func(b *bench, mode core.Mode) {
		d := b.dispatcher(mode)
		first, second := b.worker(mode, d.at[mode]), b.worker(mode, d.at[mode])
		gate, open := b.gate("1")
		ids := b.gated(4, gate)
		b.until("all run", func() bool { return b.begun(ids) == 4 })
		if err := b.store.DrainWorker(b.ctx, b.card(first).ID); err != nil {
			b.Fatal(err)
		}
		b.until("it drains", func() bool { return b.card(first).State == core.WorkerDraining })
		open()
		first.leaves()
		b.until("it is gone", func() bool { return b.card(first).State == core.WorkerGone })
		b.lasting(10, 0)
		b.right()
		b.once()
		if state := b.card(second).State; state != core.WorkerRunning {
			b.Errorf("the other is %s", state)
		}
	})
}

// A worker that hears of no dispatcher for long kills what it runs, as others will
// run it.
func TestWorkerFencesItself(t *testing.T) {
	inBothModes(t, func(b *bench, mode core.Mode) {
		d := b.dispatcher(mode)
		w := b.worker(mode, d.at[mode])
		gate, open := b.gate("1")
		ids := b.gated(2, gate)
		b.until("both run", func() bool { return b.begun(ids) == 2 })
		children := b.children(ids)
		began := time.Now() // what is measured from after the kill is short, if that took long
		d.kill()
		for pid := range children {
			b.until("its children are dead", func() bool { return !alive(pid) })
		}
		took := time.Since(began)
		b.Logf("it killed them after %s", took.Round(time.Millisecond))
		if took < b.timers.Fence/2 || soaking && took > b.timers.Lease {
			b.Errorf("it killed them after %s", took)
		}
		select {
		case <-w.Ended():
			b.Fatal("the worker has ended, too")
		default:
		}
		d = d.again()
		b.until("both run again", func() bool { return b.begun(ids) == 4 })
		open()
		b.lasting(10, 0)
		b.right()
	})
}
