package faults

import (
	"bufio"
	"context"
	"log/slog"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"syscall"

	"faasctl/core"
	"faasctl/core/coretest/proc"
	"faasctl/core/redisstore"
	"faasctl/workers/link"
	"faasctl/workers/local"
	"faasctl/workers/pull"
	"faasctl/workers/push"
	"faasctl/workers/pyrun"
)

// eventsKept is more than any test makes.
const eventsKept = 1_000_000

// dispatcherRole is a dispatcher process. It says where it listens on its standard
// output, and answers each line on its standard input with its numbers.
type dispatcherRole struct {
	Redis  string
	Timers timers
	Modes  []core.Mode
	Ports  map[core.Mode]int // 0 is any
	Python core.Interpreter
	Slots  int // of the local worker
}

// numbers are what a process knows of itself.
type numbers struct{ Goroutines, Heap int }

func (r dispatcherRole) Run() error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	store, err := redisstore.Open(ctx, redisstore.Config{URL: r.Redis, KeepEvents: eventsKept})
	if err != nil {
		return err
	}
	defer store.Close()
	t := r.Timers
	cfg := core.DispatcherConfig{
		Store: store, Lease: t.Lease, Renew: t.Renew, Heard: t.Heard, Beat: t.Beat, Reap: t.Reap, Poll: t.Poll, Logger: logger(),
	}
	hubs := map[core.Mode]*link.Hub{}
	for _, mode := range r.Modes {
		transport, err := r.transport(mode)
		if err != nil {
			return err
		}
		if hub, ok := transport.(*link.Hub); ok {
			hubs[mode] = hub
		}
		cfg.Transports = append(cfg.Transports, transport)
	}
	dispatcher, err := core.NewDispatcher(cfg)
	if err != nil {
		return err
	}
	for _, hub := range hubs {
		hub.Name(dispatcher.ID())
	}
	go talk(hubs)
	return dispatcher.Run(ctx)
}

func (r dispatcherRole) transport(mode core.Mode) (core.Transport, error) {
	cfg := link.HubConfig{Port: r.Ports[mode], Beat: r.Timers.Beat, LostAfter: r.Timers.LostAfter, Park: r.Timers.Park, Logger: logger()}
	switch mode {
	case core.Push:
		return push.New(cfg)
	case core.Pull:
		return pull.New(cfg)
	}
	return local.New(local.Config{Slots: r.Slots, Interpreters: []core.Interpreter{r.Python}, Beat: r.Timers.Beat, Logger: logger()})
}

// talk lives as long as the process.
func talk(hubs map[core.Mode]*link.Hub) {
	addresses := map[core.Mode]string{}
	for mode, hub := range hubs {
		<-hub.Ready()
		addresses[mode] = hub.Address()
	}
	say := func(what any) {
		if err := proc.Say(what); err != nil {
			panic(err)
		}
	}
	say(addresses)
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		debug.FreeOSMemory()
		var memory runtime.MemStats
		runtime.ReadMemStats(&memory)
		say(numbers{Goroutines: runtime.NumGoroutine(), Heap: int(memory.HeapAlloc)})
	}
}

// workerRole is a worker process; signals are as the worker command has them.
type workerRole struct {
	URLs   []string
	Timers timers
	Mode   core.Mode
	Python core.Interpreter
	Slots  int
	Rules  pyrun.Rules
}

func (r workerRole) Run() error {
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGTERM)
	t := r.Timers
	cfg := link.WorkerConfig{Slots: r.Slots, Interpreters: []core.Interpreter{r.Python}, Rules: r.Rules, Beat: t.Beat, DialConfig: link.DialConfig{
		URLs: r.URLs, Silence: t.Silence, Fence: t.Fence, Farewell: t.Farewell, Logger: logger(),
	}}
	hire := push.NewWorker
	if r.Mode == core.Pull {
		hire = pull.NewWorker
	}
	worker, err := hire(cfg)
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	go func() {
		<-signals
		worker.Drain()
		<-signals
		stop()
	}()
	return worker.Run(ctx)
}

func logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelInfo}))
}
