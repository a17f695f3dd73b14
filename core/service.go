package core

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
)

// ServiceStore is the part of a Store that the Service needs.
type ServiceStore interface {
	FunctionStore
	TaskStore
	QueueStore
	OperationStore
	EventStore
	HintStore
	LiveStore
	Roster(ctx context.Context) (Roster, error)
	DrainWorker(ctx context.Context, id WorkerID) error
}

// ServiceConfig tells a Service how to behave. Only Store is required.
type ServiceConfig struct {
	Store ServiceStore

	// MaxPayload bounds bodies and arguments, in decoded bytes.
	// Default: MaxPayload (8 MiB).
	MaxPayload int
	// Timeout is given to calls of functions that state none.
	// Default: DefaultTimeout (300 s).
	Timeout time.Duration
	// Python is the minor version assumed of a pickle whose maker did not
	// say, such as "3.11". Default: "" (unknown).
	Python string
	// Regret is how long a bulk cancel or purge waits in the journal before it
	// takes effect, so that it can be undone. Default: 5 s.
	Regret time.Duration
	// Keep is how long the results of completed tasks are kept, as far as this
	// process knows: an older task that is not there is gone, and not unknown.
	// Default: 24 h.
	Keep time.Duration
	// Recheck is how often a waiter looks at the record although no hint
	// came. Default: 2 s.
	Recheck time.Duration
	// Logger takes what nobody is told otherwise. Default: slog.Default().
	Logger *slog.Logger
}

func (c ServiceConfig) withDefaults() ServiceConfig {
	if c.MaxPayload == 0 {
		c.MaxPayload = MaxPayload
	}
	if c.Timeout == 0 {
		c.Timeout = DefaultTimeout
	}
	if c.Regret == 0 {
		c.Regret = 5 * time.Second
	}
	if c.Keep == 0 {
		c.Keep = 24 * time.Hour
	}
	if c.Recheck == 0 {
		c.Recheck = 2 * time.Second
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	return c
}

func (c ServiceConfig) validate() error {
	if c.Store == nil {
		return Errorf(ErrInternal, "service", "no store was configured")
	}
	if c.MaxPayload < 0 || c.Timeout < 0 || c.Recheck < 0 || c.Regret < 0 {
		return Errorf(ErrInvalid, "service", "sizes and times must be positive")
	}
	return nil
}

// Service is what clients talk to: register, submit, look, wait, cancel. It
// holds no state of its own beyond caches, so any number of them may run.
type Service struct {
	cfg   ServiceConfig
	store ServiceStore
	wake  *waiters
	known *functionCache
	bulk  *operator

	collect collector
}

// journalPoll is how often each process looks at the journal of operations. What
// it starts itself it knows at once.
const journalPoll = time.Second

// NewService returns a Service; Run must be called for waits to end promptly
// and for operations to take effect.
func NewService(cfg ServiceConfig) (*Service, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	s := &Service{
		cfg: cfg, store: cfg.Store, wake: newWaiters(), known: newFunctionCache(cfg.Store),
		bulk: newOperator(cfg.Store, journalPoll, cfg.Logger),
	}
	s.collect.s = s
	return s, nil
}

// Run listens for hints on behalf of all waiters, and carries out operations,
// until ctx is done.
func (s *Service) Run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return s.bulk.run(ctx) })
	group.Go(func() error { return s.store.Listen(ctx, s.wake.hear, HintEnded, HintPrinted) })
	return group.Wait()
}

// MaxPayload is the bound on one body or one set of arguments, in bytes.
func (s *Service) MaxPayload() int { return s.cfg.MaxPayload }

// Events returns what happened after an event id; see EventStore.
func (s *Service) Events(ctx context.Context, after string, max int, wait time.Duration) ([]Event, error) {
	if after != "$" {
		if _, _, err := SplitEventID(after); err != nil {
			return nil, err
		}
	}
	events, err := s.store.Events(ctx, after, max, wait)
	for i := range events {
		events[i].Name = s.nameOf(ctx, events[i].Function)
	}
	return events, err
}

// LastEvent returns the id of the newest stream entry, "" before the first.
func (s *Service) LastEvent(ctx context.Context) (string, error) { return s.store.LastEvent(ctx) }

