package core

import (
	"cmp"
	"context"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"
)

// peer is one connected worker. Owned by the loop.
type peer struct {
	info      Worker
	from      Transport
	seq       uint64 // of the last window
	window    int
	holds     map[TaskID]*hold // handed out and not ended
	unsettled int              // results received and not settled
	seen      time.Time
	kind      *kind // of what it can run
	pace      meter // of info.Done
	runs      runs
}

// credit is how many more tasks the peer can be given. One that has many
// results waiting gets none: the store is slow, and more work would only pile
// up.
func (p *peer) credit() int {
	if p.info.State != WorkerRunning || p.unsettled > 2*p.window {
		return 0
	}
	return max(0, p.window-len(p.holds))
}

// hold is one task that the dispatcher has claimed and that is not settled or
// given back yet. Owned by the loop.
type hold struct {
	Assignment
	order    uint64        // of its claim: a release keeps it
	peer     *peer         // nil while pending
	since    time.Time     // pending since then; by our clock
	started  time.Time     // zero until its worker said so; by our clock
	progress *Progress     // that the store has not been told; nil for none
	word     *Progress     // the last progress, told or on its way; nil for none
	known    bool          // the store was told which worker has it
	adopted  bool          // another dispatcher may have it by the store's book
	ended    bool          // its outcome is with the settler
	doomed   bool          // its worker was told to cancel it
	grace    time.Duration // that it was told then
}

// loop is the one loop: signals, claimed tasks, the settler's answers, cancels
// and the tick, until stop is done or a transport has failed.
func (d *Dispatcher) loop(stop, transports context.Context) {
	tick := time.NewTicker(d.cfg.Beat)
	defer tick.Stop()
	renew := time.NewTicker(d.cfg.Renew)
	defer renew.Stop()
	for {
		select {
		case signal := <-d.signals:
			d.handle(signal)
		case c := <-d.claims:
			d.accept(c)
		case a := <-d.answers:
			d.apply(a)
		case c := <-d.cancels:
			d.cancelHeld(c)
		case ids := <-d.follows:
			d.follow(ids)
		case word := <-d.prepared:
			d.prepare(word)
		case <-tick.C:
			d.beat()
		case <-renew.C:
			d.renew()
		case <-stop.Done():
			return
		case <-transports.Done():
			return
		}
		d.deal()
	}
}

// await runs the loop's receiving side until a group has ended, so that nobody
// in it is stuck in a send.
func (d *Dispatcher) await(group *errgroup.Group) error {
	done := make(chan error, 1)
	go func() { done <- group.Wait() }()
	for {
		select {
		case signal := <-d.signals:
			d.handle(signal)
		case c := <-d.claims:
			d.accept(c)
		case a := <-d.answers:
			d.apply(a)
		case err := <-done:
			d.flush()
			return err
		}
	}
}

// flush handles what was sent before the senders ended.
func (d *Dispatcher) flush() {
	for {
		select {
		case signal := <-d.signals:
			d.handle(signal)
		case a := <-d.answers:
			d.apply(a)
		default:
			return
		}
	}
}

// drain lets local workers end what they run, for at most Config.Drain, and
// meanwhile renews leases and settles.
func (d *Dispatcher) drain(transports context.Context) {
	d.giveBack(d.pending)
	d.pending = nil
	for _, p := range d.peers {
		if p.info.Mode == Local {
			d.deliver(p, DownDrain{})
		}
	}
	deadline := time.NewTimer(d.cfg.Drain)
	defer deadline.Stop()
	tick := time.NewTicker(d.cfg.Beat)
	defer tick.Stop()
	renew := time.NewTicker(d.cfg.Renew)
	defer renew.Stop()
	for d.busyLocal() && transports.Err() == nil {
		select {
		case signal := <-d.signals:
			d.handle(signal)
		case a := <-d.answers:
			d.apply(a)
		case <-tick.C:
			d.beat()
		case <-renew.C:
			d.renew()
		case <-deadline.C:
			d.cfg.Logger.Warn("tasks still ran at the end of the drain; they are queued again", "tasks", len(d.holds))
			return
		case <-transports.Done():
			return
		}
	}
}

