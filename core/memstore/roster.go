package memstore

import (
	"cmp"
	"context"
	"slices"
	"time"

	"faasctl/core"
)

const (
	silentAfter = 10 * time.Second // a worker not heard of for so long is shown as lost
	forgetAfter = time.Minute      // and then forgotten
)

// roster is guarded by Store.mu.
type roster struct {
	dispatchers map[core.DispatcherID]core.DispatcherInfo
	workers     map[core.WorkerID]core.Worker
	drains      map[core.WorkerID]bool // asked for
}

func (r *roster) init() {
	r.dispatchers, r.workers = map[core.DispatcherID]core.DispatcherInfo{}, map[core.WorkerID]core.Worker{}
	r.drains = map[core.WorkerID]bool{}
}

// Announce implements core.RosterStore.
func (s *Store) Announce(ctx context.Context, a core.Announcement) ([]core.WorkerID, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.cfg.Now()
	a.Dispatcher.Seen = now
	s.roster.dispatchers[a.Dispatcher.ID] = a.Dispatcher
	var drain []core.WorkerID
	if a.Leaving {
		delete(s.roster.dispatchers, a.Dispatcher.ID)
	}
	for _, w := range a.Workers {
		w.Seen = now
		s.roster.workers[w.ID] = w
		if s.roster.drains[w.ID] {
			drain = append(drain, w.ID)
		}
	}
	for id, d := range s.roster.dispatchers {
		if now.Sub(d.Seen) > forgetAfter {
			delete(s.roster.dispatchers, id)
		}
	}
	for id, w := range s.roster.workers {
		if now.Sub(w.Seen) > forgetAfter {
			delete(s.roster.workers, id)
			delete(s.roster.drains, id)
		}
	}
	s.publish(now, a.Events...)
	return drain, ctx.Err()
}

// DrainWorker implements core.RosterStore.
func (s *Store) DrainWorker(ctx context.Context, id core.WorkerID) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, there := s.roster.workers[id]; !there {
		return core.ErrNotFound
	}
	s.roster.drains[id] = true
	return ctx.Err()
}

// Roster implements core.RosterStore.
func (s *Store) Roster(ctx context.Context) (core.Roster, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	answer := core.Roster{Now: s.cfg.Now(), Dispatchers: []core.DispatcherInfo{}, Workers: []core.Worker{}}
	for _, d := range s.roster.dispatchers {
		answer.Dispatchers = append(answer.Dispatchers, d)
	}
	for _, w := range s.roster.workers {
		if answer.Now.Sub(w.Seen) > silentAfter && w.State != core.WorkerGone {
			w.State = core.WorkerLost
		}
		w.Seen, w.Unheard = w.Seen.Add(-w.Unheard), 0
		answer.Workers = append(answer.Workers, w)
	}
	slices.SortFunc(answer.Dispatchers, func(a, b core.DispatcherInfo) int { return cmp.Compare(a.ID, b.ID) })
	slices.SortFunc(answer.Workers, func(a, b core.Worker) int { return cmp.Compare(a.ID, b.ID) })
	return answer, ctx.Err()
}
