package pyrun

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"faasctl/core"
)

// Sink hears what becomes of calls. It is called from the pool's goroutines,
// for the calls of one batch in order and never twice at a time; it must not
// block, because the slot waits for it. It may call the Pool.
type Sink interface {
	// Started says that a call was handed to its child and its time-out runs.
	Started(lease core.Lease, at time.Time)
	// Printed tells what a followed call has printed since the last time, and how
	// long it has run. The attempt of the pieces is 0: the pool does not know it.
	Printed(lease core.Lease, ran time.Duration, pieces []core.Piece)
	// Progressed tells how far a call says that it has come, when that has changed.
	Progressed(lease core.Lease, p core.Progress)
	// Ended says what became of a call. It is called once per call, except for
	// those that Kill or the end of Run took: of these nothing is heard any more.
	Ended(outcome core.Outcome)
}

// call is one assignment on its way through the pool.
type call struct {
	core.Assignment
	sink Sink
}

// Pool runs calls in warm Python children.
type Pool struct {
	config     Config
	env        []string
	bounds     confinement
	ready      chan struct{} // closed by the first child that is ready
	jail       *jail         // nil: functions are not shut in
	forks      chan func()   // run on the one thread that all children are started from
	slots      []*slot
	errandBell chan struct{} // capacity 1: there are new errands

	environments map[string]*environment // by key; guarded by mu
	ailing       map[string]*ailment     // by path of the interpreter; guarded by mu
	ailBell      chan struct{}           // capacity 1: ailing has changed
	heed         func(core.Preparation)  // see Heed; nil for nobody
	patience     time.Duration           // ailPatience, but in tests

	rubbish sync.WaitGroup // what is being removed

	mu      sync.Mutex
	stopped bool                    // Run has ended or will
	queue   []pending               // batches that wait for a slot, oldest first
	idle    []*slot                 // those without work, the one last used at the end
	first   hello                   // of the first ready child
	trouble error                   // why the last child could not start; nil once one could
	lacking map[string]string       // modules that could not be preloaded, and why, as they were logged
	errands []func(context.Context) // to be done, in order
	follows map[core.TaskID]bool    // calls whose output is told as it comes

	following  atomic.Int64  // len(follows)
	followTurn atomic.Uint64 // raised whenever follows has changed
	scolded    atomic.Int64  // when it was last logged that a call has left threads: seconds since 1970
}

// NewPool checks the configuration. Run does the rest.
func NewPool(c Config) (*Pool, error) {
	c = c.withDefaults()
	if err := c.validate(); err != nil {
		return nil, err
	}
	env, err := childEnv(c)
	if err != nil {
		return nil, err
	}
	bounds, err := confine(c)
	if err != nil {
		return nil, err
	}
	if bounds.why != "" {
		c.Logger.Warn("functions run as root", "why", bounds.why)
	}
	p := &Pool{config: c, env: env, bounds: bounds, ready: make(chan struct{}), forks: make(chan func()), follows: map[core.TaskID]bool{},
		errandBell: make(chan struct{}, 1), environments: map[string]*environment{}, ailing: map[string]*ailment{}, ailBell: make(chan struct{}, 1), patience: ailPatience}
	if c.Sandbox == Bwrap {
		if p.jail, err = newJail(c, env, bounds.users.one()); err != nil {
			return nil, err
		}
	}
	for i := range c.Slots {
		s := &slot{pool: p, python: c.Python, bell: -1, log: c.Logger.With("slot", i)}
		p.slots = append(p.slots, s)
		p.idle = append(p.idle, s)
	}
	return p, nil
}

