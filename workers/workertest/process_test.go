package workertest_test

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"faasctl/core"
	"faasctl/workers/workertest"
)

// fakes, in the environment of this test program, makes it a process of workers:
// a mode, an address, how many of them and how often they beat.
const fakes = "WORKERTEST_FAKES"

func TestFakes(t *testing.T) {
	var mode, address string
	var n int
	var beat time.Duration
	if _, err := fmt.Sscan(os.Getenv(fakes), &mode, &address, &n, (*int64)(&beat)); err != nil {
		t.Skip("it is the other half of tests of processes")
	}
	b := workertest.NewBench(t, map[string]workertest.Mode{"push": pushing, "pull": pulling}[mode])
	b.Beat, b.Conn.Silence = beat, 10*time.Second
	for range n {
		b.AddAt(1, address)
	}
	_, _ = os.Stdin.Read(make([]byte, 1)) // until the other half is done
}

// fakeProcess is a process of workers with fake runners.
type fakeProcess struct {
	*exec.Cmd
	hold io.Closer
}

func startFakes(t *testing.T, b *workertest.Bench, mode workertest.Mode, n int, beat time.Duration) *fakeProcess {
	t.Helper()
	p := &fakeProcess{Cmd: exec.Command(os.Args[0], "-test.run=^TestFakes$")}
	p.Env = append(os.Environ(), fmt.Sprintf("%s=%s %s %d %d", fakes, mode.Name, b.URL(), n, beat))
	hold, err := p.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	p.hold = hold
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if p.ProcessState == nil {
			_ = p.Process.Kill()
			_ = p.Wait()
		}
	})
	return p
}

// release lets the process end.
func (p *fakeProcess) release(t *testing.T) {
	t.Helper()
	_ = p.hold.Close()
	if err := p.Wait(); err != nil {
		t.Error(err)
	}
}

func (p *fakeProcess) signal(t *testing.T, s syscall.Signal) {
	t.Helper()
	if err := p.Process.Signal(s); err != nil {
		t.Fatal(err)
	}
}

// soonAfter is far longer than it takes to miss a killed worker, also on a machine
// that is busy with something else, and far shorter than a lease.
const soonAfter = 12 * time.Second

// TestAKilledProcess has the timers of real life: others have the tasks of a
// killed worker soon, which is within 3 s where there is time for it.
func TestAKilledProcess(t *testing.T) {
	for _, mode := range []workertest.Mode{pushing, pulling} {
		t.Run(string(mode.Name), func(t *testing.T) {
			t.Parallel()
			b := workertest.NewBench(t, mode)
			b.Hub.Beat, b.Hub.LostAfter, b.Hub.Park = 0, 0, 0
			b.Dispatcher = core.DispatcherConfig{Store: b.Store, Logger: b.Dispatcher.Logger}
			b.Start()
			p := startFakes(t, b, mode, 1, time.Second)
			b.Joined(1)
			b.Function("t1h")
			ids := b.Calls("t1h", 1)
			b.Until("it has it", func() bool {
				return len(b.Workers(core.WorkerRunning)) == 1 && b.Workers(core.WorkerRunning)[0].Held == 1
			})
			other := b.Add(1)
			b.Joined(2)
			began := time.Now()
			p.signal(t, syscall.SIGKILL)
			b.Until("the other runs it", func() bool { return other.Runner.Times(ids[0]) == 1 })
			if took := time.Since(began); took > soonAfter {
				t.Errorf("it took %s", took)
			} else {
				t.Logf("it took %s", took)
			}
		})
	}
}

// A process that is stopped for longer than a lease comes back with a late result,
// which is refused.
func TestAStoppedProcess(t *testing.T) {
	for _, mode := range []workertest.Mode{pushing, pulling} {
		t.Run(string(mode.Name), func(t *testing.T) {
			b := workertest.NewBench(t, mode)
			b.Dispatcher.Lease, b.Dispatcher.Heard, b.Dispatcher.Renew = 900*time.Millisecond, 300*time.Millisecond, 100*time.Millisecond
			b.Start()
			p := startFakes(t, b, mode, 1, 50*time.Millisecond)
			b.Joined(1)
			b.Function("t1s")
			ids := b.Calls("t1s", 1)
			b.Until("it runs", func() bool {
				task, err := b.Service.Task(b.Ctx, ids[0])
				return err == nil && task.Attempt == 1
			})
			p.signal(t, syscall.SIGSTOP)
			other := b.Add(1)
			b.Until("the other runs it", func() bool { return other.Runner.Times(ids[0]) == 1 })
			p.signal(t, syscall.SIGCONT)
			b.Await(ids, core.Completed)
			b.Joined(2)
			if task, err := b.Service.Task(b.Ctx, ids[0]); err != nil || task.Worker != other.ID {
				t.Errorf("it is settled by %s (%v)", task.Worker, err)
			}
			if stats, err := b.Service.Stats(b.Ctx); err != nil || stats.Totals.Completed != 1 {
				t.Errorf("%+v %v", stats.Totals, err)
			}
			p.release(t)
		})
	}
}
