package workertest

import (
	"context"
	"log/slog"
	"strconv"
	"strings"
	"testing"
	"time"

	"faasctl/core"
	"faasctl/core/memstore"
	"faasctl/workers/agent"
	"faasctl/workers/link"
)

// Mode is one way to connect workers with a dispatcher.
type Mode struct {
	Name core.Mode
	// Hub makes the dispatcher's end; nil for workers in its own process.
	Hub func(link.HubConfig) (*link.Hub, error)
	// Dial makes the worker's end.
	Dial func(link.DialConfig, link.Agent) (*link.Conn, error)
}

// Bench is a store, a service, one dispatcher and workers of one mode.
type Bench struct {
	testing.TB
	Service *core.Service
	Ctx     context.Context
	Store   *memstore.Store
	Mode    Mode
	// Hub describes the dispatcher's end; change it before Start.
	Hub link.HubConfig
	// Conn describes the workers' end; change it before Add.
	Conn link.DialConfig
	// Dispatcher describes the dispatcher; change it before Start.
	Dispatcher core.DispatcherConfig

	// Beat is that of the workers; change it before Add. Default: 50 ms.
	Beat time.Duration

	hub  *link.Hub
	stop func() // ends the dispatcher
	log  *slog.Logger
}

// NewBench returns a bench with short timers and without a dispatcher.
func NewBench(t testing.TB, mode Mode) *Bench {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	t.Cleanup(cancel)
	log := slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug}))
	b := &Bench{TB: t, Ctx: ctx, Store: memstore.New(memstore.Config{}), Mode: mode, Beat: 50 * time.Millisecond, log: log}
	b.Hub = link.HubConfig{
		Beat: 50 * time.Millisecond, LostAfter: 300 * time.Millisecond, Park: 300 * time.Millisecond, Forget: 10 * time.Second, Logger: log,
	}
	b.Conn = link.DialConfig{Silence: 500 * time.Millisecond, Fence: 10 * time.Second, Farewell: 300 * time.Millisecond, Logger: log}
	b.Dispatcher = core.DispatcherConfig{
		Store: b.Store, Logger: log, Beat: 50 * time.Millisecond, Heard: time.Second, Renew: 200 * time.Millisecond, Lease: 5 * time.Second,
		Reap: 200 * time.Millisecond, Poll: 200 * time.Millisecond, Drain: 2 * time.Second, Grace: 50 * time.Millisecond,
	}
	service, err := core.NewService(core.ServiceConfig{Store: b.Store, Logger: log})
	if err != nil {
		t.Fatal(err)
	}
	b.Service = service
	b.running(service.Run)
	return b
}

// running runs something until the test's end, or until the function it returns
// is called.
func (b *Bench) running(run func(context.Context) error) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- run(ctx) }()
	over := false
	stop = func() {
		if over {
			return
		}
		over = true
		cancel()
		if err := <-ended; err != nil {
			b.Errorf("it ended: %v", err)
		}
	}
	b.Cleanup(stop)
	return stop
}

// Start starts the dispatcher, with socketless workers of so many slots each. One
// that is started again listens where the last one did.
func (b *Bench) Start(slots ...int) []*Worker {
	b.Helper()
	var workers []*Worker
	cfg := b.Dispatcher
	if b.Mode.Hub == nil {
		for _, n := range slots {
			w, transport := b.Inside(n)
			cfg.Transports = append(cfg.Transports, transport)
			workers = append(workers, w)
		}
	} else {
		hub, err := b.Mode.Hub(b.Hub)
		if err != nil {
			b.Fatal(err)
		}
		b.hub = hub
		cfg.Transports = append([]core.Transport{hub}, cfg.Transports...)
	}
	dispatcher, err := core.NewDispatcher(cfg)
	if err != nil {
		b.Fatal(err)
	}
	if b.hub != nil {
		b.hub.Name(dispatcher.ID())
	}
	b.stop = b.running(dispatcher.Run)
	if b.Mode.Hub != nil {
		select {
		case <-b.hub.Ready():
		case <-b.Ctx.Done():
			b.Fatal("the dispatcher does not listen")
		}
		_, port, _ := strings.Cut(strings.TrimPrefix(b.hub.Address(), "tcp://"), ":")
		b.Hub.Port, _ = strconv.Atoi(port)
		for _, n := range slots {
			workers = append(workers, b.Add(n))
		}
	}
	return workers
}

// Stop ends the dispatcher.
func (b *Bench) Stop() { b.stop() }

// URL is where the dispatcher listens.
func (b *Bench) URL() string { return b.hub.Address() }

// Worker is one worker with a fake runner.
type Worker struct {
	ID     core.WorkerID
	Runner *Runner
	Agent  *agent.Agent
	Proxy  *Proxy
	Ended  chan struct{} // closed when its connection has ended
	Stop   func()        // at once
}

