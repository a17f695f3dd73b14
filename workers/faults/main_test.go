package faults

import (
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"

	"faasctl/core"
	"faasctl/core/coretest/proc"
)

// soaking says that there is time for the real timers.
var soaking = os.Getenv("FAASCTL_SOAK") == "1"

func TestMain(m *testing.M) {
	proc.Main(map[string]func([]byte) error{"dispatcher": proc.Role[dispatcherRole], "worker": proc.Role[workerRole]})
	goleak.VerifyTestMain(m)
}

// timers are those of all parts; zero is the part's own default.
type timers struct {
	Lease, Renew, Heard, Reap, Poll     time.Duration // dispatcher
	Beat                                time.Duration // dispatcher, hub and worker
	LostAfter, Park                     time.Duration // hub
	Silence, Fence, Farewell            time.Duration // worker
	outage, hole, down, briefly, slowly time.Duration // of the tests: see below
}

// chosen returns the timers of this run. What tests add:
//
//	outage   how long Redis stands still
//	hole     how long nothing passes between worker and dispatcher
//	down     how long a dispatcher is away
//	briefly  in what time others have the tasks of a worker that was killed
//	slowly   in what time all else has happened
func chosen() timers {
	if soaking {
		return timers{
			Lease: 30 * time.Second, Fence: 25 * time.Second,
			outage: 20 * time.Second, hole: 5 * time.Second, down: 15 * time.Second, briefly: 3 * time.Second, slowly: 2 * time.Minute,
		}
	}
	return timers{
		Lease: 4 * time.Second, Renew: 300 * time.Millisecond, Heard: 600 * time.Millisecond, Reap: 200 * time.Millisecond, Poll: 200 * time.Millisecond,
		Beat: 100 * time.Millisecond, LostAfter: 300 * time.Millisecond, Park: time.Second,
		Silence: 500 * time.Millisecond, Fence: 3300 * time.Millisecond, Farewell: 300 * time.Millisecond,
		outage: 5 * time.Second, hole: time.Second, down: 700 * time.Millisecond, briefly: 3 * time.Second, slowly: 30 * time.Second,
	}
}

// patient is for tests in which nothing may run twice: what is slow because the
// machine is busy must not look like what is gone. Nobody waits for these times.
func (b *bench) patient() {
	if !soaking {
		b.timers.Lease, b.timers.Fence, b.timers.LostAfter = 20*time.Second, 15*time.Second, 3*time.Second
	}
}

// inBothModes runs a test for push and pull.
func inBothModes(t *testing.T, test func(b *bench, mode core.Mode)) {
	inModes(t, test, core.Push, core.Pull)
}

// inModes runs a test for modes at the same time: most of a fault is waiting. With the
// timers of real life other tests wait beside it.
func inModes(t *testing.T, test func(b *bench, mode core.Mode), modes ...core.Mode) {
	if soaking {
		t.Parallel()
	}
	for _, mode := range modes {
		t.Run(string(mode), func(t *testing.T) {
			t.Parallel()
			test(newBench(t), mode)
		})
	}
}
