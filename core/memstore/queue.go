package memstore

import (
	"math"

	"faasctl/core"
)

// class is one first-in-first-out line: the tasks of one function at one
// priority.
type class struct {
	priority int
	function core.FunctionID
}

// line holds the tasks of a class. Cancelled ones stay until a claim skips
// them.
type line struct {
	ids  []core.TaskID
	time float64 // virtual time at which its first task will have been served
}

// queue shares service between its lines by self-clocked fair queueing (Golestani
// 1994): a task of priority p costs 4^-p, and the line whose first task would be
// done first goes first. So functions of one priority take turns, a higher
// priority gets four times the share of the next, and none starves.
type queue struct {
	lines map[class]*line
	now   float64 // virtual time of the task served last
}

func cost(priority int) float64 { return math.Pow(4, -float64(priority)) }

func (s *Store) queue(name string) *queue {
	q := s.queues[name]
	if q == nil {
		q = &queue{lines: map[class]*line{}}
		s.queues[name] = q
	}
	return q
}

func (q *queue) line(r *record) *line {
	key := class{r.task.Priority, r.task.Function}
	l := q.lines[key]
	if l == nil {
		l = &line{time: q.now + cost(r.task.Priority)}
		q.lines[key] = l
	}
	return l
}

func (q *queue) pushBack(r *record) {
	l := q.line(r)
	l.ids = append(l.ids, r.task.ID)
}

func (q *queue) pushFront(r *record) {
	l := q.line(r)
	l.ids = append([]core.TaskID{r.task.ID}, l.ids...)
}

// pop takes the next id, or returns "" when the queue is empty.
func (q *queue) pop() core.TaskID {
	var first class
	best := math.Inf(1)
	for key, l := range q.lines {
		tie := l.time == best && (key.priority > first.priority || key.priority == first.priority && key.function < first.function)
		if l.time < best || tie {
			first, best = key, l.time
		}
	}
	l := q.lines[first]
	if l == nil {
		return ""
	}
	id := l.ids[0]
	l.ids = l.ids[1:]
	q.now = l.time
	l.time += cost(first.priority)
	if len(l.ids) == 0 {
		delete(q.lines, first)
	}
	return id
}
