package core

import (
	"context"
	"crypto/rand"
	"encoding/base32"
	"slices"
	"strings"
	"time"
)

// OperationID names an operation: "op-" and 13 letters or digits.
type OperationID string

// NewOperationID returns a fresh id.
func NewOperationID() OperationID {
	var random [8]byte
	_, _ = rand.Read(random[:]) // it never fails
	text := base32.HexEncoding.WithPadding(base32.NoPadding).EncodeToString(random[:])
	return OperationID("op-" + strings.ToLower(text))
}

// ParseOperationID reads an id.
func ParseOperationID(text string) (OperationID, error) {
	id, ok := strings.CutPrefix(strings.ToLower(text), "op-")
	if !ok || len(id) != 13 || strings.Trim(id, "0123456789abcdefghijklmnopqrstuv") != "" {
		return "", Errorf(ErrMalformed, "", "%q is not the id of an operation", clip(text, 64)).WithHint("faasctl undo lists what can be undone")
	}
	return OperationID("op-" + id), nil
}

// OperationKind says what an operation does to every task that its filter
// selects.
type OperationKind string

const (
	OperationCancel OperationKind = "cancel" // ends tasks that have not ended
	OperationRetry  OperationKind = "retry"  // runs dead letters again, as new tasks
	OperationPurge  OperationKind = "purge"  // forgets dead letters
)

// OperationState is where an operation stands.
type OperationState string

const (
	OperationPending  OperationState = "pending"  // waits until it is due, and can be undone without a trace
	OperationApplying OperationState = "applying" // takes effect, batch by batch
	OperationDone     OperationState = "done"     // has taken effect
	OperationUndoing  OperationState = "undoing"  // a retry is being undone, batch by batch
	OperationUndone   OperationState = "undone"   // never took effect, or was taken back as far as that goes
)

// Ended reports whether nothing more happens by itself.
func (s OperationState) Ended() bool { return s == OperationDone || s == OperationUndone }

// BulkFilter selects the tasks of an operation; zero fields select all.
//
// Only tasks that were what the filter asks for when the operation was asked for
// are touched: not those submitted, or dead, since.
type BulkFilter struct {
	State     State        `json:"state,omitempty"`        // cancel: QUEUED, DELAYED or RUNNING; "" = all three
	Function  string       `json:"function,omitempty"`     // a name is all its versions; name@version or an id is that one
	Functions []FunctionID `json:"function_ids,omitempty"` // what Function stood for; filled in by the Service
	Queue     string       `json:"queue,omitempty"`
	Error     string       `json:"error,omitempty"` // retry, purge: the kind of the failure or its class, such as timeout or ValueError
}

// fits reports whether a task that the walk has found is one of the filter's.
func (f BulkFilter) fits(t Task) bool {
	return (len(f.Functions) == 0 || slices.Contains(f.Functions, t.Function)) && (f.Queue == "" || f.Queue == t.Queue) &&
		(f.Error == "" || IsFailure(f.Error, t.Failure, t.Type))
}

// IsFailure reports whether name names a failure: by its kind, or by its class
// with or without the module.
func IsFailure(name string, kind FailureKind, class string) bool {
	return name == string(kind) || name == class || name == class[strings.LastIndexByte(class, '.')+1:]
}

// Operation is something done to many tasks at once, and its line in the
// journal. Times are the store's.
type Operation struct {
	ID      OperationID    `json:"id"`
	Kind    OperationKind  `json:"kind"`
	State   OperationState `json:"state"`
	Filter  BulkFilter     `json:"filter"`
	By      string         `json:"by,omitempty"`       // who asked
	GraceMS int64          `json:"grace_ms,omitempty"` // cancel: what its calls have to end, in ms; 0 = their dispatcher's
	Planned int            `json:"planned"`            // tasks that the filter selected when it was asked for
	More    bool           `json:"more,omitempty"`     // there were more than Planned: counting stopped there
	Created time.Time      `json:"created,omitzero"`
	Due     time.Time      `json:"due,omitzero"` // when it takes effect
	Ended   time.Time      `json:"ended,omitzero"`

	Applied int `json:"applied"`           // tasks cancelled or told to end, retried, or forgotten
	Skipped int `json:"skipped,omitempty"` // retry: their function was removed
	Undone  int `json:"undone,omitempty"`  // retry: new tasks that the undo has cancelled
	Started int `json:"started,omitempty"` // retry: new tasks that the undo came too late for

	// At is how far its walk has come; whoever goes on from there must name it.
	At string `json:"-"`
}

// OperationStep is one bounded batch of an operation. It is carried out only if
// nobody has taken it before: From must be the operation's At.
type OperationStep struct {
	ID       OperationID
	From, To string
	Last     bool          // the walk has ended: the operation is done
	Tasks    []TaskID      // to cancel or to forget
	States   []State       // cancel: only tasks that are still in one of these
	Grace    time.Duration // cancel: of calls that run
	Retries  []Submission  // retry: new tasks; each Spec names the dead letter in RetryOf
}

// OperationStore keeps the journal. Every change of it and what it does to tasks
// are one transition, so that an operation takes effect exactly once however
// many processes drive it.
type OperationStore interface {
	// PutOperation writes a pending operation that is due after wait, and
	// returns it with its times. An id that exists is left alone. The newest
	// KeepOperations that have ended are kept.
	PutOperation(ctx context.Context, op Operation, wait time.Duration) (Operation, error)
	// Operation returns one; ErrNotFound if there is none.
	Operation(ctx context.Context, id OperationID) (Operation, error)
	// Operations returns the newest first, at most limit.
	Operations(ctx context.Context, limit int) ([]Operation, error)
	// DueOperations returns some of those that have something left to do now, and
	// says how long it is until the next; 0 when none waits.
	DueOperations(ctx context.Context) (due []Operation, next time.Duration, err error)
	// StepOperation carries out one step of a due operation and returns it as
	// it is then. ErrStale, with the operation as it is, when it is not at From,
	// not due, or to be undone.
	StepOperation(ctx context.Context, step OperationStep) (Operation, error)
	// UndoOperation makes a pending operation undone and a retry undoing; one
	// that is so already is left alone. ErrConflict when it has taken effect and
	// is no retry, or its journal of new tasks is not kept any more.
	UndoOperation(ctx context.Context, id OperationID) (Operation, error)
	// UndoStep cancels new tasks of an undoing retry that were not handed out
	// yet, and makes their old ones dead letters again; it looks at max at most.
	UndoStep(ctx context.Context, id OperationID, max int) (Operation, error)
}

// Bounds of the journal.
const (
	KeepOperations = 1000               // ended operations
	KeepUndo       = 7 * 24 * time.Hour // how long a retry can be undone
)

// TooLateToUndo is why an operation that has taken effect cannot be undone.
func TooLateToUndo(op Operation) error {
	e := Errorf(ErrConflict, "", "%s has taken effect: it is %s and cannot be undone", op.ID, op.State)
	return e.WithHint("only a retry can be undone afterwards; a %s waits a few seconds in which it can be", op.Kind)
}

// TooOldToUndo is why a retry of long ago cannot be undone.
func TooOldToUndo(op Operation) error {
	return Errorf(ErrConflict, "", "%s is too long ago to be undone: which tasks it made is kept for a week", op.ID).
		WithHint("faasctl cancel --fn NAME --state QUEUED ends what still waits")
}
