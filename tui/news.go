package tui

import (
	"context"
	"time"

	"faasctl/core"
)

// Feed is where the dashboard gets the live picture.
type Feed interface {
	// Top calls each with the whole picture, then with what has changed, at most
	// ten times a second and at least every second or so, until ctx is done or
	// each fails. It may reconnect by itself, and is then whole again.
	Top(ctx context.Context, each func(t core.Top, whole bool) error) error
	// Follow calls each with what a task prints, from a position on, and with its
	// record when that has changed, until the task has ended (nil), ctx is done or
	// each fails.
	Follow(ctx context.Context, id core.TaskID, from core.Position, each func(core.News) error) error
}

// Reader answers questions about single things. Its methods may be called
// concurrently.
type Reader interface {
	// Tasks returns one page of tasks, newest first.
	Tasks(ctx context.Context, filter core.TaskFilter) (core.TaskPage, error)
	// Why says why a task waits, runs long or ended as it did, and what helps.
	Why(ctx context.Context, id core.TaskID) (core.Why, error)
	// Detail returns all there is to know of one task.
	Detail(ctx context.Context, id core.TaskID) (Detail, error)
	// Failures groups failed tasks by what they died of.
	Failures(ctx context.Context) ([]core.FailureGroup, error)
	// EventsOnceWhere returns up to max kept events after the one with id after,
	// "" being the beginning. core.ErrGone says that it was trimmed away.
	EventsOnceWhere(ctx context.Context, filter core.EventFilter, after string, max int) ([]core.Event, error)
}

// Actions changes what tasks and workers do. Its methods may be called
// concurrently; each answers for its ids in their order, and may answer for some
// of them only when it fails.
type Actions interface {
	// Cancel asks for the end of tasks.
	Cancel(ctx context.Context, ids []core.TaskID) ([]core.CancelVerdict, error)
	// Retry runs ended tasks again, as new tasks with the same arguments.
	Retry(ctx context.Context, ids []core.TaskID) ([]core.Submitted, error)
	// Plan says what an operation on all tasks that a filter selects would do.
	Plan(ctx context.Context, kind core.OperationKind, filter core.BulkFilter) (core.Plan, error)
	// Apply starts one; with now it takes effect at once, for good.
	Apply(ctx context.Context, kind core.OperationKind, filter core.BulkFilter, now bool) (core.Operation, error)
	// Undo undoes one as far as that goes.
	Undo(ctx context.Context, id core.OperationID) (core.Operation, error)
	// PauseQueue stops the handing out of a queue's tasks, or resumes it; false when
	// it was so already.
	PauseQueue(ctx context.Context, name string, paused bool) (changed bool, err error)
	// DrainWorker lets a worker end what it holds and leave.
	DrainWorker(ctx context.Context, id string) (core.Worker, error)
}

// Backend is all that the dashboard needs of a server.
type Backend interface {
	Feed
	Reader
	Actions
}

// Batch is what the pump hands to the model: everything that came in since the
// one before, oldest first, and what time it is. A Batch without news lets
// ages and staleness move on.
type Batch struct {
	At   time.Time
	News []News
}

// News is one thing that the feed brought.
type News interface{ news() }

type (
	// NewsTop is the whole picture and when it arrived.
	NewsTop struct {
		At  time.Time
		Top core.Top
	}
	// NewsDown says that there is no picture to be had.
	NewsDown struct{ Err error }
	// NewsOutput is what was heard of the task that is listened to.
	NewsOutput struct {
		Round int // of listening
		News  []core.News
		Lost  int64 // bytes of output that were dropped here
		Err   error // why nothing is heard now; nil when all is well
	}
)

func (NewsTop) news()    {}
func (NewsDown) news()   {}
func (NewsOutput) news() {}
