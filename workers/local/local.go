package local

import (
	"context"
	"log/slog"
	"os"
	"time"

	"faasctl/core"
	"faasctl/workers/agent"
	"faasctl/workers/pyrun"

	"golang.org/x/sync/errgroup"
)

// Config describes the local worker.
type Config struct {
	// Slots is how many calls execute at once. Default: 1.
	Slots int
	// Interpreters are those that functions may run on, as pyrun.FindAll found them,
	// the default first. Required.
	Interpreters []core.Interpreter
	// ImportPath lists directories that functions can import modules from.
	// Default: none beyond PYTHONPATH.
	ImportPath []string
	// Rules are the operator's for functions here. Default: none.
	Rules pyrun.Rules
	// MaxPayload bounds a result, in decoded bytes. Default: core.MaxPayload.
	MaxPayload int
	// Principal is whose worker this is: the data directory's id. Default: "".
	Principal string
	// Version of faasctl, as the roster shows it. Default: "".
	Version string
	// Beat is how often the worker says that it lives. Default: 1 s.
	Beat time.Duration
	// NoPrefetch holds no more tasks than there are slots. Default: false.
	NoPrefetch bool
	// Logger takes what nobody is told otherwise. Default: slog.Default().
	Logger *slog.Logger
}

func (c Config) withDefaults() Config {
	if c.Slots == 0 {
		c.Slots = 1
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	return c
}

// Transport is one local worker.
type Transport struct {
	pool   *pyrun.Pool
	agent  *agent.Agent
	worker core.WorkerID
}

var _ core.Transport = (*Transport)(nil)

// New returns a worker that Serve starts.
func New(cfg Config) (*Transport, error) {
	cfg = cfg.withDefaults()
	pool, err := pyrun.NewPool(pyrun.Config{
		Interpreters: cfg.Interpreters, Slots: cfg.Slots, ImportPath: cfg.ImportPath, Rules: cfg.Rules, MaxPayload: cfg.MaxPayload, Logger: cfg.Logger,
	})
	if err != nil {
		return nil, err
	}
	host, _ := os.Hostname()
	worker := core.Worker{
		ID: core.NewWorkerID(), Principal: cfg.Principal, Mode: core.Local, Host: host, PID: os.Getpid(), Version: cfg.Version,
		Interpreters: cfg.Interpreters, Slots: cfg.Slots, Enforces: pool.Enforces(),
	}
	return &Transport{
		pool: pool, worker: worker.ID,
		agent: agent.New(agent.Config{Worker: worker, Runner: pool, Beat: cfg.Beat, NoPrefetch: cfg.NoPrefetch, Logger: cfg.Logger}),
	}, nil
}

// Mode implements core.Transport.
func (t *Transport) Mode() core.Mode { return core.Local }

// Serve runs the worker until ctx is done. The children outlive the agent, so
// that what ends because of the stop is not taken for an outcome.
func (t *Transport) Serve(ctx context.Context, up chan<- core.Signal) error {
	running, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	group, serving := errgroup.WithContext(ctx)
	group.Go(func() error { return t.pool.Run(running) })
	group.Go(func() error {
		defer stop()
		return t.agent.Run(serving, func(word core.Up) {
			up <- core.Signal{Worker: t.worker, From: t, Up: word}
		})
	})
	return group.Wait()
}

// Deliver implements core.Transport. A local worker is always connected, and what
// it is given is bounded by its window.
func (t *Transport) Deliver(worker core.WorkerID, msg core.Down) error {
	if worker != t.worker {
		return core.ErrGone
	}
	t.agent.Deliver(msg)
	return nil
}
