package pyrun

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"faasctl/core"
)

// pending is a batch on its way to a slot. Its calls run on one interpreter.
type pending struct {
	python string
	calls  []call
}

// sort cuts a batch into parts that run on one interpreter each, in the order of
// their first calls. alone are the calls that none fits.
func (p *Pool) sort(calls []call) (parts []pending, alone []call) {
	var python string
	for i, c := range calls {
		if i == 0 || c.Function != calls[i-1].Function || c.Codec != calls[i-1].Codec {
			python = p.pythonFor(c)
		}
		if python == "" {
			alone = append(alone, c)
			continue
		}
		at := slices.IndexFunc(parts, func(part pending) bool { return part.python == python })
		if at < 0 {
			at = len(parts)
			parts = append(parts, pending{python: python})
		}
		parts[at].calls = append(parts[at].calls, c)
	}
	return parts, alone
}

// pythonFor is the first interpreter that fits a call; "" when none does. One that
// loads pickled arguments is preferred where it takes that.
func (p *Pool) pythonFor(c call) string {
	needs := c.Function.Needs()
	list := p.config.Interpreters
	if c.Codec == core.Dill && !needs.Dill {
		with := needs
		with.Dill = true
		if i := with.Choose(list); i >= 0 {
			return list[i].Path
		}
	}
	if i := needs.Choose(list); i >= 0 {
		return list[i].Path
	}
	return ""
}

// refuse ends calls that no interpreter here fits. A dispatcher does not send them;
// one that knows nothing of versions may.
func (p *Pool) refuse(calls []call) {
	for _, c := range calls {
		var have []string
		for _, i := range p.config.Interpreters {
			have = append(have, describe(i))
		}
		c.sink.Ended(core.Outcome{Lease: c.Lease, State: core.Failed, Result: failed(c.Codec, core.Failure{
			Kind: core.KindUnloadable, Type: "NoFit",
			Message: fmt.Sprintf("%s needs %s; this worker has %s", c.Function.Name, c.Function.Needs(), strings.Join(have, ", ")),
		})})
	}
}

func describe(i core.Interpreter) string {
	if i.Dill == "" {
		return "Python " + i.Version + " without dill"
	}
	return "Python " + i.Version + " with dill " + i.Dill
}

// A slot whose work alternates between interpreters keeps a warm child of each: the
// one in use and up to maxParked others, each for parkedFor after its last use.
const (
	maxParked = 3
	parkedFor = 5 * time.Minute
)

// parked is a child that waits for work of its interpreter.
type parked struct {
	*child
	since time.Time
}

// change makes the slot's child one of the given interpreter: one that was parked,
// or none, so that one is started. The slot is between batches.
func (s *slot) change(python string) {
	if s.ch != nil && s.ch.python == python {
		return
	}
	if ch := s.ch; ch != nil {
		if ch.ready && s.doom.kind == doomNone && s.hungUp.IsZero() && len(ch.out) == 0 {
			s.parked = append(s.parked, parked{ch, time.Now()})
		} else {
			ch.reap()
		}
	}
	s.ch, s.doom, s.hungUp, s.retry = nil, doom{}, time.Time{}, time.Time{}
	for i, other := range s.parked {
		if other.python == python {
			s.parked = slices.Delete(s.parked, i, i+1)
			if other.exited() {
				other.reap()
				break
			}
			s.ch = other.child
			s.flight.reset()
			s.drain() // what was left running in it has printed meanwhile
			break
		}
	}
	for len(s.parked) > maxParked {
		s.unpark(0)
	}
}

// unpark ends the i-th parked child.
func (s *slot) unpark(i int) {
	s.parked[i].reap()
	s.parked = slices.Delete(s.parked, i, i+1)
}

// unparkOld ends children that were parked for too long, oldest first, and says when
// the next is due; zero for never.
func (s *slot) unparkOld(now time.Time) time.Time {
	for len(s.parked) > 0 {
		if due := s.parked[0].since.Add(parkedFor); now.Before(due) {
			return due
		}
		s.unpark(0)
	}
	return time.Time{}
}

// versions adds to a failure to load which Python it was tried with, and which was
// wanted.
func (ch *child) versions(f *core.Function, failure *core.Failure) {
	if failure == nil || failure.Kind != core.KindUnloadable {
		return
	}
	text := "this is " + describe(core.Interpreter{Version: ch.hello.Python, Dill: ch.hello.Dill})
	switch {
	case f.Codec != core.Dill && f.Python == "":
	case f.Codec != core.Dill:
		text += ", and " + f.Name + " needs Python " + f.Python
	case f.Python == "":
		text += ", and its client did not say which Python made the pickle"
	case f.Assumed:
		text += ", and the pickle is assumed to be made by Python " + f.Python
	default:
		text += ", and the pickle was made by Python " + f.Python
	}
	failure.Message = clip(failure.Message+" ("+text+")", maxMessage)
}
