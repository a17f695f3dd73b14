package workertest_test

import (
	"errors"

	"math/rand/v2"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/pebbe/zmq4"

	"faasctl/core"
	"faasctl/workers/link"
	"faasctl/workers/workertest"
)

// noise sends random multiparts: some have the form of messages, some almost.
func noise(t *testing.T, address string, envelope bool, n int, seed uint64) {
	s := dial(t, zmq4.DEALER, address)
	defer s.Close()
	r := rand.New(rand.NewPCG(seed, 1))
	some := func(most int) []byte {
		bytes := make([]byte, r.IntN(most))
		for i := range bytes {
			bytes[i] = byte(r.Uint32())
		}
		return bytes
	}
	headers := []string{`["w-x",1,2]`, `["w-x",[["t",1,"c"]]]`, `["w-x"]`, `[]`, `["w-x",0,[]]`, `["w-x",[["t",1,"c","COMPLETED",true,0,5,0,"",null,null]]]`}
	for range n {
		var frames [][]byte
		if envelope && r.IntN(8) > 0 {
			frames = append(frames, []byte{})
		}
		for range 1 + r.IntN(3) {
			switch r.IntN(4) {
			case 0:
				frames = append(frames, some(40))
			default:
				header := []byte(headers[r.IntN(len(headers))])
				for range r.IntN(3) {
					header[r.IntN(len(header))] = byte(r.Uint32())
				}
				frames = append(frames, []byte{byte(2 + r.IntN(60)), byte(r.IntN(20)/19*3) ^ 1}, header, some(9))
			}
		}
		if _, err := s.SendMessage(frames); err != nil {
			if !errors.Is(err, zmq4.Errno(syscall.EAGAIN)) {
				t.Errorf("send: %v", err)
				return
			}
		}
	}
}

func TestRandomFramesDoNoHarm(t *testing.T) {
	for _, mode := range []workertest.Mode{pushing, pulling} {
		t.Run(string(mode.Name), func(t *testing.T) {
			b := workertest.NewBench(t, mode)
			b.Start(2)
			b.Joined(1)
			b.Function("t1ms")
			var group sync.WaitGroup
			for i := range 5 {
				group.Go(func() { noise(t, b.URL(), mode.Name == core.Pull, 10_000, uint64(i)) })
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

// Many workers on one dispatcher: all join, none is lost, each gets its share.
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
			b.Await(b.Calls("t50ms", 10*many), core.Completed)
			low, high := 10*many, 0
			for _, w := range workers {
				n := len(w.Runner.Begun())
				low, high = min(low, n), max(high, n)
			}
			if low < 8 || high > 12 {
				t.Errorf("shares lie between %d and %d", low, high)
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
