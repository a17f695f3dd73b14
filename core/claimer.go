package core

import (
	"context"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
)

// claim is what the claimer brings to the loop.
type claim struct {
	round  uint64 // of the want it answers
	tasks  []Assignment
	broken []Outcome // tasks whose function cannot be had
	last   bool      // nothing is left that the same kinds of workers can run
}

// want asks the claimer for as many tasks as its classes have room for. Each
// delivery ends a round; a want of an ended round is void, as its credit is spent.
type want struct {
	round   uint64
	classes []ClaimClass
}

// n is how many tasks are wanted.
func (w want) n() (n int) {
	for _, c := range w.classes {
		n += c.N
	}
	return n
}

// claimer fetches tasks: at most as many as there is free credit, one claim in
// flight, woken by the bell and by a slow jittered poll.
type claimer struct {
	cfg        DispatcherConfig
	dispatcher DispatcherID
	functions  *functionCache
	out        chan<- claim
	wants      chan want     // capacity 1, the newest wins; written by the loop only
	bell       chan struct{} // capacity 1
	down       atomic.Bool   // the last claim failed

	lost  ClaimRequest // owned by run: its answer was lost; no ID if none was
	round uint64       // owned by the loop: the next delivery's
	asked []ClaimClass // owned by the loop: of the last want of this round
}

func newClaimer(cfg DispatcherConfig, id DispatcherID, out chan<- claim) *claimer {
	return &claimer{
		cfg: cfg, dispatcher: id, functions: newFunctionCache(cfg.Store), out: out,
		wants: make(chan want, 1), bell: make(chan struct{}, 1), round: 1,
	}
}

// ask states the free credit. Called by the loop, which does not change classes
// afterwards.
func (c *claimer) ask(classes []ClaimClass) {
	same := func(a, b ClaimClass) bool {
		return a.N == b.N && slices.Equal(a.Interpreters, b.Interpreters)
	}
	if slices.EqualFunc(classes, c.asked, same) {
		return
	}
	c.asked = classes
	select {
	case <-c.wants:
	default:
	}
	c.wants <- want{c.round, classes}
}

// delivered ends a round. Called by the loop.
func (c *claimer) delivered(round uint64) { c.round, c.asked = round+1, nil }

// ring says that tasks may be waiting. Called by anyone.
func (c *claimer) ring() {
	select {
	case c.bell <- struct{}{}:
	default:
	}
}

// run claims until ctx is done. What it has claimed by then is still delivered.
func (c *claimer) run(ctx context.Context) error {
	var w want
	var dry []ClaimClass // nothing waited for these a moment ago
	delivered := uint64(0)
	poll := time.NewTimer(0)
	defer poll.Stop()
	for {
		if w.n() > 0 && w.round > delivered {
			got, err := c.claim(ctx, w)
			if dry = nil; got.last {
				dry = w.classes
			}
			if len(got.tasks)+len(got.broken) > 0 {
				c.out <- got // the loop receives until we have returned
				delivered = w.round
			}
			if ctx.Err() != nil {
				return nil
			}
			c.noteHealth(err)
			poll.Reset(jitter(c.cfg.Poll))
		}
		for waits := true; waits; {
			select {
			case w = <-c.wants:
				if waits = w.only(dry); waits {
					poll.Reset(drySpell)
				}
			case <-c.bell:
				waits, dry = false, nil
			case <-poll.C:
				poll.Reset(jitter(c.cfg.Poll))
				waits, dry = false, nil
			case <-ctx.Done():
				return nil
			}
		}
	}
}

// drySpell is how long a want waits for the bell after a claim that left nothing
// for the same kinds of workers. What comes to wait rings; each task that ends on an
// otherwise idle system would cost a claim for nothing.
const drySpell = 20 * time.Millisecond

// exhausted reports whether a claim that was answered with n tasks left none that its
// workers can run. Of several kinds of workers one may have been filled while others
// were not, so then only a claim that found nothing says so.
func exhausted(r ClaimRequest, n int) bool { return n == 0 || len(r.Classes) == 1 && n < r.Max }

