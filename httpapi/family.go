package httpapi

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"time"
	"unicode/utf8"

	"faasctl/core"

	"github.com/danielgtaylor/huma/v2"
)

// The four routes of the contract: see contract/README.md. Unknown JSON fields
// are ignored here, and only here.

type familyRegister struct {
	Name    *string `json:"name" doc:"what to call the function" nullable:"false"`
	Payload *string `json:"payload" doc:"dill64 of the function" nullable:"false"`
	Python  *string `json:"python,omitempty" doc:"minor version that made the pickle; workers of another do not get it" example:"3.11"`
}

type familyRegistered struct {
	FunctionID core.FunctionID `json:"function_id" format:"uuid"`
}

type familyExecute struct {
	FunctionID *string `json:"function_id" doc:"as /register_function gave it" nullable:"false"`
	Payload    *string `json:"payload" doc:"dill64 of (args_tuple, kwargs_dict)" nullable:"false"`
}

type familyExecuted struct {
	TaskID core.TaskID `json:"task_id" format:"uuid"`
}

type familyStatus struct {
	TaskID core.TaskID `json:"task_id" format:"uuid"`
	Status core.State  `json:"status" enum:"QUEUED,RUNNING,COMPLETED,FAILED"`
}

type familyResult struct {
	TaskID core.TaskID     `json:"task_id" format:"uuid"`
	Status core.State      `json:"status" enum:"QUEUED,RUNNING,COMPLETED,FAILED"`
	Result json.RawMessage `json:"result" doc:"dill64 of the value or exception (\"\" until the task ends), or JSON for a task with JSON arguments (null until then)"`
}

type familyTask struct {
	ID string `path:"task_id" doc:"as /execute_function gave it"`
}

type familyResultOf struct {
	ID     string `path:"task_id" doc:"as /execute_function gave it"`
	Format string `query:"format" enum:"json,dill" doc:"the encoding of the result; default: that of the call"`
}

func familyRoutes(a *api) {
	// Served with and without a slash at the end; a redirect would turn the
	// POST of many a client into a GET.
	for _, tail := range []string{"", "/{$}"} {
		declareBody(a, huma.Operation{
			OperationID: "register_function" + tail, Method: http.MethodPost, Path: "/register_function" + tail, Tags: []string{"family"},
			Summary: "Register a pickled function", Hidden: tail != "",
		}, false, a.s.familyRegister)
		declareBody(a, huma.Operation{
			OperationID: "execute_function" + tail, Method: http.MethodPost, Path: "/execute_function" + tail, Tags: []string{"family"},
			Summary: "Call a function with pickled arguments", Hidden: tail != "", Errors: []int{http.StatusNotFound},
		}, false, a.s.familyExecute)
	}
	declare(a, huma.Operation{
		OperationID: "status", Method: http.MethodGet, Path: "/status/{task_id}", Tags: []string{"family"},
		Summary: "Where a task stands, in four words", Errors: []int{http.StatusBadRequest, http.StatusNotFound},
	}, a.s.familyStatus)
	declare(a, huma.Operation{
		OperationID: "result", Method: http.MethodGet, Path: "/result/{task_id}", Tags: []string{"family"},
		Summary: "What a task ended with", Errors: []int{http.StatusBadRequest, http.StatusNotFound},
	}, a.s.familyResult)
}

// familyName makes a function's name of any text: the family's clients name
// functions as they like and call them by id, so no name of theirs is refused.
func familyName(text string) string {
	if core.CheckName(text) == nil {
		return text
	}
	name := "f_" + strings.Map(func(r rune) rune {
		if r < utf8.RuneSelf && core.CheckName("f"+string(r)) == nil {
			return r
		}
		return '_'
	}, text)
	return name[:min(len(name), 128)]
}

func (s *Server) familyRegister(ctx context.Context, _ *none, body *familyRegister) (*answer[familyRegistered], error) {
	switch {
	case body.Name == nil:
		return nil, missing("name")
	case body.Payload == nil:
		return nil, missing("payload")
	}
	pickle, err := decodeDill64("payload", *body.Payload)
	if err != nil {
		return nil, err
	}
	request := core.RegisterRequest{Name: familyName(*body.Name), Codec: core.Dill, Body: pickle}
	if body.Python != nil {
		request.Python = *body.Python
	}
	done, err := s.service.Register(ctx, request)
	if err != nil {
		return nil, err
	}
	return reply(familyRegistered{done.Function.ID}), nil
}

