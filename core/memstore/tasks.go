package memstore

import (
	"context"
	"sort"
	"time"

	"faasctl/core"
)

// Submit implements core.TaskStore.
func (s *Store) Submit(ctx context.Context, batch []core.Submission) ([]error, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.cfg.Now()
	s.forget(now)
	return s.submit(batch, now), nil
}

func (s *Store) submit(batch []core.Submission, now time.Time) []error {
	refused := make([]error, len(batch))
	var events []core.Event
	for i, item := range batch {
		if s.tasks[item.ID] != nil {
			continue
		}
		if used := s.keys[item.Key.Name]; item.Key.Name != "" && used.task != "" {
			refused[i] = &core.KeyUsed{Task: used.task, Same: used.body == item.Key.Body}
			continue
		}
		if f := item.Spec.Function; s.functions.byID[f] == nil || s.functions.isRemoved(f) {
			refused[i] = core.ErrNotFound
			continue
		}
		if !item.At.IsZero() {
			if item.Delay = item.At.Sub(now); item.Delay <= 0 {
				refused[i] = core.PastDue(item.At)
				continue
			}
		}
		events = append(events, s.accept(item, now))
	}
	s.publish(now, events...)
	s.hint(core.Hint{Kind: core.HintWork})
	return refused
}

func (s *Store) accept(item core.Submission, now time.Time) core.Event {
	r := &record{spec: item.Spec, key: item.Key.Name, task: core.Task{
		ID: item.ID, Function: item.Spec.Function, Codec: item.Spec.Codec,
		Queue: item.Spec.Queue, Priority: item.Spec.Priority, Submitted: now,
	}}
	s.tasks[item.ID] = r
	if old := s.tasks[item.Spec.RetryOf]; old != nil {
		old.task.RetriedAs = item.ID
	}
	if r.key != "" {
		s.keys[r.key] = keyed{item.ID, item.Key.Body}
	}
	s.count(r, func(t *core.Totals) { t.Submitted++ })
	if item.Spec.Expires > 0 {
		r.task.Expires = now.Add(max(0, item.Delay) + item.Spec.Expires)
	}
	if item.Delay > 0 {
		s.move(r, core.VerbDelay)
		r.task.Due = now.Add(item.Delay)
		r.due = r.task.Due
	} else {
		s.move(r, core.VerbSubmit)
		s.lineUp(r, false)
	}
	return s.event(r, core.TaskSubmitted)
}

// Once implements core.TaskStore.
func (s *Store) Once(ctx context.Context, tokens []string, ids []core.TaskID, keep time.Duration) ([]core.TaskID, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.cfg.Now()
	s.forget(now)
	found := make([]core.TaskID, len(tokens))
	for i, token := range tokens {
		if known, there := s.once[token]; there {
			found[i] = known.id
			continue
		}
		s.once[token] = remembered{ids[i], now.Add(keep)}
		found[i] = ids[i]
	}
	return found, ctx.Err()
}

// Tasks implements core.TaskStore.
func (s *Store) Tasks(ctx context.Context, ids []core.TaskID) ([]core.Task, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	found := make([]core.Task, len(ids))
	for i, id := range ids {
		if r := s.tasks[id]; r != nil {
			found[i] = r.task
		}
	}
	return found, ctx.Err()
}

// Spec implements core.TaskStore.
func (s *Store) Spec(ctx context.Context, id core.TaskID) (core.Spec, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.tasks[id]
	if r == nil {
		return core.Spec{}, core.ErrNotFound
	}
	return r.spec, ctx.Err()
}

// Specs implements core.TaskStore.
func (s *Store) Specs(ctx context.Context, ids []core.TaskID, maxBytes int) ([]core.Spec, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var specs []core.Spec
	for bytes := 0; len(specs) < len(ids) && bytes < maxBytes; {
		var spec core.Spec
		if r := s.tasks[ids[len(specs)]]; r != nil {
			spec = r.spec
		}
		bytes += len(spec.Args)
		specs = append(specs, spec)
	}
	return specs, ctx.Err()
}

