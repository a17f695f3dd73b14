package memstore

import (
	"context"
	"fmt"
	"maps"
	"math"
	"slices"
	"time"

	"faasctl/core"
)

// class is one first-in-first-out line: the tasks of one function at one
// priority. Of two that are equal otherwise, the one whose name sorts first goes
// first: that of the higher priority.
type class struct {
	priority int
	function core.FunctionID
}

func (c class) name() string { return fmt.Sprintf("%d:%s", 9-c.priority, c.function) }

func (c class) cost() float64 { return math.Pow(4, -float64(c.priority)) }

// line holds the tasks of a class. Cancelled ones stay until a claim skips
// them.
type line struct {
	class
	ids    []core.TaskID
	time   float64   // virtual time at which its first task will have been served
	turn   time.Time // when it was served last, or began to wait
	parked parking
	until  int64 // throttled until then, in ms
}

// parking is why a line that holds tasks takes no part in its queue: a claim found
// no room under the limits of its function when it was its turn.
type parking int

const (
	ready     parking = iota
	capped            // until a task of its function ends
	throttled         // until its function's bucket has a task's worth
	unfit             // until a claim is for workers that can run it
)

// queue shares service between its lines by self-clocked fair queueing (Golestani
// 1994): a task of priority p costs 4^-p, and the line whose first task would be
// done first goes first. So functions of one priority take turns, and a higher
// priority gets four times the share of the next. A line without a turn for long
// gets one all the same, so that none starves.
type queue struct {
	lines  map[class]*line
	now    float64 // virtual time of the task served last
	active bool    // takes part in the turns of queues: has a ready line and is not paused
	turn   float64 // how much it had
}

func (s *Store) queue(name string) *queue {
	q := s.queues[name]
	if q == nil {
		q = &queue{lines: map[class]*line{}}
		s.queues[name] = q
	}
	return q
}

// lineUp puts a task at the end of its line, or before all others.
func (s *Store) lineUp(r *record, front bool) {
	q := s.queue(r.task.Queue)
	key := class{r.task.Priority, r.task.Function}
	l := q.lines[key]
	if l == nil {
		l = &line{class: key}
		q.lines[key] = l
		s.awaken(r.task.Queue, l)
	}
	if front {
		l.ids = append([]core.TaskID{r.task.ID}, l.ids...)
	} else {
		l.ids = append(l.ids, r.task.ID)
	}
}

// welcome is the part of its cost at which the first task of a line is served that
// comes to a queue: a little less than the whole, so that it goes before the next task
// of the line that was served last, and not by chance of its name.
const welcome = 15.0 / 16

// awaken makes a line take part in its queue, as if its first task had just come.
func (s *Store) awaken(name string, l *line) {
	l.time, l.turn, l.parked = s.queues[name].now+welcome*l.cost(), s.cfg.Now(), ready
	s.activate(name)
}

// activate makes a queue take part in the turns, with the least that any had.
func (s *Store) activate(name string) {
	q := s.queues[name]
	if _, paused := s.paused[name]; q.active || paused {
		return
	}
	q.turn = math.Inf(1)
	for _, other := range s.queues {
		if other.active {
			q.turn = min(q.turn, other.turn)
		}
	}
	if q.active = true; math.IsInf(q.turn, 1) {
		q.turn = 0
	}
}

// unpark lets the lines of a function try again that wait for a reason.
func (s *Store) unpark(f core.FunctionID, reason parking) {
	for name, q := range s.queues {
		for _, l := range q.lines {
			if l.function == f && l.parked == reason {
				s.awaken(name, l)
				s.hint(core.Hint{Kind: core.HintWork})
			}
		}
	}
}

// unparkDue does so for all lines whose time has come, and says when the next
// comes, in ms; 0 = never.
func (s *Store) unparkDue(now time.Time) (next int64) {
	for name, q := range s.queues {
		for _, l := range q.lines {
			switch {
			case l.parked != throttled:
			case l.until <= now.UnixMilli():
				s.awaken(name, l)
				s.hint(core.Hint{Kind: core.HintWork})
			case next == 0 || l.until < next:
				next = l.until
			}
		}
	}
	return next
}

