package agent

import (
	"context"
	"log/slog"
	"time"

	"faasctl/core"
	"faasctl/workers/pyrun"
)

// Runner executes calls on a bounded number of slots; pyrun.Pool is one.
type Runner interface {
	// Start runs the calls of batch one after another on one slot. It does not
	// block. sink hears of each call's start and end.
	Start(batch []core.Assignment, sink pyrun.Sink)
	// Cancel ends calls: a polite signal, and after grace a kill. Their
	// outcome is Cancelled.
	Cancel(tasks []core.TaskID, grace time.Duration)
	// Kill ends calls at once; nobody wants their outcome.
	Kill(tasks []core.TaskID)
	// Follow has the sink told what calls print, until it is off or they end.
	Follow(tasks []core.TaskID, on bool)
}

// Config describes one worker.
type Config struct {
	// Worker is how the worker introduces itself: id, mode, host, slots and so
	// on. Required.
	Worker core.Worker
	// Runner executes the calls. Required.
	Runner Runner
	// Beat is how often the worker says that it lives, while it holds tasks; half
	// as often while it does not. Default: 1 s.
	Beat time.Duration
	// NoPrefetch holds no more tasks than there are slots, whatever they cost.
	// Default: false.
	NoPrefetch bool
	// Leave ends Run once the worker has drained: nothing is held and all is
	// settled. Default: false, it goes on beating.
	Leave bool
	// Logger takes what nobody is told otherwise. Default: slog.Default().
	Logger *slog.Logger
}

