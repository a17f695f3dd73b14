package httpapi

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"faasctl/core"
	"faasctl/httpapi/wire"

	"github.com/danielgtaylor/huma/v2"
)

type taskRef struct {
	ID string `path:"id" doc:"a task's id"`
}

type taskCancel struct {
	ID    string `path:"id" doc:"a task's id"`
	Grace string `query:"grace" doc:"what a call that runs has to end after a polite signal, before it is killed: 5s or a number of seconds, at most 1h; absent: its dispatcher's. Of several cancels the shortest holds" example:"5s"`
}

type taskWait struct {
	ID   string `path:"id" doc:"a task's id"`
	Wait string `query:"wait" doc:"how long to wait for the task's end: 30s or a number of seconds; 60s at most" example:"30s"`
}

type taskQuery struct {
	State    string `query:"state" doc:"only tasks in this state" enum:"QUEUED,DELAYED,RUNNING,COMPLETED,FAILED,CANCELLED"`
	Function string `query:"function" doc:"only tasks of this function: any reference"`
	Before   string `query:"before" doc:"only tasks submitted before this one: the next of the page before"`
	Limit    int    `query:"limit" doc:"at most so many; default 100" minimum:"1" maximum:"1000"`
}

func taskRoutes(a *api) {
	tags := []string{"tasks"}
	declareBody(a, huma.Operation{
		OperationID: "tasks-submit", Method: http.MethodPost, Path: "/v1/tasks", Tags: tags, DefaultStatus: http.StatusAccepted,
		Summary: "Call a function with JSON arguments", Errors: []int{http.StatusNotFound, http.StatusConflict, http.StatusTooManyRequests},
		Description: "With an idempotency key, in the header or the body, the first request makes the task and each further one is answered with it " +
			"(200, repeated). A key belongs to one function's name, counts the arguments and everything else that the body says, and is " +
			"kept as long as the task. " + onceDoc,
	}, true, a.s.submit)
	a.operation(huma.Operation{Method: http.MethodPost, Path: "/v1/tasks"}).Responses["200"] = &huma.Response{
		Description: "An earlier request with the same key made this task", Content: map[string]*huma.MediaType{jsonType: {Schema: schemaOf[wire.Submitted](a, "")}},
	}
	declare(a, huma.Operation{
		OperationID: "tasks-list", Method: http.MethodGet, Path: "/v1/tasks", Tags: tags, RejectUnknownQueryParameters: true,
		Summary: "List tasks, newest first", Errors: []int{http.StatusBadRequest, http.StatusNotFound, http.StatusUnprocessableEntity},
	}, a.s.list)
	idErrors := []int{http.StatusBadRequest, http.StatusNotFound, http.StatusGone}
	declare(a, huma.Operation{
		OperationID: "tasks-get", Method: http.MethodGet, Path: "/v1/tasks/{id}", Tags: tags, Errors: idErrors, RejectUnknownQueryParameters: true,
		Summary: "Show a task, or wait for its end",
	}, a.s.task)
	declare(a, huma.Operation{
		OperationID: "tasks-spec", Method: http.MethodGet, Path: "/v1/tasks/{id}/spec", Tags: tags, Errors: idErrors,
		Summary: "Show what was asked for, with its arguments",
	}, a.s.spec)
	declare(a, huma.Operation{
		OperationID: "tasks-attempts", Method: http.MethodGet, Path: "/v1/tasks/{id}/attempts", Tags: tags, Errors: idErrors,
		Summary: "What became of each start of a task",
	}, a.s.attempts)
	declare(a, huma.Operation{
		OperationID: "tasks-why", Method: http.MethodGet, Path: "/v1/tasks/{id}/why", Tags: tags, Errors: idErrors,
		Summary: "Say why a task waits, runs long, was tried again or ended as it did",
		Description: "Findings, the causes first, each with a code for programs, a sentence for people and, where one helps, the command to type. " +
			"The place in a queue is counted over the first 1,000 entries of its line; more says that there are more.",
	}, a.s.why)
	declare(a, huma.Operation{
		OperationID: "tasks-cancel", Method: http.MethodPost, Path: "/v1/tasks/{id}/cancel", Tags: tags, Errors: append([]int{http.StatusUnprocessableEntity}, idErrors...), RejectUnknownQueryParameters: true,
		Summary: "Ask for the end of a task",
	}, a.s.cancelOne)
	declareBody(a, huma.Operation{
		OperationID: "tasks-cancel-many", Method: http.MethodPost, Path: "/v1/tasks:cancel", Tags: tags,
		Summary: "Ask for the end of many tasks",
	}, true, a.s.cancelMany)
	declareBody(a, huma.Operation{
		OperationID: "tasks-retry-many", Method: http.MethodPost, Path: "/v1/tasks:retry", Tags: tags,
		Summary: "Run ended tasks again, as new tasks with the same arguments", Description: onceDoc,
	}, true, a.s.retryMany)
}

