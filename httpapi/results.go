package httpapi

import (
	"context"
	"errors"
	"net/http"
	"time"

	"faasctl/core"
	"faasctl/httpapi/wire"

	"github.com/danielgtaylor/huma/v2"
)

type taskResult struct {
	ID     string `path:"id" doc:"a task's id"`
	Wait   string `query:"wait" doc:"how long to wait for the task's end: 30s or a number of seconds; 60s at most" example:"30s"`
	Format string `query:"format" enum:"json,dill" doc:"json leaves the pickle out, dill puts one in; default: one for a dill call"`
}

type taskLogs struct {
	ID      string `path:"id" doc:"a task's id"`
	Format  string `query:"format" enum:"json,text" doc:"text gives standard output and then standard error, as plain text; default: json"`
	Attempt int    `query:"attempt" minimum:"1" doc:"what this attempt printed; default: what the task ended with"`
	Follow  bool   `query:"follow" doc:"true: a stream that ends with the task"`
	After   string `query:"after" doc:"of a stream: go on after this place" example:"1.2048.0"`

	LastEvent string `header:"Last-Event-ID" doc:"as after, which goes first; browsers send it when they reconnect"`
}

func resultRoutes(a *api) {
	op := huma.Operation{
		OperationID: "tasks-result", Method: http.MethodGet, Path: "/v1/tasks/{id}/result", Tags: []string{"tasks"}, RejectUnknownQueryParameters: true,
		Summary: "What a task ended with", Description: "202 with the task alone while it has not ended.",
		Errors: []int{http.StatusBadRequest, http.StatusNotFound, http.StatusGone},
	}
	declare(a, op, a.s.result)
	a.operation(op).Responses["202"] = &huma.Response{Description: "Not ended yet", Content: map[string]*huma.MediaType{
		jsonType: {Schema: schemaOf[wire.Result](a, "")},
	}}
	logs := huma.Operation{
		OperationID: "tasks-logs", Method: http.MethodGet, Path: "/v1/tasks/{id}/logs", Tags: []string{"tasks"}, RejectUnknownQueryParameters: true,
		Summary: "What a task printed, or prints", Description: followDoc, Errors: append([]int{http.StatusBadRequest, http.StatusNotFound, http.StatusGone, http.StatusUnprocessableEntity}, commonErrors...),
		Responses: map[string]*huma.Response{"200": {Description: "Head and tail of each stream, in base64; or plain text; or a stream", Content: map[string]*huma.MediaType{
			eventsType:   {Schema: &huma.Schema{Type: huma.TypeString}},
			jsonType:     {Schema: schemaOf[core.Output](a, "")},
			"text/plain": {Schema: &huma.Schema{Type: huma.TypeString}},
		}}},
	}
	huma.Register(a.huma, logs, a.s.logs)
}

func (s *Server) result(ctx context.Context, p *taskResult) (*answer[wire.Result], error) {
	id, err := core.ParseTaskID(p.ID)
	if err != nil {
		return nil, err
	}
	wait, err := patience(p.Wait)
	if err != nil {
		return nil, err
	}
	task, result, err := s.awaitResult(ctx, id, wait)
	if err != nil {
		return nil, err
	}
	if result == nil {
		return &answer[wire.Result]{Status: http.StatusAccepted, Body: wire.Result{Task: task}}, nil
	}
	out := wire.Result{Task: task, Value: result.JSON, Repr: result.Repr, Failure: result.Failure}
	if task.State != core.Completed {
		out.Failure = failureOf(&task, result)
	}
	switch p.Format {
	case "":
		out.Pickle = result.Pickle
	case "dill":
		if out.Pickle, err = resultPickle(&task, result); err != nil {
			return nil, err
		}
	}
	return reply(out), nil
}

// awaitResult returns a task and its result when it has ended or the wait is over. When
// the server drains, that is at once.
func (s *Server) awaitResult(ctx context.Context, id core.TaskID, wait time.Duration) (core.Task, *core.Result, error) {
	if wait == 0 {
		return s.service.Result(ctx, id)
	}
	patient, cancel := s.patient(ctx)
	defer cancel()
	task, result, err := s.service.WaitResult(patient, id, wait)
	if err != nil && errors.Is(context.Cause(patient), errDraining) && ctx.Err() == nil {
		return s.service.Result(ctx, id)
	}
	return task, result, err
}

func (s *Server) logs(ctx context.Context, p *taskLogs) (*streamed, error) {
	id, err := core.ParseTaskID(p.ID)
	if err != nil {
		return nil, s.refusal(ctx, err)
	}
	if p.Follow {
		return s.followLogs(ctx, id, p)
	}
	var output core.Output
	if p.Attempt > 0 {
		_, output, err = s.service.AttemptOutput(ctx, id, p.Attempt)
	} else {
		_, output, err = s.service.Output(ctx, id)
	}
	if err != nil {
		return nil, s.refusal(ctx, err)
	}
	return &streamed{func(huma.Context) { writeLogs(exchangeOf(ctx).w, output, p.Format == "text") }}, nil
}

// writeLogs writes a task's output; a client that left needs no answer.
func writeLogs(w http.ResponseWriter, output core.Output, plain bool) {
	if !plain {
		w.Header().Set("Content-Type", jsonType)
		writeJSON(w, output)
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	for _, stream := range []core.Stream{output.Stdout, output.Stderr} {
		_, _ = w.Write(stream.Head)
		if stream.Cut > 0 {
			_, _ = w.Write(cutMark(stream.Cut))
		}
		_, _ = w.Write(stream.Tail)
	}
}
