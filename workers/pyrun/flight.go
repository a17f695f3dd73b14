package pyrun

import (
	"cmp"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"syscall"
	"time"

	"faasctl/core"
)

// Bounds of one calls frame. The rest of a batch waits in the parent, where it
// can still be cancelled without asking the child.
const (
	frameCalls = 256
	frameBytes = 1 << 20
)

// flying is one call in the child's hands.
type flying struct {
	call
	tag       uint32      // random: without it a function could forge its neighbour's result
	skip      bool        // the child was asked not to start it
	limits    core.Limits // in force
	cancelled bool        // it ends as CANCELLED
	discarded bool        // nobody wants to hear of it
	grace     time.Duration
}

// flight is the calls of one frame. They run in order: the one at is running.
type flight struct {
	calls    []flying
	at       int
	since    time.Time // when the running one was started; moved on by what its setup took
	setup    time.Time // when the running one's setup() began; zero outside of it
	prepared bool      // the running one has had its setup()
	floor    time.Time // the running one cannot have begun before: results are read several at once
	gather   gather
	rec      *recorder // what it printed; nil for nothing
	live     *live     // how much of that was told; nil while nobody follows it
	tide     tide
	look     time.Time     // when to look for the running one's progress
	said     core.Progress // what that was the last time
}

func (f *flight) done() bool { return f.at >= len(f.calls) }

// reset lets go of the calls but keeps their room.
func (f *flight) reset() {
	clear(f.calls)
	*f = flight{calls: f.calls[:0]}
}

// running is the call that the child is in; nil for none.
func (f *flight) running() *flying {
	if f.done() {
		return nil
	}
	return &f.calls[f.at]
}

func (f *flight) lines() string {
	if f.rec == nil {
		return ""
	}
	return f.rec.lines()
}

func (f *flight) output() core.Output {
	if f.rec == nil {
		return core.Output{}
	}
	return f.rec.output()
}

// tag is that of the running call; 0 for none.
func (f *flight) tag() uint32 {
	if running := f.running(); running != nil {
		return running.tag
	}
	return 0
}

// launch hands the child as many calls as go into one frame, all under the same
// limits: these are set for the child as a whole.
func (s *slot) launch() {
	limits := s.pool.limits(s.rest[0].Assignment)
	variables := s.rest[0].Env
	if !s.hold(limits) || !s.lend(variables) {
		return
	}
	payload := number(0)
	calls := s.flight.calls[:0]
	isolation := limits.Isolation
	room := s.room(isolation)
	flags := byte(0)
	if isolation == core.Fork {
		flags = flagForked
	}
	for len(s.rest) > 0 && len(calls) < room && (len(calls) == 0 || len(payload)+len(s.rest[0].Args) <= frameBytes) {
		c := s.rest[0]
		if s.pool.limits(c.Assignment) != limits || !slices.Equal(c.Env, variables) {
			break
		}
		s.rest = s.rest[1:]
		n, send := s.ch.bodies.find(c.Function, s.ch.env)
		if send {
			s.ch.sendBody(n, c.Function)
		}
		codec := byte(0)
		if c.Codec == core.Dill {
			codec = 1
		}
		tag := rand.Uint32()
		payload = appendCall(payload, tag, n, codec, flags, c.Assignment)
		calls = append(calls, flying{call: c, tag: tag, limits: limits})
	}
	binary.LittleEndian.PutUint32(payload, uint32(len(calls)))
	s.ch.send(kindCalls, payload)
	now := time.Now()
	s.flight = flight{calls: calls, floor: now, gather: gather{seen: now}}
	s.ch.usage, s.ch.fresh = s.ch.usage.after(isolation), isolation == core.Fresh
	if isolation != core.Fork {
		s.ch.served += len(calls)
	}
	s.enter(now)
}

// enter notes that the child has come to its next call.
func (s *slot) enter(now time.Time) {
	s.flight.rec, s.flight.live, s.flight.since, s.flight.setup, s.flight.prepared = nil, nil, now, time.Time{}, false
	f := s.flight.running()
	if f == nil {
		return
	}
	if s.pool.following.Load() > 0 {
		s.followRunning()
	}
	if f.skip { // it may have been too late for that
		return
	}
	s.watch(f, now)
	s.flight.look, s.flight.said = now.Add(progressEvery), core.Progress{}
	f.sink.Started(f.Lease, now)
}

// printed keeps what the running call printed. Output that belongs to no call,
// of threads and daemons left behind, only shows in the debug log.
func (s *slot) printed(stderr bool, data []byte) {
	if s.flight.done() && s.ch.ready {
		s.overhear("", stderr, data)
		return
	}
	if s.flight.rec == nil {
		s.flight.rec = &recorder{}
	}
	now := time.Now()
	s.flight.tide.rise(now, len(data))
	s.flight.rec.write(stderr, data, max(0, now.Sub(s.flight.since).Milliseconds()))
	if l := s.flight.live; l != nil && l.due.IsZero() {
		l.due = later(now, l.sent.Add(streamEvery))
	}
}

// missed sends a body again that the child has dropped from its cache.
func (s *slot) missed(payload []byte) error {
	f := s.flight.running()
	if f == nil || len(payload) != 4 {
		return fmt.Errorf("a question for a body outside of any call")
	}
	s.ch.sendBody(binary.LittleEndian.Uint32(payload), f.Function)
	s.ch.flush()
	return nil
}

