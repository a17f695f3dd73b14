package pyrun

import (
	"context"
	"fmt"
	"slices"
	"time"

	"faasctl/core"
)

// ailment is an interpreter beyond the first of which no child comes to life, such
// as one that was removed after the worker had looked at it. Its calls go to another
// that fits, if there is one, and else wait without a slot; what waits for longer than
// ailPatience fails. The first interpreter has none: without it nothing runs, and its
// slots try it for ever. Guarded by Pool.mu.
type ailment struct {
	why     error
	since   time.Time     // of the first child in a row that did not come to life
	until   time.Time     // no other is started before
	backoff time.Duration // that led to until
}

const (
	ailPatience = 30 * time.Second // before calls fail for it
	maxAilment  = time.Minute      // between two tries
)

// ails reports whether no child of an interpreter is to be started now. p.mu is held.
func (p *Pool) ails(python string, now time.Time) bool {
	a := p.ailing[python]
	return a != nil && now.Before(a.until)
}

// healthy lists the interpreters that children may be started of. p.mu is held.
func (p *Pool) healthy() []core.Interpreter {
	if len(p.ailing) == 0 {
		return p.config.Interpreters
	}
	now := time.Now()
	var list []core.Interpreter
	for _, i := range p.config.Interpreters {
		if !p.ails(i.Path, now) {
			list = append(list, i)
		}
	}
	return list
}

// hopeless is why calls for an interpreter fail at once; nil if they need not. p.mu
// is held.
func (p *Pool) hopeless(i core.Interpreter) error {
	if a := p.ailing[i.Path]; a != nil && p.ails(i.Path, time.Now()) && a.until.Sub(a.since) > p.patience {
		return fmt.Errorf("no process of Python %s starts on this worker: %w", i.Version, a.why)
	}
	return nil
}

// shun has the slot, of whose interpreter no child came to life, go back to the first
// one; what it had goes back to the queue. It reports whether it was another.
func (s *slot) shun(err error) bool {
	p, path, now := s.pool, s.uses, time.Now()
	p.mu.Lock()
	if path == p.config.Python || p.environmentAt(path) != nil {
		p.mu.Unlock()
		return false
	}
	a := p.ailing[path]
	first := a == nil
	if first {
		a = &ailment{since: now}
		p.ailing[path] = a
	}
	if !now.Before(a.until) { // else another slot has failed a moment ago
		a.backoff = min(max(2*a.backoff, minBackoff), maxAilment)
		a.until = now.Add(a.backoff)
	}
	a.why = err
	if s.given == nil {
		s.python = p.config.Python
	}
	refused := p.replace(path)
	if first && p.heed != nil {
		p.heed(p.ailment(path, core.Unprepared, err.Error()))
	}
	p.mu.Unlock()
	if first {
		p.config.Logger.Warn("no process of an interpreter starts; its calls go to another that fits, or wait, and fail after a while; it is tried again, ever more rarely",
			"python", path, "err", err)
	}
	for _, r := range refused {
		p.fail(r.calls, r.err)
	}
	left := s.rest
	s.rest, s.uses = nil, p.config.Python
	s.change(s.uses)
	if s.busy {
		s.busy = false
		p.giveBack(s, left)
	}
	select {
	case p.ailBell <- struct{}{}:
	default:
	}
	return true
}

// replace finds other places for the calls that wait for an interpreter, as far as there
// are any. p.mu is held.
func (p *Pool) replace(python string) (refused []refusal) {
	var calls []call
	p.queue = slices.DeleteFunc(p.queue, func(b pending) bool {
		if b.python == python {
			calls = append(calls, b.calls...)
		}
		return b.python == python
	})
	if len(calls) == 0 || p.stopped {
		return nil
	}
	parts, refused := p.sort(calls)
	p.queue = append(parts, p.queue...)
	return refused
}

// recovered notes that a child of an interpreter came to life.
func (p *Pool) recovered(path string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	a := p.ailing[path]
	if a == nil {
		return
	}
	delete(p.ailing, path)
	p.match()
	p.config.Logger.Info("an interpreter starts again", "python", path, "after", time.Since(a.since).Round(time.Second))
	if p.heed != nil {
		p.heed(p.ailment(path, core.Prepared, ""))
	}
}

// Heed has tell hear of interpreters that do not start, also of those of which that is
// known already, and when they start again. It must not block, and not call the Pool.
func (p *Pool) Heed(tell func(core.Preparation)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.heed = tell
	for path, a := range p.ailing {
		tell(p.ailment(path, core.Unprepared, a.why.Error()))
	}
}

// ailment is how it is told whether an interpreter starts.
func (p *Pool) ailment(path string, state core.PreparationState, text string) core.Preparation {
	news := core.Preparation{Interpreter: path, State: state, Text: clip(text, maxMessage)}
	for _, i := range p.config.Interpreters {
		if i.Path == path {
			news.Python = i.Version
		}
	}
	return news
}

// retryAiling hands calls that waited for an ailing interpreter to slots once it is to
// be tried again, until ctx is done.
func (p *Pool) retryAiling(ctx context.Context) error {
	timer := time.NewTimer(maxAilment)
	defer timer.Stop()
	for {
		now, next := time.Now(), maxAilment
		p.mu.Lock()
		p.match()
		for _, a := range p.ailing {
			if wait := a.until.Sub(now); wait > 0 {
				next = min(next, wait)
			}
		}
		p.mu.Unlock()
		timer.Reset(next)
		select {
		case <-timer.C:
		case <-p.ailBell:
		case <-ctx.Done():
			return nil
		}
	}
}
