package client

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"faasctl/core"
	"faasctl/httpapi/wire"
)

// Call asks for one run of a function.
type Call struct {
	Function     string            // any reference
	Args, Kwargs json.RawMessage   // a JSON array and a JSON object; nil = empty
	Pickle       []byte            // in place of Args and Kwargs: the pickled tuple of both; nil = none
	Timeout      time.Duration     // 0 = the function's, then the server's
	Retries      *int              // further attempts after a failed one; nil = the function's
	Expires      *time.Duration    // FAILED(expired) when it waited longer; 0 = never; nil = the function's
	Queue        string            // "" = default
	Priority     *int              // nil = core.DefaultPriority
	Labels       map[string]string //
	Delay        time.Duration     // > 0: queued only then
	At           time.Time         // not zero: queued only then, by the store's clock; excludes Delay
	Key          string            // makes calls with it one task; "" = none
}

func (call Call) wire() wire.Call {
	return wire.Call{
		Function: call.Function, Args: call.Args, Kwargs: call.Kwargs, Pickle: call.Pickle, Timeout: wire.Duration(call.Timeout), Retries: call.Retries,
		Expires: (*wire.Duration)(call.Expires),
		Queue:   call.Queue, Priority: call.Priority, Labels: call.Labels, Delay: wire.Duration(call.Delay), At: call.At, Key: call.Key,
	}
}

// size is about how many bytes a call has on its way.
func (call Call) size() int { return len(call.Args) + len(call.Kwargs) + len(call.Pickle)/3*4 }

// Submit asks for one call and returns as soon as it is accepted.
func (c *Client) Submit(ctx context.Context, call Call) (core.Submitted, error) {
	var answer wire.Submitted
	if err := c.postOnce(ctx, "/v1/tasks", call.wire(), &answer); err != nil {
		return core.Submitted{}, err
	}
	return submitted(answer), nil
}

func submitted(answer wire.Submitted) core.Submitted {
	s := core.Submitted{ID: answer.ID, Function: answer.FunctionID, Name: answer.Function, Repeated: answer.Repeated}
	if answer.Problem != nil {
		s.Err = problemError(answer.Problem, answer.Problem.Status)
	}
	return s
}

const batchBytes = 4 << 20 // of arguments in one batch request, about

// SubmitBatch asks for many calls; each answer holds an id or an error. Calls
// travel in requests of at most core.MaxBatch. When one of these fails after
// others were accepted, the calls that were not accepted carry the error.
func (c *Client) SubmitBatch(ctx context.Context, calls []Call) ([]core.Submitted, error) {
	answers := make([]core.Submitted, 0, len(calls))
	for len(answers) < len(calls) {
		part := calls[len(answers):]
		n, bytes := 0, 0
		for n < len(part) && n < core.MaxBatch && (n == 0 || bytes+part[n].size() <= batchBytes) {
			bytes += len(part[n].Args) + len(part[n].Kwargs)
			n++
		}
		accepted, err := c.submitPart(ctx, part[:n])
		if err != nil && len(answers) == 0 {
			return nil, err
		}
		if err != nil {
			for range part {
				answers = append(answers, core.Submitted{Err: err})
			}
			break
		}
		answers = append(answers, accepted...)
	}
	return answers, nil
}

func (c *Client) submitPart(ctx context.Context, calls []Call) ([]core.Submitted, error) {
	body := make([]wire.Call, len(calls))
	for i, call := range calls {
		body[i] = call.wire()
	}
	var answer wire.SubmittedBatch
	if err := c.postOnce(ctx, "/v1/tasks:batch", body, &answer); err != nil {
		return nil, err
	}
	if len(answer.Tasks) != len(calls) {
		return nil, c.strange(core.Errorf(core.ErrInternal, "", "%d answers to %d calls", len(answer.Tasks), len(calls)))
	}
	answers := make([]core.Submitted, len(calls))
	for i := range answers {
		answers[i] = submitted(answer.Tasks[i])
	}
	return answers, nil
}

func taskPath(id core.TaskID, rest string) string {
	return "/v1/tasks/" + url.PathEscape(string(id)) + rest
}

// Task returns the record of a task as soon as it has ended, or after wait as
// it then stands.
func (c *Client) Task(ctx context.Context, id core.TaskID, wait time.Duration) (core.Task, error) {
	for until := time.Now().Add(wait); ; {
		var task core.Task
		err := c.get(ctx, taskPath(id, ""), nil, step(until), &task)
		if err != nil || task.State.Terminal() || !time.Now().Before(until) {
			return task, err
		}
	}
}

// Result waits like Task and returns what the task ended with, nil when it has
// not ended yet.
func (c *Client) Result(ctx context.Context, id core.TaskID, wait time.Duration) (core.Task, *core.Result, error) {
	for until := time.Now().Add(wait); ; {
		var answer wire.Result
		status, err := c.exchange(ctx, asked{method: http.MethodGet, path: taskPath(id, "/result"), wait: step(until), again: true}, &answer)
		if err != nil {
			return answer.Task, nil, err
		}
		if status != http.StatusAccepted {
			return answer.Task, &core.Result{JSON: answer.Value, Pickle: answer.Pickle, Repr: answer.Repr, Failure: answer.Failure}, nil
		}
		if !time.Now().Before(until) {
			return answer.Task, nil, nil
		}
	}
}

// step is how long the next request shall wait; 0 when the time is up.
func step(until time.Time) time.Duration { return max(0, min(maxWait, time.Until(until))) }

