package cli

import (
	"context"
	"errors"
	"sync"
	"syscall"
	"time"

	"faasctl/core"
	"faasctl/httpapi/client"
)

const (
	plainEvery  = time.Second      // between two lines
	plainWindow = 10 * time.Second // of rates and latencies, as on the dashboard
	plainStale  = 3 * time.Second  // a picture older than this is said to be old
)

// topPlain prints a line a second until Ctrl-C, or until nobody reads it any
// more. A server that was never reached is an error; one that goes away later
// is a line that says so.
func (e *environment) topPlain(ctx context.Context, api *client.Client, as string) error {
	reading, stop := context.WithCancel(ctx)
	view := &lastPicture{first: make(chan struct{})}
	ended := make(chan error, 1)
	go func() { ended <- api.Top(reading, view.take) }()
	defer func() {
		stop()
		<-ended
	}()
	select {
	case <-view.first:
	case err := <-ended:
		ended <- nil // for the wait above
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	tick := time.NewTicker(plainEvery)
	defer tick.Stop()
	var past pictures
	for {
		switch err := e.plainLine(view, &past, as); {
		case errors.Is(err, syscall.EPIPE):
			return nil
		case err != nil:
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		case err := <-ended:
			ended <- nil
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
	}
}

// plainLine prints what is known now.
func (e *environment) plainLine(view *lastPicture, past *pictures, as string) error {
	picture, arrived := view.now()
	now := time.Now()
	r := reportOf(picture)
	if old := now.Sub(arrived); old > plainStale {
		r.Stale = tenths(old.Seconds())
		if r.Trouble == "" {
			r.Trouble = "the server does not answer"
		}
	} else if earlier, seconds, ok := past.add(picture, now); ok {
		r.since(picture, earlier, seconds)
	}
	if as == "json" {
		return e.jsonLine(r)
	}
	_, err := e.stdout.Write([]byte(r.line(now) + "\n"))
	return err
}

// lastPicture is the newest picture that a stream brought.
type lastPicture struct {
	first chan struct{} // closed when there is one

	mu      sync.Mutex
	picture core.Top
	arrived time.Time
}

// take folds what Top brings: the whole first, then changes.
func (p *lastPicture) take(t core.Top, whole bool) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	unknown := p.arrived.IsZero()
	if !whole && unknown {
		return nil
	}
	if !whole {
		t = p.picture.Merge(t)
	}
	p.picture, p.arrived = t, time.Now()
	if unknown {
		close(p.first)
	}
	return nil
}

func (p *lastPicture) now() (core.Top, time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.picture, p.arrived
}

// pictures are those of the last seconds, oldest first, and when they were
// looked at.
type pictures []timedPicture

type timedPicture struct {
	at  time.Time
	top core.Top
}

// add keeps a picture and returns the oldest of the window before it, with how
// many seconds lie between the two; false when there is none.
func (p *pictures) add(t core.Top, at time.Time) (earlier core.Top, seconds float64, ok bool) {
	kept := *p
	if n := len(kept); n > 0 && emptied(t, kept[n-1].top) {
		kept = nil
	}
	for len(kept) > 0 && at.Sub(kept[0].at) > plainWindow+plainEvery/2 {
		kept = kept[1:]
	}
	if len(kept) > 0 {
		earlier, seconds = kept[0].top, at.Sub(kept[0].at).Seconds()
	}
	*p = append(append(make(pictures, 0, len(kept)+1), kept...), timedPicture{at, t})
	return earlier, seconds, seconds > 0.1
}

// emptied reports whether the store was replaced between two pictures: totals
// only grow.
func emptied(now, before core.Top) bool {
	return now.Numbers != nil && before.Numbers != nil && now.Numbers.Totals.Submitted < before.Numbers.Totals.Submitted
}
