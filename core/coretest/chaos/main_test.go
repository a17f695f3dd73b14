package chaos

import (
	"context"
	"flag"
	"log/slog"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"faasctl/core"
	"faasctl/core/coretest/proc"
	"faasctl/workers/pyrun"
)

// What to run; without -chaos.full the short form that is part of make test.
var (
	full  = flag.Bool("chaos.full", false, "run all seeds, modes and durabilities, and 10,000 tasks with poison: make chaos")
	seed  = flag.Uint64("chaos.seed", 1, "the first seed")
	tasks = flag.Int("chaos.tasks", 5_000, "tasks of each full run")
	span  = flag.Duration("chaos.span", 75*time.Second, "how long faults strike in each full run")
)

func TestMain(m *testing.M) {
	proc.Main(map[string]func([]byte) error{
		"api": proc.Role[apiRole], "dispatcher": proc.Role[dispatcherRole], "worker": proc.Role[workerRole],
	})
	// A link of toxiproxy that is cut while data wait leaves a goroutine of its own behind.
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/Shopify/toxiproxy/v2/toxics.(*ToxicStub).Run"))
}

// interpreter is looked for once.
var interpreter = sync.OnceValues(func() (core.Interpreter, error) {
	python, _, err := pyrun.Find(context.Background(), "")
	return python, err
})

// quiet is where words of the test's own process go.
var quiet = slog.New(slog.DiscardHandler)

// timers are those of all parts: short ones, so that leases lapse and workers
// fence themselves within a run. They belong together as the real ones do.
type timers struct {
	Lease, Renew, Heard, Reap, Poll time.Duration // dispatcher
	Beat                            time.Duration // dispatcher, hub and worker
	LostAfter, Park                 time.Duration // hub
	Silence, Fence, Farewell        time.Duration // worker
}

var short = timers{
	Lease: 5 * time.Second, Renew: 500 * time.Millisecond, Heard: time.Second, Reap: 300 * time.Millisecond, Poll: 300 * time.Millisecond,
	Beat: 200 * time.Millisecond, LostAfter: 500 * time.Millisecond, Park: time.Second,
	Silence: time.Second, Fence: 4 * time.Second, Farewell: 300 * time.Millisecond,
}

// calm is for runs in which nothing may be taken away from a worker that nobody
// struck: what is slow because the machine is busy must not look like what is gone.
func calm(lease time.Duration) timers {
	t := short
	t.Lease, t.Heard, t.LostAfter, t.Silence, t.Fence = lease, 3*time.Second, 5*time.Second, 10*time.Second, time.Minute
	return t
}