func (c Config) withDefaults() Config {
	if c.Beat == 0 {
		c.Beat = time.Second
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	return c
}

// Agent is one worker. Everything below inbox belongs to the goroutine of Run.
type Agent struct {
	cfg   Config
	inbox inbox

	up       func(core.Up)
	waiting  []core.Assignment       // held, not handed to the runner, in order
	kinds    map[core.FunctionID]int // how many of waiting are of each function
	active   map[core.TaskID]*call   // with the runner
	kept     map[core.Lease]result   // handed in and not settled
	followed map[core.TaskID]bool    // tasks whose output somebody wants to see
	busy     int                     // slots in use
	pace     pace
	recent   int // depth of the dearest function among the last outcomes
	seq      uint64
	window   int  // as last stated
	cautious bool // tasks had to go back, and the window grows again bit by bit:
	calm     int  // the tasks that have ended since
	draining bool
	said     int  // busy slots, as the last beat had them
	rested   bool // the last beat was left out
}

// call is a task that the runner has.
type call struct {
	lease    core.Lease
	function core.FunctionID
	attempt  int
	batch    *int           // calls left in its batch; at 0 the slot is free
	started  time.Time      // zero until entered
	told     bool           // a beat has reported the start
	progress *core.Progress // that no beat has reported; nil for none
}

// held is what a dispatcher that adopts the task has to know.
func (c *call) held() core.Held {
	held := core.Held{Lease: c.lease, Attempt: c.attempt}
	if !c.started.IsZero() {
		held.Started, held.Ago = true, time.Since(c.started)
	}
	return held
}

// result is what became of a call, kept until it is settled.
type result struct {
	core.Outcome
	call *call
}

// New returns an Agent that Run sets going.
func New(cfg Config) *Agent {
	return &Agent{
		cfg: cfg.withDefaults(), inbox: newInbox(), kinds: map[core.FunctionID]int{},
		active: map[core.TaskID]*call{}, kept: map[core.Lease]result{}, followed: map[core.TaskID]bool{}, pace: newPace(), recent: 1,
	}
}

// Deliver takes a message of the dispatcher; it never blocks.
func (a *Agent) Deliver(msg core.Down) { a.inbox.down(msg) }

// Fence kills what runs and forgets what waits, as the dispatcher has been out of
// reach for so long that others may have been given the tasks. Outcomes that were
// there before are kept.
func (a *Agent) Fence() { a.inbox.fence() }

// Run registers the worker and serves until ctx is done; up carries its words to
// the dispatcher and may block. Calls that still run then are left to the
// runner's owner, and no outcome of theirs is handed in.
func (a *Agent) Run(ctx context.Context, up func(core.Up)) error {
	a.up = up
	a.join()
	beat := time.NewTicker(a.cfg.Beat)
	defer beat.Stop()
	for {
		select {
		case <-a.inbox.bell:
		case <-beat.C:
			a.beat()
		case <-ctx.Done():
			return nil
		}
		box := a.inbox.take()
		if box.fenced {
			a.loseAll()
		}
		for _, s := range box.starts {
			if c := a.active[s.lease.Task]; c != nil && c.lease == s.lease {
				c.started = s.at
			}
		}
		a.progressed(box.progress)
		for _, msg := range box.messages {
			a.obey(msg)
		}
		if ctx.Err() != nil {
			return nil // what ends now may have been ended by our stop
		}
		a.printed(box.printed)
		for _, news := range box.prepared {
			a.up(core.UpPrepared{Preparation: news})
		}
		a.handIn(box.ends)
		a.work()
		a.stateWindow()
		if a.cfg.Leave && a.draining && len(a.active)+len(a.waiting)+len(a.kept) == 0 {
			a.up(core.UpLeave{})
			return nil
		}
	}
}

// join names all that the worker has, also the tasks whose results are not
// settled: what it did not name would be queued again before its results come.
func (a *Agent) join() {
	holds := make([]core.Held, 0, len(a.waiting)+len(a.active)+len(a.kept))
	for _, c := range a.active {
		holds = append(holds, c.held())
	}
	for _, w := range a.waiting {
		holds = append(holds, core.Held{Lease: w.Lease, Attempt: w.Attempt})
	}
	again := make([]core.Outcome, 0, len(a.kept))
	for _, r := range a.kept {
		holds = append(holds, r.call.held())
		again = append(again, r.Outcome)
	}
	a.up(core.UpJoin{Worker: a.cfg.Worker, Holds: holds})
	a.seq, a.window = 0, -1
	a.stateWindow()
	if len(again) > 0 {
		a.up(core.UpFinish{Outcomes: again})
	}
	if a.draining {
		a.up(core.UpDrain{})
	}
	if heeder, ok := a.cfg.Runner.(Heeder); ok {
		heeder.Heed(a.inbox.prepare)
	}
}

// beat says that the worker lives, and which tasks it has entered since. Nobody
// vouches for a worker that holds nothing: it says so every other time only, as
// many idle workers are what wakes a dispatcher most.
func (a *Agent) beat() {
	idle := len(a.active)+len(a.waiting)+len(a.kept)+a.said == 0
	if a.rested = idle && !a.rested; a.rested {
		return
	}
	a.said = a.busy
	beat := core.UpBeat{Busy: a.busy}
	for id, c := range a.active {
		if !c.told && !c.started.IsZero() {
			c.told = true
			beat.Started = append(beat.Started, core.Start{Task: id, Ago: time.Since(c.started)})
		}
		if c.progress != nil {
			beat.Progress = append(beat.Progress, core.TaskProgress{Task: id, Progress: *c.progress})
			c.progress = nil
		}
	}
	a.up(beat)
	a.forgetFollowed()
}

// obey does what the dispatcher says.
func (a *Agent) obey(msg core.Down) {
	switch msg := msg.(type) {
	case core.DownTasks:
		a.waiting = append(a.waiting, msg.Tasks...)
		for _, w := range msg.Tasks {
			a.kinds[w.Function.ID]++
		}
		if a.draining {
			a.giveBack(0)
		}
	case core.DownSettled:
		for _, lease := range msg.Leases {
			delete(a.kept, lease)
		}
	case core.DownCancel:
		a.cancel(msg)
	case core.DownLost:
		a.lose(msg.Leases)
	case core.DownDrain:
		if !a.draining {
			a.draining = true
			a.up(core.UpDrain{})
			a.giveBack(0)
		}
	case core.DownFollow:
		a.follow(msg)
	case core.DownPrepare:
		a.prepare(msg)
	case core.DownRegister:
		a.join()
	}
}

// Heeder is a Runner that tells of interpreters that do not start, and that start again.
type Heeder interface {
	// Heed has tell hear of it, at first of those that do not start now.
	Heed(tell func(core.Preparation))
}

// Preparer is a Runner that makes the environments of functions.
type Preparer interface {
	// Prepare makes the environment of a function; tell hears how far that is.
	Prepare(f *core.Function, tell func(core.Preparation))
	// Look tells which of these modules the function would not find.
	Look(f *core.Function, imports []string, tell func(core.Preparation))
}

func (a *Agent) prepare(msg core.DownPrepare) {
	preparer, ok := a.cfg.Runner.(Preparer)
	switch {
	case !ok || a.draining:
	case msg.Imports != nil:
		preparer.Look(msg.Function, msg.Imports, a.inbox.prepare)
	default:
		preparer.Prepare(msg.Function, a.inbox.prepare)
	}
}

// giveBack returns the waiting tasks from the n-th on.
func (a *Agent) giveBack(n int) {
	if n >= len(a.waiting) {
		return
	}
	a.cautious, a.calm = true, 0
	back := make([]core.Lease, 0, len(a.waiting)-n)
	for _, w := range a.waiting[n:] {
		back = append(back, w.Lease)
		a.uncount(w.Function.ID)
	}
	a.waiting = a.waiting[:n:n]
	a.up(core.UpReturn{Leases: back})
}

// cancel ends waiting tasks itself and leaves active ones to the runner.
func (a *Agent) cancel(msg core.DownCancel) {
	doomed := make(map[core.TaskID]bool, len(msg.Tasks))
	for _, id := range msg.Tasks {
		doomed[id] = true
	}
	var results []result
	a.unqueue(func(w core.Assignment) bool {
		if !doomed[w.Task] {
			return false
		}
		outcome := core.Outcome{Lease: w.Lease, State: core.Cancelled, Result: core.Result{
			Failure: &core.Failure{Kind: core.KindCancelled, Message: "cancelled before it started"},
		}}
		results = append(results, result{outcome, &call{lease: w.Lease, attempt: w.Attempt}})
		return true
	})
	a.keep(results)
	var running []core.TaskID
	for _, id := range msg.Tasks {
		if _, ok := a.active[id]; ok {
			running = append(running, id)
		}
	}
	if len(running) > 0 {
		a.cfg.Runner.Cancel(running, msg.Grace)
	}
}

// lose forgets tasks that are somebody else's by now.
func (a *Agent) lose(leases []core.Lease) {
	lost := make(map[core.Lease]bool, len(leases))
	for _, lease := range leases {
		lost[lease] = true
		delete(a.kept, lease)
	}
	a.unqueue(func(w core.Assignment) bool { return lost[w.Lease] })
	var running []core.TaskID
	for id, c := range a.active {
		if lost[c.lease] {
			running = append(running, id)
			a.end(id)
		}
	}
	if len(running) > 0 {
		a.cfg.Runner.Kill(running)
	}
}

func (a *Agent) loseAll() {
	leases := make([]core.Lease, 0, len(a.waiting)+len(a.active))
	for _, w := range a.waiting {
		leases = append(leases, w.Lease)
	}
	for _, c := range a.active {
		leases = append(leases, c.lease)
	}
	a.lose(leases)
}

func (a *Agent) unqueue(doomed func(core.Assignment) bool) {
	left := a.waiting[:0]
	for _, w := range a.waiting {
		if doomed(w) {
			a.uncount(w.Function.ID)
		} else {
			left = append(left, w)
		}
	}
	a.waiting = left
}

// uncount takes one call of a function off the kinds that wait.
func (a *Agent) uncount(id core.FunctionID) {
	if a.kinds[id]--; a.kinds[id] == 0 {
		delete(a.kinds, id)
	}
}

// handIn passes outcomes on. One of a task that was lost meanwhile is nobody's.
func (a *Agent) handIn(ends []core.Outcome) {
	ours := make([]result, 0, len(ends))
	dearest := maxDepth
	var words []core.TaskProgress // said since the last beat
	for _, o := range ends {
		c := a.active[o.Task]
		if c == nil || c.lease != o.Lease {
			continue
		}
		if o.Started {
			a.pace.learn(c.function, o.Elapsed)
			dearest = min(dearest, a.pace.depth(c.function))
		}
		if c.progress != nil {
			words = append(words, core.TaskProgress{Task: o.Task, Progress: *c.progress})
		}
		a.end(o.Task)
		ours = append(ours, result{o, c})
	}
	if len(ours) > 0 {
		a.recent = dearest
	}
	a.calm += len(ours)
	if len(words) > 0 { // before the ends: a dispatcher forgets what has ended
		a.up(core.UpBeat{Busy: a.busy, Progress: words})
	}
	a.keep(ours)
}

func (a *Agent) keep(results []result) {
	if len(results) == 0 {
		return
	}
	outcomes := make([]core.Outcome, len(results))
	for i, r := range results {
		a.kept[r.Lease] = r
		outcomes[i] = r.Outcome
	}
	a.up(core.UpFinish{Outcomes: outcomes})
}

// end forgets an active task; with the last of its batch a slot is free.
func (a *Agent) end(id core.TaskID) {
	c := a.active[id]
	delete(a.active, id)
	if a.followed[id] {
		delete(a.followed, id)
		a.cfg.Runner.Follow([]core.TaskID{id}, false)
	}
	if *c.batch--; *c.batch == 0 {
		a.busy--
	}
}
