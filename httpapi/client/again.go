package client

import (
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"time"

	"faasctl/core"
)

const (
	tellAfter  = time.Second // Config.Waiting hears of what takes so long
	pauseFirst = 50 * time.Millisecond
	pauseMost  = time.Second
	afterMost  = 5 * time.Second
)

// exchange sends a request until it is answered, but again only what may be sent
// again, and for at most the client's patience. Servers that are restarted one after
// the other are so no error to whoever calls.
func (c *Client) exchange(ctx context.Context, a asked, into any) (status int, err error) {
	for again := c.newPatience(); ; {
		var after time.Duration // what the server asks for
		status, after, err = c.send(ctx, a, into)
		if err == nil || ctx.Err() != nil || !(a.again && retryable(err) || neverArrived(err)) {
			return status, err
		}
		if err := again.wait(ctx, after, err); err != nil {
			return status, err
		}
	}
}

// patience is how long one thing is tried again and again.
type patience struct {
	c     *Client
	began time.Time
	pause time.Duration
	told  bool
}

func (c *Client) newPatience() *patience {
	return &patience{c: c, began: time.Now(), pause: pauseFirst}
}

// wait waits before the next attempt after one that failed with err, for longer each
// time and at least after, or returns why there is none.
func (p *patience) wait(ctx context.Context, after time.Duration, err error) error {
	var silent *silentError
	wait := max(p.pause/2, min(after, afterMost)) + rand.N(p.pause)
	if time.Since(p.began)+wait > p.c.patience || errors.As(err, &silent) {
		return err
	}
	if !p.told && time.Since(p.began)+wait > tellAfter {
		p.told = true
		p.c.waiting(err)
	}
	p.pause = min(2*p.pause, pauseMost)
	timer := time.NewTimer(wait)
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		timer.Stop()
		return context.Cause(ctx)
	}
}

// silentError is of a server that has had all the time it is given.
type silentError struct{ err *core.Error }

func (e *silentError) Error() string { return e.err.Error() }
func (e *silentError) Unwrap() error { return e.err }

// neverArrived reports whether a request failed before it could have been sent.
func neverArrived(err error) bool {
	var op *net.OpError
	return core.ClassOf(err) == core.ErrUnavailable && errors.As(err, &op) && op.Op == "dial"
}
