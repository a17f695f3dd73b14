package client

import (
	"context"
	"errors"
	"io"

	"faasctl/core"
)

// SubmitEach asks for any number of calls, in requests of as many as are there, at
// most core.MaxBatch, and calls each with the answers, in order: memory holds one
// request's worth. next returns the next call, or io.EOF after the last; when wait is
// not set and it would have to wait, it returns ErrNotYet. A request whose answer is
// lost is sent again and makes no second task; the next calls are asked for when the
// server has answered, so that it sets the pace.
func (c *Client) SubmitEach(ctx context.Context, next func(wait bool) (Call, error), each func([]core.Submitted) error) error {
	for ended := false; !ended; {
		var calls []Call
		for bytes := 0; len(calls) < core.MaxBatch && bytes < batchBytes; {
			call, err := next(len(calls) == 0)
			if ended = errors.Is(err, io.EOF); ended || errors.Is(err, ErrNotYet) {
				break
			}
			if err != nil {
				return err
			}
			calls = append(calls, call)
			bytes += len(call.Args) + len(call.Kwargs)
		}
		if err := ctx.Err(); err != nil {
			return context.Cause(ctx)
		}
		if len(calls) == 0 {
			continue
		}
		answers, err := c.submitPart(ctx, calls)
		if err == nil {
			err = each(answers)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// ErrNotYet says that there is no call now, and that there may be one later.
var ErrNotYet = errors.New("no call yet")
