package memstore

import (
	"context"
	"maps"
	"time"

	"faasctl/core"
)

// Standing implements core.TaskStore.
func (s *Store) Standing(ctx context.Context, id core.TaskID) (core.Standing, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.tasks[id]
	if r == nil {
		return core.Standing{}, core.ErrNotFound
	}
	f := r.task.Function
	st := core.Standing{
		Task: r.task, Spec: r.spec, Now: s.cfg.Now(), Due: r.due, Paused: s.paused[r.task.Queue], Running: s.runs[f],
		Function: *newStats(f),
	}
	st.Spec.Args = nil
	if full := s.buckets[f]; full > float64(st.Now.UnixMilli()) {
		st.Full = time.UnixMilli(int64(full))
	}
	if stats := s.stats[f]; stats != nil {
		st.Function = *stats
		st.Function.Wait, st.Function.Run = maps.Clone(stats.Wait), maps.Clone(stats.Run)
	}
	switch r.task.State {
	case core.Running:
		st.Holder, st.Lease = r.owner, r.expiry
	case core.Queued:
		st.Place = s.place(r)
	}
	return st, ctx.Err()
}

// place counts what stands before a queued task. Its line may hold tasks that have
// ended.
func (s *Store) place(r *record) (p core.Place) {
	q, own := s.queue(r.task.Queue), class{r.task.Priority, r.task.Function}
	for key, l := range q.lines {
		if key != own && l.parked == ready {
			p.Rivals++
		}
	}
	for _, other := range s.tasks {
		if other.task.State == core.Queued && other.task.Queue == r.task.Queue {
			p.Queued++
		}
	}
	ids := q.lines[own].ids
	for _, id := range ids[:min(len(ids), core.LookAhead)] {
		if id == r.task.ID {
			return p
		}
		if other := s.tasks[id]; other != nil && other.task.State == core.Queued {
			p.Ahead++
		}
	}
	p.More = true
	return p
}