// Stats returns the whole system in numbers.
func (s *Service) Stats(ctx context.Context) (Stats, error) {
	stats, err := s.store.Stats(ctx)
	if err != nil {
		return stats, err
	}
	roster, err := s.store.Roster(ctx)
	if err != nil {
		return stats, err
	}
	stats.Workers, stats.Dispatchers = roster.Workers, roster.Dispatchers
	for _, w := range roster.Workers {
		if w.State == WorkerRunning || w.State == WorkerDraining {
			stats.Slots += w.Slots
			stats.Busy += w.Busy
		}
	}
	return stats, nil
}

// Queues returns the queues that hold tasks.
func (s *Service) Queues(ctx context.Context) ([]QueueInfo, error) { return s.store.Queues(ctx) }

// PauseQueue stops the handing out of a queue's tasks, or resumes it; changed is
// false when it was so already. A queue may be paused before it has tasks.
func (s *Service) PauseQueue(ctx context.Context, name string, paused bool) (changed bool, err error) {
	if err := checkQueue(name); err != nil {
		return false, err
	}
	return s.store.PauseQueue(ctx, name, paused)
}

// FunctionStats returns the numbers of every function that was called.
func (s *Service) FunctionStats(ctx context.Context) ([]FunctionStats, error) {
	all, err := s.store.FunctionStats(ctx)
	for i := range all {
		all[i].Name = s.nameOf(ctx, all[i].Function)
	}
	return all, err
}

// Worker finds one worker by its id or a unique prefix of it.
func (s *Service) Worker(ctx context.Context, text string) (Worker, error) {
	roster, err := s.store.Roster(ctx)
	if err != nil {
		return Worker{}, err
	}
	var found []Worker
	for _, w := range roster.Workers {
		if string(w.ID) == text {
			return w, nil
		}
		if len(text) >= 4 && strings.HasPrefix(string(w.ID), text) {
			found = append(found, w)
		}
	}
	if len(found) == 1 {
		return found[0], nil
	}
	if len(found) > 1 {
		return Worker{}, Errorf(ErrInvalid, "", "%q fits %d workers", clip(text, 64), len(found)).WithHint("write more of the id")
	}
	return Worker{}, Errorf(ErrNotFound, "", "there is no worker %q", clip(text, 64)).WithHint("faasctl workers ls lists them")
}

// DrainWorker asks a worker to take no more tasks, end what it has, and leave. It
// takes effect with its dispatcher's next beat.
func (s *Service) DrainWorker(ctx context.Context, text string) (Worker, error) {
	w, err := s.Worker(ctx, text)
	if err != nil {
		return w, err
	}
	if w.State == WorkerGone || w.State == WorkerLost {
		return w, Errorf(ErrConflict, "", "worker %s is %s already", w.ID, w.State)
	}
	return w, s.store.DrainWorker(ctx, w.ID)
}

// Roster returns who is there.
func (s *Service) Roster(ctx context.Context) (Roster, error) { return s.store.Roster(ctx) }

// seenLately is how long ago a dispatcher may have announced itself to count as
// one that works. It does so every second, but may wait for a slow store.
const seenLately = 10 * time.Second

// Ready fails unless a task that is submitted now would be accepted and run: the
// store takes a write, a dispatcher was seen lately, and so was a worker with
// slots that takes tasks. The error says which of them is missing.
func (s *Service) Ready(ctx context.Context) error {
	if err := s.store.Ping(ctx); err != nil {
		return err
	}
	stats, err := s.Stats(ctx)
	if err != nil {
		return err
	}
	lately := func(seen time.Time) bool { return stats.Now.Sub(seen) <= seenLately }
	if !slices.ContainsFunc(stats.Dispatchers, func(d DispatcherInfo) bool { return lately(d.Seen) }) {
		return Errorf(ErrUnavailable, "", "no dispatcher is connected to the store").WithHint("start one: faasctl dispatcher -m local -w 2")
	}
	takes := func(w Worker) bool { return w.State == WorkerRunning && w.Slots > 0 && lately(w.Seen) }
	if !slices.ContainsFunc(stats.Workers, takes) {
		return Errorf(ErrUnavailable, "", "no worker is connected that takes tasks").WithHint("start a dispatcher with workers: faasctl dispatcher -m local -w 2")
	}
	return nil
}