func (d *Dispatcher) busyLocal() bool {
	for _, p := range d.peers {
		if p.info.Mode == Local && len(p.holds) > 0 {
			return true
		}
	}
	return false
}

// releaseAll gives back what local workers still held when they were stopped.
// What workers of other processes hold stays theirs.
func (d *Dispatcher) releaseAll() {
	var rest []*hold
	for _, h := range d.holds {
		if !h.ended && (h.peer == nil || h.peer.info.Mode == Local) {
			rest = append(rest, h)
		}
	}
	d.giveBack(rest)
}

// giveBack releases holds that nobody will run here; it charges nothing.
func (d *Dispatcher) giveBack(rest []*hold) {
	d.release(rest, ReleaseGraceful)
}

func (d *Dispatcher) release(rest []*hold, reason ReleaseReason) {
	slices.SortFunc(rest, func(a, b *hold) int { return cmp.Compare(a.order, b.order) })
	leases := make([]Lease, 0, len(rest))
	for _, h := range rest {
		leases = append(leases, h.Lease)
		d.drop(h)
	}
	d.settler.release(leases, reason)
}

// drop forgets a hold.
func (d *Dispatcher) drop(h *hold) {
	delete(d.holds, h.Task)
	if h.peer == nil {
		return
	}
	if h.ended {
		h.peer.unsettled--
	}
	delete(h.peer.holds, h.Task)
}

// accept takes what the claimer brought: tasks to hand out, and those that can
// not be run because their function cannot be had.
func (d *Dispatcher) accept(c claim) {
	d.claimer.delivered(c.round)
	now := time.Now()
	for _, a := range c.tasks {
		d.claimed++
		h := &hold{Assignment: a, order: d.claimed, since: now}
		d.holds[a.Task] = h
		d.pending = append(d.pending, h)
	}
	for _, outcome := range c.broken {
		d.holds[outcome.Task] = &hold{Assignment: Assignment{Lease: outcome.Lease}, ended: true}
		d.settler.settle([]Settlement{{Outcome: outcome}}, nil)
	}
}

// give hands tasks to one worker; if they cannot be delivered they are pending
// again.
func (d *Dispatcher) give(p *peer, hand []*hold) {
	tasks := make([]Assignment, len(hand))
	for i, h := range hand {
		tasks[i] = h.Assignment
		h.peer = p
		p.holds[h.Task] = h
	}
	if d.deliver(p, DownTasks{Tasks: tasks}) {
		d.followHeld(p, hand)
		return
	}
	for _, h := range hand {
		h.peer, h.since = nil, time.Now()
		delete(p.holds, h.Task)
	}
	p.window = len(p.holds) // no credit until it states a window again
	d.pending = append(hand, d.pending...)
}

// deliver reports whether msg is on its way. A worker that is gone is removed
// by the transport's own UpLeave.
func (d *Dispatcher) deliver(p *peer, msg Down) bool {
	err := p.from.Deliver(p.info.ID, msg)
	if err != nil {
		d.cfg.Logger.Warn("message not delivered", "worker", p.info.ID, "error", err)
	}
	return err == nil
}

// hear turns the store's hints into work for the claimer and the loop. It is
// called from the listening goroutine and never blocks.
func (d *Dispatcher) hear(h Hint) {
	switch h.Kind {
	case HintWork, HintReset:
		d.claimer.ring()
	case HintCancel:
		select {
		case d.cancels <- cancelling{h.Tasks, h.Grace}:
		default:
		}
	case HintPrepare:
		select {
		case d.prepares <- h.Prepare:
		default:
		}
	case HintFollow:
		select {
		case d.follows <- h.Tasks:
		default:
		}
	}
}

// returnStale gives back what has been pending for long: whoever was to have it went
// away or has no room, and our renewals would keep it from those that do.
func (d *Dispatcher) returnStale(now time.Time) {
	var stale []*hold
	d.pending = slices.DeleteFunc(d.pending, func(h *hold) bool {
		if now.Sub(h.since) <= d.cfg.Heard {
			return false
		}
		stale = append(stale, h)
		return true
	})
	d.giveBack(stale)
}

func (d *Dispatcher) unqueue(h *hold) {
	for i, other := range d.pending {
		if other == h {
			d.pending = append(d.pending[:i], d.pending[i+1:]...)
			return
		}
	}
}