// Output returns what a task printed, as far as it is known by now.
func (c *Client) Output(ctx context.Context, id core.TaskID) (core.Output, error) {
	var output core.Output
	err := c.get(ctx, taskPath(id, "/logs"), nil, 0, &output)
	return output, err
}

// Attempts returns what became of each start of a task, oldest first: at most
// the last core.KeepAttempts before the present one, and that.
func (c *Client) Attempts(ctx context.Context, id core.TaskID) ([]core.Attempt, error) {
	var answer wire.Attempts
	err := c.get(ctx, taskPath(id, "/attempts"), nil, 0, &answer)
	return answer.Attempts, err
}

// Why says why a task waits, runs long, was tried again or ended as it did.
func (c *Client) Why(ctx context.Context, id core.TaskID) (core.Why, error) {
	var why core.Why
	err := c.get(ctx, taskPath(id, "/why"), nil, 0, &why)
	return why, err
}

// AttemptOutput returns what one attempt printed: ErrNotFound when there was no
// such attempt, ErrGone when its output is not kept any more.
func (c *Client) AttemptOutput(ctx context.Context, id core.TaskID, number int) (core.Output, error) {
	var output core.Output
	err := c.get(ctx, taskPath(id, "/logs"), url.Values{"attempt": {strconv.Itoa(number)}}, 0, &output)
	return output, err
}

// Spec returns what was asked for, with its arguments.
func (c *Client) Spec(ctx context.Context, id core.TaskID) (core.Spec, error) {
	var answer wire.Spec
	if err := c.get(ctx, taskPath(id, "/spec"), nil, 0, &answer); err != nil {
		return core.Spec{}, err
	}
	spec := answer.Spec
	spec.Timeout, spec.Expires = time.Duration(answer.Timeout), time.Duration(answer.Expires)
	if spec.Codec == core.Dill {
		spec.Args = answer.Pickle
		return spec, nil
	}
	var err error
	if spec.Args, err = json.Marshal([]json.RawMessage{answer.Args, answer.Kwargs}); err != nil {
		return spec, c.strange(err)
	}
	return spec, nil
}

// List returns one page of tasks, newest first.
func (c *Client) List(ctx context.Context, filter core.TaskFilter) (core.TaskPage, error) {
	query := url.Values{}
	for name, value := range map[string]string{
		"state": string(filter.State), "function": string(filter.Function), "before": string(filter.Before),
	} {
		if value != "" {
			query.Set(name, value)
		}
	}
	if filter.Limit != 0 {
		query.Set("limit", strconv.Itoa(filter.Limit))
	}
	var page core.TaskPage
	err := c.get(ctx, "/v1/tasks", query, 0, &page)
	return page, err
}

// Cancel asks for the end of tasks and says what that did to each. Calls that run
// have their dispatcher's grace to end.
func (c *Client) Cancel(ctx context.Context, ids []core.TaskID) ([]core.CancelVerdict, error) {
	return c.CancelWithin(ctx, ids, 0)
}

// CancelWithin is Cancel with a grace for calls that run; 0 is their dispatcher's,
// core.NoGrace none.
func (c *Client) CancelWithin(ctx context.Context, ids []core.TaskID, grace time.Duration) ([]core.CancelVerdict, error) {
	verdicts := make([]core.CancelVerdict, 0, len(ids))
	for len(verdicts) < len(ids) {
		part := ids[len(verdicts):]
		part = part[:min(len(part), core.MaxBatch)]
		var answer wire.CancelledBatch
		if err := c.post(ctx, "/v1/tasks:cancel", wire.Cancel{IDs: wireIDs(part).IDs, Grace: wireGrace(grace)}, &answer); err != nil {
			return verdicts, err
		}
		if len(answer.Tasks) != len(part) {
			return verdicts, c.strange(core.Errorf(core.ErrInternal, "", "%d answers to %d ids", len(answer.Tasks), len(part)))
		}
		for _, one := range answer.Tasks {
			verdicts = append(verdicts, one.Verdict)
		}
	}
	return verdicts, nil
}

func wireGrace(grace time.Duration) *wire.Duration {
	if grace == 0 {
		return nil
	}
	return (*wire.Duration)(&grace)
}

// Retry submits ended tasks anew, with the same arguments; each answer holds the
// new task or an error.
func (c *Client) Retry(ctx context.Context, ids []core.TaskID) ([]core.Submitted, error) {
	answers := make([]core.Submitted, 0, len(ids))
	for len(answers) < len(ids) {
		part := ids[len(answers):]
		part = part[:min(len(part), core.MaxBatch)]
		var answer wire.SubmittedBatch
		if err := c.postOnce(ctx, "/v1/tasks:retry", wireIDs(part), &answer); err != nil {
			return answers, err
		}
		if len(answer.Tasks) != len(part) {
			return answers, c.strange(core.Errorf(core.ErrInternal, "", "%d answers to %d ids", len(answer.Tasks), len(part)))
		}
		for _, one := range answer.Tasks {
			answers = append(answers, submitted(one))
		}
	}
	return answers, nil
}

func wireIDs(ids []core.TaskID) wire.IDs {
	body := wire.IDs{IDs: make([]string, len(ids))}
	for i, id := range ids {
		body.IDs[i] = string(id)
	}
	return body
}

// Failures groups failed tasks by what they died of, the largest group first.
func (c *Client) Failures(ctx context.Context) ([]core.FailureGroup, error) {
	var answer wire.Failures
	err := c.get(ctx, "/v1/failures", nil, 0, &answer)
	return answer.Groups, err
}
