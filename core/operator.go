package core

import (
	"context"
	"errors"
	"log/slog"
	"strconv"
	"strings"
	"time"
)

// OperatorStore is what an operator needs of a store.
type OperatorStore interface {
	OperationStore
	List(ctx context.Context, filter TaskFilter) (TaskPage, error)
	Specs(ctx context.Context, ids []TaskID, maxBytes int) ([]Spec, error)
}

// operator makes operations take effect. Every API server and every dispatcher
// has one; the store lets each step happen once, so that it does not matter how
// many there are, or which of them ends in the middle.
type operator struct {
	store  OperatorStore
	poll   time.Duration // how often the journal is looked at when nobody rings
	logger *slog.Logger
	bell   chan struct{} // capacity 1: something may be due sooner than was known
}

func newOperator(store OperatorStore, poll time.Duration, logger *slog.Logger) *operator {
	return &operator{store: store, poll: poll, logger: logger, bell: make(chan struct{}, 1)}
}

// ring makes run look at the journal soon.
func (o *operator) ring() {
	select {
	case o.bell <- struct{}{}:
	default:
	}
}

// run carries out what is due until ctx is done.
func (o *operator) run(ctx context.Context) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	failing := false
	for {
		select {
		case <-timer.C:
		case <-o.bell:
		case <-ctx.Done():
			return nil
		}
		next, err := o.round(ctx)
		if down := err != nil && ctx.Err() == nil; down != failing {
			if failing = down; down && ClassOf(err) != ErrUnavailable {
				o.logger.Error("an operation cannot go on now; trying again", "error", err)
			}
		}
		wait := jitter(o.poll)
		if err == nil && next > 0 {
			wait = min(wait, next)
		}
		timer.Reset(wait)
	}
}

// round drives what is due. One operation that cannot go on does not keep the
// others.
func (o *operator) round(ctx context.Context) (next time.Duration, err error) {
	due, next, err := o.store.DueOperations(ctx)
	for _, op := range due {
		_, failed := o.drive(ctx, op)
		err = errors.Join(err, failed)
	}
	return next, err
}

// drive carries out an operation that is due to its end, or until somebody else
// turns out to do so.
func (o *operator) drive(ctx context.Context, op Operation) (Operation, error) {
	for !op.State.Ended() && ctx.Err() == nil {
		after, err := o.step(ctx, op)
		if errors.Is(err, ErrStale) {
			return after, nil
		}
		if err != nil {
			return op, &Error{Class: ClassOf(err), Op: string(op.Kind) + " " + string(op.ID), Err: err}
		}
		op = after
	}
	return op, ctx.Err()
}

// stepSize bounds how many tasks one step looks at, and stepBytes the arguments
// that a step of a retry copies.
const (
	stepSize  = 500
	stepBytes = 8 << 20
)

func (o *operator) step(ctx context.Context, op Operation) (Operation, error) {
	if op.State == OperationUndoing {
		return o.store.UndoStep(ctx, op.ID, stepSize)
	}
	at := readWalk(op)
	page, err := o.store.List(ctx, op.pageOf(at, stepSize))
	if err != nil {
		return op, err
	}
	step := OperationStep{ID: op.ID, From: op.At}
	if op.Kind == OperationCancel {
		step.States, step.Grace = op.states(), time.Duration(op.GraceMS)*time.Millisecond
	}
	for _, t := range page.Tasks {
		if op.selects(t) {
			step.Tasks = append(step.Tasks, t.ID)
		}
	}
	before := page.Next
	if op.Kind == OperationRetry {
		rest, err := o.again(ctx, &step)
		if err != nil {
			return op, err
		}
		if rest { // the rest of the page is the next step's
			before = step.Retries[len(step.Retries)-1].Spec.RetryOf
		}
	}
	next := at
	if next.before = before; before == "" {
		next, step.Last = at.onward(op, len(step.Tasks) > 0)
	}
	step.To = next.String()
	return o.store.StepOperation(ctx, step)
}

// again turns the dead letters of a step into new tasks. rest says that their
// arguments were too much for one step, and that not all of them are in it.
func (o *operator) again(ctx context.Context, step *OperationStep) (rest bool, err error) {
	if len(step.Tasks) == 0 {
		return false, nil
	}
	specs, err := o.store.Specs(ctx, step.Tasks, stepBytes)
	for i, spec := range specs {
		spec.RetryOf = step.Tasks[i] // of one that was forgotten meanwhile it is no dead letter either
		step.Retries = append(step.Retries, Submission{ID: NewTaskID(), Spec: spec})
	}
	return len(specs) < len(step.Tasks), err
}

// walk is how far an operation has come: it goes through the
// listings of some states one after the other, newest first.
type walk struct {
	state  State
	before TaskID
	// applied is what the operation had done when this round of all states
	// began. Tasks move between states while they are walked, also backward;
	// so a walk of several goes round until a round finds nothing.
	applied string
}

func (w walk) String() string { return string(w.state) + " " + string(w.before) + " " + w.applied }

func readWalk(op Operation) walk {
	fields := strings.SplitN(op.At, " ", 3)
	if len(fields) != 3 {
		return walk{state: op.states()[0], applied: strconv.Itoa(op.Applied)}
	}
	return walk{State(fields[0]), TaskID(fields[1]), fields[2]}
}

// onward is the beginning of the next listing, or last. found says that the last
// page of this one held something.
func (w walk) onward(op Operation, found bool) (next walk, last bool) {
	states := op.states()
	for i, state := range states[:len(states)-1] {
		if state == w.state {
			return walk{states[i+1], "", w.applied}, false
		}
	}
	return walk{state: states[0], applied: strconv.Itoa(op.Applied)}, len(states) == 1 || !found && w.applied == strconv.Itoa(op.Applied)
}

// states are the listings that an operation walks, in the order in which tasks
// move: what leaves one before it was seen is met in a later one.
func (op Operation) states() []State {
	switch {
	case op.Kind != OperationCancel:
		return []State{Failed}
	case op.Filter.State != "":
		return []State{op.Filter.State}
	}
	return []State{Delayed, Queued, Running}
}

// pageOf is the listing of one step of the walk.
func (op Operation) pageOf(at walk, limit int) TaskFilter {
	filter := TaskFilter{State: at.state, Before: at.before, Limit: limit, Dead: op.Kind != OperationCancel}
	if len(op.Filter.Functions) == 1 && filter.Dead {
		filter.Function = op.Filter.Functions[0]
	}
	return filter
}

// selects reports whether a listed task is the operation's: its filter fits, and
// the task was there, or dead, when the operation was asked for.
func (op Operation) selects(t Task) bool {
	since := t.Submitted
	if op.Kind != OperationCancel {
		since = t.Finished
	}
	return op.Filter.fits(t) && (op.Created.IsZero() || !since.After(op.Created)) && !t.Cancelling
}
