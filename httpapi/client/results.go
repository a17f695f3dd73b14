package client

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"slices"
	"time"

	"faasctl/core"
	"faasctl/httpapi/wire"
)

// Results returns how tasks stand, in order, any number of them: as soon as all have
// ended, or after wait. What has not ended has the state wire.Pending; what is unknown
// has an error.
func (c *Client) Results(ctx context.Context, ids []core.TaskID, wait time.Duration) ([]core.Ending, error) {
	until := time.Now().Add(wait)
	all := make([]core.Ending, 0, len(ids))
	for part := range slices.Chunk(ids, core.MaxBatch) {
		endings, err := c.someResults(ctx, part, until)
		if err != nil {
			return all, err
		}
		all = append(all, endings...)
	}
	return all, nil
}

// someResults is Results for one request's worth of tasks. It asks again for those
// that were pending, and for those that did not fit into an answer.
func (c *Client) someResults(ctx context.Context, ids []core.TaskID, until time.Time) ([]core.Ending, error) {
	endings := make([]core.Ending, len(ids))
	open := make([]int, len(ids))
	for i := range open {
		open[i] = i
	}
	for {
		some := make([]core.TaskID, len(open))
		for i, place := range open {
			some[i] = ids[place]
		}
		body := wire.Gather{IDs: wireIDs(some).IDs, Wait: wire.Duration(step(until))}
		var answer wire.Endings
		_, err := c.exchange(ctx, asked{method: http.MethodPost, path: gatherPath, body: body, patient: step(until), again: true}, &answer)
		if err != nil {
			return nil, err
		}
		if len(answer.Results) != len(some) {
			return nil, c.strange(core.Errorf(core.ErrInternal, "", "%d results for %d ids", len(answer.Results), len(some)))
		}
		late := !time.Now().Before(until)
		left := open[:0]
		for i, place := range open {
			one := &answer.Results[i]
			endings[place] = ending(one)
			if one.Later || one.State == wire.Pending && !late {
				left = append(left, place)
			}
		}
		if open = left; len(open) == 0 {
			return endings, nil
		}
	}
}

const gatherPath = "/v1/tasks:results"

func ending(one *wire.Ending) core.Ending {
	e := core.Ending{ID: one.ID, State: one.State}
	switch {
	case one.Problem != nil:
		e.Err = problemError(one.Problem, one.Problem.Status)
	case one.State.Terminal():
		e.Result = &core.Result{JSON: one.Value, Pickle: one.Pickle, Repr: one.Repr, Failure: one.Failure}
	}
	return e
}

// Gather calls each for every task, in the order in which they end, any number of
// them, until all have ended, ctx is done or each fails. No result is kept, and each is
// called once for a task also when the connection is lost and made again; only the
// first attempt may fail.
func (c *Client) Gather(ctx context.Context, ids []core.TaskID, each func(core.Ending) error) error {
	open := slices.Clone(ids)
	return c.again(ctx, func(connected *bool) error {
		for len(open) > 0 {
			// The oldest ones first. When half of them have ended, others take their
			// places, so that a slow one does not keep those behind it.
			window := open[:min(len(open), core.MaxBatch)]
			over := map[core.TaskID]bool{}
			err := c.gatherOnce(ctx, window, connected, func(e core.Ending) error {
				over[e.ID] = true
				return each(e)
			})
			open = slices.DeleteFunc(open, func(id core.TaskID) bool { return over[id] })
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// gatherOnce reads one answer's worth of endings, each when it comes.
func (c *Client) gatherOnce(ctx context.Context, ids []core.TaskID, connected *bool, each func(core.Ending) error) error {
	limited, cancel := context.WithTimeout(ctx, c.timeout+maxWait)
	defer cancel()
	body := wire.Gather{IDs: wireIDs(ids).IDs, Wait: wire.Duration(maxWait), Need: (len(ids) + 1) / 2}
	request, err := c.request(limited, http.MethodPost, gatherPath, nil, body)
	if err != nil {
		return err
	}
	request.Header.Set("Accept", "application/x-ndjson")
	answer, err := c.http.Do(request)
	if err != nil {
		return c.explain(ctx, limited, c.timeout+maxWait, err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return c.problem(answer)
	}
	*connected = true
	lines := bufio.NewReaderSize(answer.Body, 64<<10)
	for n := 0; n < len(ids); n++ {
		line, err := lines.ReadBytes('\n')
		var one wire.Ending
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case err != nil: // also io.EOF: a line for each is to come
			return errLost
		case json.Unmarshal(line, &one) != nil:
			return c.strange(errors.New("a line is no JSON"))
		case one.State == wire.Pending:
			continue
		}
		if err := each(ending(&one)); err != nil {
			return err
		}
	}
	_, _ = io.Copy(io.Discard, io.LimitReader(lines, 1<<10)) // so that the connection can be used again
	return nil
}
