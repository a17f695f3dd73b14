package workertest

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"time"

	"faasctl/core"
)

// Run runs the suite on one mode.
func Run(t *testing.T, mode Mode) {
	for _, c := range []struct {
		name    string
		sockets bool // the case is about connections
		run     func(*testing.T, Mode)
	}{
		{"EvenShares", false, evenShares},
		{"NeverMoreThanSlots", false, neverMoreThanSlots},
		{"Order", false, order},
		{"Intact", false, intact},
		{"Cancel", false, cancel},
		{"Follow", false, follow},
		{"DrainByAgent", false, drain},
		{"DrainByDispatcher", true, drainWorker},
		{"Stop", true, stop},
		{"Vanish", true, vanish},
		{"Reconnect", true, reconnect},
		{"BlackHole", true, blackHole},
		{"LostResult", true, lostResult},
		{"Late", true, late},
		{"Restart", true, restart},
		{"Failover", true, failover},
		{"Fence", true, fence},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.sockets && mode.Hub == nil {
				t.Skip("a worker in the dispatcher's process has no connection")
			}
			c.run(t, mode)
		})
	}
}

// evenShares: four equal workers get equal parts of equal tasks. A machine that
// leaves one of them waiting for a core makes shares uneven that are not, so one
// of several rounds has to be even.
func evenShares(t *testing.T, mode Mode) {
	const rounds = 5
	b := NewBench(t, mode)
	workers := b.Start(4, 4, 4, 4)
	b.Joined(4)
	b.Function("t10ms")
	before := make([]int, len(workers))
	for range rounds {
		b.Await(b.Calls("t10ms", 1000), core.Completed)
		low, high := 1000, 0
		for i, w := range workers {
			all := len(w.Runner.Begun())
			n := all - before[i]
			before[i] = all
			low, high = min(low, n), max(high, n)
		}
		if float64(high) <= 1.1*float64(low) {
			return
		}
		t.Logf("shares lie between %d and %d", low, high)
	}
	t.Errorf("no round of %d was even", rounds)
}

func neverMoreThanSlots(t *testing.T, mode Mode) {
	b := NewBench(t, mode)
	workers := b.Start(1, 3)
	b.Joined(2)
	b.Function("t100us")
	b.Function("t5ms")
	quick, slow := b.Calls("t100us", 2000), b.Calls("t5ms", 100)
	b.Await(quick, core.Completed)
	b.Await(slow, core.Completed)
	for i, slots := range []int{1, 3} {
		if most := workers[i].Runner.Most(); most > slots {
			t.Errorf("%d at once on %d slots", most, slots)
		}
	}
}

func order(t *testing.T, mode Mode) {
	b := NewBench(t, mode)
	b.Function("t200us")
	ids := b.Calls("t200us", 500)
	w := b.Start(1)[0]
	b.Await(ids, core.Completed)
	if begun := w.Runner.Begun(); !slices.Equal(begun, ids) {
		for i := range ids {
			if begun[i] != ids[i] {
				t.Fatalf("the %d-th to start was the %d-th handed in", i, slices.Index(ids, begun[i]))
			}
		}
	}
}

func intact(t *testing.T, mode Mode) {
	b := NewBench(t, mode)
	b.Start(2)
	b.Function("t0s")
	sizes := []int{0, 1, 100, 64<<10 - 10, 64 << 10, 64<<10 + 10, 1 << 20, core.MaxPayload - 20}
	args := make([][]byte, len(sizes))
	for i, n := range sizes {
		args[i] = []byte(`[["` + string(bytes.Repeat([]byte{byte('a' + i)}, n)) + `"],{}]`)
	}
	ids := b.Calls("t0s", len(sizes), func(i int, r *core.SubmitRequest) { r.Args = args[i] })
	b.Await(ids, core.Completed)
	for i, id := range ids {
		if _, result, err := b.Service.Result(b.Ctx, id); err != nil || !bytes.Equal(result.JSON, args[i]) {
			t.Fatalf("%d bytes came back as %d (%v)", len(args[i]), len(result.JSON), err)
		}
	}
	name := "t1us"
	body := []byte("# " + strings.Repeat("x", 1<<20) + "\ndef t1us(): pass\n")
	if _, err := b.Service.Register(b.Ctx, core.RegisterRequest{Name: name, Codec: core.Source, Body: body, Entry: name, File: "t.py"}); err != nil {
		t.Fatal(err)
	}
	b.Await(b.Calls(name, 300), core.Completed)
}

