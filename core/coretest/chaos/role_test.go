package chaos

import (
	"context"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"golang.org/x/sync/errgroup"

	"faasctl/core"
	"faasctl/core/coretest/proc"
	"faasctl/core/redisstore"
	"faasctl/httpapi"
	"faasctl/workers/link"
	"faasctl/workers/local"
	"faasctl/workers/pull"
	"faasctl/workers/push"
)

// eventsKept is more than any run makes.
const eventsKept = 2_000_000

// storeRole is what a part knows of its store.
type storeRole struct {
	Redis   string // URL
	Witness string // the file where it notes what the store granted and settled
	Planted string // a bug: see witness.go
}

func (r storeRole) open(ctx context.Context) (*witness, error) {
	store, err := redisstore.Open(ctx, redisstore.Config{URL: r.Redis, KeepEvents: eventsKept, Logger: logger()})
	if err != nil {
		return nil, err
	}
	return newWitness(store, r)
}

// apiRole is an API process. It says where it listens.
type apiRole struct{ Store storeRole }

func (r apiRole) Run() error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	store, err := r.Store.open(ctx)
	if err != nil {
		return err
	}
	defer store.Close()
	service, err := core.NewService(core.ServiceConfig{Store: store, Logger: logger()})
	if err != nil {
		return err
	}
	api, err := httpapi.New(httpapi.Config{Service: service, Listen: "127.0.0.1:0", Logger: logger()})
	if err != nil {
		return err
	}
	if err := api.Listen(); err != nil {
		return err
	}
	if err := proc.Say(api.Addr()); err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return service.Run(ctx) })
	group.Go(func() error { return api.Run(ctx) })
	return group.Wait()
}

// dispatcherRole is a dispatcher process. It says where workers connect, "" for a
// local one.
type dispatcherRole struct {
	Store  storeRole
	Timers timers
	Mode   core.Mode
	Python core.Interpreter
	Slots  int // of the local worker
}

func (r dispatcherRole) Run() error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	store, err := r.Store.open(ctx)
	if err != nil {
		return err
	}
	defer store.Close()
	transport, err := r.transport()
	if err != nil {
		return err
	}
	t := r.Timers
	dispatcher, err := core.NewDispatcher(core.DispatcherConfig{
		Store: store, Transports: []core.Transport{transport}, Logger: logger(),
		Lease: t.Lease, Renew: t.Renew, Heard: t.Heard, Beat: t.Beat, Reap: t.Reap, Poll: t.Poll,
	})
	if err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return dispatcher.Run(ctx) })
	group.Go(func() error {
		hub, ok := transport.(*link.Hub)
		if !ok {
			return proc.Say("")
		}
		select {
		case <-hub.Ready():
			return proc.Say(hub.Address())
		case <-ctx.Done():
			return nil
		}
	})
	return group.Wait()
}

func (r dispatcherRole) transport() (core.Transport, error) {
	cfg := link.HubConfig{Beat: r.Timers.Beat, LostAfter: r.Timers.LostAfter, Park: r.Timers.Park, Logger: logger()}
	switch r.Mode {
	case core.Push:
		return push.New(cfg)
	case core.Pull:
		return pull.New(cfg)
	}
	return local.New(local.Config{Slots: r.Slots, Interpreters: []core.Interpreter{r.Python}, Beat: r.Timers.Beat, Logger: logger()})
}

// workerRole is a worker process.
type workerRole struct {
	URLs   []string
	Timers timers
	Mode   core.Mode
	Python core.Interpreter
	Slots  int
}

func (r workerRole) Run() error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	t := r.Timers
	cfg := link.WorkerConfig{Slots: r.Slots, Interpreters: []core.Interpreter{r.Python}, Beat: t.Beat, DialConfig: link.DialConfig{
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
	return worker.Run(ctx)
}

func logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelInfo}))
}