// callRequest turns a call on the wire into what the Service takes.
func callRequest(call *wire.Call) (core.SubmitRequest, error) {
	if call.Function == "" {
		return core.SubmitRequest{}, missing("function")
	}
	codec, args, err := callArgs(call)
	if err != nil {
		return core.SubmitRequest{}, err
	}
	return core.SubmitRequest{
		Function: call.Function, Codec: codec, Args: args, Timeout: time.Duration(call.Timeout), Retries: call.Retries,
		Expires: (*time.Duration)(call.Expires),
		Queue:   call.Queue, Priority: call.Priority, Labels: call.Labels, Delay: time.Duration(call.Delay), At: call.At, Key: call.Key,
	}, nil
}

// callArgs returns the arguments of a call as the store keeps them.
func callArgs(call *wire.Call) (core.Codec, []byte, error) {
	if call.Pickle != nil {
		if len(call.Args)+len(call.Kwargs) > 0 {
			return "", nil, core.Errorf(core.ErrInvalid, "", "pickle stands in place of args and kwargs").WithHint("send either a pickle or JSON")
		}
		return core.Dill, call.Pickle, nil
	}
	args, err := jsonPart("args", call.Args, '[')
	if err != nil {
		return "", nil, err
	}
	kwargs, err := jsonPart("kwargs", call.Kwargs, '{')
	if err != nil {
		return "", nil, err
	}
	pair := make([]byte, 0, len(args)+len(kwargs)+3)
	return core.JSON, append(append(append(append(append(pair, '['), args...), ','), kwargs...), ']'), nil
}

// jsonPart checks that a part of the arguments is an array or an object; an
// absent one is empty.
func jsonPart(name string, data json.RawMessage, open byte) ([]byte, error) {
	data = bytes.TrimSpace(data)
	switch {
	case len(data) == 0 || string(data) == "null":
		return []byte{open, open + 2}, nil // "[]" and "{}": two apart in ASCII
	case data[0] == open:
		return data, nil
	}
	kind := map[byte]string{'[': "array", '{': "object"}[open]
	return nil, core.Errorf(core.ErrInvalid, "", "%s must be a JSON %s", name, kind).
		WithHint("positional arguments are an array such as [3, 4], keywords an object such as {\"a\": 3}")
}

// onceHeader carries a token that a client draws for one request, and sends again
// with it when the answer was lost.
const onceHeader = "Faasctl-Request"

const onceDoc = "A request that carries a random token in the header " + onceHeader + " may be sent again for five minutes when its answer was lost."

type taskSubmit struct {
	Key string `header:"Idempotency-Key" doc:"as key in the body, which must not say another"`
}

// keyOf joins the key of the header with that of the body.
func keyOf(header, body string) (string, error) {
	if header != "" && body != "" && header != body {
		return "", core.Errorf(core.ErrInvalid, "", "the header Idempotency-Key and the key in the body differ").WithHint("send one of them")
	}
	return cmp.Or(header, body), nil
}