// first is the ready line that comes before all others; nil when none is ready.
func (q *queue) first(compare func(a, b *line) int) *line {
	var first *line
	for _, l := range q.lines {
		if l.parked == ready && (first == nil || compare(l, first) < 0) {
			first = l
		}
	}
	return first
}

// room says whether a task of a function may be handed out now; else also what
// its lines wait for, and until when, in ms.
func (s *Store) room(f core.FunctionID, now time.Time) (free bool, why parking, until int64) {
	policy := s.functions.byID[f].Policy
	if policy.Concurrency > 0 && s.runs[f] >= policy.Concurrency {
		return false, capped, 0
	}
	if policy.Rate.Limited() {
		at, gain, burst := float64(now.UnixMilli()), interval(policy.Rate), float64(policy.Rate.Burst())
		full := max(at, s.buckets[f])
		if math.Floor(burst-(full-at)/gain+1e-6) <= 0 {
			return false, throttled, int64(math.Ceil(full + gain - burst*gain))
		}
	}
	return true, ready, 0
}

// interval is the time in which a bucket gains a task, in ms.
func interval(r core.Rate) float64 { return float64(r.Per.Milliseconds()) / float64(r.N) }

// spend takes a task out of the bucket of its function.
func (s *Store) spend(f core.FunctionID, now time.Time) {
	if rate := s.functions.byID[f].Rate; rate.Limited() {
		s.buckets[f] = max(s.buckets[f], float64(now.UnixMilli())) + interval(rate)
	}
}

// refund gives back what the rate counted for a task that was not started.
func (s *Store) refund(f core.FunctionID) {
	if rate := s.functions.byID[f].Rate; rate.Limited() {
		s.buckets[f] -= interval(rate)
		s.unpark(f, throttled)
	}
}

// Queues implements core.QueueStore.
func (s *Store) Queues(ctx context.Context) ([]core.QueueInfo, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	found := map[string]core.QueueInfo{}
	for name, since := range s.paused {
		found[name] = core.QueueInfo{Name: name, Paused: since}
	}
	for _, r := range s.tasks {
		if r.task.State == core.Queued {
			info := found[r.task.Queue]
			info.Name = r.task.Queue
			info.Queued++
			found[r.task.Queue] = info
		}
	}
	all := []core.QueueInfo{}
	for _, name := range slices.Sorted(maps.Keys(found)) {
		info := found[name]
		info.Oldest = s.oldest(name)
		all = append(all, info)
	}
	return all, ctx.Err()
}

// oldest is since when the oldest of the tasks that are next in their lines waits.
func (s *Store) oldest(name string) (oldest time.Time) {
	q := s.queues[name]
	if q == nil {
		return oldest
	}
	for _, l := range q.lines {
		i := slices.IndexFunc(l.ids, func(id core.TaskID) bool { return s.tasks[id] != nil && s.tasks[id].task.State == core.Queued })
		if i < 0 {
			continue
		}
		if since := s.tasks[l.ids[i]].since(); oldest.IsZero() || since.Before(oldest) {
			oldest = since
		}
	}
	return oldest
}

// PauseQueue implements core.QueueStore.
func (s *Store) PauseQueue(ctx context.Context, name string, paused bool) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.cfg.Now()
	if _, was := s.paused[name]; was == paused {
		return false, ctx.Err()
	}
	q, kind := s.queues[name], core.QueuePaused
	if paused {
		s.paused[name] = now
		if q != nil {
			q.active = false
		}
	} else {
		kind = core.QueueResumed
		delete(s.paused, name)
		if q != nil {
			for _, l := range q.lines { // that it waited is nobody's fault: none is old
				if l.parked != unfit {
					l.turn = now
				}
			}
			if q.first(func(a, b *line) int { return 0 }) != nil {
				s.activate(name)
			}
		}
		s.hint(core.Hint{Kind: core.HintWork})
	}
	s.publish(now, core.Event{Kind: kind, Detail: name})
	return true, ctx.Err()
}
