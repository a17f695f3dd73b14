package tui

import (
	"math"
	"time"

	"faasctl/core"
)

// staleAfter is how old the last snapshot may be before the header says so.
const staleAfter = 3 * time.Second

// picture is everything the dashboard knows: the fold of all news. Only the
// model touches it.
type picture struct {
	now   time.Time // of the last Batch, by this host's clock
	stats core.Stats
	seen  bool // stats are somebody's answer, not the zero value

	answered  time.Time // when the last snapshot arrived
	connected time.Time // when the first of an unbroken row did
	trouble   error     // why there is no newer one; nil when all is well
	stream    error     // why no events arrive; nil when they do
	dropped   int64     // events that could not be kept, in all

	in, out, failures series
	tasks             taskList
	clock             storeClock
}

// fold takes in one batch. Splitting a batch in two changes nothing.
func (p *picture) fold(b Batch) {
	for _, news := range b.News {
		switch n := news.(type) {
		case NewsStats:
			p.foldStats(n)
		case NewsTasks:
			p.tasks.merge(n.Tasks)
		case NewsEvent:
			p.clock.observe(n.Event.At, b.At)
			p.tasks.apply(n.Event)
		case NewsDown:
			p.trouble = n.Err
		case NewsStream:
			p.stream = n.Err
		case NewsDropped:
			p.dropped += int64(n.Events)
		}
	}
	p.now = b.At
}

func (p *picture) foldStats(n NewsStats) {
	if p.seen && another(p.stats, n.Stats) {
		p.tasks, p.clock = taskList{}, storeClock{} // nothing of the old one is true here
	}
	if p.seen {
		p.count(n.Stats.Totals, n.At.Sub(p.answered))
	}
	if !p.seen || n.At.Sub(p.answered) > staleAfter {
		p.connected = n.At
	}
	p.stats, p.seen, p.answered, p.trouble = n.Stats, true, n.At, nil
	for _, d := range n.Stats.Dispatchers {
		p.clock.observe(d.Seen, n.At)
	}
	for _, w := range n.Stats.Workers {
		p.clock.observe(w.Seen, n.At)
	}
}

// another reports whether two snapshots are of two stores: totals only grow.
func another(before, after core.Stats) bool {
	return after.Totals.Submitted < before.Totals.Submitted || after.Store.Kind != before.Store.Kind
}

// count adds what happened since the last snapshot to the graphs. The seconds
// of a gap are left blank, as is a difference below zero: another store.
func (p *picture) count(now core.Totals, passed time.Duration) {
	before := p.stats.Totals
	seconds := max(passed.Seconds(), 0.1)
	push := func(s *series, count int64) {
		for range min(int(seconds+0.5)-1, window) {
			s.push(math.NaN())
		}
		if count < 0 || passed > staleAfter {
			s.push(math.NaN())
			return
		}
		s.push(float64(count) / seconds)
	}
	push(&p.in, now.Submitted-before.Submitted)
	push(&p.out, now.Ended()-before.Ended())
	push(&p.failures, now.Failed-before.Failed)
}

// stale is how old the last snapshot is, and whether that is too old.
func (p *picture) stale() (time.Duration, bool) {
	old := p.now.Sub(p.answered)
	return old, p.seen && old > staleAfter
}

// storeNow is what the store's clock shows, as far as we know. It stands still
// when the picture is stale: who knows what still runs?
func (p *picture) storeNow() time.Time {
	now := p.now
	if last := p.answered.Add(staleAfter); p.seen && now.After(last) {
		now = last
	}
	return now.Add(p.clock.ahead)
}

// storeClock estimates how far the store's clock is ahead of this host's, as
// the two may differ and every time of a task is the store's. What the store
// stamped cannot be from its future, so the largest difference seen is the
// best: fresh events bring it to within their delay.
type storeClock struct {
	ahead time.Duration
	known bool
}

func (c *storeClock) observe(stamped, now time.Time) {
	if stamped.IsZero() || now.IsZero() {
		return
	}
	if d := stamped.Sub(now); !c.known || d > c.ahead {
		c.ahead, c.known = d, true
	}
}
