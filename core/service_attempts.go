package core

import "context"

// Attempts returns a task and its attempts, oldest first: the last
// KeepAttempts before the present one, and the one that runs or that it ended
// with.
func (s *Service) Attempts(ctx context.Context, id TaskID) (Task, []Attempt, error) {
	// The record first: what a retry takes out of it is then in the history.
	task, err := s.Task(ctx, id)
	if err != nil {
		return task, nil, err
	}
	history, err := s.store.Attempts(ctx, id)
	if err != nil {
		return task, nil, err
	}
	var result *Result
	var printed bool
	if task.State.Terminal() {
		results, err := s.store.Results(ctx, []TaskID{id})
		if err != nil {
			return task, nil, err
		}
		output, err := s.store.Output(ctx, id)
		if err != nil {
			return task, nil, err
		}
		result, printed = results[0], !output.Empty()
	}
	all := withLast(task, history, result)
	if len(all) > len(history) {
		all[len(all)-1].Output = printed
	}
	return task, all, nil
}

// withLast adds the attempt that the record tells of to a history, which may have
// it already.
func withLast(task Task, history []Attempt, result *Result) []Attempt {
	last, ok := task.last(result)
	if n := len(history); ok && (n == 0 || !history[n-1].Claimed.Equal(last.Claimed) || history[n-1].Number != last.Number) {
		history = append(history, last)
	}
	return history
}

// AttemptOutput returns what one attempt printed. Output is kept of the last
// KeepAttemptOutputs attempts before the present one, and of the one that the
// task ended with. ErrNotFound when there was no such attempt, ErrGone when its
// output is not kept any more.
func (s *Service) AttemptOutput(ctx context.Context, id TaskID, number int) (Task, Output, error) {
	task, all, err := s.Attempts(ctx, id)
	if err != nil {
		return task, Output{}, err
	}
	for i, a := range all {
		if a.Number != number {
			continue
		}
		if i == len(all)-1 && task.State.Terminal() {
			return s.Output(ctx, id)
		}
		output, err := s.store.AttemptOutput(ctx, id, number)
		if err == nil && !a.Output && a.End == AttemptRetried && number <= task.Attempt-KeepAttemptOutputs {
			err = goneAttempt(id, number)
		}
		return task, output, err
	}
	if number >= 1 && number <= task.Attempt {
		return task, Output{}, goneAttempt(id, number)
	}
	return task, Output{}, Errorf(ErrNotFound, "", "task %s had no attempt %d", id, number).WithHint("faasctl task show %s lists its attempts", id)
}

func goneAttempt(id TaskID, number int) error {
	return Errorf(ErrGone, "", "what attempt %d of task %s printed is not kept any more", number, id).
		WithHint("the output of the last %d attempts is; faasctl task show %s lists them", KeepAttemptOutputs, id)
}
