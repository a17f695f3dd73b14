package tui

import (
	"math"
	"time"

	"faasctl/core"
)

// staleAfter is how old the last picture may be before the header says so.
const staleAfter = 3 * time.Second

// picture is everything the dashboard knows of the whole system: the fold of
// all news. Only the model touches it; what it refers to is never changed, so a
// copy stays as it is.
type picture struct {
	now  time.Time // of the last Batch, by this host's clock
	seen bool      // what follows is somebody's answer, not the zero value

	numbers     core.TopNumbers
	wait, run   core.Histogram
	workers     []core.Worker
	dispatchers []core.DispatcherInfo
	functions   []core.FunctionStats
	queues      []core.QueueInfo
	operations  []core.Operation
	store       core.StoreInfo
	log         taskLog // of the task that is looked at
	repaired    int64   // by then, when the first picture came

	answered time.Time // when the last news arrived
	trouble  error     // why there is no newer one; nil when all is well

	in, out, failures series
	sampled           reading   // what the graphs go up to
	readings          []reading // of the last seconds, oldest first
	roster            time.Time // the store's time when workers and dispatchers were told of
	clock             storeClock
}

// reading is a picture and when it arrived.
type reading struct {
	at  time.Time
	top core.Top
}

// fold takes in one batch. Splitting a batch in two changes nothing.
func (p *picture) fold(b Batch) {
	for _, news := range b.News {
		switch n := news.(type) {
		case NewsTop:
			p.foldTop(n)
		case NewsDown:
			p.trouble = n.Err
		case NewsOutput:
			p.log.fold(n)
		}
	}
	p.now = b.At
}

func (p *picture) foldTop(n NewsTop) {
	t := n.Top
	if p.seen && p.another(t) {
		*p = picture{in: p.in, out: p.out, failures: p.failures, answered: p.answered, seen: true, log: p.log}
	}
	first := !p.seen || p.numbers == core.TopNumbers{}
	p.take(t)
	if first {
		p.repaired = p.numbers.Repaired
	}
	p.seen, p.answered, p.trouble = true, n.At, nil
	if t.Trouble != "" {
		p.trouble = core.Errorf(core.ErrUnavailable, "", "%s", t.Trouble).WithHint("the server tries again")
	} else {
		p.clock.observe(t.Now, n.At)
	}
	p.sample(reading{n.At, t})
}

// take copies what a picture tells.
func (p *picture) take(t core.Top) {
	if t.Numbers != nil {
		p.numbers = *t.Numbers
	}
	if t.Workers != nil {
		p.workers = *t.Workers
	}
	if t.Dispatchers != nil && (len(p.dispatchers) == 0 || len(*t.Dispatchers) == 0 || &p.dispatchers[0] != &(*t.Dispatchers)[0]) {
		p.dispatchers, p.roster = *t.Dispatchers, t.Now
	}
	if t.Queues != nil {
		p.queues = *t.Queues
	}
	if t.Operations != nil {
		p.operations = *t.Operations
	}
	if t.Store != nil {
		p.store = *t.Store
	}
	p.wait, p.run, p.functions = t.Wait, t.Run, t.Functions
}

// another reports whether a picture is of another store: totals only grow.
func (p *picture) another(t core.Top) bool {
	return t.Numbers != nil && t.Numbers.Totals.Submitted < p.numbers.Totals.Submitted ||
		t.Store != nil && p.store.Kind != "" && t.Store.Kind != p.store.Kind
}

// sample adds what happened to the graphs, once a second. The seconds of a gap
// are left blank.
func (p *picture) sample(r reading) {
	if r.top.Numbers == nil {
		return
	}
	before := p.sampled
	steps := int(r.at.Unix() - before.at.Unix())
	if before.top.Numbers == nil {
		p.sampled, p.readings = r, []reading{r}
		return
	}
	if steps <= 0 {
		return
	}
	passed := r.at.Sub(before.at)
	seconds := max(passed.Seconds(), 0.1)
	push := func(s *series, count int64, over float64) {
		each := float64(count) / over
		if count < 0 || passed > staleAfter {
			each = math.NaN()
		}
		for range min(steps, window) {
			s.push(each)
		}
	}
	now, then := r.top.Numbers.Totals, before.top.Numbers.Totals
	push(&p.in, now.Submitted-then.Submitted, seconds)
	push(&p.out, now.Ended()-then.Ended(), seconds)
	push(&p.failures, now.Failed-then.Failed, float64(steps)) // they are added up: none may count twice
	p.sampled = r
	kept := p.readings
	for len(kept) > 0 && r.at.Sub(kept[0].at) > (average+1)*time.Second {
		kept = kept[1:]
	}
	p.readings = append(append(make([]reading, 0, average+2), kept...), r)
}

// earlier is the oldest reading of the last seconds and how long it is ago;
// false when there is none but the newest.
func (p *picture) earlier() (core.Top, float64, bool) {
	if len(p.readings) < 2 {
		return core.Top{}, 0, false
	}
	first := p.readings[0]
	return first.top, p.answered.Sub(first.at).Seconds(), true
}

// lately are the histograms of the last seconds.
func (p *picture) lately() (wait, run core.Histogram) {
	before, _, known := p.earlier()
	if !known {
		return nil, nil
	}
	return p.wait.Since(before.Wait), p.run.Since(before.Run)
}

// stale is how old the last picture is, and whether that is too old.
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
// best: fresh pictures bring it to within their delay.
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
