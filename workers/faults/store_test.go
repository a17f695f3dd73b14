package faults

import (
	"syscall"
	"testing"
	"time"

	"faasctl/core"
)

// Redis stands still for a while, which in the short run is longer than a lease:
// what runs goes on, nothing runs twice, and nothing is lost.
func TestRedisStandsStill(t *testing.T) {
	inModes(t, func(b *bench, mode core.Mode) {
		d := b.dispatcher(mode)
		if mode != core.Local {
			b.worker(mode, d.at[mode])
			b.worker(mode, d.at[mode])
		}
		first, openFirst := b.gate("1")
		second, openSecond := b.gate("2")
		b.gated(1, first)
		b.gated(1, second)
		b.until("both run", func() bool { return len(b.executions()) == 2 })
		stream := b.lasting(200, 10*time.Millisecond)
		b.until("some have begun", func() bool { return b.begun(stream) >= 20 })
		before := b.children(b.handed())

		if err := syscall.Kill(b.redis.PID(), syscall.SIGSTOP); err != nil {
			b.Fatal(err)
		}
		wake := func() { _ = syscall.Kill(b.redis.PID(), syscall.SIGCONT) }
		b.Cleanup(wake)
		openFirst() // it ends while nobody can take note of it
		b.pass(b.timers.outage)
		for pid := range before {
			if !alive(pid) {
				b.Errorf("child %d was killed", pid)
			}
		}
		wake()
		b.ended(stream)
		openSecond()
		b.right()
		b.once()
		b.lasting(20, 0)
		b.right()
		b.once()
	}, core.Local, core.Push, core.Pull)
}
