package core

import "context"

// Why says why a task waits, runs long, was tried again or ended as it did, and
// what helps. It reads a bounded amount, whatever waits.
func (s *Service) Why(ctx context.Context, id TaskID) (Why, error) {
	in := whyInput{}
	var err error
	if in.Standing, err = s.store.Standing(ctx, id); err != nil {
		if ClassOf(err) == ErrNotFound {
			err = s.unknownTask(id)
		}
		return Why{}, err
	}
	if in.attempts, err = s.store.Attempts(ctx, id); err != nil {
		return Why{}, err
	}
	var result *Result
	switch state := in.Task.State; {
	case state == Failed:
		results, err := s.store.Results(ctx, []TaskID{id})
		if err != nil {
			return Why{}, err
		}
		if result = results[0]; result != nil {
			in.failure = result.Failure
		}
	case !state.Terminal():
		if in.roster, err = s.store.Roster(ctx); err != nil {
			return Why{}, err
		}
	}
	in.attempts = withLast(in.Task, in.attempts, result)
	// What runs now goes by the policy of now.
	if in.function, err = s.known.fresh(ctx, in.Task.Function); err != nil && ClassOf(err) != ErrNotFound {
		return Why{}, err
	}
	in.Task.Name = s.nameOf(ctx, in.Task.Function)
	return explain(in), nil
}
