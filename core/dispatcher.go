package core

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"time"

	"golang.org/x/sync/errgroup"
)

// DispatcherStore is the part of a Store that a Dispatcher needs.
type DispatcherStore interface {
	LeaseStore
	KeeperStore
	HintStore
	OperatorStore
	LiveStore
	Announce(ctx context.Context, a Announcement) ([]WorkerID, error)
	FunctionByID(ctx context.Context, id FunctionID) (Function, error)
}

// DispatcherConfig tells a Dispatcher how to behave. Store and Transports are
// required. The times belong together: Beat < Heard ≤ Renew ≪ Lease.
type DispatcherConfig struct {
	Store      DispatcherStore
	Transports []Transport

	// Principal is whose dispatcher this is: the data directory's id, so that the
	// next incarnation can tell its own dead from others. Default: "".
	Principal string
	// Lease is how long a claim holds without renewal. Default: 30 s.
	Lease time.Duration
	// Renew is how often leases are renewed. Default: 3 s.
	Renew time.Duration
	// Heard is how recently a worker must have been heard of for its leases to
	// be renewed. Default: 3 s.
	Heard time.Duration
	// Beat is how often the dispatcher tells the store who is there.
	// Default: 1 s.
	Beat time.Duration
	// Reap is how often lapsed leases are looked for. Default: 2 s.
	Reap time.Duration
	// Reconcile is how often a step is taken of the pass that compares indexes
	// with records: about 1,000 keys. Default: 1 s.
	Reconcile time.Duration
	// Poll is how often the store is asked for tasks although no bell rang,
	// give or take a fifth. Default: 2 s.
	Poll time.Duration
	// Drain is how long tasks may go on running after a stop was asked for.
	// Default: 20 s.
	Drain time.Duration
	// Grace is how long a cancelled task has between the polite signal and the
	// kill. Default: 0.5 s.
	Grace time.Duration
	// Logger takes what nobody is told otherwise. Default: slog.Default().
	Logger *slog.Logger
}

// DefaultLease is how long a claim holds without renewal.
const DefaultLease = 30 * time.Second

