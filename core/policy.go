package core

import (
	"slices"
	"strings"
	"time"
)

// Policy is what of a Function may change without it becoming another one: how
// its calls are run, tried again and limited. The zero value runs each call once,
// without limits.
//
// Timeout, Retries, Backoff, RetryOn, Expires, Env and Limits are copied into the Spec of a
// call when it is accepted, so that a change concerns later calls only.
// Concurrency and Rate are looked at by each claim: a change concerns what waits
// already.
type Policy struct {
	Timeout     time.Duration `json:"timeout,omitempty"`     // how long a call may run, ns; 0 = the server's
	Retries     int           `json:"retries,omitempty"`     // further attempts after a failed one; default 0, at most MaxRetries
	Backoff     Backoff       `json:"backoff,omitzero"`      // wait before each of them; default exp:1s:60s
	RetryOn     RetryOn       `json:"retry_on,omitempty"`    // which failures are worth one; empty = every
	Concurrency int           `json:"concurrency,omitempty"` // calls that run at once, over all workers; 0 = no cap
	Rate        Rate          `json:"rate,omitzero"`         // calls that are handed out per time; zero = no limit
	Expires     time.Duration `json:"expires,omitempty"`     // how long a call may wait before it is run, ns; 0 = for ever
	Env         Env           `json:"env,omitempty"`         // variables that a call finds
	Limits                    // what a call may use
}

// Bounds of a Policy and of a Spec.
const (
	MaxRetries     = 1000
	MaxConcurrency = 1_000_000
	MaxWait        = 100 * 366 * 24 * time.Hour // of a delay, an expiry, a back-off
)

// Equal reports whether both say the same.
func (p Policy) Equal(q Policy) bool { return len(p.Changes(q)) == 0 }

// Changes names the fields, as JSON has them, in which q differs from p.
func (p Policy) Changes(q Policy) []string {
	var names []string
	for _, field := range []struct {
		name    string
		differs bool
	}{
		{"timeout", p.Timeout != q.Timeout},
		{"retries", p.Retries != q.Retries},
		{"backoff", p.Backoff.orDefault() != q.Backoff.orDefault()},
		{"retry_on", !slices.Equal(p.RetryOn, q.RetryOn)},
		{"concurrency", p.Concurrency != q.Concurrency},
		{"rate", p.Rate != q.Rate},
		{"expires", p.Expires != q.Expires},
		{"env", !slices.Equal(p.Env, q.Env)},
		{"memory", p.Memory != q.Memory},
		{"cpu_seconds", p.CPUSeconds != q.CPUSeconds},
		{"processes", p.Processes != q.Processes},
		{"isolation", p.Isolation.OrDefault() != q.Isolation.OrDefault()},
	} {
		if field.differs {
			names = append(names, field.name)
		}
	}
	return names
}

func (p Policy) validate() error {
	switch {
	case p.Timeout < 0:
		return Errorf(ErrInvalid, "", "the time-out must not be negative")
	case p.Retries < 0 || p.Retries > MaxRetries:
		return Errorf(ErrInvalid, "", "retries must be between 0 and %d, not %d", MaxRetries, p.Retries)
	case p.Concurrency < 0 || p.Concurrency > MaxConcurrency:
		return Errorf(ErrInvalid, "", "concurrency must be between 0 (no cap) and %d, not %d", MaxConcurrency, p.Concurrency)
	case p.Expires < 0 || p.Expires > MaxWait:
		return Errorf(ErrInvalid, "", "expires must be between 0 (never) and a hundred years, not %s", p.Expires)
	}
	if err := p.Backoff.validate(); err != nil {
		return err
	}
	if err := p.Rate.validate(); err != nil {
		return err
	}
	if err := p.Limits.Validate(); err != nil {
		return err
	}
	if err := p.Env.validate(); err != nil {
		return err
	}
	return p.RetryOn.validate()
}

// PolicyChange states some fields of a Policy anew; nil leaves one as it is.
type PolicyChange struct {
	Timeout     *time.Duration
	Retries     *int
	Backoff     *Backoff
	RetryOn     *RetryOn
	Concurrency *int
	Rate        *Rate
	Expires     *time.Duration
	Env         *Env
	Memory      *int64
	CPUSeconds  *float64
	Processes   *int
	Isolation   *Isolation
}

// Empty reports whether the change states nothing.
func (c PolicyChange) Empty() bool { return c == PolicyChange{} }

