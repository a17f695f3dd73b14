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
	needs  *environment // that must be made first; nil for none
}

// waits reports whether the batch cannot go to a slot yet. Pool.mu is held.
func (b pending) waits() bool { return b.needs != nil && b.needs.stage != made }

// refusal is calls that cannot run here, and why.
type refusal struct {
	calls []call
	err   error
}

// sort cuts a batch into parts that run on one interpreter each, in the order of
// their first calls. refused are those that cannot. p.mu is held.
func (p *Pool) sort(calls []call) (parts []pending, refused []refusal) {
	var part pending
	var err error
	for i, c := range calls {
		if i == 0 || c.Function != calls[i-1].Function || c.Codec != calls[i-1].Codec {
			part, err = p.place(c)
		}
		if err != nil {
			refused = append(refused, refusal{[]call{c}, err})
			continue
		}
		at := slices.IndexFunc(parts, func(other pending) bool { return other.python == part.python })
		if at < 0 {
			at = len(parts)
			parts = append(parts, part)
		}
		parts[at].calls = append(parts[at].calls, c)
	}
	return parts, refused
}

// place says where a call runs: on which interpreter, and in which environment.
func (p *Pool) place(c call) (pending, error) {
	base, fit := p.baseFor(c, p.healthy())
	if !fit {
		base, fit = p.baseFor(c, p.config.Interpreters)
	}
	switch {
	case !fit:
		return pending{}, p.noFit(c.Function)
	case len(c.Function.Dependencies) == 0:
		return pending{python: base.Path}, p.hopeless(base)
	case p.config.Environments == nil:
		return pending{}, fmt.Errorf("%s depends on packages, and %s", c.Function.Name, noEnvironments)
	}
	e := p.environment(base, c.Function.Dependencies, false)
	if e.stage == refused {
		return pending{}, e.failure
	}
	return pending{python: e.python, needs: e}, nil
}

// baseFor is the first interpreter of a list that fits a call. One that loads pickled arguments
// is preferred where it takes that.
func (p *Pool) baseFor(c call, list []core.Interpreter) (core.Interpreter, bool) {
	needs := c.Function.Needs()
	if c.Codec == core.Dill && !needs.Dill {
		with := needs
		with.Dill = true
		if i := with.Choose(list); i >= 0 {
			return list[i], true
		}
	}
	if i := needs.Choose(list); i >= 0 {
		return list[i], true
	}
	return core.Interpreter{}, false
}

// noFit names both sides. A dispatcher does not send such calls; one that knows
// nothing of versions may.
func (p *Pool) noFit(f *core.Function) error {
	var have []string
	for _, i := range p.config.Interpreters {
		have = append(have, describe(i))
	}
	return fmt.Errorf("%s needs %s; this worker has %s", f.Name, f.Needs(), strings.Join(have, ", "))
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
