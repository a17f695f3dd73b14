package client

import (
	"context"
	"net/url"
	"strconv"
	"time"

	"faasctl/core"
	"faasctl/httpapi/wire"
)

// operate is the body of a plan or a start.
func operate(kind core.OperationKind, filter core.BulkFilter) wire.Operate {
	return wire.Operate{Kind: kind, Filter: wire.Selection{State: filter.State, Function: filter.Function, Queue: filter.Queue, Error: filter.Error}}
}

// Plan says what an operation would do now: how many tasks, the oldest, the
// largest groups of them, and how long it would wait before it takes effect. Show
// it and ask before Apply. Of the filter, State, Function, Queue and Error count.
func (c *Client) Plan(ctx context.Context, kind core.OperationKind, filter core.BulkFilter) (core.Plan, error) {
	var plan core.Plan
	err := c.post(ctx, "/v1/operations:plan", operate(kind, filter), &plan)
	return plan, err
}

// Apply starts an operation and returns its line in the journal. It takes effect
// whatever becomes of this process: a retry at once; a cancel or a purge when
// Due, until which Undo stops it, or with now at once and for good. One that is
// OperationApplying goes on; Operation waits for its end.
func (c *Client) Apply(ctx context.Context, kind core.OperationKind, filter core.BulkFilter, now bool) (core.Operation, error) {
	return c.ApplyWithin(ctx, kind, filter, now, 0)
}

// ApplyWithin is Apply with a grace for the calls that a cancel ends; 0 is their
// dispatcher's, core.NoGrace none.
func (c *Client) ApplyWithin(ctx context.Context, kind core.OperationKind, filter core.BulkFilter, now bool, grace time.Duration) (core.Operation, error) {
	body := operate(kind, filter)
	body.Now, body.Grace = now, wireGrace(grace)
	body.ID = string(core.NewOperationID()) // so that it may be sent again
	var op core.Operation
	err := c.post(ctx, "/v1/operations", body, &op)
	return op, err
}

// Undo undoes an operation as far as that goes: a pending one never takes
// effect; of a retry the new tasks that no worker has yet are cancelled, counted in
// Undone, and the others in Started. ErrConflict when it is too late. One that is
// OperationUndoing goes on; Operation waits for its end.
func (c *Client) Undo(ctx context.Context, id core.OperationID) (core.Operation, error) {
	var op core.Operation
	err := c.post(ctx, operationPath(id)+"/undo", nil, &op)
	return op, err
}

func operationPath(id core.OperationID) string { return "/v1/operations/" + url.PathEscape(string(id)) }

// Operation returns one as soon as it has ended, or after wait as it then stands.
func (c *Client) Operation(ctx context.Context, id core.OperationID, wait time.Duration) (core.Operation, error) {
	for until := time.Now().Add(wait); ; {
		var op core.Operation
		err := c.get(ctx, operationPath(id), nil, step(until), &op)
		if err != nil || op.State.Ended() || !time.Now().Before(until) {
			return op, err
		}
	}
}

// Operations returns the journal, newest first; limit 0 is the server's default.
func (c *Client) Operations(ctx context.Context, limit int) ([]core.Operation, error) {
	query := url.Values{}
	if limit != 0 {
		query.Set("limit", strconv.Itoa(limit))
	}
	var answer wire.Operations
	err := c.get(ctx, "/v1/operations", query, 0, &answer)
	return answer.Operations, err
}

// Dead returns one page of dead letters, newest first. It may hold less than
// limit although Next is set.
func (c *Client) Dead(ctx context.Context, filter core.BulkFilter, before core.TaskID, limit int) (core.TaskPage, error) {
	query := deadQuery(filter)
	if before != "" {
		query.Set("before", string(before))
	}
	if limit != 0 {
		query.Set("limit", strconv.Itoa(limit))
	}
	var page core.TaskPage
	err := c.get(ctx, "/v1/dead", query, 0, &page)
	return page, err
}

// DeadGroups groups dead letters by function and what they died of, the largest
// group first; more says that only the newest 100,000 were looked at.
func (c *Client) DeadGroups(ctx context.Context, filter core.BulkFilter) (groups []core.FailureGroup, more bool, err error) {
	var answer wire.DeadGroups
	err = c.get(ctx, "/v1/dead/groups", deadQuery(filter), 0, &answer)
	return answer.Groups, answer.More, err
}

func deadQuery(filter core.BulkFilter) url.Values {
	query := url.Values{}
	for name, value := range map[string]string{"function": filter.Function, "queue": filter.Queue, "error": filter.Error} {
		if value != "" {
			query.Set(name, value)
		}
	}
	return query
}
