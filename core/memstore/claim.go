package memstore

import (
	"cmp"
	"context"
	"math"
	"slices"
	"time"

	"faasctl/core"
)

// claiming is one claim on its way.
type claiming struct {
	*Store
	request core.ClaimRequest
	now     time.Time
	ids     []core.TaskID
	classes []core.ClaimClass // with what room is left; nil = everything fits
	events  []core.Event
	expired []core.TaskID
}

// Claim implements core.LeaseStore.
func (s *Store) Claim(ctx context.Context, request core.ClaimRequest) ([]core.Claimed, error) {
	if err := ctx.Err(); err != nil || request.Max <= 0 || request.Classes != nil && len(request.Classes) == 0 {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if answer, repeated := s.claims[request.ID]; repeated {
		return s.claimed(answer.ids, request.ID), nil
	}
	c := &claiming{Store: s, request: request, now: s.cfg.Now(), classes: slices.Clone(request.Classes)}
	s.unparkDue(c.now)
	c.unparkFitting()
	max := min(request.Max, core.MaxBatch)
	if c.classes != nil {
		room := 0
		for _, class := range c.classes {
			room += class.N
		}
		max = min(max, room)
	}
	c.turns(max)
	if len(c.ids) > 0 {
		s.claims[request.ID] = claimAnswer{c.ids, c.now}
	}
	s.publish(c.now, c.events...)
	s.hint(core.Hint{Kind: core.HintEnded, Tasks: c.expired})
	return s.claimed(c.ids, request.ID), nil
}

// turns serves the queues: those that had least go first, each for an even share
// of what is left.
func (c *claiming) turns(max int) {
	for len(c.ids) < max {
		var names []string
		for name, q := range c.queues {
			if q.active {
				names = append(names, name)
			}
		}
		if len(names) == 0 {
			return
		}
		slices.SortFunc(names, func(a, b string) int {
			return cmp.Or(cmp.Compare(c.queues[a].turn, c.queues[b].turn), cmp.Compare(a, b))
		})
		for i, name := range names {
			want := int(math.Ceil(float64(max-len(c.ids)) / float64(len(names)-i)))
			if want < 1 {
				return
			}
			q := c.queues[name]
			got := c.serve(q, want)
			if q.first(next) == nil {
				q.active = false
			} else if len(names) > 1 {
				q.turn += float64(got)
			}
		}
	}
}

// next and oldest order the lines of a queue.
func next(a, b *line) int {
	return cmp.Or(cmp.Compare(a.time, b.time), cmp.Compare(a.name(), b.name()))
}
func oldest(a, b *line) int {
	return cmp.Or(a.turn.Compare(b.turn), cmp.Compare(a.name(), b.name()))
}

// serve takes up to want tasks from a queue: first one of each line that had no
// turn for long, which is no turn, then by virtual time.
func (c *claiming) serve(q *queue, want int) (got int) {
	for got < want {
		l := q.first(oldest)
		if l == nil || c.now.Sub(l.turn) < c.cfg.Ageing {
			break
		}
		if c.take(q, l) {
			got++
			l.turn = c.now
		}
	}
	for got < want {
		l := q.first(next)
		if l == nil {
			break
		}
		if c.take(q, l) {
			got++
			q.now, l.turn = l.time, c.now
			l.time += l.cost()
		}
	}
	return got
}

// take claims the first task of a line and reports whether it did: the line may
// have to be parked, the task may have ended while it waited.
func (c *claiming) take(q *queue, l *line) bool {
	needs := c.functions.byID[l.function].Needs()
	class := c.class(needs)
	if class < 0 {
		l.parked = unfit
		return false
	}
	free, why, until := c.room(l.function, c.now)
	if !free {
		l.parked, l.until = why, until
		return false
	}
	id := l.ids[0]
	if l.ids = l.ids[1:]; len(l.ids) == 0 {
		delete(q.lines, l.class)
	}
	r := c.tasks[id]
	switch {
	case r == nil || r.task.State != core.Queued:
		return false
	case !r.task.Expires.IsZero() && !c.now.Before(r.task.Expires):
		c.events = append(c.events, c.end(r, core.VerbExpire, expired(), c.now))
		c.expired = append(c.expired, id)
		return false
	}
	c.hold(r)
	if c.classes != nil {
		c.classes[class].N--
	}
	c.spend(l.function, c.now)
	c.ids = append(c.ids, id)
	c.events = append(c.events, c.event(r, core.TaskClaimed))
	return true
}

// class is the place of the first class with room that fits; -1 when none does.
func (c *claiming) class(needs core.Needs) int {
	if c.classes == nil {
		return 0
	}
	return slices.IndexFunc(c.classes, func(class core.ClaimClass) bool { return class.N > 0 && class.Fits(needs) })
}

// unparkFitting has the lines take part again that fitted nothing in an earlier
// claim and fit something in this one. They come back at the place they had.
func (c *claiming) unparkFitting() {
	for name, q := range c.queues {
		for _, l := range q.lines {
			if l.parked == unfit && c.class(c.functions.byID[l.function].Needs()) >= 0 {
				l.parked, l.time = ready, max(l.time, q.now)
				c.activate(name)
			}
		}
	}
}

func (c *claiming) hold(r *record) {
	c.move(r, core.VerbClaim)
	r.task.Epoch++
	r.task.Claim, r.settled = c.request.ID, core.Lease{} // who settled before is told that it is stale
	r.task.Claimed, r.task.Started, r.task.Worker = c.now, time.Time{}, ""
	r.owner, r.owned, r.expiry, r.started = c.request.Dispatcher, "", c.now.Add(c.request.Lease), false
}

func expired() *core.Result {
	return &core.Result{Failure: &core.Failure{Kind: core.KindExpired, Message: "waited too long and was not run"}}
}
