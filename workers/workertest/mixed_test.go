package workertest_test

import (
	"os"
	"runtime"
	"strconv"
	"sync"
	"testing"

	"faasctl/core"
	"faasctl/workers/pull"
	"faasctl/workers/workertest"
)

// soaking says whether tests take the numbers of `make soak`.
func soaking() bool { return os.Getenv("FAASCTL_SOAK") != "" }

// TestAllModesAtOnce runs workers of all modes on one dispatcher, in noise.
func TestAllModesAtOnce(t *testing.T) {
	tasks, noises := 5_000, 5_000
	if soaking() {
		tasks, noises = 50_000, 500_000
	}
	b := workertest.NewBench(t, pushing)
	hub, err := pull.New(b.Hub)
	if err != nil {
		t.Fatal(err)
	}
	inside, transport := b.Inside(2)
	b.Dispatcher.Transports = []core.Transport{hub, transport}
	workers := append(b.Start(2, 2), inside)
	<-hub.Ready()
	b.Mode = pulling
	workers = append(workers, b.AddAt(2, hub.Address()), b.AddAt(2, hub.Address()))
	b.Joined(5)
	b.Function("t0s")
	b.Await(b.Calls("t0s", 1000), core.Completed)
	before := runtime.NumGoroutine()
	var group sync.WaitGroup
	group.Go(func() { workertest.Noise(t, b.URL(), false, noises, 7) })
	group.Go(func() { workertest.Noise(t, hub.Address(), true, noises, 8) })
	ids := b.Calls("t0s", tasks)
	b.Await(ids, core.Completed)
	group.Wait()
	for i, id := range ids {
		if _, result, err := b.Service.Result(b.Ctx, id); err != nil || string(result.JSON) != `[[`+strconv.Itoa(i)+`],{}]` {
			t.Fatalf("task %d: %s (%v)", i, result.JSON, err)
		}
	}
	total := 0
	for i, w := range workers {
		n := len(w.Runner.Begun())
		total += n
		t.Logf("worker %d started %d", i, n)
		if n == 0 {
			t.Errorf("worker %d started nothing", i)
		}
	}
	if total != tasks+1000 {
		t.Errorf("%d starts of %d tasks", total, tasks+1000)
	}
	b.Until("no more goroutines run than before", func() bool { return runtime.NumGoroutine() <= before+5 })
}