// Run keeps the children until ctx is done, then kills them and returns nil.
// It fails only when it cannot begin; a child that does not start is tried
// again, see Trouble. Call it once.
func (p *Pool) Run(ctx context.Context) error {
	dir, err := workDir()
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	defer p.rubbish.Wait()
	if swept := p.bounds.cgroups.sweep(); swept > 0 {
		p.config.Logger.Info("ended what a killed worker had left behind", "control_groups", swept)
	}
	defer p.closeBells()
	for i, s := range p.slots {
		s.quarters, err = p.bounds.assign(p, dir, i)
		defer s.quarters.close()
		if err != nil {
			return err
		}
		bell, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
		if err != nil {
			return fmt.Errorf("make a doorbell: %w", err)
		}
		p.mu.Lock()
		s.bell = bell
		p.mu.Unlock()
	}
	forked := make(chan struct{})
	go func() {
		defer close(forked)
		p.fork()
	}()
	var group errgroup.Group
	for _, s := range p.slots {
		group.Go(func() error { s.run(); return nil })
	}
	group.Go(func() error { return p.runErrands(ctx) })
	group.Go(func() error { return p.retryAiling(ctx) })
	<-ctx.Done()
	p.stop()
	err = group.Wait()
	close(p.forks)
	<-forked
	return err
}

// fork starts all children from one thread that lives as long as they do: a
// child is killed when the thread that started it ends.
func (p *Pool) fork() {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	for start := range p.forks {
		start()
	}
}

func (p *Pool) stop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stopped, p.queue = true, nil
	for _, s := range p.slots {
		s.ring()
	}
}

func (p *Pool) closeBells() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stopped = true
	for _, s := range p.slots {
		closeAll(s.bell)
		s.bell = -1
	}
}

// Start hands calls to the pool. The calls of one batch run one after another
// in one child; those that a dying child leaves over run in the next. Start
// does not block and there is no bound on what waits: the caller holds no more
// than its credit. After Run has ended it does nothing.
func (p *Pool) Start(batch []core.Assignment, sink Sink) {
	calls := make([]call, len(batch))
	for i, a := range batch {
		calls[i] = call{a, sink}
	}
	p.mu.Lock()
	if p.stopped {
		p.mu.Unlock()
		return
	}
	parts, refused := p.sort(calls)
	p.queue = append(p.queue, parts...)
	p.match()
	p.mu.Unlock()
	for _, r := range refused {
		p.fail(r.calls, r.err)
	}
}

// match hands waiting batches to idle slots. p.mu is held.
func (p *Pool) match() {
	for len(p.idle) > 0 {
		at := slices.IndexFunc(p.queue, func(b pending) bool {
			return !b.waits() && (len(p.ailing) == 0 || !p.ails(b.python, time.Now()))
		})
		if at < 0 {
			return
		}
		first := p.queue[at]
		if p.queue[at] = (pending{}); at == 0 {
			p.queue = p.queue[1:]
		} else {
			p.queue = slices.Delete(p.queue, at, at+1)
		}
		s := p.pick(p.isolation(first.calls[0].Assignment), first.python)
		s.given = first.calls
		s.orders = nil // they are older than these calls
		s.ring()
	}
}

// Cancel ends tasks. One that runs gets SIGTERM, as all its process group, and
// after grace (Config.Grace if 0) SIGKILL; one that waits is not started. Both
// end as CANCELLED. Tasks that the pool does not hold are ignored.
func (p *Pool) Cancel(tasks []core.TaskID, grace time.Duration) {
	if grace <= 0 {
		grace = p.config.Grace
	}
	p.order(order{tasks: set(tasks), grace: grace})
}

// Kill ends tasks at once and without an outcome: they are somebody else's by
// now.
func (p *Pool) Kill(tasks []core.TaskID) { p.order(order{tasks: set(tasks), discard: true}) }

// order is a Cancel or a Kill on its way to the slots.
type order struct {
	tasks   map[core.TaskID]bool
	grace   time.Duration
	discard bool
}

func set(tasks []core.TaskID) map[core.TaskID]bool {
	m := make(map[core.TaskID]bool, len(tasks))
	for _, task := range tasks {
		m[task] = true
	}
	return m
}

func (p *Pool) order(o order) {
	if len(o.tasks) == 0 {
		return
	}
	p.mu.Lock()
	dropped := p.dropWaiting(o)
	for _, s := range p.slots {
		s.orders = append(s.orders, o)
		s.ring()
	}
	p.mu.Unlock()
	reportDropped(o, dropped)
}