func cancel(t *testing.T, mode Mode) {
	b := NewBench(t, mode)
	w := b.Start(1)[0]
	b.Function("t1h")
	running := b.Calls("t1h", 1)
	b.Until("it runs", func() bool { return w.Runner.Running() == 1 })
	waiting := b.Calls("t1h", 1)
	for _, ids := range [][]core.TaskID{waiting, running} {
		if _, err := b.Service.Cancel(b.Ctx, ids, 0); err != nil {
			t.Fatal(err)
		}
		b.Await(ids, core.Cancelled)
	}
	if n := len(w.Runner.Begun()); n != 1 {
		t.Errorf("%d were started", n)
	}
}

// follow: what a running call prints reaches those who follow it, and nobody is
// told before.
func follow(t *testing.T, mode Mode) {
	b := NewBench(t, mode)
	w := b.Start(1)[0]
	b.Function("t1h")
	running := b.Calls("t1h", 1)[0]
	b.Until("it runs", func() bool { return w.Runner.Running() == 1 })
	waiting := b.Calls("t1h", 1)[0]
	if w.Runner.Followed() != 0 || w.Runner.Print(running, "nobody hears this") {
		t.Fatal("it is followed by nobody")
	}
	for _, id := range []core.TaskID{running, waiting} {
		var heard strings.Builder
		news := make(chan string)
		ended := make(chan error, 1)
		go func() {
			ended <- b.Service.Follow(b.Ctx, id, core.Position{}, func(n core.News) error {
				if n.Heard != nil {
					heard.Write(n.Heard.Data)
					news <- heard.String()
				}
				return nil
			})
		}()
		b.Until("it is followed", func() bool { return w.Runner.Print(id, "one\n") || id == waiting })
		if id == waiting { // it is followed before it runs
			if _, err := b.Service.Cancel(b.Ctx, []core.TaskID{running}, 0); err != nil {
				t.Fatal(err)
			}
			b.Until("it is followed", func() bool { return w.Runner.Print(id, "one\n") })
		}
		big := strings.Repeat("x", core.PieceSize-1) + "\n"
		for _, text := range []string{"two\n", big, big, big} {
			w.Runner.Print(id, text)
		}
		for want := "one\ntwo\n" + big + big + big; ; {
			got := <-news
			if !strings.HasPrefix(want, got) {
				t.Fatalf("heard %d bytes that are not what was printed", len(got))
			}
			if len(got) == len(want) {
				break
			}
		}
		if id == waiting {
			if _, err := b.Service.Cancel(b.Ctx, []core.TaskID{waiting}, 0); err != nil {
				t.Fatal(err)
			}
			if err := <-ended; err != nil {
				t.Fatal(err)
			}
		} else {
			defer func() { <-ended }()
		}
	}
	b.Until("nobody follows any more", func() bool { return w.Runner.Followed() == 0 })
}

func drain(t *testing.T, mode Mode) {
	b := NewBench(t, mode)
	workers := b.Start(1, 1)
	b.Joined(2)
	b.Function("t300ms")
	ids := b.Calls("t300ms", 6)
	b.Until("both run", func() bool { return workers[0].Runner.Running()+workers[1].Runner.Running() == 2 })
	workers[0].Agent.Deliver(core.DownDrain{})
	b.Await(ids, core.Completed)
	if n, m := len(workers[0].Runner.Begun()), len(workers[1].Runner.Begun()); n != 1 || m != 5 {
		t.Errorf("the draining worker started %d, the other %d", n, m)
	}
	if mode.Hub != nil {
		<-workers[0].Ended
		b.Until("it is gone", func() bool { return len(b.Workers(core.WorkerGone)) == 1 })
	}
}

