package memstore

import (
	"context"
	"slices"
	"sort"
	"time"

	"faasctl/core"
)

// Promote implements core.KeeperStore.
func (s *Store) Promote(ctx context.Context) (int, time.Duration, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.cfg.Now()
	var due []*record
	var next time.Duration
	if class := s.unparkDue(now); class > 0 {
		next = time.UnixMilli(class).Sub(now)
	}
	for _, r := range s.tasks {
		if r.task.State != core.Delayed {
			continue
		}
		if wait := r.task.Due.Sub(now); wait <= 0 {
			due = append(due, r)
		} else if next == 0 || wait < next {
			next = wait
		}
	}
	sort.Slice(due, func(i, j int) bool {
		if !due[i].task.Due.Equal(due[j].task.Due) {
			return due[i].task.Due.Before(due[j].task.Due)
		}
		return due[i].task.ID < due[j].task.ID
	})
	if len(due) > core.MaxBatch {
		due, next = due[:core.MaxBatch], time.Nanosecond
	}
	for _, r := range due {
		s.move(r, core.VerbPromote)
		r.task.Due = time.Time{}
		s.lineUp(r, false)
	}
	if len(due) > 0 {
		s.hint(core.Hint{Kind: core.HintWork})
	}
	return len(due), next, ctx.Err()
}

// Expire implements core.KeeperStore.
func (s *Store) Expire(ctx context.Context) (int, time.Duration, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.cfg.Now()
	var ended []core.TaskID
	var events []core.Event
	var next time.Duration
	for id, r := range s.tasks {
		if r.task.Expires.IsZero() || r.task.State != core.Queued && r.task.State != core.Delayed {
			continue
		}
		switch wait := r.task.Expires.Sub(now); {
		case wait > 0 && (next == 0 || wait < next):
			next = wait
		case wait <= 0 && len(ended) == core.MaxBatch:
			next = time.Nanosecond
		case wait <= 0:
			events = append(events, s.end(r, core.VerbExpire, expired(), now))
			ended = append(ended, id)
		}
	}
	s.publish(now, events...)
	s.hint(core.Hint{Kind: core.HintEnded, Tasks: ended})
	return len(ended), next, ctx.Err()
}

// Reap implements core.KeeperStore. Memory has no outages of its own, but a
// process that was stopped for long looks like one to its workers.
func (s *Store) Reap(ctx context.Context, grace time.Duration) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.cfg.Now()
	s.forget(now) // also when nobody submits any more
	if now.Sub(s.lastReap) > grace/5 {
		s.floor = now.Add(grace)
	}
	s.lastReap = now
	if now.Before(s.floor) {
		return 0, ctx.Err()
	}
	lapsed := s.running(func(r *record) bool { return !now.Before(r.expiry) })
	s.release(lapsed, core.ReleaseVanished, now)
	return len(lapsed), ctx.Err()
}

// Reconcile implements core.KeeperStore. Everything is asked of the records
// themselves; the queues alone could disagree with them.
func (s *Store) Reconcile(ctx context.Context) (int, bool, error) { return 0, true, ctx.Err() }

// Orphan implements core.KeeperStore.
func (s *Store) Orphan(ctx context.Context, dead []core.DispatcherID, principal string) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	orphans := s.running(func(r *record) bool {
		return slices.Contains(dead, r.owner) && (principal == "" || r.owned == principal)
	})
	s.release(orphans, core.ReleaseVanished, s.cfg.Now())
	return len(orphans), ctx.Err()
}

// running returns the running tasks that fit, in order of submission.
func (s *Store) running(fits func(*record) bool) []*record {
	var found []*record
	for _, r := range s.tasks {
		if r.task.State == core.Running && fits(r) {
			found = append(found, r)
		}
	}
	sort.Slice(found, func(i, j int) bool { return found[i].task.ID < found[j].task.ID })
	return found
}
