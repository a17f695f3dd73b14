package faults

import (
	"testing"
	"time"

	"faasctl/core"
	"faasctl/workers/workertest"
)

// Nothing passes between a worker and its dispatcher for a while that is shorter
// than the lease, and longer than what the worker takes for silence: nothing is
// lost, and nothing runs twice.
func TestBlackHole(t *testing.T) {
	inBothModes(t, func(b *bench, mode core.Mode) {
		b.patient()
		d := b.dispatcher(mode)
		proxy := workertest.NewProxy(b, d.at[mode])
		far := b.worker(mode, proxy.Address())
		gate, open := b.gate("1")
		long := b.gated(1, gate) // one that runs through it all
		b.until("it runs", func() bool { return b.begun(long) == 1 })
		b.worker(mode, d.at[mode])
		ids := b.lasting(600, 5*time.Millisecond)
		b.until("some have ended", func() bool { return b.begun(ids) >= 50 })
		proxy.Hole(true)
		b.pass(b.timers.hole)
		proxy.Hole(false)
		open()
		b.right()
		b.once()
		b.until("the worker is there", func() bool { return b.card(far).State == core.WorkerRunning })
	})
}

// The hole is longer than the lease: tasks run elsewhere, late results are refused.
func TestLongBlackHole(t *testing.T) {
	inBothModes(t, func(b *bench, mode core.Mode) {
		d := b.dispatcher(mode)
		proxy := workertest.NewProxy(b, d.at[mode])
		far := b.worker(mode, proxy.Address())
		gate, open := b.gate("1")
		ids := b.gated(2, gate)
		b.until("both run", func() bool { return b.begun(ids) == 2 })
		b.worker(mode, d.at[mode])
		proxy.Hole(true)
		b.until("both run elsewhere", func() bool { return b.begun(ids) == 4 })
		open()
		b.ended(ids)
		proxy.Hole(false)
		b.until("the worker is back", func() bool { return b.card(far).State == core.WorkerRunning })
		b.lasting(50, 5*time.Millisecond)
		b.right()
	})
}

// Connections break again and again in the middle of a stream of tasks.
func TestConnectionsBreak(t *testing.T) {
	inBothModes(t, func(b *bench, mode core.Mode) {
		b.patient()
		d := b.dispatcher(mode)
		proxy := workertest.NewProxy(b, d.at[mode])
		b.worker(mode, proxy.Address())
		b.worker(mode, proxy.Address())
		ids := b.lasting(600, time.Millisecond)
		for n := 50; n < 600; n += 100 {
			b.until("some have begun", func() bool { return b.begun(ids) >= n })
			proxy.Cut()
		}
		b.right()
		b.once()
	})
}
