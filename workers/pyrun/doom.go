package pyrun

import (
	"encoding/binary"
	"syscall"
	"time"

	"faasctl/core"
)

// doomKind is why we put an end to a child.
type doomKind int

const (
	doomNone    doomKind = iota
	doomCancel           // the running call was cancelled: SIGTERM, later SIGKILL
	doomTimeout          // the running call ran out of time
	doomGarbage          // what came from the child is not our runner's
	doomDiscard          // the running call is somebody else's by now
	doomSetup            // the running call's setup() ran out of time
	doomStart            // it did not become ready in time
	doomMemory           // the running call has more memory than it may have
	doomCPU              // the running call has used more processor time than it may
	doomRetire           // it has done its duty, or is not fit for the next call; no call runs
)

// doom is what we did to the child and for which call.
type doom struct {
	kind   doomKind
	tag    uint32
	why    string
	post   post      // what was found of it
	killAt time.Time // SIGKILL follows the SIGTERM then; zero when it was sent
}

// skipTime is how long a call that was to be skipped may seem to run: the
// child has either seen the request by then or was already in the call.
const skipTime = 20 * time.Millisecond

// spares reports whether the running call may still go on: nothing is wrong with
// it, or it was cancelled and is in its grace. Until then all its limits hold.
func (d doom) spares() bool {
	return d.kind == doomNone || d.kind == doomCancel && !d.killAt.IsZero()
}

func (d doom) state() core.State {
	if d.kind == doomCancel {
		return core.Cancelled
	}
	return core.Failed
}

func (d doom) failure(f *flying, wait syscall.WaitStatus, last string) core.Failure {
	switch d.kind {
	case doomCancel:
		failure := cancelledBy("cancelled while it ran")
		failure.Last = last
		return failure
	case doomTimeout:
		return timedOut(f.Timeout, last)
	case doomSetup:
		failure := timedOut(0, last)
		failure.Message = "its setup() ran longer than " + d.why
		return failure
	case doomMemory:
		return outOfMemory(f.limits.Memory, last)
	case doomCPU:
		return outOfCPU(f.limits.CPUSeconds, last)
	case doomGarbage:
		failure := crashed(wait, last)
		failure.Message = "the process was ended because of " + d.why
		return failure
	}
	return crashed(wait, last)
}

// condemn kills the child at once, for what the running call did.
func (s *slot) condemn(kind doomKind, why string) {
	if s.doom.kind != doomNone && s.doom.kind != doomCancel {
		return
	}
	tag := s.doom.tag
	if s.doom.kind == doomNone {
		s.doom = doom{kind: kind, why: why}
		if f := s.flight.running(); f != nil {
			tag = f.tag
		}
	}
	s.doom.tag, s.doom.killAt = tag, time.Time{}
	s.ch.signal(syscall.SIGKILL)
}

// obey carries out an order for those of its tasks that this slot has.
func (s *slot) obey(o order) {
	rest, gone := split(s.rest, o)
	s.rest = rest
	reportDropped(o, gone)
	for i := s.flight.at; i < len(s.flight.calls); i++ {
		f := &s.flight.calls[i]
		if !o.tasks[f.Task] {
			continue
		}
		switch {
		case o.discard:
			f.discarded = true
		case !f.cancelled || o.grace < f.grace:
			f.cancelled, f.grace = true, o.grace
		}
		if i > s.flight.at {
			if !f.skip {
				s.ch.send(kindSkip, binary.LittleEndian.AppendUint32(nil, f.tag))
			}
			f.skip = true
			continue
		}
		s.stopRunning(f, time.Now())
	}
}

// stopRunning ends the running call as it was marked. Whoever asks again for its
// end with less patience has it; with more, has not.
func (s *slot) stopRunning(f *flying, now time.Time) {
	switch {
	case f.discarded:
		s.condemn(doomDiscard, "")
	case s.doom.kind == doomNone:
		s.doom = doom{kind: doomCancel, tag: f.tag, killAt: now.Add(f.grace)}
		s.ch.signal(syscall.SIGTERM)
	case s.doom.spares() && s.doom.tag == f.tag:
		s.doom.killAt = earlier(s.doom.killAt, now.Add(f.grace))
	}
}

// next is when enforce has something to do, zero for never.
func (s *slot) next() time.Time {
	at := s.unparkOld(time.Now())
	if !s.ch.ready && s.doom.kind == doomNone {
		at = s.begun.Add(s.pool.config.StartTimeout)
	}
	if !s.hungUp.IsZero() && s.doom.spares() {
		at = earlier(at, s.hungUp.Add(hangup))
	}
	if !s.doom.killAt.IsZero() {
		at = earlier(at, s.doom.killAt)
	}
	if !s.flight.done() {
		at = earlier(at, s.flight.look)
	}
	if s.flight.live != nil {
		at = earlier(at, s.flight.live.due)
	}
	if f := s.flight.running(); f != nil && s.doom.spares() {
		at = earlier(at, s.flight.deadline(f, s.pool.config.SetupTimeout))
		at = earlier(at, s.lookAt)
		if f.skip && s.doom.kind == doomNone {
			at = earlier(at, s.flight.since.Add(skipTime))
		}
	}
	return at
}

// deadline is when the running call's time is up, zero for never.
func (f *flight) deadline(running *flying, setup time.Duration) time.Time {
	switch {
	case !f.setup.IsZero():
		return f.setup.Add(setup)
	case running.Timeout > 0:
		return f.since.Add(running.Timeout)
	}
	return time.Time{}
}

// enforce does what is due.
func (s *slot) enforce(now time.Time) {
	s.lookForProgress(now)
	if at := s.doom.killAt; !at.IsZero() && !now.Before(at) {
		s.doom.killAt = time.Time{}
		s.ch.signal(syscall.SIGKILL)
	}
	if !s.doom.spares() {
		return
	}
	due := func(from time.Time, after time.Duration) bool { return !now.Before(from.Add(after)) }
	if !s.ch.ready && s.doom.kind == doomNone && due(s.begun, s.pool.config.StartTimeout) {
		s.condemn(doomStart, "")
		return
	}
	if !s.hungUp.IsZero() && due(s.hungUp, hangup) {
		s.condemn(doomGarbage, "closed pipes: its connection to faasctl was cut")
		return
	}
	f := s.flight.running()
	switch {
	case f == nil:
	case !s.flight.setup.IsZero() && due(s.flight.setup, s.pool.config.SetupTimeout):
		s.condemn(doomSetup, s.pool.config.SetupTimeout.String())
	case s.flight.setup.IsZero() && f.Timeout > 0 && due(s.flight.since, f.Timeout):
		s.condemn(doomTimeout, "")
	case f.skip && s.doom.kind == doomNone && due(s.flight.since, skipTime):
		s.stopRunning(f, now)
	case !s.lookAt.IsZero() && !now.Before(s.lookAt):
		s.look(f, now)
	}
}
