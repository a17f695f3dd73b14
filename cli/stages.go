package cli

import (
	"context"
	"errors"
	"io"
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
// When now is closed, all are told at once, and who does not end in stopNow is
// left behind. It returns the error of the part that ended first, if that was
// not asked for.
func runStages(ctx context.Context, now <-chan struct{}, stages ...[]part) error {
	type ending struct {
		stage int
		name  string
		err   error
	}
	ends := make(chan ending)
	left := make([]int, len(stages))
	cancel := make([]context.CancelFunc, len(stages))
	abandoned := make(chan struct{})
	defer close(abandoned)
	for i, stage := range stages {
		var running context.Context
		running, cancel[i] = context.WithCancel(context.WithoutCancel(ctx))
		defer cancel[i]()
		left[i] = len(stage)
		for _, p := range stage {
			go func() {
				end := ending{i, p.name, p.run(running)}
				select {
				case ends <- end:
				case <-abandoned:
				}
			}()
		}
	}
	var first error
	note := func(end ending) {
		left[end.stage]--
		if end.err != nil && !errors.Is(end.err, context.Canceled) && first == nil {
			first = end.err
		}
	}
	select {
	case <-ctx.Done():
	case <-now:
	case end := <-ends:
		note(end)
	}
	var late <-chan time.Time
	for i := range stages {
		cancel[i]()
		for left[i] > 0 {
			select {
			case end := <-ends:
				note(end)
			case <-now:
				now = nil
				late = time.After(stopNow)
				for _, stop := range cancel {
					stop()
				}
			case <-late:
				return first
			}
		}
	}
	return first
}

// stopSignals returns a context that ends with the first signal to stop and a
// channel that is closed by the second. told is called with the first.
func stopSignals(parent context.Context, told func()) (ctx context.Context, now <-chan struct{}, release func()) {
	ctx, cancel := context.WithCancel(parent)
	urgent := make(chan struct{})
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	done := make(chan struct{})
	go func() {
		for count := 0; count < 2; count++ {
			select {
			case <-done:
				return
			case <-signals:
			}
			if count == 0 {
				told()
				cancel()
			} else {
				close(urgent)
			}
		}
	}()
	return ctx, urgent, func() { signal.Stop(signals); close(done); cancel() }
}

// cleanWriter keeps log lines from steering the terminal. Records come in one
// Write each.
type cleanWriter struct{ to io.Writer }

func (w cleanWriter) Write(line []byte) (int, error) {
	_, err := io.WriteString(w.to, clean(string(line)))
	return len(line), err
}
