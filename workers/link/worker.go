package link

import (
	"cmp"
	"context"
	"log/slog"
	"os"
	"time"

	"golang.org/x/sync/errgroup"

	"faasctl/core"
	"faasctl/workers/agent"
	"faasctl/workers/pyrun"
)

// WorkerConfig describes a worker process. Interpreters and the DialConfig's URLs are
// required.
type WorkerConfig struct {
	DialConfig
	// Slots is how many tasks may execute at once. Default: 1.
	Slots int
	// Interpreters are those that functions may run on, as pyrun.FindAll found them,
	// the default first.
	Interpreters []core.Interpreter
	// ImportPath lists directories that functions can import modules from.
	// Default: none beyond PYTHONPATH.
	ImportPath []string
	// Rules are the operator's for functions here. Default: none.
	Rules pyrun.Rules
	// Labels describe the worker. Default: none.
	Labels map[string]string
	// Version of faasctl, as the roster shows it. Default: "".
	Version string
	// Beat is how often the worker says that it lives. Default: 1 s.
	Beat time.Duration
	// NoPrefetch holds no more tasks than there are slots. Default: false.
	NoPrefetch bool
}

// Worker is a whole worker: Python children, an agent and its connection.
type Worker struct {
	id    core.WorkerID
	pool  *pyrun.Pool
	agent *agent.Agent
	conn  *Conn
}

// NewWorker returns a worker that Run starts; dial is that of push or pull.
func NewWorker(mode core.Mode, cfg WorkerConfig, dial func(DialConfig, Agent) (*Conn, error)) (*Worker, error) {
	cfg.Slots, cfg.Logger = cmp.Or(cfg.Slots, 1), cmp.Or(cfg.Logger, slog.Default())
	pool, err := pyrun.NewPool(pyrun.Config{
		Interpreters: cfg.Interpreters, Slots: cfg.Slots, ImportPath: cfg.ImportPath, Rules: cfg.Rules, MaxPayload: cfg.MaxPayload, Logger: cfg.Logger,
	})
	if err != nil {
		return nil, err
	}
	host, _ := os.Hostname()
	info := core.Worker{
		ID: core.NewWorkerID(), Mode: mode, Host: host, PID: os.Getpid(), Version: cfg.Version,
		Interpreters: cfg.Interpreters, Labels: cfg.Labels, Slots: cfg.Slots, Enforces: pool.Enforces(),
	}
	w := &Worker{id: info.ID, pool: pool}
	w.agent = agent.New(agent.Config{Worker: info, Runner: pool, Beat: cfg.Beat, NoPrefetch: cfg.NoPrefetch, Leave: true, Logger: cfg.Logger})
	w.conn, err = dial(cfg.DialConfig, w.agent)
	return w, err
}

// ID is the worker's, fresh for every start.
func (w *Worker) ID() core.WorkerID { return w.id }

// Enforces is what holds functions within bounds in it.
func (w *Worker) Enforces() *core.Enforcement { return w.pool.Enforces() }

// Drain has the worker take no more tasks, end what it has, and leave: Run then
// returns. It never blocks.
func (w *Worker) Drain() { w.agent.Deliver(core.DownDrain{}) }

// Run serves until the worker has drained, or ctx is done: that kills what runs.
// The children outlive the agent, so that what ends because of the stop is not
// taken for an outcome.
func (w *Worker) Run(ctx context.Context) error {
	running, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	group, serving := errgroup.WithContext(ctx)
	group.Go(func() error { return w.pool.Run(running) })
	group.Go(func() error {
		defer stop()
		return w.conn.Run(serving)
	})
	return group.Wait()
}
