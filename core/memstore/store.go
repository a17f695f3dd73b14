package memstore

import (
	"context"
	"fmt"
	"maps"
	"sync"
	"time"

	"faasctl/core"
)

// Config bounds what is kept. The zero value works.
type Config struct {
	// KeepCompleted is how long completed and cancelled tasks are kept after
	// their end. Default: 24 h.
	KeepCompleted time.Duration
	// KeepFailed is how long failed tasks are kept after their end.
	// Default: 336 h (14 days).
	KeepFailed time.Duration
	// KeepEvents is how many batches of events are kept. Default: 10,000.
	KeepEvents int
	// Ageing is how long a class of tasks may go without a turn, however low its
	// priority, while others of its queue are served. Default: core.Ageing.
	Ageing time.Duration
	// Now is the store's clock. Default: time.Now.
	Now func() time.Time
}

func (c Config) withDefaults() Config {
	if c.KeepCompleted == 0 {
		c.KeepCompleted = 24 * time.Hour
	}
	if c.KeepFailed == 0 {
		c.KeepFailed = 14 * 24 * time.Hour
	}
	if c.KeepEvents == 0 {
		c.KeepEvents = 10_000
	}
	if c.Ageing == 0 {
		c.Ageing = core.Ageing
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return c
}

// Store implements core.Store in memory.
type Store struct {
	cfg Config

	mu         sync.Mutex
	functions  functions
	tasks      map[core.TaskID]*record
	queues     map[string]*queue
	runs       map[core.FunctionID]int                 // how many tasks are RUNNING: see move
	buckets    map[core.FunctionID]float64             // when the bucket of each rate will be full again, in ms
	paused     map[string]time.Time                    // since when
	claims     map[string]claimAnswer                  // by ClaimRequest.ID, to answer a repetition
	keys       map[string]keyed                        // by Key.Name; as long as the task
	once       map[string]remembered                   // by token
	operations []*operation                            // oldest first
	ended      []ending                                // in order of their end; the oldest are forgotten first
	stats      map[core.FunctionID]*core.FunctionStats // under "" those of all functions
	lastReap   time.Time
	floor      time.Time // nothing is reaped before
	roster     roster
	log        log
	ears       map[*ear]struct{}
	live       map[core.TaskID]*live // of followed tasks
}

// record is one task: what was asked, where it stands, what came of it.
type record struct {
	task     core.Task
	spec     core.Spec
	owner    core.DispatcherID
	expiry   time.Time     // of the lease
	started  bool          // in this lease
	grace    time.Duration // of its cancel; 0 = the dispatcher's
	released int           // unstarted vanished releases
	owned    string        // principal of the worker that has it; "" until told
	settled  core.Lease
	key      string    // Key.Name; "" = none
	due      time.Time // when it was last put off until; zero when it never was
	result   *core.Result
	output   core.Output
	history  []core.Attempt
	outputs  map[int]core.Output // of attempts in history
}

// since is when the task began to wait for a worker: a delayed one does only
// since it was due.
func (r *record) since() time.Time {
	if r.due.After(r.task.Submitted) {
		return r.due
	}
	return r.task.Submitted
}

type claimAnswer struct {
	ids []core.TaskID
	at  time.Time
}

// keyed is what a key stands for.
type keyed struct {
	task core.TaskID
	body string
}

// remembered is an id under a token, and until when.
type remembered struct {
	id    core.TaskID
	until time.Time
}

type ending struct {
	id core.TaskID
	at time.Time
}

var _ core.Store = (*Store)(nil)

// New returns an empty store.
func New(cfg Config) *Store {
	s := &Store{
		cfg: cfg.withDefaults(), tasks: map[core.TaskID]*record{}, queues: map[string]*queue{},
		runs: map[core.FunctionID]int{}, buckets: map[core.FunctionID]float64{}, paused: map[string]time.Time{},
		claims: map[string]claimAnswer{}, keys: map[string]keyed{}, once: map[string]remembered{}, ears: map[*ear]struct{}{}, live: map[core.TaskID]*live{}, stats: map[core.FunctionID]*core.FunctionStats{"": newStats("")},
	}
	s.functions.init()
	s.roster.init()
	s.log.init()
	return s
}

// move takes r along the state machine; an arrow that does not exist is a
// mistake in this package.
func (s *Store) move(r *record, verb core.Verb) {
	next, ok := r.task.State.Next(verb)
	if !ok {
		panic(fmt.Sprintf("memstore: %s of a task that is %q", verb, r.task.State))
	}
	was := r.task.State
	if r.task.State = next; next == core.Running {
		s.runs[r.task.Function]++
	}
	if was == core.Running {
		s.runs[r.task.Function]--
		s.unpark(r.task.Function, capped)
	}
}

// end brings r into a terminal state and returns its event.
func (s *Store) end(r *record, verb core.Verb, result *core.Result, now time.Time) core.Event {
	s.move(r, verb)
	r.task.Finished, r.task.Due, r.expiry, r.task.Cancelling = now, time.Time{}, time.Time{}, false
	r.result = result
	event := s.event(r, core.TaskCompleted)
	switch r.task.State {
	case core.Completed:
		s.count(r, func(t *core.Totals) { t.Completed++ })
	case core.Cancelled:
		s.count(r, func(t *core.Totals) { t.Cancelled++ })
		event.Kind = core.TaskCancelled
	case core.Failed:
		s.count(r, func(t *core.Totals) { t.Failed++ })
		event.Kind = core.TaskFailed
	}
	if result.Failure != nil {
		if r.task.Failure = result.Failure.Kind; r.task.State == core.Failed {
			r.task.Type = core.FailureType(result.Failure)
		}
		event.Detail = string(result.Failure.Kind)
	}
	if !r.task.Started.IsZero() {
		run, wait := now.Sub(r.task.Started), r.task.Started.Sub(r.task.Submitted)
		event.RunMS, event.WaitMS = float64(run.Microseconds())/1000, float64(wait.Microseconds())/1000
		for _, stats := range []*core.FunctionStats{s.stats[""], s.stats[r.task.Function]} {
			stats.Run.Add(run)
			stats.Wait.Add(wait)
		}
	}
	s.ended = append(s.ended, ending{r.task.ID, now})
	return event
}

func newStats(f core.FunctionID) *core.FunctionStats {
	return &core.FunctionStats{Function: f, Wait: core.Histogram{}, Run: core.Histogram{}}
}

// count bumps a total of all functions and of the task's.
func (s *Store) count(r *record, bump func(*core.Totals)) {
	of := s.stats[r.task.Function]
	if of == nil {
		of = newStats(r.task.Function)
		s.stats[r.task.Function] = of
	}
	bump(&of.Totals)
	bump(&s.stats[""].Totals)
}

// FunctionStats implements core.EventStore.
func (s *Store) FunctionStats(ctx context.Context) ([]core.FunctionStats, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []core.FunctionStats
	for id, stats := range s.stats {
		if id != "" && !s.functions.isRemoved(id) {
			copied := *stats
			copied.Wait, copied.Run = maps.Clone(stats.Wait), maps.Clone(stats.Run)
			all = append(all, copied)
		}
	}
	return all, ctx.Err()
}

func (s *Store) event(r *record, kind core.EventKind) core.Event {
	return core.Event{Kind: kind, Task: r.task.ID, Function: r.task.Function, Worker: r.task.Worker, Dispatcher: r.owner, Attempt: r.task.Attempt}
}

// forget drops tasks that ended long ago, removed functions and old claim answers. Failed tasks
// are kept longer; one found too young goes to the back of the line.
func (s *Store) forget(now time.Time) {
	for steps := len(s.ended); steps > 0 && len(s.ended) > 0; steps-- {
		first := s.ended[0]
		if now.Sub(first.at) < s.cfg.KeepCompleted {
			break
		}
		s.ended = s.ended[1:]
		r := s.tasks[first.id]
		if r == nil { // a purge was first
			continue
		}
		keep := s.cfg.KeepCompleted
		if r.task.State == core.Failed {
			keep = s.cfg.KeepFailed
		}
		if now.Sub(r.task.Finished) < keep {
			s.ended = append(s.ended, ending{first.id, first.at})
			continue
		}
		s.drop(r)
	}
	s.forgetFunctions(now)
	for token, known := range s.once {
		if now.After(known.until) {
			delete(s.once, token)
		}
	}
	for id, answer := range s.claims {
		if now.Sub(answer.at) > time.Minute {
			delete(s.claims, id)
		}
	}
}

// drop forgets a task that ended, and its idempotency key unless that is
// another's by now. Its ending is passed over when its turn comes.
func (s *Store) drop(r *record) {
	delete(s.tasks, r.task.ID)
	if s.keys[r.key].task == r.task.ID {
		delete(s.keys, r.key)
	}
}

// Ping never fails: a process that asks is alive.
func (s *Store) Ping(ctx context.Context) error { return ctx.Err() }

// Stats counts what there is.
func (s *Store) Stats(ctx context.Context) (core.Stats, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	stats := core.Stats{
		Totals: s.stats[""].Totals, Wait: maps.Clone(s.stats[""].Wait), Run: maps.Clone(s.stats[""].Run), Now: s.cfg.Now(), Store: core.StoreInfo{Kind: "memory", Durability: "none"}, Through: s.log.last(),
	}
	var oldest time.Time
	for _, r := range s.tasks {
		switch r.task.State {
		case core.Queued:
			stats.Queued++
			if since := r.since(); oldest.IsZero() || since.Before(oldest) {
				oldest = since
			}
		case core.Delayed:
			stats.Delayed++
		case core.Running:
			stats.Running++
		}
	}
	if !oldest.IsZero() {
		stats.OldestWait = s.cfg.Now().Sub(oldest).Milliseconds()
	}
	return stats, ctx.Err()
}
