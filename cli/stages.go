package cli

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// part is one long-lived piece of a server. Run ends when its context is done.
type part struct {
	name string
	run  func(context.Context) error
}

// stopNow is how long parts get after a second signal.
const stopNow = 2 * time.Second

// runStages runs all parts until ctx is done or one of them ends, and then stops
// them stage by stage: the first stage has ended before the second is told.
// When now is closed, all but the last stage, on which the others stand, are
// told at once, and who does not end within stopNow is left behind. It returns
// the error of the part that ended first, if that was not asked for.
func runStages(ctx context.Context, now <-chan struct{}, stages ...[]part) error {
	r := &stageRun{ends: make(chan ending), abandoned: make(chan struct{}), left: make([]int, len(stages)), cancel: make([]context.CancelFunc, len(stages))}
	defer close(r.abandoned)
	for i, stage := range stages {
		var running context.Context
		running, r.cancel[i] = context.WithCancel(context.WithoutCancel(ctx))
		defer r.cancel[i]()
		r.left[i] = len(stage)
		for _, p := range stage {
			go r.part(running, i, p)
		}
	}
	select {
	case <-ctx.Done():
	case <-now:
	case end := <-r.ends:
		r.note(end)
	}
	for i := range stages {
		r.cancel[i]()
		for r.left[i] > 0 {
			select {
			case end := <-r.ends:
				r.note(end)
				continue
			case <-now:
				now = nil
				r.late = time.After(stopNow)
				for _, stop := range r.cancel[:len(stages)-1] {
					stop()
				}
				continue
			case <-r.late:
			}
			if i < len(stages)-1 {
				r.late = time.After(stopNow)
				r.cancel[len(stages)-1]()
				r.left[i] = 0
				continue
			}
			return r.first
		}
	}
	return r.first
}

// stageRun is the state of runStages.
type stageRun struct {
	ends      chan ending
	abandoned chan struct{}        // closed when nobody listens to ends any more
	left      []int                // parts of each stage that have not ended
	cancel    []context.CancelFunc // of each stage
	late      <-chan time.Time     // when patience is over; nil = never
	first     error
}

// ending is what became of a part.
type ending struct {
	stage int
	err   error
}

func (r *stageRun) part(ctx context.Context, stage int, p part) {
	end := ending{stage, p.run(ctx)}
	select {
	case r.ends <- end:
	case <-r.abandoned:
	}
}

func (r *stageRun) note(end ending) {
	r.left[end.stage]--
	if end.err != nil && !errors.Is(end.err, context.Canceled) && r.first == nil {
		r.first = end.err
	}
}

// stopSignals returns a context that ends with the first signal to stop and a
// channel that is closed by the second. told is called with each. The end of
// parent counts as a first one of which everybody knows.
func stopSignals(parent context.Context, told func(second bool)) (ctx context.Context, now <-chan struct{}, release func()) {
	ctx, cancel := context.WithCancel(parent)
	urgent := make(chan struct{})
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	done := make(chan struct{})
	go func() {
		ended := parent.Done()
		for count := 0; count < 2; count++ {
			select {
			case <-done:
				return
			case <-ended:
				ended = nil
				continue
			case <-signals:
				ended = nil
			}
			told(count > 0)
			if count == 0 {
				cancel()
			} else {
				close(urgent)
			}
		}
	}()
	return ctx, urgent, func() { signal.Stop(signals); close(done); cancel() }
}