func (b *Bench) worker(slots int, leave bool) *Worker {
	w := &Worker{ID: core.NewWorkerID(), Runner: NewRunner(), Ended: make(chan struct{})}
	w.Agent = agent.New(agent.Config{
		Worker: core.Worker{ID: w.ID, Mode: b.Mode.Name, Slots: slots, Host: "here"}, Runner: w.Runner,
		Beat: b.Beat, Leave: leave, Logger: b.log,
	})
	b.Cleanup(w.Runner.StopAll)
	return w
}

// Add adds a worker with a socket.
func (b *Bench) Add(slots int) *Worker { return b.AddAt(slots, b.URL()) }

// AddProxied adds a worker whose connection can be cut.
func (b *Bench) AddProxied(slots int) *Worker {
	proxy := NewProxy(b, b.URL())
	w := b.AddAt(slots, proxy.Address())
	w.Proxy = proxy
	return w
}

// AddAt adds a worker that knows these dispatchers.
func (b *Bench) AddAt(slots int, urls ...string) *Worker {
	b.Helper()
	w := b.worker(slots, true)
	cfg := b.Conn
	cfg.URLs = urls
	conn, err := b.Mode.Dial(cfg, w.Agent)
	if err != nil {
		b.Fatal(err)
	}
	w.Stop = b.running(func(ctx context.Context) error {
		defer close(w.Ended)
		return conn.Run(ctx)
	})
	return w
}

// Inside makes a worker of the dispatcher's own process, and its transport.
func (b *Bench) Inside(slots int) (*Worker, core.Transport) {
	w := b.worker(slots, false)
	return w, &inside{agent: w.Agent, id: w.ID}
}

// inside is a worker in the dispatcher's own process, as package local has it.
type inside struct {
	agent *agent.Agent
	id    core.WorkerID
}

func (t *inside) Mode() core.Mode { return core.Local }

func (t *inside) Serve(ctx context.Context, up chan<- core.Signal) error {
	return t.agent.Run(ctx, func(word core.Up) { up <- core.Signal{Worker: t.id, From: t, Up: word} })
}

func (t *inside) Deliver(worker core.WorkerID, msg core.Down) error {
	if worker != t.id {
		return core.ErrGone
	}
	t.agent.Deliver(msg)
	return nil
}

// Function registers a function whose calls take so long.
func (b *Bench) Function(name string) {
	b.Helper()
	_, err := b.Service.Register(b.Ctx, core.RegisterRequest{Name: name, Codec: core.Source, Body: []byte("def " + name + "(): pass\n"), Entry: name, File: name + ".py"})
	if err != nil {
		b.Fatal(err)
	}
}

// Calls hands in n calls of a function, each with a different argument.
func (b *Bench) Calls(name string, n int, adjust ...func(int, *core.SubmitRequest)) []core.TaskID {
	b.Helper()
	var ids []core.TaskID
	for len(ids) < n {
		batch := make([]core.SubmitRequest, min(n-len(ids), core.MaxBatch))
		for i := range batch {
			batch[i] = core.SubmitRequest{Function: name, Codec: core.JSON, Args: []byte(`[[` + strconv.Itoa(len(ids)+i) + `],{}]`)}
			for _, f := range adjust {
				f(len(ids)+i, &batch[i])
			}
		}
		answers, err := b.Service.SubmitBatch(b.Ctx, batch)
		if err != nil {
			b.Fatal(err)
		}
		for _, a := range answers {
			if a.Err != nil {
				b.Fatal(a.Err)
			}
			ids = append(ids, a.ID)
		}
	}
	return ids
}

// Await waits for the end of tasks and checks how they ended.
func (b *Bench) Await(ids []core.TaskID, want core.State) {
	b.Helper()
	for i, id := range ids {
		task, err := b.Service.Wait(b.Ctx, id, time.Minute)
		if err != nil {
			b.Fatal(err)
		}
		if task.State != want {
			b.Fatalf("task %d of %d (%s) is %s on %s, wanted %s", i, len(ids), id, task.State, task.Worker, want)
		}
	}
}

// Until waits until something holds.
func (b *Bench) Until(what string, holds func() bool) {
	b.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	deadline := time.NewTimer(30 * time.Second)
	defer deadline.Stop()
	for !holds() {
		select {
		case <-tick.C:
		case <-deadline.C:
			b.Fatalf("waited in vain until %s", what)
		}
	}
}

// Workers returns the workers of the roster that are in this state.
func (b *Bench) Workers(state core.WorkerState) []core.Worker {
	b.Helper()
	roster, err := b.Service.Roster(b.Ctx)
	if err != nil {
		b.Fatal(err)
	}
	var found []core.Worker
	for _, w := range roster.Workers {
		if w.State == state {
			found = append(found, w)
		}
	}
	return found
}

// Joined waits until so many workers are running.
func (b *Bench) Joined(n int) {
	b.Helper()
	b.Until(strconv.Itoa(n)+" workers run", func() bool { return len(b.Workers(core.WorkerRunning)) == n })
}