// Apply returns p with what c states.
func (c PolicyChange) Apply(p Policy) Policy {
	state(&p.Timeout, c.Timeout)
	state(&p.Retries, c.Retries)
	state(&p.Backoff, c.Backoff)
	state(&p.RetryOn, c.RetryOn)
	state(&p.Concurrency, c.Concurrency)
	state(&p.Rate, c.Rate)
	state(&p.Expires, c.Expires)
	state(&p.Env, c.Env)
	state(&p.Memory, c.Memory)
	state(&p.CPUSeconds, c.CPUSeconds)
	state(&p.Processes, c.Processes)
	state(&p.Isolation, c.Isolation)
	if len(p.RetryOn) == 0 {
		p.RetryOn = nil
	}
	if len(p.Env) == 0 {
		p.Env = nil
	}
	return p
}

func state[T any](field, said *T) {
	if said != nil {
		*field = *said
	}
}

// RetryOn names the failures that are worth another attempt: kinds ("timeout")
// and Python classes ("ValueError", "requests.Timeout"). Empty is every failure.
//
// Only names are compared, as no class is loaded here: a class of that very name
// fits, or one whose name after the last dot is that. A subclass does not fit; name
// it as well.
type RetryOn []string

// retryKinds are the kinds that a started task may end with.
var retryKinds = []FailureKind{KindException, KindUnserializable, KindUnloadable, KindResultTooLarge, KindTimeout, KindMemory, KindCrash}

// ParseRetryOn reads names with commas between them; "" is every failure.
func ParseRetryOn(text string) (RetryOn, error) {
	var list RetryOn
	for _, name := range strings.Split(text, ",") {
		if name = strings.TrimSpace(name); name != "" && !slices.Contains(list, name) {
			list = append(list, name)
		}
	}
	return list, list.validate()
}

func (r RetryOn) String() string { return strings.Join(r, ",") }

// maxRetryOn bounds the list, which is stored with each call that has retries.
const maxRetryOn = 512

func (r RetryOn) validate() error {
	if len(r.String()) > maxRetryOn {
		return Errorf(ErrInvalid, "", "retry-on is longer than %d characters", maxRetryOn)
	}
	for _, name := range r {
		switch kind := FailureKind(name); {
		case kind == KindLost || kind == KindExpired || kind == KindCancelled:
			return Errorf(ErrInvalid, "", "a task that is %s is not tried again", name).
				WithHint("name exception classes, or kinds: %s", retryKindList())
		case !className(name):
			return Errorf(ErrInvalid, "", "%q names neither an exception class nor a kind of failure", clip(name, 64)).
				WithHint("write it as ValueError,timeout; kinds are %s", retryKindList())
		}
	}
	return nil
}

func retryKindList() string {
	words := make([]string, len(retryKinds))
	for i, kind := range retryKinds {
		words[i] = string(kind)
	}
	return strings.Join(words, " ")
}

// className reports whether name can be that of a Python class, with its module
// or without: letters of any script, digits and _, parts divided by dots.
func className(name string) bool {
	for _, part := range strings.Split(name, ".") {
		if part == "" || part[0] >= '0' && part[0] <= '9' {
			return false
		}
		for _, r := range part {
			if r < 0x80 && r != '_' && !(r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z') || controlOrSpace(r) {
				return false
			}
		}
	}
	return true
}

// controlOrSpace covers what is not ASCII and would not be seen.
func controlOrSpace(r rune) bool {
	return r >= 0x80 && r < 0xc0 || r >= 0x2000 && r <= 0x206f || r == 0xfeff || r == 0xfffd
}

// Match reports whether a failure is worth another attempt.
func (r RetryOn) Match(f *Failure) bool {
	if len(r) == 0 {
		return true
	}
	if f == nil {
		return false
	}
	last := f.Type[strings.LastIndexByte(f.Type, '.')+1:]
	return slices.ContainsFunc(r, func(name string) bool {
		return name == string(f.Kind) || f.Type != "" && (name == f.Type || name == last)
	})
}

// RetryIn says whether a call whose attempt of this number, from 1, failed is
// tried again, and after how long. The store asks when it settles: whoever hands
// the failure in, also a dispatcher that has adopted the task, gets the same answer.
// scripts/settle.lua says the same in Lua.
func (s *Spec) RetryIn(attempt int, f *Failure, jitter float64) (time.Duration, bool) {
	if attempt > s.Retries || !s.RetryOn.Match(f) {
		return 0, false
	}
	return s.Backoff.Wait(attempt, jitter), true
}
