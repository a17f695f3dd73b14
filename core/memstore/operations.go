package memstore

import (
	"context"
	"slices"
	"time"

	"faasctl/core"
)

// operation is one line of the journal, and of a retry the new tasks with their
// old ones.
type operation struct {
	core.Operation
	made   [][2]core.TaskID // new, old
	undoAt int              // how many of made the undo has looked at
}

// PutOperation implements core.OperationStore.
func (s *Store) PutOperation(ctx context.Context, op core.Operation, wait time.Duration) (core.Operation, error) {
	if err := ctx.Err(); err != nil {
		return op, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if known := s.operation(op.ID); known != nil {
		return known.Operation, nil
	}
	now := s.cfg.Now()
	op.State, op.Created, op.Due, op.Ended = core.OperationPending, now, now.Add(wait), time.Time{}
	s.operations = append(s.operations, &operation{Operation: op})
	ended := 0
	for i := len(s.operations) - 1; i >= 0; i-- {
		if !s.operations[i].State.Ended() {
			continue
		}
		if ended++; ended > core.KeepOperations {
			s.operations = slices.Delete(s.operations, i, i+1)
		}
	}
	return op, nil
}

// operation finds one line of the journal; nil if there is none.
func (s *Store) operation(id core.OperationID) *operation {
	for _, op := range s.operations {
		if op.ID == id {
			return op
		}
	}
	return nil
}

func noOperation(id core.OperationID) error {
	return core.Errorf(core.ErrNotFound, "", "there is no operation %s", id)
}

// Operation implements core.OperationStore.
func (s *Store) Operation(ctx context.Context, id core.OperationID) (core.Operation, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	op := s.operation(id)
	if op == nil {
		return core.Operation{}, noOperation(id)
	}
	return op.Operation, ctx.Err()
}

// Operations implements core.OperationStore.
func (s *Store) Operations(ctx context.Context, limit int) ([]core.Operation, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := []core.Operation{}
	for i := len(s.operations) - 1; i >= 0 && len(all) < limit; i-- {
		all = append(all, s.operations[i].Operation)
	}
	return all, ctx.Err()
}

// DueOperations implements core.OperationStore.
func (s *Store) DueOperations(ctx context.Context) (due []core.Operation, next time.Duration, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.cfg.Now()
	for _, op := range s.operations {
		wait := op.Due.Sub(now)
		switch {
		case op.State.Ended():
		case wait <= 0:
			due = append(due, op.Operation)
		case next == 0 || wait < next:
			next = wait
		}
	}
	return due, next, ctx.Err()
}

// StepOperation implements core.OperationStore.
func (s *Store) StepOperation(ctx context.Context, step core.OperationStep) (core.Operation, error) {
	if err := ctx.Err(); err != nil {
		return core.Operation{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	op, now := s.operation(step.ID), s.cfg.Now()
	switch {
	case op == nil:
		return core.Operation{}, noOperation(step.ID)
	case op.State != core.OperationPending && op.State != core.OperationApplying, op.At != step.From, now.Before(op.Due):
		return op.Operation, core.ErrStale
	}
	switch op.Kind {
	case core.OperationCancel:
		op.Applied += s.cancelStill(step, now)
	case core.OperationPurge:
		for _, id := range step.Tasks {
			if r := s.tasks[id]; r != nil && r.task.Dead() {
				s.drop(r)
				op.Applied++
			}
		}
	case core.OperationRetry:
		s.retryDead(op, step, now)
	}
	op.State, op.At = core.OperationApplying, step.To
	if step.Last {
		op.State, op.Ended = core.OperationDone, now
	}
	return op.Operation, nil
}

// cancelStill cancels tasks that are still in one of the step's states and says
// how many.
func (s *Store) cancelStill(step core.OperationStep, now time.Time) int {
	var still []core.TaskID
	for _, id := range step.Tasks {
		if r := s.tasks[id]; r != nil && !r.task.State.Terminal() && slices.Contains(step.States, r.task.State) && !r.task.Cancelling {
			still = append(still, id)
		}
	}
	s.cancel(still, step.Grace, now)
	return len(still)
}

// retryDead submits the step's new tasks in place of those that are still dead.
func (s *Store) retryDead(op *operation, step core.OperationStep, now time.Time) {
	var batch []core.Submission
	for _, item := range step.Retries {
		if old := s.tasks[item.Spec.RetryOf]; old != nil && old.task.Dead() {
			batch = append(batch, item)
		}
	}
	for i, refusal := range s.submit(batch, now) {
		if refusal != nil {
			op.Skipped++
			continue
		}
		op.Applied++
		op.made = append(op.made, [2]core.TaskID{batch[i].ID, batch[i].Spec.RetryOf})
	}
}

// UndoOperation implements core.OperationStore.
func (s *Store) UndoOperation(ctx context.Context, id core.OperationID) (core.Operation, error) {
	if err := ctx.Err(); err != nil {
		return core.Operation{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	op, now := s.operation(id), s.cfg.Now()
	switch {
	case op == nil:
		return core.Operation{}, noOperation(id)
	case op.State == core.OperationUndone || op.State == core.OperationUndoing:
	case op.State == core.OperationPending:
		op.State, op.Ended = core.OperationUndone, now
	case op.Kind != core.OperationRetry:
		return op.Operation, core.TooLateToUndo(op.Operation)
	case now.Sub(op.Created) > core.KeepUndo:
		return op.Operation, core.TooOldToUndo(op.Operation)
	default:
		op.State, op.Due, op.Ended = core.OperationUndoing, now, time.Time{}
	}
	return op.Operation, nil
}

// UndoStep implements core.OperationStore.
func (s *Store) UndoStep(ctx context.Context, id core.OperationID, max int) (core.Operation, error) {
	if err := ctx.Err(); err != nil {
		return core.Operation{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	op, now := s.operation(id), s.cfg.Now()
	if op == nil {
		return core.Operation{}, noOperation(id)
	}
	if op.State != core.OperationUndoing {
		return op.Operation, core.ErrStale
	}
	var waiting []core.TaskID
	part := op.made[op.undoAt:min(op.undoAt+max, len(op.made))]
	for _, pair := range part {
		r, old := s.tasks[pair[0]], s.tasks[pair[1]]
		if r == nil || r.task.Attempt > 0 || r.task.State != core.Queued && r.task.State != core.Delayed {
			if r == nil || r.task.State != core.Cancelled { // one that somebody cancelled needs no undo
				op.Started++
			}
			continue
		}
		waiting = append(waiting, pair[0])
		if old != nil && old.task.RetriedAs == pair[0] {
			old.task.RetriedAs = ""
		}
	}
	s.cancel(waiting, 0, now)
	op.Undone += len(waiting)
	if op.undoAt += len(part); op.undoAt == len(op.made) {
		op.State, op.Ended = core.OperationUndone, now
	}
	return op.Operation, nil
}