// only reports whether w is for no other kinds of workers than dry.
func (w want) only(dry []ClaimClass) bool {
	for _, c := range w.classes {
		if !slices.ContainsFunc(dry, func(d ClaimClass) bool { return slices.Equal(c.Interpreters, d.Interpreters) }) {
			return false
		}
	}
	return len(dry) > 0
}

// claim asks the store once. A claim whose answer was lost is repeated under its
// own id, at once and when the store is back, so that no task is held by nobody: a
// store that stood still carries it out when it goes on.
func (c *claimer) claim(ctx context.Context, w want) (claim, error) {
	request := c.lost
	again := request.ID != "" // then the answer may be as old as the first try
	if !again {
		request = ClaimRequest{ID: uuid.NewString(), Dispatcher: c.dispatcher, Max: min(w.n(), MaxBatch), Lease: c.cfg.Lease, Classes: w.classes}
	}
	c.lost = ClaimRequest{}
	claimed, err := c.cfg.Store.Claim(ctx, request)
	if err != nil {
		// Also when we are being stopped: the first try may have succeeded.
		once, stop := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer stop()
		again = true
		if claimed, err = c.cfg.Store.Claim(once, request); err != nil {
			c.lost = request
			return claim{}, err
		}
	}
	answer := claim{round: w.round, last: !again && exhausted(request, len(claimed))}
	for _, t := range claimed {
		f, err := c.functions.get(ctx, t.Spec.Function)
		switch {
		case err == nil:
			answer.tasks = append(answer.tasks, Assignment{
				Lease: t.Lease, Attempt: t.Attempt + 1, Function: f, Codec: t.Spec.Codec, Args: t.Spec.Args,
				Timeout: t.Spec.Timeout, Env: t.Spec.Env, Limits: t.Spec.Limits,
			})
		case ClassOf(err) == ErrNotFound:
			answer.broken = append(answer.broken, Outcome{Lease: t.Lease, State: Failed, Result: Result{Failure: &Failure{
				Kind: KindUnloadable, Message: "the function " + string(t.Spec.Function) + " is not stored any more",
			}}})
		default: // the store has just gone; the lease lapses and the task comes again
			c.cfg.Logger.Warn("a claimed task's function cannot be read now", "task", t.Task, "error", err)
		}
	}
	return answer, nil
}

// noteHealth logs an outage once, and its end.
func (c *claimer) noteHealth(err error) {
	if down := err != nil; c.down.Swap(down) != down {
		if down {
			c.cfg.Logger.Warn("tasks cannot be claimed now; trying again", "error", err)
		} else {
			c.cfg.Logger.Info("tasks can be claimed again")
		}
	}
}

// keep moves along what only waits for time: tasks that are due or have waited too
// long, functions whose rate allows more, leases that have lapsed.
func (d *Dispatcher) keep(ctx context.Context) error {
	reap := time.NewTicker(d.cfg.Reap)
	defer reap.Stop()
	promote := time.NewTimer(0)
	defer promote.Stop()
	reconcile := time.NewTimer(jitter(d.cfg.Reconcile))
	defer reconcile.Stop()
	for {
		select {
		case <-promote.C:
			wait := jitter(d.cfg.Poll / 4) // one may be handed in with a short delay at any time
			for _, move := range []func(context.Context) (int, time.Duration, error){d.cfg.Store.Expire, d.cfg.Store.Promote} {
				if _, next, err := move(ctx); err == nil && next > 0 {
					wait = min(wait, next)
				}
			}
			promote.Reset(wait)
		case <-reap.C:
			n, err := d.cfg.Store.Reap(ctx, d.cfg.Lease)
			if err == nil && n > 0 {
				d.cfg.Logger.Warn("leases had lapsed; the tasks are queued again", "tasks", n)
			}
		case <-reconcile.C:
			if n, _, err := d.cfg.Store.Reconcile(ctx); err == nil && n > 0 {
				d.cfg.Logger.Error("what the store holds did not agree with itself; it was repaired", "repairs", n)
			}
			reconcile.Reset(jitter(d.cfg.Reconcile))
		case <-ctx.Done():
			return nil
		}
	}
}

// jitter spreads d by a fifth either way, so that dispatchers do not march in
// step.
func jitter(d time.Duration) time.Duration {
	return d - d/5 + rand.N(2*d/5+1)
}
