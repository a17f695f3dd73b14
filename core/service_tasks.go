package core

import (
	"context"
	"time"
)

// Task returns one record.
func (s *Service) Task(ctx context.Context, id TaskID) (Task, error) {
	found, err := s.Tasks(ctx, []TaskID{id})
	if err != nil {
		return Task{}, err
	}
	if found[0].ID == "" {
		return Task{}, s.unknownTask(id)
	}
	return found[0], nil
}

// unknownTask tells a task that is not kept any more from one that never was, as
// far as its id can tell: it holds the time of its submission.
func (s *Service) unknownTask(id TaskID) error {
	if at, ok := id.Time(); ok && time.Since(at) > s.cfg.Keep {
		return Errorf(ErrGone, "", "task %s, if there was one, was submitted on %s and is not kept any more", id, at.UTC().Format(time.DateOnly)).
			WithHint("the server's --keep-results and --keep-failed say for how long tasks are kept after their end")
	}
	return Errorf(ErrNotFound, "", "there is no task %s", id).
		WithHint("faasctl task ls lists what there is")
}

// Tasks returns many records in the order of ids; one that does not exist has
// ID "".
func (s *Service) Tasks(ctx context.Context, ids []TaskID) ([]Task, error) {
	found, err := s.store.Tasks(ctx, ids)
	for i := range found {
		found[i].Name = s.nameOf(ctx, found[i].Function)
	}
	return found, err
}

// nameOf is name@version of a function, or "" when it cannot be told now.
func (s *Service) nameOf(ctx context.Context, id FunctionID) string {
	if id == "" {
		return ""
	}
	if f, err := s.known.get(ctx, id); err == nil {
		return f.Ref()
	}
	return ""
}

// Spec returns what the client asked for, arguments included.
func (s *Service) Spec(ctx context.Context, id TaskID) (Spec, error) {
	spec, err := s.store.Spec(ctx, id)
	if err != nil && ClassOf(err) == ErrNotFound {
		err = s.unknownTask(id)
	}
	return spec, err
}

// Result returns a task's record and, when it has ended, what it ended with.
func (s *Service) Result(ctx context.Context, id TaskID) (Task, *Result, error) {
	tasks, results, err := s.store.Outcomes(ctx, []TaskID{id})
	if err != nil {
		return Task{}, nil, err
	}
	task := tasks[0]
	if task.ID == "" {
		return task, nil, s.unknownTask(id)
	}
	task.Name = s.nameOf(ctx, task.Function)
	if !task.State.Terminal() || results[0] != nil {
		return task, results[0], nil
	}
	results, err = s.store.Results(ctx, []TaskID{id}) // it is large, or not kept any more
	if err != nil {
		return task, nil, err
	}
	if results[0] == nil {
		return task, nil, Errorf(ErrGone, "", "the result of task %s is not kept any more", id)
	}
	return task, results[0], nil
}

// Output returns what a task printed, as far as it is known by now.
func (s *Service) Output(ctx context.Context, id TaskID) (Task, Output, error) {
	task, err := s.Task(ctx, id)
	if err != nil {
		return task, Output{}, err
	}
	output, err := s.store.Output(ctx, id)
	return task, output, err
}

// Wait returns as soon as the task has ended, or after patience with its
// record as it then stands.
func (s *Service) Wait(ctx context.Context, id TaskID, patience time.Duration) (Task, error) {
	var task Task
	err := s.await(ctx, id, patience, func() (ended bool, err error) {
		task, err = s.Task(ctx, id)
		return task.State.Terminal(), err
	})
	return task, err
}

// WaitResult is Wait and Result in one.
func (s *Service) WaitResult(ctx context.Context, id TaskID, patience time.Duration) (Task, *Result, error) {
	var task Task
	var result *Result
	err := s.await(ctx, id, patience, func() (ended bool, err error) {
		task, result, err = s.Result(ctx, id)
		return task.State.Terminal(), err
	})
	return task, result, err
}

