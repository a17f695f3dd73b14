package memstore

import (
	"context"
	"fmt"
	"sort"
	"time"

	"faasctl/core"
)

// log is the capped stream of events; each entry is one batch of transitions.
// Guarded by Store.mu.
type log struct {
	entries []entry
	trimmed bool          // entries were dropped from the front
	grown   chan struct{} // closed and replaced when an entry is added
}

type entry struct {
	ms, seq int64
	events  []core.Event
}

func (e entry) id() string { return fmt.Sprintf("%d-%d", e.ms, e.seq) }

func (l *log) init() { l.grown = make(chan struct{}) }

func (l *log) last() string {
	if len(l.entries) == 0 {
		return ""
	}
	return l.entries[len(l.entries)-1].id()
}

// publish appends one batch of events.
func (s *Store) publish(now time.Time, events ...core.Event) {
	if len(events) == 0 {
		return
	}
	l := &s.log
	next := entry{ms: now.UnixMilli(), events: events}
	if n := len(l.entries); n > 0 {
		if last := l.entries[n-1]; next.ms <= last.ms {
			next.ms, next.seq = last.ms, last.seq+1
		}
	}
	for i := range events {
		events[i].ID, events[i].At = core.EventID(next.id(), i), time.UnixMilli(next.ms)
	}
	l.entries = append(l.entries, next)
	if len(l.entries) > s.cfg.KeepEvents {
		l.entries, l.trimmed = l.entries[1:], true
	}
	close(l.grown)
	l.grown = make(chan struct{})
}

// LastEvent implements core.EventStore.
func (s *Store) LastEvent(ctx context.Context) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.log.last(), ctx.Err()
}

// Events implements core.EventStore.
func (s *Store) Events(ctx context.Context, after string, max int, wait time.Duration) ([]core.Event, error) {
	if after == "$" {
		last, err := s.LastEvent(ctx)
		if after = last; err != nil {
			return nil, err
		}
	}
	deadline := time.NewTimer(wait)
	defer deadline.Stop()
	for {
		events, grown, err := s.eventsAfter(after, max)
		if err != nil || len(events) > 0 {
			return events, err
		}
		select {
		case <-grown:
		case <-deadline.C:
			return nil, nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func (s *Store) eventsAfter(after string, max int) ([]core.Event, <-chan struct{}, error) {
	id, index, err := core.SplitEventID(after)
	if err != nil {
		return nil, nil, err
	}
	var from entry
	if _, err := fmt.Sscanf(id, "%d-%d", &from.ms, &from.seq); err != nil {
		return nil, nil, core.ErrMalformed
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	l := &s.log
	before := func(a, b entry) bool { return a.ms < b.ms || a.ms == b.ms && a.seq < b.seq }
	if after != "" && l.trimmed && before(from, l.entries[0]) {
		return nil, nil, core.Errorf(core.ErrGone, "events", "events after %s are not kept any more", after)
	}
	var events []core.Event
	first := sort.Search(len(l.entries), func(i int) bool { return !before(l.entries[i], from) })
	for _, e := range l.entries[first:] {
		for i, event := range e.events {
			if len(events) == max {
				return events, l.grown, nil
			}
			if before(from, e) || i > index {
				events = append(events, event)
			}
		}
	}
	return events, l.grown, nil
}
