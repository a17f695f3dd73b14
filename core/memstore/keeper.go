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
	now := time.Now()
	var due []*record
	var next time.Duration
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
		s.queue(r.task.Queue).pushBack(r)
	}
	if len(due) > 0 {
		s.hint(core.Hint{Kind: core.HintWork})
	}
	return len(due), next, ctx.Err()
}

// Reap implements core.KeeperStore. Memory has no outages of its own, but a
// process that was stopped for long looks like one to its workers.
func (s *Store) Reap(ctx context.Context, grace time.Duration) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
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

// Orphan implements core.KeeperStore.
func (s *Store) Orphan(ctx context.Context, dead []core.DispatcherID, principal string) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	orphans := s.running(func(r *record) bool {
		return slices.Contains(dead, r.owner) && (principal == "" || r.owned == principal)
	})
	s.release(orphans, core.ReleaseVanished, time.Now())
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
