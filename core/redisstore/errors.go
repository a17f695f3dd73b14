package redisstore

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9"

	"faasctl/core"
)

// Beginnings of Redis errors that pass, or that an operator can make pass
// without a change to faasctl. The hint says what to do.
var passing = []struct{ begin, hint string }{
	{"LOADING", "Redis is loading its data; try again in a moment"},
	{"READONLY", "this Redis takes no writes; is it a replica since a failover?"},
	{"MISCONF", "Redis cannot write its data to disk; see its log, the disk may be full"},
	{"OOM", "Redis is out of memory: raise its maxmemory, or remove tasks"},
	{"MASTERDOWN", "this Redis has lost its master"},
	{"CLUSTERDOWN", "the cluster is down"},
	{"TRYAGAIN", "try again in a moment"},
	{"NOREPLICAS", "Redis has too few replicas to take writes"},
	{"BUSY", "Redis is busy with a script; try again in a moment"},
	{"EXECABORT", "Redis refused a command of a transaction: it loads its data, is out of memory or takes no writes"},
	{"NOAUTH", "Redis wants a password: put it into the URL, redis://:PASSWORD@HOST:PORT"},
	{"WRONGPASS", "Redis refused the user name or password of the URL"},
	{"NOPERM", "this Redis user may not run a command that faasctl needs"},
	{"ERR max number of clients", "Redis has too many clients: raise its maxclients"},
}

// failed turns an error of go-redis into one of ours: trouble with the server
// or the way to it is ErrUnavailable, the caller's own context stays what it
// is, and anything else is our mistake.
func (s *Store) failed(op string, ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	var ours *core.Error
	if errors.As(err, &ours) {
		return err
	}
	if ctx.Err() != nil {
		return &contextError{op: op, err: context.Cause(ctx)}
	}
	// The connection has the same deadline and may notice it first.
	if deadline, ok := ctx.Deadline(); ok && !time.Now().Before(deadline) {
		return &contextError{op: op, err: context.DeadlineExceeded}
	}
	wrapped := &core.Error{Class: core.ErrInternal, Op: op, Detail: "Redis refused", Err: err}
	text := err.Error()
	for _, p := range passing {
		// Redis 6.2 wraps what a command in a script answered: "… -OOM command …".
		if redis.HasErrorPrefix(err, p.begin) || strings.Contains(text, " -"+p.begin+" ") {
			wrapped.Class, wrapped.Hint = core.ErrUnavailable, p.hint
			return wrapped
		}
	}
	if unreachable(err) {
		wrapped.Class, wrapped.Detail = core.ErrUnavailable, "Redis cannot be reached"
		wrapped.Hint = "is it running? faasctl doctor looks at it"
		if why := s.cfg.trouble(); why != "" {
			wrapped.Detail, wrapped.Hint = "Redis is down: "+why, "it comes back by itself once that is over; faasctl doctor looks at it"
		}
	}
	return wrapped
}

// unreachable reports whether err is about the connection and not an answer.
func unreachable(err error) bool {
	var netErr net.Error
	var opErr *net.OpError
	var errno syscall.Errno
	return errors.As(err, &netErr) || errors.As(err, &opErr) || errors.As(err, &errno) ||
		errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, redis.ErrClosed) || errors.Is(err, redis.ErrPoolTimeout) || errors.Is(err, redis.ErrPoolExhausted) ||
		errors.Is(err, net.ErrClosed) || errors.Is(err, context.DeadlineExceeded)
}

// contextError says what was being done when the caller's context ended.
type contextError struct {
	op  string
	err error
}

func (e *contextError) Error() string { return e.op + ": " + e.err.Error() }
func (e *contextError) Unwrap() error { return e.err }

// broken is an answer or a stored envelope that we cannot have written.
func broken(op, format string, args ...any) error {
	return core.Errorf(core.ErrInternal, op, format, args...)
}
