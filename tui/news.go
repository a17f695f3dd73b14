package tui

import (
	"context"
	"time"

	"faasctl/core"
)

// Feed is where the dashboard gets what it shows. Its methods may be called
// concurrently and return when ctx is done.
type Feed interface {
	// Snapshot returns the state of the whole system.
	Snapshot(ctx context.Context) (core.Stats, error)
	// Tasks returns tasks, newest first.
	Tasks(ctx context.Context, filter core.TaskFilter) (core.TaskPage, error)
	// Events calls each for every event after the one with the id after,
	// until ctx is done, each returns an error, or the stream breaks off.
	// core.ErrGone says that events after that id were trimmed away.
	Events(ctx context.Context, after string, each func(core.Event) error) error
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
	// NewsStats is a snapshot and when it arrived.
	NewsStats struct {
		At    time.Time
		Stats core.Stats
	}
	// NewsTasks is a listing of the newest tasks.
	NewsTasks struct{ Tasks []core.Task }
	// NewsEvent is one event of the stream.
	NewsEvent struct{ Event core.Event }
	// NewsDown says that a snapshot could not be had.
	NewsDown struct{ Err error }
	// NewsStream says that the event stream broke off, or with a nil Err that
	// it is up again.
	NewsStream struct{ Err error }
	// NewsDropped says that so many events could not be kept.
	NewsDropped struct{ Events int }
)

func (NewsStats) news()   {}
func (NewsTasks) news()   {}
func (NewsEvent) news()   {}
func (NewsDown) news()    {}
func (NewsStream) news()  {}
func (NewsDropped) news() {}
