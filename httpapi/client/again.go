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
	began, told := time.Now(), false
	var silent *silentError
	for pause := pauseFirst; ; pause = min(2*pause, pauseMost) {
		var after time.Duration // what the server asks for
		status, after, err = c.send(ctx, a, into)
		if err == nil || ctx.Err() != nil || !(a.again && retryable(err) || neverArrived(err)) {
			return status, err
		}
		wait := max(pause/2, min(after, afterMost)) + rand.N(pause)
		if time.Since(began)+wait > c.patience || errors.As(err, &silent) {
			return status, err
		}
		if !told && time.Since(began)+wait > tellAfter {
			told = true
			c.waiting(err)
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return status, context.Cause(ctx)
		}
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