func (s *Server) submit(ctx context.Context, p *taskSubmit, body *wire.Call) (*answer[wire.Submitted], error) {
	request, err := callRequest(body)
	if err != nil {
		return nil, err
	}
	if request.Key, err = keyOf(p.Key, request.Key); err != nil {
		return nil, err
	}
	done, err := s.service.SubmitOne(ctx, exchangeOf(ctx).r.Header.Get(onceHeader), request)
	if err != nil {
		return nil, err
	}
	out := reply(wire.Submitted{ID: done.ID, FunctionID: done.Function, Function: done.Name, Repeated: done.Repeated})
	if done.Repeated {
		out.Status = http.StatusOK
	}
	return out, nil
}

func (s *Server) list(ctx context.Context, p *taskQuery) (*answer[core.TaskPage], error) {
	filter := core.TaskFilter{State: core.State(p.State), Limit: p.Limit}
	if p.Before != "" {
		id, err := core.ParseTaskID(p.Before)
		if err != nil {
			return nil, err
		}
		filter.Before = id
	}
	if p.Function != "" {
		// A whole id stands for itself: a removed function still has tasks.
		id, err := core.ParseFunctionID(p.Function)
		if err != nil {
			f, err := s.service.Function(ctx, p.Function)
			if err != nil {
				return nil, err
			}
			id = f.ID
		}
		filter.Function = id
	}
	page, err := s.service.List(ctx, filter)
	if err != nil {
		return nil, err
	}
	page.Tasks = listed(page.Tasks)
	return reply(page), nil
}

// patience reads a wait; what is longer than maxWait is cut to it.
func patience(text string) (time.Duration, error) {
	if text == "" {
		return 0, nil
	}
	var wait wire.Duration
	if err := wait.UnmarshalText([]byte(text)); err != nil {
		return 0, core.Errorf(core.ErrInvalid, "", "wait: %s", err.Error())
	}
	if wait < 0 {
		return 0, core.Errorf(core.ErrInvalid, "", "wait: must not be negative")
	}
	return min(time.Duration(wait), maxWait), nil
}

// await returns the task's record when it has ended or the wait is over. When
// the server drains, that is at once.
func (s *Server) await(ctx context.Context, text, span string) (core.Task, error) {
	id, err := core.ParseTaskID(text)
	if err != nil {
		return core.Task{}, err
	}
	wait, err := patience(span)
	if err != nil {
		return core.Task{}, err
	}
	if wait == 0 {
		return s.service.Task(ctx, id)
	}
	patient, cancel := s.patient(ctx)
	defer cancel()
	task, err := s.service.Wait(patient, id, wait)
	if err != nil && errors.Is(context.Cause(patient), errDraining) && ctx.Err() == nil {
		return s.service.Task(ctx, id)
	}
	return task, err
}

func (s *Server) task(ctx context.Context, p *taskWait) (*answer[core.Task], error) {
	task, err := s.await(ctx, p.ID, p.Wait)
	if err != nil {
		return nil, err
	}
	return reply(task), nil
}

func (s *Server) spec(ctx context.Context, p *taskRef) (*answer[wire.Spec], error) {
	id, err := core.ParseTaskID(p.ID)
	if err != nil {
		return nil, err
	}
	spec, err := s.service.Spec(ctx, id)
	if err != nil {
		return nil, err
	}
	out := wire.Spec{Spec: spec, Timeout: wire.Duration(spec.Timeout), Expires: wire.Duration(spec.Expires)}
	if spec.Codec == core.Dill {
		out.Pickle = spec.Args
		return reply(out), nil
	}
	var pair []json.RawMessage
	if err := json.Unmarshal(spec.Args, &pair); err != nil || len(pair) != 2 {
		return nil, core.Errorf(core.ErrInternal, "", "the stored arguments of task %s are damaged", id)
	}
	out.Args, out.Kwargs = pair[0], pair[1]
	return reply(out), nil
}