// loading hears that the running call's function begins or ends its setup(),
// whose time is not the call's.
func (s *slot) loading(payload []byte) error {
	f := s.flight.running()
	if f == nil || len(payload) != 5 || binary.LittleEndian.Uint32(payload) != f.tag {
		return fmt.Errorf("a setup outside of any call")
	}
	now := time.Now()
	switch begins := payload[4] == 1; {
	case begins && !s.flight.prepared:
		s.flight.setup, s.flight.prepared = now, true
	case !begins && !s.flight.setup.IsZero():
		s.flight.since = s.flight.since.Add(now.Sub(s.flight.setup))
		s.flight.setup = time.Time{}
	default:
		return fmt.Errorf("a second setup for one call")
	}
	return nil
}

// landed handles the result of the running call.
func (s *slot) landed(r reply) (drained bool, err error) {
	f := s.flight.running()
	if f == nil || r.tag != f.tag {
		return false, fmt.Errorf("a result for no call that runs")
	}
	if r.pending || r.left || r.threads {
		s.drain()
		drained = true
	}
	now := time.Now()
	if r.status == statusSkipped {
		if !f.skip {
			return drained, fmt.Errorf("a call that was skipped without being asked to")
		}
		s.end(f, core.Cancelled, failed(f.Codec, cancelledBy("cancelled before it was started")), 0, false)
	} else {
		state, result, err := resultOf(r, f.Codec, s.pool.config.MaxPayload)
		if r.status == statusDied && err == nil {
			result, err = s.died(r, f)
		}
		if err != nil {
			return drained, err
		}
		s.ch.versions(f.Function, result.Failure)
		if f.limits.Memory > 0 && result.Failure != nil && result.Failure.Type == "MemoryError" {
			result.Failure.Kind = core.KindMemory
			result.Failure.Message = cmp.Or(result.Failure.Message, outOfMemory(f.limits.Memory, "").Message)
		}
		if f.cancelled {
			state, result = core.Cancelled, failed(f.Codec, cancelledBy("cancelled while it ran"))
		}
		took := min(time.Duration(min(r.ns, 1<<62)), now.Sub(s.flight.floor)) // its word, within what we saw
		s.flight.floor = s.flight.floor.Add(took)
		s.tellProgress(f)
		s.end(f, state, result, took, true)
	}
	doomed := s.doom.kind != doomNone
	s.flight.at++
	if !doomed && r.threads {
		s.ch.shared = true
		s.pool.scold(f)
		s.rest = append(s.flight.unload(s), s.rest...)
	} else if !doomed && r.left {
		if err := s.ch.renew(f.Task); err != nil {
			return drained, err
		}
	}
	if !doomed {
		s.enter(now)
		if drained && !r.left && !s.flight.done() {
			s.ch.send(kindAck)
			s.ch.flush()
		}
	} else if s.doom.kind == doomCancel {
		// It ended in its grace. The signal may still hit whatever comes next,
		// so nothing comes next.
		s.doom.killAt = time.Time{}
		s.ch.signal(syscall.SIGKILL)
	}
	return drained, nil
}

// died is what became of a call whose fork ended without a result.
func (s *slot) died(r reply, f *flying) (core.Result, error) {
	var told struct {
		Wait    syscall.WaitStatus
		Message string // why it was ended, if it did not end by itself
		Peak    int64  // the most memory it had, in KiB
	}
	if err := json.Unmarshal(r.failure, &told); err != nil {
		return core.Result{}, fmt.Errorf("an end that cannot be read: %w", err)
	}
	if told.Message != "" { // it may have ended by itself before it was hit
		told.Wait = syscall.WaitStatus(syscall.SIGKILL)
	}
	failure := crashed(told.Wait, s.flight.lines())
	if told.Message == "" && told.Wait.Signaled() && s.ch.cell.group.outOfMemory() {
		failure = outOfMemory(f.limits.Memory, s.flight.lines())
	}
	if told.Message != "" {
		failure.Message = "the process was ended because of " + clip(told.Message, maxMessage)
	}
	post{fault: s.ch.fault(), peak: max(0, min(told.Peak, 1<<40)) << 10}.tell(&failure)
	return failed(f.Codec, failure), nil
}

// end reports what became of a call.
func (s *slot) end(f *flying, state core.State, result core.Result, took time.Duration, started bool) {
	if f.discarded {
		return
	}
	f.sink.Ended(core.Outcome{
		Lease: f.Lease, State: state, Started: started, Elapsed: took,
		Result: result, Output: s.flight.output(),
	})
}

// bury ends the call that the child died in and returns those it never
// entered. Where we killed it for a call that had ended by then, the next one
// is not to blame: it is run again, uncharged.
func (f *flight) bury(s *slot, wait syscall.WaitStatus) (left []call) {
	if running := f.running(); running != nil {
		if s.doom.kind == doomNone || s.doom.tag == running.tag {
			took := time.Since(f.since)
			failure := s.doom.failure(running, wait, f.lines())
			s.doom.post.tell(&failure)
			s.end(running, s.doom.state(), failed(running.Codec, failure), took, true)
			f.at++
		}
	}
	return f.unload(s)
}

// unload returns the calls that the child will not enter any more.
func (f *flight) unload(s *slot) (left []call) {
	for ; !f.done(); f.at++ {
		c := &f.calls[f.at]
		switch {
		case c.cancelled:
			f.rec = nil
			s.end(c, core.Cancelled, failed(c.Codec, cancelledBy("cancelled before it was started")), 0, false)
		case !c.discarded:
			left = append(left, c.call)
		}
	}
	return left
}
