package core

import (
	"maps"
	"math/rand/v2"
	"slices"
	"time"
)

// handle takes one signal of a worker.
func (d *Dispatcher) handle(s Signal) {
	p := d.peers[s.Worker]
	if join, ok := s.Up.(UpJoin); ok {
		d.join(s, p, join)
		return
	}
	if p == nil {
		// A late word of a worker that was given up, or of one that knew
		// another dispatcher: it has to introduce itself.
		if _, leaves := s.Up.(UpLeave); !leaves {
			if err := s.From.Deliver(s.Worker, DownRegister{}); err != nil {
				d.cfg.Logger.Debug("message not delivered", "worker", s.Worker, "error", err)
			}
		}
		return
	}
	p.seen = time.Now()
	switch up := s.Up.(type) {
	case UpWindow:
		if up.Seq > p.seq {
			p.seq, p.window = up.Seq, up.Size
		}
	case UpBeat:
		p.info.Busy = up.Busy
		for _, start := range up.Started {
			if h := p.holds[start.Task]; h != nil && h.started.IsZero() {
				h.started = p.seen.Add(-start.Ago)
			}
		}
		d.progressed(p, up.Progress)
	case UpOutput:
		d.printed(p, up.Printed)
	case UpFinish:
		d.finish(p, up.Outcomes)
	case UpReturn:
		d.takeBack(p, up.Leases)
	case UpPrepared:
		d.notePreparation(p, up.Preparation)
	case UpDrain:
		if p.info.State == WorkerRunning {
			p.info.State = WorkerDraining
			d.note(Event{Kind: WorkerDrains, Worker: p.info.ID})
		}
	case UpLeave:
		d.leave(p, up.Lost)
	}
}

// join registers a worker. One that registers again keeps what both sides agree
// that it holds; what only it names is somebody else's by now.
func (d *Dispatcher) join(s Signal, p *peer, join UpJoin) {
	known := p != nil
	if !known {
		p = &peer{holds: map[TaskID]*hold{}}
		d.peers[s.Worker] = p
		join.Worker.Joined = time.Now()
		d.note(Event{Kind: WorkerJoined, Worker: s.Worker, Detail: string(join.Worker.Mode)})
	} else {
		join.Worker.Joined, join.Worker.Done, join.Worker.Failures = p.info.Joined, p.info.Done, p.info.Failures
	}
	if known {
		join.Worker.Preparations = p.info.Preparations
	}
	p.info, p.from, p.seq, p.window, p.seen = join.Worker, s.From, 0, 0, time.Now()
	p.info.Dispatcher = d.info.ID
	p.kind = d.kindOf(p.info.Interpreters)
	if p.info.State == "" {
		p.info.State = WorkerRunning
	}
	d.reconcile(p, join.Holds)
	d.announce(false)
}

// reconcile makes the dispatcher's view of a worker's tasks that of the worker.
// What only the dispatcher knows of was lost on the way and is queued again: a
// transport must not let a worker join while older messages to it may still
// arrive. What only the worker knows of was claimed by a dispatcher that is
// gone, and is adopted: from now on it counts as held here, and the store's
// answer to its first renewal decides whether it may.
func (d *Dispatcher) reconcile(p *peer, holds []Held) {
	has := map[Lease]bool{}
	var adopted []Renewal
	var foreign []Lease
	var doomed []*hold
	for _, held := range holds {
		has[held.Lease] = true
		switch h := d.holds[held.Task]; {
		case h == nil:
			adopted = append(adopted, d.renewal(d.adopt(p, held), time.Now()))
		case h.Lease != held.Lease || h.peer != p:
			foreign = append(foreign, held.Lease)
		default: // a beat or a cancel may have been lost with the connection
			if held.Started && h.started.IsZero() {
				h.started = time.Now().Add(-held.Ago)
			}
			if h.doomed {
				doomed = append(doomed, h)
			}
			h.adopted = true // it may have been with another dispatcher meanwhile
			adopted = append(adopted, d.renewal(h, time.Now()))
		}
	}
	var missing []*hold
	for _, h := range p.holds {
		if !has[h.Lease] {
			missing = append(missing, h)
		}
	}
	d.release(missing, ReleaseVanished)
	d.settler.renew(adopted)
	d.followHeld(p, slices.Collect(maps.Values(p.holds)))
	if len(foreign) > 0 {
		d.deliver(p, DownLost{Leases: foreign})
	}
	d.cancelAgain(p, doomed)
}

