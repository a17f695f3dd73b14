package core

import (
	"context"
	"strconv"
	"strings"
	"time"
)

// The grace of a cancel is how long its call may take to end after the polite
// signal. Zero is the dispatcher's own (DispatcherConfig.Grace).
const (
	NoGrace  = time.Millisecond // the call is killed at once
	MaxGrace = time.Hour        // until it is over the call keeps its slot
)

// GraceOf is the grace that somebody asked for: nil is the dispatcher's. ErrInvalid
// when it is negative or above MaxGrace.
func GraceOf(asked *time.Duration) (time.Duration, error) {
	if asked == nil {
		return 0, nil
	}
	if err := checkGrace(*asked); err != nil {
		return 0, err
	}
	return max(*asked, NoGrace), nil
}

func checkGrace(grace time.Duration) error {
	if grace < 0 || grace > MaxGrace {
		return Errorf(ErrInvalid, "", "a grace of %s is not between 0 and %s", grace, MaxGrace).
			WithHint("a call that needs longer to tidy up should be let run, and told to end in its own way")
	}
	return nil
}

// CancellingWithin is VerdictCancelling of a cancel that has a grace of its own,
// which is told in whole milliseconds.
func CancellingWithin(grace time.Duration) Verdict {
	if grace <= 0 {
		return VerdictCancelling
	}
	return VerdictCancelling + Verdict(" "+strconv.FormatInt(max(1, grace.Milliseconds()), 10))
}

// Cancelling reads a verdict: whether the task's end is asked for, and the grace
// of that cancel, 0 for the dispatcher's.
func (v Verdict) Cancelling() (grace time.Duration, yes bool) {
	rest, yes := strings.CutPrefix(string(v), string(VerdictCancelling))
	if !yes || rest == "" {
		return 0, yes
	}
	ms, err := strconv.ParseUint(strings.TrimPrefix(rest, " "), 10, 32)
	return time.Duration(ms) * time.Millisecond, err == nil
}

// Cancel asks for the end of tasks and says what that did to each. Calls that run
// have grace to end; 0 is their dispatcher's. A task may be cancelled again: what
// it has left only gets shorter by that.
func (s *Service) Cancel(ctx context.Context, ids []TaskID, grace time.Duration) ([]CancelVerdict, error) {
	if err := checkGrace(grace); err != nil {
		return nil, err
	}
	return s.store.Cancel(ctx, ids, grace)
}

// cancelling is tasks whose end was asked for with one grace, 0 for our own.
type cancelling struct {
	tasks []TaskID
	grace time.Duration
}

// cancelHeld tells workers of cancelled tasks, once, and again when somebody has
// less patience than before.
func (d *Dispatcher) cancelHeld(c cancelling) {
	grace := d.grace(c.grace)
	doomed := map[*peer][]TaskID{}
	for _, id := range c.tasks {
		h := d.holds[id]
		switch {
		case h == nil || h.ended || h.doomed && h.grace <= grace:
		case h.peer == nil: // never handed out: the store turns a release into CANCELLED
			d.unqueue(h)
			d.giveBack([]*hold{h})
		default:
			h.doomed, h.grace = true, grace
			doomed[h.peer] = append(doomed[h.peer], id)
		}
	}
	for p, ids := range doomed {
		d.deliver(p, DownCancel{Tasks: ids, Grace: grace})
	}
}

// grace is what a worker is told.
func (d *Dispatcher) grace(asked time.Duration) time.Duration {
	if asked <= 0 {
		return d.cfg.Grace
	}
	return min(asked, MaxGrace)
}

// cancelAgain repeats to a worker that registers again what it may not have
// heard. Whoever has heard it goes on counting from then.
func (d *Dispatcher) cancelAgain(p *peer, doomed []*hold) {
	byGrace := map[time.Duration][]TaskID{}
	for _, h := range doomed {
		byGrace[h.grace] = append(byGrace[h.grace], h.Task)
	}
	for grace, ids := range byGrace {
		d.deliver(p, DownCancel{Tasks: ids, Grace: grace})
	}
}