func (c DispatcherConfig) withDefaults() DispatcherConfig {
	for _, d := range []struct {
		field *time.Duration
		value time.Duration
	}{
		{&c.Lease, DefaultLease}, {&c.Renew, 3 * time.Second}, {&c.Heard, 3 * time.Second}, {&c.Beat, time.Second},
		{&c.Reap, 2 * time.Second}, {&c.Reconcile, time.Second}, {&c.Poll, 2 * time.Second}, {&c.Drain, 20 * time.Second}, {&c.Grace, 500 * time.Millisecond},
	} {
		if *d.field == 0 {
			*d.field = d.value
		}
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	return c
}

func (c DispatcherConfig) validate() error {
	if c.Store == nil || len(c.Transports) == 0 {
		return Errorf(ErrInternal, "dispatcher", "a store and at least one transport are needed")
	}
	if c.Renew*2 > c.Lease || c.Beat > c.Heard {
		return Errorf(ErrInvalid, "dispatcher", "times do not fit: renew %s must be at most half of lease %s, beat %s at most heard %s", c.Renew, c.Lease, c.Beat, c.Heard)
	}
	return nil
}

// Dispatcher matches the credit of workers with waiting tasks. Everything it
// knows belongs to one goroutine, the loop; beside it a claimer fetches tasks,
// a settler writes what became of them, and a keeper moves along what only
// waits for time, so a slow store never freezes the beats.
type Dispatcher struct {
	cfg  DispatcherConfig
	info DispatcherInfo

	signals  chan Signal         // from the transports; written until their Serve returns
	claims   chan claim          // from the claimer
	answers  chan answer         // from the settler
	cancels  chan cancelling     // from the store's hints; a full channel drops, renewal catches up
	prepares chan PrepareRequest // the same; who loses one makes the environment at the first call
	prepared chan DownPrepare    // what prepares asked for, with the function read
	follows  chan []TaskID       // the same; a full channel drops, followers say it again
	claimer  *claimer            // its own goroutine
	settler  *settler            // its own goroutine
	printer  *printer            // its own goroutine

	// Owned by the loop.
	peers    map[WorkerID]*peer
	holds    map[TaskID]*hold
	pending  []*hold              // claimed and not handed out, in order
	kinds    []*kind              // of peers, by what they can run
	claimed  uint64               // tasks ever claimed
	followed map[TaskID]time.Time // tasks whose output somebody wants to see, until when
	events   []Event              // for the next announcement
	storeUp  bool
}

// NewDispatcher returns a Dispatcher that Run sets going.
func NewDispatcher(cfg DispatcherConfig) (*Dispatcher, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	host, _ := os.Hostname()
	d := &Dispatcher{
		cfg:     cfg,
		info:    DispatcherInfo{ID: NewDispatcherID(), Principal: cfg.Principal, Host: host, PID: os.Getpid(), Started: time.Now()},
		signals: make(chan Signal, 256), claims: make(chan claim), answers: make(chan answer, 16), cancels: make(chan cancelling, 16), follows: make(chan []TaskID, 64),
		prepares: make(chan PrepareRequest, 64), prepared: make(chan DownPrepare),
		followed: map[TaskID]time.Time{}, peers: map[WorkerID]*peer{}, holds: map[TaskID]*hold{}, storeUp: true,
	}
	for _, t := range cfg.Transports {
		d.info.Modes = append(d.info.Modes, t.Mode())
	}
	d.claimer = newClaimer(cfg, d.info.ID, d.claims)
	d.settler = newSettler(cfg, d.info.ID, d.answers)
	d.printer = newPrinter(cfg)
	return d, nil
}

// ID is fresh for every Dispatcher.
func (d *Dispatcher) ID() DispatcherID { return d.info.ID }

// Run dispatches until ctx is done, then stops in order: it claims no more, lets
// running tasks of its local workers end for at most Config.Drain, settles,
// releases the rest and says goodbye. It returns nil after a stop that was asked
// for. Senders end before their receivers.
func (d *Dispatcher) Run(ctx context.Context) error {
	rest := context.WithoutCancel(ctx)
	serving, stopServing := context.WithCancelCause(rest)
	defer stopServing(nil)
	writing, stopWriting := context.WithCancelCause(rest)
	defer stopWriting(nil)

	fetch, stopFetching := context.WithCancel(ctx)
	defer stopFetching()
	fetchers, fetching := errgroup.WithContext(fetch)
	fetchers.Go(func() error { return d.claimer.run(fetching) })
	fetchers.Go(func() error { return d.keep(fetching) })
	fetchers.Go(func() error { return d.readPrepared(fetching) })
	fetchers.Go(func() error { return newOperator(d.cfg.Store, d.cfg.Poll/2, d.cfg.Logger).run(fetching) })
	fetchers.Go(func() error {
		return d.cfg.Store.Listen(fetching, d.hear, HintWork, HintCancel, HintPrepare, HintFollow)
	})
	fetchers.Go(func() error { return d.printer.run(fetching) })

	transports, transporting := errgroup.WithContext(serving)
	for _, t := range d.cfg.Transports {
		transports.Go(func() error { return t.Serve(transporting, d.signals) })
	}
	var writer errgroup.Group
	writer.Go(func() error { d.settler.run(writing); return nil })

	d.note(Event{Kind: DispatcherUp, Dispatcher: d.info.ID})
	d.announce(false)
	d.loop(fetching, transporting)
	stopFetching()
	failed := d.await(fetchers)

	d.drain(transporting)
	stopServing(nil)
	failed = errors.Join(failed, d.await(transports))
	d.releaseAll()
	d.note(Event{Kind: DispatcherDown, Dispatcher: d.info.ID})
	d.announce(true)
	stopWriting(nil)
	return errors.Join(failed, d.await(&writer))
}