func drainWorker(t *testing.T, mode Mode) {
	b := NewBench(t, mode)
	w := b.Start(1)[0]
	b.Joined(1)
	if _, err := b.Service.DrainWorker(b.Ctx, string(w.ID)); err != nil {
		t.Fatal(err)
	}
	<-w.Ended
	b.Until("it is gone", func() bool { return len(b.Workers(core.WorkerGone)) == 1 })
}

func stop(t *testing.T, mode Mode) {
	b := NewBench(t, mode)
	b.Hub.LostAfter = time.Minute // the farewell has to be heard
	workers := b.Start(1, 1)
	b.Joined(2)
	b.Function("t400ms")
	ids := b.Calls("t400ms", 2)
	b.Until("both run", func() bool { return workers[0].Runner.Running()+workers[1].Runner.Running() == 2 })
	workers[0].Stop()
	b.Await(ids, core.Completed)
	if n := len(workers[1].Runner.Begun()); n != 2 {
		t.Errorf("the other worker started %d", n)
	}
}

func vanish(t *testing.T, mode Mode) {
	b := NewBench(t, mode)
	b.Start()
	w := b.AddProxied(1)
	b.Joined(1)
	b.Function("t300ms")
	ids := b.Calls("t300ms", 1)
	b.Until("it runs", func() bool { return w.Runner.Running() == 1 })
	w.Proxy.Off(true)
	began := time.Now()
	other := b.Add(1)
	b.Await(ids, core.Completed)
	if n := len(other.Runner.Begun()); n != 1 {
		t.Errorf("the other worker started %d", n)
	}
	if took := time.Since(began); took > 3*time.Second {
		t.Errorf("it took %s", took)
	}
	if len(b.Workers(core.WorkerLost)) != 1 {
		t.Errorf("the roster does not show it as lost")
	}
	w.Proxy.Off(false) // it comes back with a result that is nobody's
	b.Joined(2)
}

func reconnect(t *testing.T, mode Mode) {
	b := NewBench(t, mode)
	b.Hub.LostAfter = 5 * time.Second
	b.Start()
	w := b.AddProxied(2)
	b.Joined(1)
	b.Function("t500ms")
	b.Function("t1ms")
	slow := b.Calls("t500ms", 2)
	b.Until("both run", func() bool { return w.Runner.Running() == 2 })
	w.Proxy.Cut()
	b.Await(slow, core.Completed)
	for range 5 {
		ids := b.Calls("t1ms", 200)
		w.Proxy.Cut()
		b.Await(ids, core.Completed)
	}
	if n := len(w.Runner.Begun()); n < 1002 {
		t.Errorf("%d started", n)
	}
	if n := len(w.Runner.Begun()); n > 1002 {
		t.Errorf("%d of 1002 were started twice", n-1002)
	}
	for _, id := range slow {
		if n := w.Runner.Times(id); n != 1 {
			t.Errorf("a running task was started %d times", n)
		}
	}
}

func blackHole(t *testing.T, mode Mode) {
	b := NewBench(t, mode)
	b.Start()
	w := b.AddProxied(1)
	b.Joined(1)
	b.Function("t100ms")
	ids := b.Calls("t100ms", 3)
	b.Until("it runs", func() bool { return w.Runner.Running() == 1 })
	w.Proxy.Hole(true)
	b.Until("the call has ended", func() bool { return w.Runner.Running() == 0 })
	w.Proxy.Hole(false)
	b.Await(ids, core.Completed)
	for _, id := range ids {
		if n := w.Runner.Times(id); n != 1 {
			t.Errorf("a task was started %d times", n)
		}
	}
}

