package coretest

import (
	"context"
	"sync"
	"time"

	"faasctl/core"
)

// Transport is a fake whose workers do what a test tells them.
type Transport struct {
	mode   core.Mode
	served chan struct{} // closed when Serve has begun

	up      chan<- core.Signal // set before served is closed
	mu      sync.Mutex
	workers map[core.WorkerID]*Worker
}

var _ core.Transport = (*Transport)(nil)

// NewTransport returns a transport without workers.
func NewTransport(mode core.Mode) *Transport {
	return &Transport{mode: mode, served: make(chan struct{}), workers: map[core.WorkerID]*Worker{}}
}

// Mode implements core.Transport.
func (t *Transport) Mode() core.Mode { return t.mode }

// Serve implements core.Transport.
func (t *Transport) Serve(ctx context.Context, up chan<- core.Signal) error {
	t.up = up
	close(t.served)
	<-ctx.Done()
	return nil
}

// Deliver implements core.Transport.
func (t *Transport) Deliver(id core.WorkerID, msg core.Down) error {
	t.mu.Lock()
	w := t.workers[id]
	t.mu.Unlock()
	if w == nil {
		return core.ErrGone
	}
	return w.hear(msg)
}

// Worker is a fake worker. It runs nothing: a test ends its tasks.
type Worker struct {
	ID core.WorkerID
	t  *Transport

	mu       sync.Mutex
	full     bool
	held     []core.Assignment
	all      []core.TaskID
	settled  []core.Lease
	cancels  []core.TaskID
	graces   []time.Duration
	lost     []core.Lease
	draining bool
	strays   int
	store    []bool
	follows  []core.DownFollow
	prepared []core.DownPrepare
}

// Join adds a worker that can hold window tasks; it runs whatever it is given, or
// what these interpreters can.
func (t *Transport) Join(id core.WorkerID, slots, window int, has ...core.Interpreter) *Worker {
	w := &Worker{ID: id, t: t}
	t.mu.Lock()
	t.workers[id] = w
	t.mu.Unlock()
	<-t.served
	w.Say(core.UpJoin{Worker: core.Worker{ID: id, Mode: t.mode, Slots: slots, Interpreters: has}})
	w.Say(core.UpWindow{Seq: 1, Size: window})
	return w
}

// Say sends a word up.
func (w *Worker) Say(word core.Up) { w.t.up <- core.Signal{Worker: w.ID, From: w.t, Up: word} }

// Vanish makes the worker unreachable, as a killed process is, and tells the
// dispatcher so, as a transport that noticed does.
func (w *Worker) Vanish() {
	w.t.mu.Lock()
	delete(w.t.workers, w.ID)
	w.t.mu.Unlock()
	w.Say(core.UpLeave{Lost: true})
}

func (w *Worker) hear(msg core.Down) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch msg := msg.(type) {
	case core.DownTasks:
		if w.full {
			return core.ErrFull
		}
		w.held = append(w.held, msg.Tasks...)
		for _, a := range msg.Tasks {
			w.all = append(w.all, a.Task)
		}
	case core.DownSettled:
		w.settled = append(w.settled, msg.Leases...)
	case core.DownCancel:
		w.cancels, w.graces = append(w.cancels, msg.Tasks...), append(w.graces, msg.Grace)
	case core.DownLost:
		w.lost = append(w.lost, msg.Leases...)
	case core.DownDrain:
		w.draining = true
	case core.DownRegister:
		w.strays++
	case core.DownStore:
		w.store = append(w.store, msg.Up)
	case core.DownFollow:
		w.follows = append(w.follows, msg)
	case core.DownPrepare:
		w.prepared = append(w.prepared, msg)
	}
	return nil
}

// SetFull makes deliveries of tasks fail with ErrFull, or succeed again.
func (w *Worker) SetFull(full bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.full = full
}

// Held returns the tasks that were given and not ended.
func (w *Worker) Held() []core.Assignment {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]core.Assignment(nil), w.held...)
}

// Given returns the ids of all tasks that were ever given, in order.
func (w *Worker) Given() []core.TaskID {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]core.TaskID(nil), w.all...)
}

// Heard is what the dispatcher has said besides tasks.
type Heard struct {
	Settled  []core.Lease
	Cancels  []core.TaskID
	Graces   []time.Duration // one per message
	Lost     []core.Lease
	Draining bool
	Strays   int    // times it was told to register
	Store    []bool // the store's comings (true) and goings
	Follows  []core.DownFollow
	Prepared []core.DownPrepare
}

// Heard returns what was said so far.
func (w *Worker) Heard() Heard {
	w.mu.Lock()
	defer w.mu.Unlock()
	return Heard{w.settled, w.cancels, w.graces, w.lost, w.draining, w.strays, w.store, w.follows, w.prepared}
}

// Finish ends up to n held tasks, oldest first, in the given state, and returns
// how many.
func (w *Worker) Finish(n int, state core.State) int {
	w.mu.Lock()
	n = min(n, len(w.held))
	ended := w.held[:n]
	w.held = w.held[n:]
	w.mu.Unlock()
	outcomes := make([]core.Outcome, n)
	for i, a := range ended {
		outcomes[i] = core.Outcome{Lease: a.Lease, State: state, Started: true, Result: core.Result{JSON: []byte("1")}}
		if state == core.Failed {
			outcomes[i].Result = core.Result{Failure: &core.Failure{Kind: core.KindException, Message: "told to fail"}}
		}
	}
	w.Say(core.UpFinish{Outcomes: outcomes})
	return n
}
