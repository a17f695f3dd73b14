package workertest_test

import (
	"sync"
	"syscall"
	"testing"
	"time"

	"faasctl/core"
	"faasctl/workers/link"
	"faasctl/workers/workertest"
)

func TestRandomFramesDoNoHarm(t *testing.T) {
	for _, mode := range []workertest.Mode{pushing, pulling} {
		t.Run(string(mode.Name), func(t *testing.T) {
			b := workertest.NewBench(t, mode)
			b.Start(2)
			b.Joined(1)
			b.Function("t1ms")
			var group sync.WaitGroup
			for i := range 5 {
				group.Go(func() { workertest.Noise(t, b.URL(), mode.Name == core.Pull, 10_000, uint64(i)) })
			}
			b.Await(b.Calls("t1ms", 300), core.Completed)
			group.Wait()
			b.Await(b.Calls("t1ms", 300), core.Completed)
			if n := len(b.Workers(core.WorkerRunning)); n != 1 {
				t.Errorf("%d workers run", n)
			}
		})
	}
}

func cpu() time.Duration {
	var usage syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &usage)
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// Many workers on one dispatcher: all join, none is lost, each gets its
// share.
func TestManyWorkers(t *testing.T) {
	const many = 200
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil || limit.Cur < 20*many {
		t.Skipf("only %d descriptors are allowed", limit.Cur)
	}
	for _, mode := range []workertest.Mode{pushing, pulling} {
		t.Run(string(mode.Name), func(t *testing.T) {
			b := workertest.NewBench(t, mode)
			b.Beat = 500 * time.Millisecond
			b.Hub.Beat, b.Hub.Park, b.Conn.Silence = 500*time.Millisecond, 5*time.Second, 10*time.Second
			b.Dispatcher.Heard = 3 * time.Second
			b.Dispatcher.Renew, b.Dispatcher.Lease = 3*time.Second, 30*time.Second
			b.Start()
			workers := make([]*workertest.Worker, many)
			for i := range workers {
				workers[i] = b.Add(1)
			}
			b.Joined(many)
			b.Function("t50ms")
			// A busy machine makes shares uneven that are not: one of three rounds has to
			// be even.
			even := false
			before := make([]int, many)
			for round := 0; round < 3 && !even; round++ {
				b.Await(b.Calls("t50ms", 10*many), core.Completed)
				low, high := 10*many, 0
				for i, w := range workers {
					n := len(w.Runner.Begun())
					low, high = min(low, n-before[i]), max(high, n-before[i])
					before[i] = n
				}
				even = low >= 8 && high <= 12
				t.Logf("shares lie between %d and %d", low, high)
			}
			if !even {
				t.Error("shares are uneven")
			}
			if n := len(b.Workers(core.WorkerRunning)); n != many {
				t.Errorf("%d workers run", n)
			}
		})
	}
}

// TestIdleCost measures what 200 idle workers of another process cost the
// dispatcher, with the timers of real life. It takes as long as it measures:
// FAASCTL_SOAK=1 asks for it.
func TestIdleCost(t *testing.T) {
	if !soaking() {
		t.Skip("set FAASCTL_SOAK=1")
	}
	for _, mode := range []workertest.Mode{pushing, pulling} {
		t.Run(string(mode.Name), func(t *testing.T) {
			b := workertest.NewBench(t, mode)
			b.Hub = link.HubConfig{Logger: b.Hub.Logger}
			b.Dispatcher = core.DispatcherConfig{Store: b.Store, Logger: b.Dispatcher.Logger}
			b.Start()
			other := startFakes(t, b, mode, 200, time.Second)
			b.Joined(200)
			const span = 10 * time.Second
			before := cpu()
			<-time.After(span) // what is measured is time itself
			share := float64(cpu()-before) / float64(span) * 100
			t.Logf("200 idle workers cost %.2f %% of a core", share)
			if share > 3 {
				t.Errorf("200 idle workers cost %.2f %% of a core", share)
			}
			other.release(t)
		})
	}
}

func BenchmarkCalls(b *testing.B) {
	for _, mode := range []workertest.Mode{local, pushing, pulling} {
		b.Run(string(mode.Name), func(b *testing.B) {
			bench := workertest.NewBench(b, mode)
			bench.Start(1, 1)
			bench.Function("t0s")
			bench.Await(bench.Calls("t0s", 1000), core.Completed) // it learns that these are cheap
			b.ResetTimer()
			ids := bench.Calls("t0s", b.N)
			bench.Await(ids[len(ids)-1:], core.Completed)
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "tasks/s")
		})
	}
}

// BenchmarkHop is one call from submission to its end and back, with nothing else
// to do: what a transport adds to an idle system, over a store in memory and a
// runner that does nothing.
func BenchmarkHop(b *testing.B) {
	for _, mode := range []workertest.Mode{local, pushing, pulling} {
		b.Run(string(mode.Name), func(b *testing.B) {
			bench := workertest.NewBench(b, mode)
			bench.Start(1)
			bench.Function("t0s")
			bench.Await(bench.Calls("t0s", 100), core.Completed)
			for b.Loop() {
				bench.Await(bench.Calls("t0s", 1), core.Completed)
			}
		})
	}
}