func (s *Server) attempts(ctx context.Context, p *taskRef) (*answer[wire.Attempts], error) {
	id, err := core.ParseTaskID(p.ID)
	if err != nil {
		return nil, err
	}
	_, all, err := s.service.Attempts(ctx, id)
	if err != nil {
		return nil, err
	}
	return reply(wire.Attempts{Attempts: listed(all)}), nil
}

func (s *Server) why(ctx context.Context, p *taskRef) (*answer[core.Why], error) {
	id, err := core.ParseTaskID(p.ID)
	if err != nil {
		return nil, err
	}
	why, err := s.service.Why(ctx, id)
	if err != nil {
		return nil, err
	}
	return reply(why), nil
}

func (s *Server) cancelOne(ctx context.Context, p *taskCancel) (*answer[wire.Cancelled], error) {
	id, err := core.ParseTaskID(p.ID)
	if err != nil {
		return nil, err
	}
	var asked *wire.Duration
	if p.Grace != "" {
		asked = new(wire.Duration)
		if err := asked.UnmarshalText([]byte(p.Grace)); err != nil {
			return nil, core.Errorf(core.ErrInvalid, "", "grace: %s", err.Error())
		}
	}
	grace, err := core.GraceOf((*time.Duration)(asked))
	if err != nil {
		return nil, err
	}
	verdicts, err := s.service.Cancel(ctx, []core.TaskID{id}, grace)
	if err != nil {
		return nil, err
	}
	if verdicts[0] == core.CancelUnknown {
		if _, err := s.service.Task(ctx, id); err != nil { // says so in the Service's words
			return nil, err
		}
	}
	return reply(wire.Cancelled{ID: id, Verdict: verdicts[0]}), nil
}

// idsOf reads the ids that one request names.
func idsOf(named []string) ([]core.TaskID, error) {
	if len(named) > core.MaxBatch {
		return nil, core.Errorf(core.ErrInvalid, "", "%d ids are more than the %d that one request may name", len(named), core.MaxBatch)
	}
	ids := make([]core.TaskID, len(named))
	for i, text := range named {
		var err error
		if ids[i], err = core.ParseTaskID(text); err != nil {
			return nil, err
		}
	}
	return ids, nil
}

// retryMany submits ended tasks anew; each answer is a new task or a problem.
func (s *Server) retryMany(ctx context.Context, _ *none, body *wire.IDs) (*answer[wire.SubmittedBatch], error) {
	ids, err := idsOf(body.IDs)
	if err != nil {
		return nil, err
	}
	out := wire.SubmittedBatch{Tasks: make([]wire.Submitted, len(ids))}
	if len(ids) == 0 {
		return reply(out), nil
	}
	answers, err := s.service.RetryOnce(ctx, exchangeOf(ctx).r.Header.Get(onceHeader), ids)
	if err != nil {
		return nil, err
	}
	for i, one := range answers {
		out.Tasks[i] = s.submitted(ctx, one)
	}
	return reply(out), nil
}

func (s *Server) cancelMany(ctx context.Context, _ *none, body *wire.Cancel) (*answer[wire.CancelledBatch], error) {
	ids, err := idsOf(body.IDs)
	if err != nil {
		return nil, err
	}
	grace, err := core.GraceOf((*time.Duration)(body.Grace))
	if err != nil {
		return nil, err
	}
	out := wire.CancelledBatch{Tasks: make([]wire.Cancelled, len(ids))}
	if len(ids) == 0 {
		return reply(out), nil
	}
	verdicts, err := s.service.Cancel(ctx, ids, grace)
	if err != nil {
		return nil, err
	}
	for i, id := range ids {
		out.Tasks[i] = wire.Cancelled{ID: id, Verdict: verdicts[i]}
	}
	return reply(out), nil
}