// await looks at once, whenever the task may have ended, and after patience for the
// last time.
func (s *Service) await(ctx context.Context, id TaskID, patience time.Duration, look func() (ended bool, err error)) error {
	wake, cancel := s.wake.add(id)
	defer cancel()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	for {
		if ended, err := look(); err != nil || ended {
			return err
		}
		recheck := time.NewTimer(s.cfg.Recheck)
		select {
		case <-wake.bell:
		case <-recheck.C:
		case <-deadline.C:
			recheck.Stop()
			_, err := look()
			return err
		case <-ctx.Done():
			recheck.Stop()
			return context.Cause(ctx)
		}
		recheck.Stop()
	}
}

// List returns one page of tasks, newest first.
func (s *Service) List(ctx context.Context, filter TaskFilter) (TaskPage, error) {
	if filter.Limit == 0 {
		filter.Limit = 100
	}
	if filter.Limit < 0 || filter.Limit > MaxBatch {
		return TaskPage{}, Errorf(ErrInvalid, "", "the limit must be between 1 and %d, not %d", MaxBatch, filter.Limit)
	}
	if filter.State != "" && !filter.State.Valid() {
		return TaskPage{}, Errorf(ErrInvalid, "", "there is no state %q", clip(string(filter.State), 32)).
			WithHint("states are QUEUED, DELAYED, RUNNING, COMPLETED, FAILED, CANCELLED")
	}
	page, err := s.store.List(ctx, filter)
	for i := range page.Tasks {
		page.Tasks[i].Name = s.nameOf(ctx, page.Tasks[i].Function)
	}
	return page, err
}

// Retry submits ended tasks anew, with the same function, arguments and limits;
// the new ones point at the old. An item may be refused: it is unknown, or has not
// ended.
func (s *Service) Retry(ctx context.Context, ids []TaskID) ([]Submitted, error) {
	return s.RetryOnce(ctx, "", ids)
}

// RetryOnce is Retry under a token that the client drew for this request: the same
// request that comes again within five minutes, as its answer was lost, makes no
// second set of tasks.
func (s *Service) RetryOnce(ctx context.Context, token string, ids []TaskID) ([]Submitted, error) {
	newID, err := s.ids(ctx, token)
	if err != nil {
		return nil, err
	}
	tasks, err := s.Tasks(ctx, ids)
	if err != nil {
		return nil, err
	}
	answers := make([]Submitted, len(ids))
	var batch []Submission
	var place []int
	for i, task := range tasks {
		switch {
		case task.ID == "":
			answers[i].Err = s.unknownTask(ids[i])
			continue
		case !task.State.Terminal():
			answers[i].Err = Errorf(ErrConflict, "", "task %s is %s; only a task that has ended is run again", task.ID, task.State)
			continue
		}
		spec, err := s.store.Spec(ctx, task.ID)
		if err != nil {
			return nil, err
		}
		spec.RetryOf = task.ID
		answers[i] = Submitted{ID: newID(i), Function: spec.Function, Name: task.Name}
		batch, place = append(batch, Submission{ID: answers[i].ID, Spec: spec}), append(place, i)
	}
	for len(batch) > 0 {
		n := min(len(batch), MaxBatch)
		refused, err := s.store.Submit(ctx, batch[:n])
		if err != nil {
			return nil, err
		}
		for i, refusal := range refused {
			answers[place[i]].Err = explainUnknown(refusal, answers[place[i]].Name)
		}
		batch, place = batch[n:], place[n:]
	}
	return answers, nil
}

// failuresScanned bounds how many failed tasks Failures looks at.
const failuresScanned = 2000

// Failures groups the newest failed tasks by what they died of, the largest group
// first.
func (s *Service) Failures(ctx context.Context) ([]FailureGroup, error) {
	groups := map[FailureGroup]*FailureGroup{}
	filter := TaskFilter{State: Failed, Limit: 500}
	for seen := 0; seen < failuresScanned; {
		page, err := s.store.List(ctx, filter)
		if err != nil {
			return nil, err
		}
		for _, task := range page.Tasks {
			countFailure(groups, task)
		}
		if seen += len(page.Tasks); page.Next == "" {
			break
		}
		filter.Before = page.Next
	}
	return s.failureGroups(ctx, groups)
}
