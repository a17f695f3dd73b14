package core

import (
	"context"
	"time"
)

// followLook is how often a follower looks at the record of a task, which tells
// its state and progress, although nothing was printed.
const followLook = time.Second

// follower carries what a task prints to one who listens.
type follower struct {
	s    *Service
	id   TaskID
	each func(News) error

	task  Task
	said  Task // as each was told last
	ears  Listener
	entry string // of the pieces, read so far
	again time.Time
}

// Follow calls each with what a task prints, from a position on: first what it has
// printed so far, then the rest as it comes, through all its attempts; and with its
// record at first and whenever state, attempt or progress have changed. It returns
// nil once the task has ended and each was told so, or an error of each. Of a flood
// only the beginning and the end are told, and how much lies between.
func (s *Service) Follow(ctx context.Context, id TaskID, from Position, each func(News) error) error {
	f := &follower{s: s, id: id, each: each, ears: Listener{Position: from, Started: map[int]time.Time{}}}
	wake, cancel := s.wake.add(id)
	defer cancel()
	look := time.NewTicker(followLook)
	defer look.Stop()
	for {
		over, err := f.round(ctx)
		if over || err != nil {
			return err
		}
		select {
		case <-wake.bell:
		case <-look.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// round tells what is new. over is true when the task has ended.
func (f *follower) round(ctx context.Context) (over bool, err error) {
	if f.task, err = f.s.Task(ctx, f.id); err != nil {
		return false, err
	}
	if !f.task.Started.IsZero() {
		f.ears.Started[f.task.Attempt] = f.task.Started
	}
	if f.task.State.Terminal() {
		return true, f.end(ctx)
	}
	if err := f.tellTask(); err != nil {
		return false, err
	}
	if now := time.Now(); !now.Before(f.again) {
		f.again = now.Add(FollowAgain)
		if err := f.s.store.Follow(ctx, []TaskID{f.id}); err != nil {
			return false, err
		}
	}
	if err := f.pastAttempts(ctx); err != nil {
		return false, err
	}
	pieces, last, err := f.s.store.Pieces(ctx, f.id, f.entry)
	if err != nil {
		return false, err
	}
	f.entry = last
	for _, p := range pieces {
		if h, fresh := f.ears.Piece(p); fresh {
			if err := f.hear(h); err != nil {
				return false, err
			}
		}
	}
	return false, nil
}

// over is the last attempt that is known to have ended.
func (f *follower) over() int {
	if !f.task.Started.IsZero() {
		return f.task.Attempt - 1
	}
	return f.task.Attempt
}

// pastAttempts tells what was not heard of attempts that ended without ending the
// task, as far as their output is kept.
func (f *follower) pastAttempts(ctx context.Context) error {
	over := f.over()
	for n := max(f.ears.Attempt, 1, over-KeepAttemptOutputs+1); n <= over; n++ {
		output, err := f.s.store.AttemptOutput(ctx, f.id, n)
		if err != nil {
			return err
		}
		if err := f.rest(ctx, n, output); err != nil {
			return err
		}
		f.ears.Position = Position{Attempt: n + 1}
	}
	return nil
}

// rest tells what was not heard of an attempt that has ended.
func (f *follower) rest(ctx context.Context, attempt int, output Output) error {
	if !output.Empty() && f.ears.Started[attempt].IsZero() {
		f.learnStarts(ctx)
	}
	return f.ears.Rest(attempt, output, f.hear)
}

// learnStarts asks the history when attempts began; without it times are not told.
func (f *follower) learnStarts(ctx context.Context) {
	attempts, err := f.s.store.Attempts(ctx, f.id)
	if err != nil {
		return
	}
	for _, a := range attempts {
		f.ears.Started[a.Number] = a.Started
	}
}

func (f *follower) hear(h Heard) error {
	return f.each(News{Heard: &h, Position: f.ears.Position})
}

// tellTask tells the record if it says something new.
func (f *follower) tellTask() error {
	was, is := f.said, f.task
	same := was.State == is.State && was.Attempt == is.Attempt && was.Cancelling == is.Cancelling && was.Worker == is.Worker
	if (was.Progress == nil) != (is.Progress == nil) || is.Progress != nil && *was.Progress != *is.Progress {
		same = false
	}
	if same {
		return nil
	}
	f.said = f.task
	return f.each(News{Task: &is, Position: f.ears.Position})
}

// end tells the rest of the output, and that the task has ended.
func (f *follower) end(ctx context.Context) error {
	if err := f.pastAttempts(ctx); err != nil {
		return err
	}
	output, err := f.s.store.Output(ctx, f.id)
	if err != nil {
		return err
	}
	if err := f.rest(ctx, max(f.task.Attempt, 1), output); err != nil {
		return err
	}
	return f.tellTask()
}