func (s *Server) familyExecute(ctx context.Context, _ *none, body *familyExecute) (*answer[familyExecuted], error) {
	switch {
	case body.FunctionID == nil:
		return nil, missing("function_id")
	case body.Payload == nil:
		return nil, missing("payload")
	}
	id, err := core.ParseFunctionID(*body.FunctionID)
	if err != nil {
		return nil, err
	}
	pickle, err := decodeDill64("payload", *body.Payload)
	if err != nil {
		return nil, err
	}
	key := exchangeOf(ctx).r.Header.Get("Idempotency-Key")
	done, err := s.service.Submit(ctx, core.SubmitRequest{Function: string(id), Codec: core.Dill, Args: pickle, Key: key})
	if err != nil {
		return nil, err
	}
	return reply(familyExecuted{done.ID}), nil
}

func (s *Server) familyStatus(ctx context.Context, p *familyTask) (*answer[familyStatus], error) {
	id, err := core.ParseTaskID(p.ID)
	if err != nil {
		return nil, err
	}
	task, err := s.service.Task(ctx, id)
	if err != nil {
		return nil, familyGone(err)
	}
	return reply(familyStatus{id, familyState(task.State)}), nil
}

// familyGone is 404 for a task that is not kept any more: the family knows no 410.
func familyGone(err error) error {
	if errors.Is(err, core.ErrGone) {
		return core.Errorf(core.ErrNotFound, "", "%s", err.Error()).WithHint("%s", core.HintOf(err))
	}
	return err
}

// familyState maps the finer states onto the four that family clients know.
func familyState(state core.State) core.State {
	switch state {
	case core.Delayed:
		return core.Queued
	case core.Cancelled:
		return core.Failed
	}
	return state
}

func (s *Server) familyResult(ctx context.Context, p *familyResultOf) (*answer[familyResult], error) {
	id, err := core.ParseTaskID(p.ID)
	if err != nil {
		return nil, err
	}
	task, result, err := s.awaitResult(ctx, id, s.polls.hold(id, time.Now()))
	if task.ID != "" {
		s.polls.answered(id, task.State.Terminal(), time.Now())
	}
	if err != nil && !(errors.Is(err, core.ErrGone) && task.ID == id && task.State.Terminal()) {
		return nil, familyGone(err)
	}
	if err != nil && task.State == core.Completed {
		return nil, err // its value is not kept any more, and nothing stands in for it
	}
	out := familyResult{TaskID: id, Status: familyState(task.State)}
	if asDill := p.Format == "dill" || (p.Format == "" && task.Codec == core.Dill); asDill {
		text := ""
		if task.State.Terminal() {
			pickle, err := resultPickle(&task, result)
			if err != nil {
				return nil, err
			}
			text = encodeDill64(pickle)
		}
		out.Result, err = json.Marshal(text)
		return reply(out), err
	}
	out.Result, err = resultJSON(&task, result)
	return reply(out), err
}

// resultJSON is the value of a completed task, the failure of another, and
// null before the end.
func resultJSON(task *core.Task, result *core.Result) (json.RawMessage, error) {
	switch {
	case !task.State.Terminal():
		return json.RawMessage("null"), nil
	case task.State == core.Completed && len(result.JSON) > 0:
		return result.JSON, nil
	case task.State == core.Completed:
		return json.RawMessage("null"), nil
	}
	return json.Marshal(failureOf(task, result))
}

// resultPickle is the pickle that a task ended with: what Python made where
// there is one, else a plain one of our own.
func resultPickle(task *core.Task, result *core.Result) ([]byte, error) {
	if result != nil && len(result.Pickle) > 0 {
		return result.Pickle, nil
	}
	if task.State == core.Completed {
		return pickleJSON(result.JSON)
	}
	failure := failureOf(task, result)
	kind := failure.Type
	if kind == "" {
		kind = string(failure.Kind)
	}
	return pickleRuntimeError(kind + ": " + failure.Message), nil
}

// failureOf is why a task failed, made up from its record when its result is
// not kept any more.
func failureOf(task *core.Task, result *core.Result) *core.Failure {
	if result != nil && result.Failure != nil {
		return result.Failure
	}
	kind := task.Failure
	if kind == "" {
		kind = core.KindLost
		if task.State == core.Cancelled {
			kind = core.KindCancelled
		}
	}
	return &core.Failure{Kind: kind, Message: "the task ended without a result"}
}