// dropWaiting takes the calls that o names out of the queue. p.mu is held.
func (p *Pool) dropWaiting(o order) (dropped []call) {
	kept := p.queue[:0]
	for _, batch := range p.queue {
		rest, gone := split(batch.calls, o)
		dropped = append(dropped, gone...)
		if len(rest) > 0 {
			kept = append(kept, pending{batch.python, rest, batch.needs})
		}
	}
	clear(p.queue[len(kept):])
	p.queue = kept
	return dropped
}

// split separates the calls that o names.
func split(calls []call, o order) (rest, gone []call) {
	for _, c := range calls {
		if o.tasks[c.Task] {
			gone = append(gone, c)
		} else {
			rest = append(rest, c)
		}
	}
	return rest, gone
}

func reportDropped(o order, dropped []call) {
	if o.discard {
		return
	}
	for _, c := range dropped {
		c.sink.Ended(core.Outcome{
			Lease: c.Lease, State: core.Cancelled,
			Result: failed(c.Codec, cancelledBy("cancelled before it was started")),
		})
	}
}

// giveBack puts the calls that a dead child left over at the head of the queue
// and looks for work for the slot again. Orders that the slot had not seen yet
// concern these calls as well.
func (p *Pool) giveBack(s *slot, calls []call) {
	p.mu.Lock()
	var reports []func()
	for _, o := range s.orders {
		rest, gone := split(calls, o)
		calls = rest
		reports = append(reports, func() { reportDropped(o, gone) })
	}
	s.orders = nil
	if len(calls) > 0 && !p.stopped {
		parts, refused := p.sort(calls)
		p.queue = append(parts, p.queue...)
		for _, r := range refused {
			reports = append(reports, func() { p.fail(r.calls, r.err) })
		}
	}
	p.mu.Unlock()
	for _, report := range reports {
		report()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	s.left = unused
	p.idle = append([]*slot{s}, p.idle...) // last in line: the others have a child
	p.match()
}

// rest makes a slot idle, which may give it work at once.
func (p *Pool) rest(s *slot) {
	p.mu.Lock()
	defer p.mu.Unlock()
	s.left = unused
	if s.doom.kind == doomRetire {
		p.idle = append([]*slot{s}, p.idle...)
	} else {
		s.left = s.ch.usage
		p.idle = append(p.idle, s)
	}
	p.match()
}

// take returns what was asked of a slot since the last time.
func (p *Pool) take(s *slot) (given []call, python string, orders []order, stopped bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	given, orders = s.given, s.orders
	s.given, s.orders = nil, nil
	return given, s.python, orders, p.stopped
}

// Busy is how many slots execute or are about to.
func (p *Pool) Busy() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.slots) - len(p.idle)
}

// Free is how many slots would take a batch now.
func (p *Pool) Free() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.idle)
}

// Ready is closed once the first child has said that it is ready.
func (p *Pool) Ready() <-chan struct{} { return p.ready }

// Interpreter is what the first ready child said of itself; zero before Ready.
func (p *Pool) Interpreter() core.Interpreter {
	p.mu.Lock()
	defer p.mu.Unlock()
	return core.Interpreter{Path: p.first.Executable, Version: p.first.Python, Dill: p.first.Dill, Platform: p.first.Platform}
}

// Enforces is what holds functions within bounds here.
func (p *Pool) Enforces() *core.Enforcement { return p.bounds.enforces(p.config) }

// Trouble is why the last child could not start; nil once one could.
func (p *Pool) Trouble() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.trouble
}

// lacks returns what a child could not preload and was not told yet.
func (p *Pool) lacks(now map[string]string) map[string]string {
	p.mu.Lock()
	defer p.mu.Unlock()
	news := map[string]string{}
	for name, why := range now {
		if p.lacking[name] != why {
			news[name] = why
		}
	}
	p.lacking = now
	return news
}

// note records how a start went.
func (p *Pool) note(h hello, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.trouble = err
	if err == nil && p.first.Protocol == 0 {
		p.first = h
		close(p.ready)
	}
}
