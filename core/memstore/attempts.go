package memstore

import (
	"context"
	"maps"
	"slices"
	"time"

	"faasctl/core"
)

// remember adds an attempt that did not end its task to the history.
func (r *record) remember(end core.AttemptEnd, entered bool, now time.Time, s core.Settlement) {
	a := core.Attempt{End: end, Worker: r.task.Worker, Claimed: r.task.Claimed, Started: r.task.Started, Ended: now}
	if entered {
		a.Number = r.task.Attempt
	}
	if end == core.AttemptRetried {
		a.Failure, a.ElapsedMS = core.ShortFailure(s.Result.Failure), float64(s.Elapsed.Microseconds())/1000
	}
	if r.history = append(r.history, a); len(r.history) > core.KeepAttempts {
		r.history = slices.Clone(r.history[1:])
	}
	if s.Output.Empty() {
		return
	}
	if r.outputs == nil {
		r.outputs = map[int]core.Output{}
	}
	r.outputs[a.Number] = s.Output
	maps.DeleteFunc(r.outputs, func(n int, _ core.Output) bool { return n <= a.Number-core.KeepAttemptOutputs })
}

// unclaim makes r nobody's: what a claim, its worker and its start had written
// is for the history.
func (r *record) unclaim() {
	r.task.Worker, r.task.Claimed, r.task.Started, r.task.Progress = "", time.Time{}, time.Time{}, nil
	r.owner, r.owned, r.expiry, r.started = "", "", time.Time{}, false
}

// Attempts implements core.TaskStore.
func (s *Store) Attempts(ctx context.Context, id core.TaskID) ([]core.Attempt, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.tasks[id]
	if r == nil {
		return nil, core.ErrNotFound
	}
	history := slices.Clone(r.history)
	for i := range history {
		_, history[i].Output = r.outputs[history[i].Number]
	}
	return history, ctx.Err()
}

// AttemptOutput implements core.TaskStore.
func (s *Store) AttemptOutput(ctx context.Context, id core.TaskID, number int) (core.Output, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.tasks[id]
	if r == nil {
		return core.Output{}, core.ErrNotFound
	}
	return r.outputs[number], ctx.Err()
}