func (d *Dispatcher) adopt(p *peer, held Held) *hold {
	d.claimed++
	h := &hold{Assignment: Assignment{Lease: held.Lease, Attempt: held.Attempt}, order: d.claimed, peer: p, adopted: true}
	if held.Started {
		h.started = time.Now().Add(-held.Ago)
	}
	d.holds[h.Task], p.holds[h.Task] = h, h
	return h
}

// finish passes outcomes on to the settler. One for a task that is not held any
// more is passed on all the same: the store's fence decides, and the worker
// learns that it may forget it.
func (d *Dispatcher) finish(p *peer, outcomes []Outcome) {
	batch := make([]Settlement, 0, len(outcomes))
	var words []Renewal
	for _, o := range outcomes {
		p.info.Done++
		if o.State == Failed {
			p.info.Failures++
		}
		if o.Started {
			p.runs.add(o.Elapsed)
		}
		settlement := Settlement{Outcome: o, Worker: p.info.ID, Jitter: 2*rand.Float64() - 1}
		if h := p.holds[o.Task]; h != nil && h.Lease == o.Lease {
			delete(p.holds, o.Task)
			h.ended = true
			p.unsettled++
			if h.progress = h.word; h.word != nil { // a renewal that waits comes after the outcome
				words = append(words, d.renewal(h, p.seen))
			}
		}
		batch = append(batch, settlement)
	}
	d.settler.settle(batch, words)
}

func (d *Dispatcher) takeBack(p *peer, leases []Lease) {
	var back []*hold
	for _, lease := range leases {
		if h := p.holds[lease.Task]; h != nil && h.Lease == lease {
			back = append(back, h)
		}
	}
	d.giveBack(back)
}

// leave removes a worker. What it held is queued again; results that came from
// it are still settled.
func (d *Dispatcher) leave(p *peer, lost bool) {
	kind, reason := WorkerLeft, ReleaseGraceful
	p.info.State = WorkerGone
	if lost {
		kind, reason = WorkerVanished, ReleaseVanished
		p.info.State = WorkerLost
	}
	rest := make([]*hold, 0, len(p.holds))
	for _, h := range p.holds {
		rest = append(rest, h)
	}
	d.recordStarts(rest)
	d.release(rest, reason)
	d.note(Event{Kind: kind, Worker: p.info.ID, Detail: string(p.info.Mode)})
	d.announce(false)
	delete(d.peers, p.info.ID)
}

// recordStarts tells the store which of these tasks were started, before a
// release, so that the delivery is charged to the right ones.
func (d *Dispatcher) recordStarts(rest []*hold) {
	var starts []Renewal
	for _, h := range rest {
		if !h.started.IsZero() {
			starts = append(starts, d.renewal(h, time.Now()))
		}
	}
	d.settler.renew(starts)
}

func (d *Dispatcher) renewal(h *hold, now time.Time) Renewal {
	r := Renewal{Lease: h.Lease, Progress: h.progress}
	h.progress = nil
	if h.adopted {
		r.Dispatcher = d.info.ID
	}
	if h.peer != nil {
		h.known = true
		r.Worker, r.Principal = h.peer.info.ID, h.peer.info.Principal
	}
	if !h.started.IsZero() {
		r.Started, r.StartedAgo = true, now.Sub(h.started)
	}
	return r
}

