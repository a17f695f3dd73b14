package pyrun

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"faasctl/core"
)

// usage is what a child has been used for, and so which calls it may still run.
type usage int

const (
	unused usage = iota // it has run nothing
	zygote              // it has only loaded functions: their calls ran in forks
	used                // calls ran in it, and may have left something behind
)

// suits reports whether a call with this isolation may run in a child that was
// used so. What runs in a fork needs a process where no call ran, what is to be
// fresh one that did nothing at all.
func (u usage) suits(i core.Isolation) bool {
	switch i.OrDefault() {
	case core.Fresh:
		return u == unused
	case core.Fork:
		return u != used
	}
	return true
}

// after is what a child is after a call with this isolation.
func (u usage) after(i core.Isolation) usage {
	if i.OrDefault() == core.Fork {
		return max(u, zygote)
	}
	return used
}

// limits are what a call is run under here.
func (p *Pool) limits(c core.Assignment) core.Limits {
	l := c.Limits.Under(p.config.Ceiling)
	l.Isolation = l.Isolation.OrDefault()
	return l
}

// isolation is how a call is kept apart here.
func (p *Pool) isolation(c core.Assignment) core.Isolation { return p.limits(c).Isolation }

// unfit says why the child may not run a call; "" if it may.
func (s *slot) unfit(c call) string {
	if i := s.pool.isolation(c.Assignment); !s.ch.usage.suits(i) {
		return fmt.Sprintf("a call wants isolation %s", i)
	}
	return s.spent()
}

// spent says why the child is to run nothing more; "" if it may. Nothing of
// this is ever asked in the middle of a call.
func (s *slot) spent() string {
	c := s.pool.config
	switch {
	case s.ch.deserted():
		return "a call under limits has left processes running"
	case s.ch.shared:
		return "a call has left threads running"
	case s.ch.fresh:
		return "its call had an interpreter of its own"
	case c.RecycleAfter > 0 && s.ch.served >= c.RecycleAfter:
		return fmt.Sprintf("it has run %d calls", s.ch.served)
	case c.RecycleMemory > 0 && s.ch.usage != unused && s.ch.grown(c.RecycleMemory):
		return fmt.Sprintf("it holds more than %d MiB", c.RecycleMemory>>20)
	}
	return ""
}

// retire ends a child that has done its duty. Its successor is started as soon
// as it is gone; calls that wait for it stay with the slot.
func (s *slot) retire(why string) {
	s.log.Debug("a Python child is replaced", "pid", s.ch.pid, "why", why, "calls", s.ch.served)
	s.condemn(doomRetire, why)
}

// scoldEvery bounds how often it is logged that calls leave threads.
const scoldEvery = time.Minute

// scold logs that a call has left threads, which costs its function a new process.
func (p *Pool) scold(f *flying) {
	now, last := time.Now().Unix(), p.scolded.Load()
	if now-last < int64(scoldEvery/time.Second) || !p.scolded.CompareAndSwap(last, now) {
		return
	}
	p.config.Logger.Warn("a call has left threads that go on: its process is replaced, and with it all that is warm there; join them, or start them in setup() or at the module's level",
		"function", f.Function.Name, "task", f.Task)
}

// room is how many calls the child may be given at once; at least one.
func (s *slot) room(i core.Isolation) int {
	switch n := s.pool.config.RecycleAfter; {
	case i == core.Fresh:
		return 1
	case i == core.Warm && n > 0:
		return min(n-s.ch.served, frameCalls)
	}
	return frameCalls
}

// TryPreload imports modules in an interpreter as a child would, and returns why
// those failed that did, by name.
func TryPreload(ctx context.Context, python string, modules []string) (lacking map[string]string, err error) {
	const try = `import json, sys
lacking = {}
for name in sys.argv[1:]:
    try:
        __import__(name)
    except BaseException as error:
        lacking[name] = "%s: %s" % (type(error).__name__, error)
print("\n" + json.dumps(lacking))
`
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	out, err := runScript(ctx, python, script{source: try, args: modules})
	if err != nil {
		return nil, err
	}
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	return lacking, json.Unmarshal([]byte(lines[len(lines)-1]), &lacking)
}

// pick takes the idle slot out that a call costs least: of those with the same
// price the one last used. p.mu is held.
func (p *Pool) pick(i core.Isolation, python string) *slot {
	price := func(s *slot) int {
		if s.python != python {
			return 10 // another interpreter: a child has to be started, or found among the parked
		}
		return s.left.price(i)
	}
	best := len(p.idle) - 1
	for at := best - 1; at >= 0; at-- {
		if price(p.idle[at]) < price(p.idle[best]) {
			best = at
		}
	}
	s := p.idle[best]
	p.idle = append(p.idle[:best], p.idle[best+1:]...)
	s.python = python
	return s
}

// price ranks children by what a call makes of them: nothing that they are
// good for is lost; a start that others would have found made; a process that
// was good for others; or it has to be replaced.
func (u usage) price(i core.Isolation) int {
	switch i.OrDefault() {
	case core.Fork:
		return [...]int{unused: 1, zygote: 0, used: 3}[u]
	case core.Fresh:
		return [...]int{unused: 0, zygote: 4, used: 3}[u]
	}
	return [...]int{unused: 1, zygote: 2, used: 0}[u]
}
