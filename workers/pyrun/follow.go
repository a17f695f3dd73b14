package pyrun

import (
	"time"

	"faasctl/core"
)

// streamEvery is how often what a followed call prints is told.
const streamEvery = 100 * time.Millisecond

// live is how far the running call's output was told to those who follow it. What
// it prints in between waits in its recorder, which is bounded: a flood loses its
// middle, and the offsets of the pieces say how much.
type live struct {
	stdout, stderr int64
	sent           time.Time
	due            time.Time // when to tell again; zero while there is nothing new
}

// Follow has sinks told what calls print, as Sink.Printed, until it is off or
// they have ended. It may come before the call.
func (p *Pool) Follow(tasks []core.TaskID, on bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, task := range tasks {
		if on {
			p.follows[task] = true
		} else {
			delete(p.follows, task)
		}
	}
	p.following.Store(int64(len(p.follows)))
	p.followTurn.Add(1)
	for _, s := range p.slots {
		s.ring()
	}
}

// heed begins or ends the telling of what the running call prints, when it may
// have changed who is followed.
func (s *slot) heed() {
	turn := s.pool.followTurn.Load()
	if turn == s.followTurn {
		return
	}
	s.followTurn = turn
	s.followRunning()
}

// followRunning looks whether the running call is followed.
func (s *slot) followRunning() {
	f := s.flight.running()
	if f == nil {
		return
	}
	s.pool.mu.Lock()
	on := s.pool.follows[f.Task]
	s.pool.mu.Unlock()
	switch {
	case !on:
		s.flight.live = nil
	case s.flight.live == nil:
		s.flight.live = &live{due: time.Now()}
	}
}

// tell tells what the running call has printed since the last time.
func (s *slot) tell(now time.Time) {
	f, l := s.flight.running(), s.flight.live
	if f == nil || l == nil || l.due.IsZero() || now.Before(l.due) {
		return
	}
	l.sent, l.due = now, time.Time{}
	rec := s.flight.rec
	if rec == nil || f.discarded {
		return
	}
	pieces := append(rec.stdout.since(l.stdout, core.Stdout), rec.stderr.since(l.stderr, core.Stderr)...)
	l.stdout, l.stderr = rec.stdout.total(), rec.stderr.total()
	if len(pieces) > 0 {
		f.sink.Printed(f.Lease, now.Sub(s.flight.since), pieces)
	}
}