// renew prolongs the leases of what waits here and of what workers hold that
// were heard of lately. A silent worker's leases lapse.
func (d *Dispatcher) renew() {
	now := time.Now()
	batch := make([]Renewal, 0, len(d.holds))
	for _, h := range d.holds {
		if h.peer == nil || now.Sub(h.peer.seen) <= d.cfg.Heard {
			batch = append(batch, d.renewal(h, now))
		}
	}
	d.settler.renew(batch)
}

// beat gives up workers that have been silent for a whole lease, whose tasks are
// others' by now, gives back what nobody here takes, tells the store who holds the
// tasks handed out since the last beat, and who is there.
func (d *Dispatcher) beat() {
	now := time.Now()
	var fresh []Renewal
	for _, h := range d.holds {
		if h.peer != nil && (!h.known || h.progress != nil) && !h.ended {
			fresh = append(fresh, d.renewal(h, now))
		}
	}
	d.settler.renew(fresh)
	d.unfollow(now)
	d.returnStale(now)
	for _, p := range d.peers {
		if time.Since(p.seen) > d.cfg.Lease {
			d.leave(p, true)
		}
	}
	d.announce(false)
}

func (d *Dispatcher) note(e Event) {
	e.At = time.Now()
	d.events = append(d.events, e)
}

func (d *Dispatcher) announce(leaving bool) {
	a := Announcement{Dispatcher: d.info, Events: d.events, Leaving: leaving}
	now := time.Now()
	for _, p := range d.peers {
		w := p.info
		w.Rate, w.P95, w.Unheard = p.pace.read(now, w.Done), p.runs.quantile(), now.Sub(p.seen)
		w.Held, w.Busy = len(p.holds)+p.unsettled, min(len(p.holds), p.info.Slots)
		if leaving && w.Mode == Local {
			w.State = WorkerGone
		}
		a.Workers = append(a.Workers, w)
	}
	d.events = nil
	d.settler.announce(a)
}

// apply takes the settler's answers.
func (d *Dispatcher) apply(a answer) {
	if a.storeUp != d.storeUp {
		d.storeUp = a.storeUp
		for _, p := range d.peers {
			d.deliver(p, DownStore{Up: a.storeUp})
		}
	}
	for _, id := range a.drain {
		if p := d.peers[id]; p != nil && p.info.State == WorkerRunning {
			d.deliver(p, DownDrain{})
		}
	}
	settled := map[WorkerID][]Lease{}
	for i, s := range a.settled {
		if h := d.holds[s.Task]; h != nil && h.Lease == s.Lease {
			d.drop(h)
		}
		if a.verdicts[i] == VerdictStale {
			d.cfg.Logger.Warn("a late result was refused", "task", s.Task, "worker", s.Worker, "epoch", s.Epoch)
		}
		settled[s.Worker] = append(settled[s.Worker], s.Lease)
	}
	for id, leases := range settled {
		if p := d.peers[id]; p != nil {
			d.deliver(p, DownSettled{Leases: leases})
		}
	}
	doomed := map[time.Duration][]TaskID{} // by grace
	for i, r := range a.renewed {
		h := d.holds[r.Task]
		if h == nil || h.Lease != r.Lease {
			continue
		}
		grace, cancels := a.verdicts[i].Cancelling()
		if r.Dispatcher != "" && (a.verdicts[i] == VerdictOK || cancels) {
			h.adopted = false
		}
		switch verdict := a.verdicts[i]; {
		case cancels:
			doomed[grace] = append(doomed[grace], r.Task)
		case verdict == VerdictStale || verdict == VerdictAlready:
			d.lose(h)
		}
	}
	for grace, ids := range doomed {
		d.cancelHeld(cancelling{ids, grace})
	}
}

// lose drops a task that is somebody else's by now and tells its worker. One
// whose outcome is with the settler is left to the settler's answer.
func (d *Dispatcher) lose(h *hold) {
	if h.ended {
		return
	}
	p := h.peer
	if p == nil {
		d.unqueue(h)
	}
	d.drop(h)
	if p != nil {
		d.deliver(p, DownLost{Leases: []Lease{h.Lease}})
	}
}