// Outcomes implements core.TaskStore.
func (s *Store) Outcomes(ctx context.Context, ids []core.TaskID) ([]core.Task, []*core.Result, error) {
	tasks, err := s.Tasks(ctx, ids)
	if err != nil {
		return nil, nil, err
	}
	results, err := s.Results(ctx, ids)
	for i, task := range tasks { // one may have ended in between
		if !task.State.Terminal() {
			results[i] = nil
		}
	}
	return tasks, results, err
}

// Results implements core.TaskStore.
func (s *Store) Results(ctx context.Context, ids []core.TaskID) ([]*core.Result, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	found := make([]*core.Result, len(ids))
	for i, id := range ids {
		if r := s.tasks[id]; r != nil {
			found[i] = r.result
		}
	}
	return found, ctx.Err()
}

// ResultsUpTo implements core.TaskStore.
func (s *Store) ResultsUpTo(ctx context.Context, ids []core.TaskID, maxBytes int) ([]*core.Result, error) {
	found, err := s.Results(ctx, ids)
	bytes := 0
	for i, r := range found {
		if bytes >= maxBytes && i > 0 {
			return found[:i], err
		}
		if r != nil {
			bytes += len(r.JSON) + len(r.Pickle)
		}
	}
	return found, err
}

// Ended implements core.TaskStore.
func (s *Store) Ended(ctx context.Context, ids []core.TaskID) ([]core.State, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	found := make([]core.State, len(ids))
	for i, id := range ids {
		switch r := s.tasks[id]; {
		case r == nil:
		case r.task.State.Terminal():
			found[i] = r.task.State
		default:
			found[i] = core.Queued
		}
	}
	return found, ctx.Err()
}

// Output implements core.TaskStore.
func (s *Store) Output(ctx context.Context, id core.TaskID) (core.Output, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r := s.tasks[id]; r != nil {
		return r.output, ctx.Err()
	}
	return core.Output{}, core.ErrNotFound
}

// List implements core.TaskStore. Memory needs no index: everything is looked at.
func (s *Store) List(ctx context.Context, filter core.TaskFilter) (core.TaskPage, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	page := core.TaskPage{Tasks: []core.Task{}}
	for id, r := range s.tasks {
		fits := (filter.State == "" || r.task.State == filter.State) && (filter.Function == "" || r.task.Function == filter.Function) &&
			(!filter.Dead || r.task.Dead())
		if fits && (filter.Before == "" || id < filter.Before) {
			page.Tasks = append(page.Tasks, r.task)
		}
	}
	sort.Slice(page.Tasks, func(i, j int) bool { return page.Tasks[i].ID > page.Tasks[j].ID })
	limit := filter.Limit
	if limit == 0 {
		limit = 100
	}
	if len(page.Tasks) > limit {
		page.Tasks = page.Tasks[:limit]
		page.Next = page.Tasks[limit-1].ID
	}
	return page, ctx.Err()
}

// Cancel implements core.TaskStore.
func (s *Store) Cancel(ctx context.Context, ids []core.TaskID, grace time.Duration) ([]core.CancelVerdict, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.cancel(ids, grace, s.cfg.Now()), ctx.Err()
}

func (s *Store) cancel(ids []core.TaskID, grace time.Duration, now time.Time) []core.CancelVerdict {
	verdicts := make([]core.CancelVerdict, len(ids))
	var running, ended []core.TaskID
	var events []core.Event
	for i, id := range ids {
		switch r := s.tasks[id]; {
		case r == nil:
			verdicts[i] = core.CancelUnknown
		case r.task.State.Terminal():
			verdicts[i] = core.CancelTooLate
		case r.task.State == core.Running:
			verdicts[i] = core.CancelRequested
			r.task.Cancelling, r.grace = true, grace
			running = append(running, id)
		default:
			verdicts[i] = core.CancelDone
			events = append(events, s.end(r, core.VerbCancel, cancelled("before it ran"), now))
			ended = append(ended, id)
		}
	}
	s.publish(now, events...)
	s.hint(core.Hint{Kind: core.HintCancel, Tasks: running, Grace: grace})
	s.hint(core.Hint{Kind: core.HintEnded, Tasks: ended})
	return verdicts
}

func cancelled(when string) *core.Result {
	return &core.Result{Failure: &core.Failure{Kind: core.KindCancelled, Message: "cancelled " + when}}
}