// A result that was lost with its connection is handed in again after the worker
// has registered, and its task is not run twice.
func lostResult(t *testing.T, mode Mode) {
	b := NewBench(t, mode)
	b.Hub.LostAfter = 5 * time.Second
	b.Start()
	w := b.AddProxied(1)
	b.Joined(1)
	b.Function("t50ms")
	ids := b.Calls("t50ms", 1)
	b.Until("it runs", func() bool { return w.Runner.Running() == 1 })
	w.Proxy.Hole(true)
	b.Until("the call has ended", func() bool { return w.Runner.Running() == 0 })
	b.Until("the result is on its way", func() bool { return w.Proxy.Swallowed() > 1 })
	w.Proxy.Cut()
	w.Proxy.Hole(false)
	b.Await(ids, core.Completed)
	b.Await(b.Calls("t50ms", 10), core.Completed) // whatever else was queued has run by now
	if n := w.Runner.Times(ids[0]); n != 1 {
		t.Errorf("it was started %d times", n)
	}
}

// A worker that is cut off for longer than a lease finds that its task is
// another's; its late result is refused.
func late(t *testing.T, mode Mode) {
	b := NewBench(t, mode)
	b.Dispatcher.Lease, b.Dispatcher.Heard, b.Dispatcher.Renew = 900*time.Millisecond, 300*time.Millisecond, 100*time.Millisecond
	b.Start()
	w := b.AddProxied(1)
	b.Joined(1)
	b.Function("t1500ms")
	ids := b.Calls("t1500ms", 1)
	b.Until("it runs", func() bool { return w.Runner.Running() == 1 })
	w.Proxy.Hole(true)
	other := b.Add(1)
	b.Until("the other runs it", func() bool { return other.Runner.Times(ids[0]) == 1 })
	b.Until("the first has ended it", func() bool { return w.Runner.Running() == 0 })
	w.Proxy.Hole(false)
	b.Joined(2)
	b.Await(ids, core.Completed)
	stats, err := b.Service.Stats(b.Ctx)
	if err != nil || stats.Totals.Completed != 1 {
		t.Errorf("%+v %v", stats.Totals, err)
	}
	if task, err := b.Service.Task(b.Ctx, ids[0]); err != nil || task.Worker != other.ID {
		t.Errorf("it is settled by %s (%v)", task.Worker, err)
	}
}

// A dispatcher that goes and comes back runs no held task twice.
func restart(t *testing.T, mode Mode) {
	b := NewBench(t, mode)
	w := b.Start(2)[0]
	b.Joined(1)
	b.Function("t1500ms")
	b.Function("t1ms")
	held := b.Calls("t1500ms", 2)
	b.Until("both run", func() bool { return w.Runner.Running() == 2 })
	b.Stop()
	b.Start()
	b.Await(held, core.Completed)
	b.Await(b.Calls("t1ms", 100), core.Completed)
	for _, id := range held {
		if n := w.Runner.Times(id); n != 1 {
			t.Errorf("a held task was started %d times", n)
		}
	}
}

// Two dispatchers share a store; when one goes, its workers go on with the other.
func failover(t *testing.T, mode Mode) {
	b := NewBench(t, mode)
	b.Start()
	first, stopFirst := b.URL(), b.stop
	b.Hub.Port = 0
	b.Start()
	second := b.URL()
	w := b.AddAt(1, first, second)
	b.Until("it has joined", func() bool { return len(b.Workers(core.WorkerRunning)) > 0 })
	b.Function("t1ms")
	b.Await(b.Calls("t1ms", 50), core.Completed)
	stopFirst()
	b.Await(b.Calls("t1ms", 50), core.Completed)
	if n := len(w.Runner.Begun()); n != 100 {
		t.Errorf("%d started", n)
	}
}

func fence(t *testing.T, mode Mode) {
	b := NewBench(t, mode)
	b.Conn.Fence = 700 * time.Millisecond
	b.Start()
	w := b.AddProxied(1)
	b.Joined(1)
	b.Function("t1h")
	ids := b.Calls("t1h", 1)
	b.Until("it runs", func() bool { return w.Runner.Running() == 1 })
	w.Proxy.Off(true)
	b.Until("it is killed", func() bool { return w.Runner.Running() == 0 })
	w.Proxy.Off(false)
	b.Until("it runs again", func() bool { return w.Runner.Times(ids[0]) == 2 })
	if _, err := b.Service.Cancel(b.Ctx, ids, 0); err != nil {
		t.Fatal(err)
	}
	b.Await(ids, core.Cancelled)
}
