package faults

import (
	"testing"
	"time"

	"faasctl/core"
)

// warm has workers learn that tasks are cheap, so that they hold many of them.
func (b *bench) warm() {
	b.Helper()
	for range 3 {
		b.ended(b.lasting(50, 0))
	}
}

// held is how many tasks dispatchers and workers have.
func (b *bench) held() int64 {
	b.Helper()
	stats, err := b.store.Stats(b.ctx)
	if err != nil {
		b.Fatal(err)
	}
	return stats.Running
}

// A dispatcher that is killed and comes back: its workers wait for it, and it runs
// nothing of what they hold twice, begun or not.
func TestDispatcherIsKilled(t *testing.T) {
	inBothModes(t, func(b *bench, mode core.Mode) {
		b.patient()
		d := b.dispatcher(mode)
		workers := []*process{b.worker(mode, d.at[mode]), b.worker(mode, d.at[mode])}
		b.warm()
		gate, open := b.gate("1")
		ids := b.gated(30, gate)
		b.until("four run", func() bool { return b.begun(ids) == 4 })
		b.Logf("%d tasks are held, of which 4 run", b.held())
		d.kill()
		b.pass(b.timers.down)
		d = d.again()
		b.until("its workers are with it", func() bool {
			for _, w := range workers {
				if card := b.card(w); card.State != core.WorkerRunning || card.Dispatcher == "" || card.Seen.Before(card.Joined) {
					return false
				}
			}
			return true
		})
		open()
		b.right()
		b.once()
		b.lasting(20, 10*time.Millisecond)
		b.right()
		b.once()
	})
}

// The same while a steady stream of tasks ends: results that were on their way are
// handed in again.
func TestDispatcherIsKilledInTheMiddleOfResults(t *testing.T) {
	inBothModes(t, func(b *bench, mode core.Mode) {
		d := b.dispatcher(mode)
		b.worker(mode, d.at[mode])
		b.worker(mode, d.at[mode])
		ids := b.lasting(400, 5*time.Millisecond)
		for _, n := range []int{60, 180, 300} {
			b.until("some have begun", func() bool { return b.begun(ids) >= n })
			d.kill()
			d = d.again()
		}
		b.right()
		b.once()
	})
}

// Two dispatchers share a Redis, and one dies: its workers go on with the other,
// which adopts what they hold.
func TestOneOfTwoDispatchersDies(t *testing.T) {
	inBothModes(t, func(b *bench, mode core.Mode) {
		b.patient()
		one, two := b.dispatcher(mode), b.dispatcher(mode)
		urls := []string{one.at[mode], two.at[mode]}
		workers := []*process{b.worker(mode, urls...), b.worker(mode, urls...), b.worker(mode, urls...)}
		gate, open := b.gate("1")
		ids := b.gated(6, gate)
		b.until("all run", func() bool { return b.begun(ids) == 6 })
		roster, err := b.store.Roster(b.ctx)
		if err != nil {
			b.Fatal(err)
		}
		doomed := one
		for _, info := range roster.Dispatchers {
			if info.ID == b.card(workers[0]).Dispatcher && info.PID == two.pid() {
				doomed = two
			}
		}
		gone := b.card(workers[0]).Dispatcher
		doomed.kill()
		b.until("its workers are with the other", func() bool {
			for _, w := range workers {
				if card := b.card(w); card.State != core.WorkerRunning || card.Dispatcher == gone {
					return false
				}
			}
			return true
		})
		open()
		b.lasting(50, 5*time.Millisecond)
		b.right()
		b.once()
	})
}

// Two dispatchers with local workers: what the one that dies ran runs on the other
// when its leases have lapsed.
func TestOneOfTwoLocalDispatchersDies(t *testing.T) {
	if soaking {
		t.Parallel()
	}
	b := newBench(t)
	doomed := b.dispatcher(core.Local)
	gate, open := b.gate("1")
	ids := b.gated(2, gate)
	b.until("both run", func() bool { return b.begun(ids) == 2 })
	children := b.children(ids)
	b.dispatcher(core.Local)
	doomed.kill()
	for pid := range children {
		b.until("its children are dead", func() bool { return !alive(pid) })
	}
	b.until("both run on the other", func() bool { return b.begun(ids) == 4 })
	open()
	b.lasting(20, 0)
	b.right()
}
