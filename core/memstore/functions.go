package memstore

import (
	"cmp"
	"context"
	"iter"
	"maps"
	"slices"
	"time"

	"faasctl/core"
)

// functions is guarded by Store.mu.
type functions struct {
	byID     map[core.FunctionID]*core.Function
	removed  map[core.FunctionID]time.Time // when; those that are not forgotten
	byIdent  map[string]core.FunctionID    // of those that were not removed
	latest   map[string]core.FunctionID    // by name
	versions map[string]int                // by name: the highest ever given
}

func (f *functions) init() {
	f.byID, f.removed = map[core.FunctionID]*core.Function{}, map[core.FunctionID]time.Time{}
	f.byIdent, f.latest, f.versions = map[string]core.FunctionID{}, map[string]core.FunctionID{}, map[string]int{}
}

// view returns a copy as listings show it.
func (f *functions) view(id core.FunctionID, body bool) core.Function {
	found := *f.byID[id]
	found.Latest = f.latest[found.Name] == id
	if !body {
		found.Body = nil
	}
	return found
}

func (f *functions) isRemoved(id core.FunctionID) bool {
	_, removed := f.removed[id]
	return removed
}

// PutFunction implements core.FunctionStore.
func (s *Store) PutFunction(ctx context.Context, f core.Function) (core.Function, core.Registered, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	fs := &s.functions
	ident, outcome := f.Identity(), core.RegisteredNew
	id, known := fs.byIdent[ident]
	switch {
	case known && fs.latest[f.Name] == id:
		return fs.view(id, false), core.RegisteredSame, ctx.Err()
	case known:
		outcome = core.RegisteredBack
	default:
		fs.versions[f.Name]++
		f.ID, f.Version, f.Created = core.NewFunctionID(), fs.versions[f.Name], s.cfg.Now()
		id = f.ID
		fs.byID[id], fs.byIdent[ident] = &f, id
	}
	fs.latest[f.Name] = id
	s.publish(s.cfg.Now(), core.Event{Kind: core.FunctionRegistered, Function: id, Detail: string(outcome)})
	return fs.view(id, false), outcome, ctx.Err()
}

// Prepare implements core.FunctionStore.
func (s *Store) Prepare(ctx context.Context, r core.PrepareRequest) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hint(core.Hint{Kind: core.HintPrepare, Prepare: r})
	return ctx.Err()
}

// SetPolicy implements core.FunctionStore.
func (s *Store) SetPolicy(ctx context.Context, id core.FunctionID, policy core.Policy) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.functions.byID[id]
	if f == nil || s.functions.isRemoved(id) {
		return core.ErrNotFound
	}
	f.Policy = policy
	s.unpark(id, capped) // they try again under the new limits
	s.unpark(id, throttled)
	s.publish(s.cfg.Now(), core.Event{Kind: core.FunctionChanged, Function: id})
	return ctx.Err()
}

// FunctionByID implements core.FunctionStore.
func (s *Store) FunctionByID(ctx context.Context, id core.FunctionID) (core.Function, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.functions.byID[id] == nil {
		return core.Function{}, core.ErrNotFound
	}
	return s.functions.view(id, true), ctx.Err()
}

// FunctionByName implements core.FunctionStore.
func (s *Store) FunctionByName(ctx context.Context, name string, version int) (core.Function, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if id, ok := s.functions.latest[name]; ok && version == 0 {
		return s.functions.view(id, false), ctx.Err()
	}
	for _, id := range s.functions.byIdent {
		if f := s.functions.byID[id]; f.Name == name && f.Version == version {
			return s.functions.view(id, false), ctx.Err()
		}
	}
	return core.Function{}, core.ErrNotFound
}

// FunctionNamed implements core.FunctionStore.
func (s *Store) FunctionNamed(ctx context.Context, name string, version int) (core.FunctionID, error) {
	f, err := s.FunctionByName(ctx, name, version)
	if core.ClassOf(err) == core.ErrNotFound {
		return "", nil
	}
	return f.ID, err
}

// ListFunctions implements core.FunctionStore.
func (s *Store) ListFunctions(ctx context.Context) ([]core.Function, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.functions.list(maps.Values(s.functions.byIdent)), ctx.Err()
}

// RemovedFunctions implements core.FunctionStore.
func (s *Store) RemovedFunctions(ctx context.Context) ([]core.Function, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.functions.list(maps.Keys(s.functions.removed)), ctx.Err()
}

// list returns functions by name and version.
func (f *functions) list(ids iter.Seq[core.FunctionID]) []core.Function {
	all := []core.Function{}
	for id := range ids {
		all = append(all, f.view(id, false))
	}
	slices.SortFunc(all, func(a, b core.Function) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Version, b.Version))
	})
	return all
}

// RemoveFunction implements core.FunctionStore.
func (s *Store) RemoveFunction(ctx context.Context, id core.FunctionID) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	fs := &s.functions
	f := fs.byID[id]
	if f == nil || fs.isRemoved(id) {
		return core.ErrNotFound
	}
	fs.removed[id] = s.cfg.Now()
	delete(fs.byIdent, f.Identity())
	if fs.latest[f.Name] == id {
		delete(fs.latest, f.Name)
		for _, other := range fs.byIdent {
			best := fs.byID[fs.latest[f.Name]]
			if o := fs.byID[other]; o.Name == f.Name && (best == nil || o.Version > best.Version) {
				fs.latest[f.Name] = other
			}
		}
	}
	s.publish(s.cfg.Now(), core.Event{Kind: core.FunctionRemoved, Function: id})
	return ctx.Err()
}

// forgetFunctions forgets functions that were removed long ago and whose tasks have
// all ended, with their numbers and limits. A busy one is looked at again after the
// same time.
func (s *Store) forgetFunctions(now time.Time) {
	fs := &s.functions
	for id, at := range fs.removed {
		if now.Sub(at) < s.cfg.KeepFailed {
			continue
		}
		if stats := s.stats[id]; stats != nil && stats.Totals.Submitted > stats.Totals.Ended() {
			fs.removed[id] = now
			continue
		}
		name := fs.byID[id].Name
		delete(fs.removed, id)
		delete(fs.byID, id)
		delete(s.stats, id)
		delete(s.buckets, id)
		delete(s.runs, id)
		for _, q := range s.queues { // only tasks that have ended stand there
			for key := range q.lines {
				if key.function == id {
					delete(q.lines, key)
				}
			}
		}
		if fs.latest[name] == "" {
			delete(fs.versions, name)
		}
	}
}
