package core

import (
	"context"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

// collector makes one write of the calls that many clients hand in one by one: while
// one group is written the next one gathers. Nobody is answered before the write that
// holds his call has returned, and nobody waits for others: a call that comes when
// nothing is being written is written at once.
//
// There is no goroutine of its own. One of those who wait leads: it writes for its
// group and then has one of the next group lead.
type collector struct {
	s *Service

	mu      sync.Mutex
	busy    bool     // somebody leads
	waiting []*group // in order; all but the last are full
}

// group is calls that are written together.
type group struct {
	tokens   []string
	requests []SubmitRequest
	answers  []Submitted
	err      error
	done     chan struct{} // closed when answers or err are there
	lead     chan struct{} // holds one word: one of the group has to lead
}

// collectPatience bounds one write of a group; the store gives up earlier.
const collectPatience = time.Minute

// submit hands in one call and waits for the write that holds it. It does so also when
// ctx is done: the call is accepted or not by then, and somebody else may have to
// lead otherwise.
func (c *collector) submit(ctx context.Context, token string, r SubmitRequest) (Submitted, error) {
	if err := ctx.Err(); err != nil {
		return Submitted{}, context.Cause(ctx)
	}
	if err := CheckKey(token); err != nil {
		return Submitted{}, err
	}
	g, place, leads := c.join(token, r)
	if !leads {
		select {
		case <-g.done:
		case <-g.lead:
			leads = true
		}
	}
	if leads {
		c.write(ctx, g)
		c.pass()
	}
	if g.err != nil {
		return Submitted{}, g.err
	}
	return g.answers[place], g.answers[place].Err
}

// join puts a call into the last group, or a new one; leads says that the caller has
// to write it.
func (c *collector) join(token string, r SubmitRequest) (g *group, place int, leads bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if n := len(c.waiting); n > 0 && len(c.waiting[n-1].requests) < MaxBatch {
		g = c.waiting[n-1]
	} else {
		g = &group{done: make(chan struct{}), lead: make(chan struct{}, 1)}
		c.waiting = append(c.waiting, g)
	}
	g.tokens, g.requests = append(g.tokens, token), append(g.requests, r)
	if leads = !c.busy; leads {
		c.busy = true
		c.waiting = c.waiting[1:]
	}
	return g, len(g.requests) - 1, leads
}

// pass has one of the next group lead.
func (c *collector) pass() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.waiting) == 0 {
		c.busy = false
		return
	}
	next := c.waiting[0]
	c.waiting = c.waiting[1:]
	next.lead <- struct{}{}
}

// write accepts a group, whoever of it is still there. When the store finds fault with
// it, each call is tried alone: one must not spoil those of others.
func (c *collector) write(ctx context.Context, g *group) {
	defer close(g.done)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), collectPatience)
	defer cancel()
	g.answers, g.err = c.accept(ctx, g.tokens, g.requests)
	if g.err == nil || ClassOf(g.err) == ErrUnavailable || len(g.requests) == 1 {
		return
	}
	g.answers, g.err = make([]Submitted, len(g.requests)), nil
	for i := range g.requests {
		one, err := c.accept(ctx, g.tokens[i:i+1], g.requests[i:i+1])
		if err != nil {
			g.answers[i].Err = err
			continue
		}
		g.answers[i] = one[0]
	}
}

// lookups is how many functions are looked up at once.
const lookups = 8

// accept looks up the functions and the tokens of calls at the same time, and hands the
// calls to the store.
func (c *collector) accept(ctx context.Context, tokens []string, requests []SubmitRequest) ([]Submitted, error) {
	ids := make([]TaskID, len(requests))
	var named []string // digests of the tokens that there are
	var fresh []TaskID
	var place []int
	resolve := c.s.resolver(ctx)
	distinct := map[string]bool{}
	for i := range requests {
		ids[i] = NewTaskID()
		if tokens[i] != "" {
			named, fresh, place = append(named, digest("request", tokens[i])), append(fresh, ids[i]), append(place, i)
		}
		distinct[requests[i].Function] = true
	}
	var both errgroup.Group
	both.SetLimit(lookups)
	if len(named) > 0 {
		both.Go(func() error {
			known, err := c.s.store.Once(ctx, named, fresh, onceFor)
			for i, id := range known {
				ids[place[i]] = id
			}
			return err
		})
	}
	if len(distinct) > 1 || len(named) > 0 {
		for reference := range distinct {
			both.Go(func() error { _, _ = resolve(reference); return nil }) // who needs it asks again, and is told
		}
	}
	if err := both.Wait(); err != nil {
		return nil, err
	}
	return c.s.accept(ctx, requests, func(i int) TaskID { return ids[i] }, resolve)
}
