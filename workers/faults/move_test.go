package faults

import (
	"testing"

	"faasctl/core"
	"faasctl/workers/workertest"
)

// A worker is cut off from one of two dispatchers and goes on with the other. When
// the first takes it for lost, the tasks are the second's by then, and stay with it.
func TestWorkerMovesToAnotherDispatcher(t *testing.T) {
	inBothModes(t, func(b *bench, mode core.Mode) {
		dispatchers := []*dispatcher{b.dispatcher(mode), b.dispatcher(mode)}
		var proxies []*workertest.Proxy
		var urls []string
		for _, d := range dispatchers {
			proxy := workertest.NewProxy(b, d.at[mode])
			proxies, urls = append(proxies, proxy), append(urls, proxy.Address())
		}
		w := b.worker(mode, urls...)
		gate, open := b.gate("1")
		ids := b.gated(2, gate)
		b.until("both run", func() bool { return b.begun(ids) == 2 })
		b.until("the store knows it", func() bool { return len(b.noted(core.TaskStarted)) == 2 })
		before := b.card(w).Dispatcher
		cut := proxies[0]
		if b.pidOf(before) == dispatchers[1].pid() {
			cut = proxies[1]
		}
		cut.Hole(true)
		b.until("it is with the other", func() bool {
			card := b.card(w)
			return card.State == core.WorkerRunning && card.Dispatcher != before
		})
		cut.Hole(false)
		b.until("the first takes it for lost", func() bool { return len(b.noted(core.WorkerVanished)) == 1 })
		b.until("the roster still shows it", func() bool {
			card := b.card(w)
			return card.State == core.WorkerRunning && card.Dispatcher != before
		})
		b.lasting(20, 0) // they wait for their turn
		open()
		b.right()
		b.once()
	})
}

// pidOf returns the process of a dispatcher.
func (b *bench) pidOf(id core.DispatcherID) int {
	b.Helper()
	roster, err := b.store.Roster(b.ctx)
	if err != nil {
		b.Fatal(err)
	}
	for _, d := range roster.Dispatchers {
		if d.ID == id {
			return d.PID
		}
	}
	b.Fatalf("there is no dispatcher %s", id)
	return 0
}
