package httpapi

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"faasctl/core"
	"faasctl/httpapi/wire"

	"github.com/danielgtaylor/huma/v2"
)

type operationRef struct {
	ID string `path:"id" doc:"an operation's id" example:"op-0m2u226mqj422"`
}

type operationWait struct {
	ID   string `path:"id" doc:"an operation's id" example:"op-0m2u226mqj422"`
	Wait string `query:"wait" doc:"how long to wait for its end: 30s or a number of seconds; 60s at most" example:"30s"`
}

type operationQuery struct {
	Limit int `query:"limit" doc:"at most so many; default 50" minimum:"1" maximum:"1000"`
}

type deadQuery struct {
	Function string `query:"function" doc:"a name: all its versions; name@version or an id: that one"`
	Queue    string `query:"queue" doc:"only of this queue"`
	Error    string `query:"error" doc:"only what died of this: the class of an error, such as ValueError, or the kind of a failure, such as timeout"`
	Before   string `query:"before" doc:"only letters older than this one: the next of the page before"`
	Limit    int    `query:"limit" doc:"at most so many; default 100" minimum:"1" maximum:"1000"`
}

type deadGroupQuery struct {
	Function string `query:"function" doc:"a name: all its versions; name@version or an id: that one"`
	Queue    string `query:"queue" doc:"only of this queue"`
	Error    string `query:"error" doc:"only what died of this class of error or kind of failure"`
}

func operationRoutes(a *api) {
	tags := []string{"operations"}
	const what = "An operation is done to every task that its filter selects when it is asked for. cancel: tasks that have not ended. retry and " +
		"purge: dead letters, which are FAILED tasks that nothing will try again and nobody has run again; one that expired is none. "
	declareBody(a, huma.Operation{
		OperationID: "operations-plan", Method: http.MethodPost, Path: "/v1/operations:plan", Tags: tags,
		Summary: "Say what an operation would do", Description: what, Errors: []int{http.StatusNotFound},
	}, true, a.s.plan)
	declareBody(a, huma.Operation{
		OperationID: "operations-start", Method: http.MethodPost, Path: "/v1/operations", Tags: tags, DefaultStatus: http.StatusAccepted,
		Summary: "Do something to many tasks",
		Description: what + "It is in the journal when it is answered, and takes effect whatever becomes of whoever asked: a retry at once, a cancel " +
			"or a purge after a few seconds in which it can be undone.",
		Errors: []int{http.StatusNotFound},
	}, true, a.s.startOperation)
	declare(a, huma.Operation{
		OperationID: "operations-list", Method: http.MethodGet, Path: "/v1/operations", Tags: tags, RejectUnknownQueryParameters: true,
		Summary: "The journal of operations, newest first", Errors: []int{http.StatusBadRequest, http.StatusUnprocessableEntity},
	}, a.s.operations)
	idErrors := []int{http.StatusBadRequest, http.StatusNotFound}
	declare(a, huma.Operation{
		OperationID: "operations-get", Method: http.MethodGet, Path: "/v1/operations/{id}", Tags: tags, RejectUnknownQueryParameters: true,
		Summary: "Show an operation, or wait for its end", Errors: idErrors,
	}, a.s.operation)
	declare(a, huma.Operation{
		OperationID: "operations-undo", Method: http.MethodPost, Path: "/v1/operations/{id}/undo", Tags: tags,
		Summary: "Undo an operation",
		Description: "A pending one never takes effect. Of a retry the new tasks that no worker has yet are cancelled (undone), and the others counted " +
			"(started); the old tasks of the cancelled ones are dead letters again. 409 when it is too late.",
		Errors: append([]int{http.StatusConflict}, idErrors...),
	}, a.s.undo)
	deadErrors := []int{http.StatusBadRequest, http.StatusNotFound, http.StatusUnprocessableEntity}
	declare(a, huma.Operation{
		OperationID: "dead-list", Method: http.MethodGet, Path: "/v1/dead", Tags: tags, RejectUnknownQueryParameters: true,
		Summary: "List dead letters, newest first", Errors: deadErrors,
		Description: "A page may hold less than the limit although it has a next: a filter by queue, error or several versions has no index.",
	}, a.s.dead)
	declare(a, huma.Operation{
		OperationID: "dead-groups", Method: http.MethodGet, Path: "/v1/dead/groups", Tags: tags, RejectUnknownQueryParameters: true,
		Summary: "Dead letters by function and what they died of, the largest group first; 100,000 are looked at", Errors: deadErrors,
	}, a.s.deadGroups)
}

func (s *Server) plan(ctx context.Context, _ *none, body *wire.Operate) (*answer[core.Plan], error) {
	request, err := operationRequest(body)
	if err != nil {
		return nil, err
	}
	plan, err := s.service.PlanOperation(ctx, request)
	if err != nil {
		return nil, err
	}
	return reply(plan), nil
}

func operationRequest(body *wire.Operate) (core.OperationRequest, error) {
	grace, err := core.GraceOf((*time.Duration)(body.Grace))
	return core.OperationRequest{Kind: body.Kind, Now: body.Now, Grace: grace, Filter: core.BulkFilter{
		State: body.Filter.State, Function: body.Filter.Function, Queue: body.Filter.Queue, Error: body.Filter.Error,
	}}, err
}

func (s *Server) startOperation(ctx context.Context, _ *none, body *wire.Operate) (*answer[core.Operation], error) {
	request, err := operationRequest(body)
	if err != nil {
		return nil, err
	}
	request.By = s.caller(exchangeOf(ctx).r)
	if body.ID != "" {
		id, err := core.ParseOperationID(body.ID)
		if err != nil {
			return nil, err
		}
		request.ID = id
	}
	op, err := s.service.StartOperation(ctx, request)
	if err != nil {
		return nil, err
	}
	return reply(op), nil
}

// caller is who sends a request, for the journal: the user behind a connection
// of this machine, or where the bearer of a token is.
func (s *Server) caller(r *http.Request) string {
	p, _ := r.Context().Value(peerKey{}).(*peer)
	if p == nil {
		return ""
	}
	if uid, known := p.owner(); known && !(s.gate.tokened && s.gate.bearer(r.Header.Get("Authorization"))) {
		return "uid " + strconv.FormatUint(uint64(uid), 10)
	}
	return "token, from " + p.remote.Addr().Unmap().String()
}

func (s *Server) operations(ctx context.Context, p *operationQuery) (*answer[wire.Operations], error) {
	all, err := s.service.Operations(ctx, p.Limit)
	if err != nil {
		return nil, err
	}
	return reply(wire.Operations{Operations: listed(all)}), nil
}

func (s *Server) operation(ctx context.Context, p *operationWait) (*answer[core.Operation], error) {
	id, err := core.ParseOperationID(p.ID)
	if err != nil {
		return nil, err
	}
	wait, err := patience(p.Wait)
	if err != nil {
		return nil, err
	}
	patient, cancel := s.patient(ctx)
	defer cancel()
	op, err := s.service.Operation(patient, id, wait)
	if err != nil && patient.Err() != nil && ctx.Err() == nil { // the server drains
		op, err = s.service.Operation(ctx, id, 0)
	}
	if err != nil {
		return nil, err
	}
	return reply(op), nil
}

func (s *Server) undo(ctx context.Context, p *operationRef) (*answer[core.Operation], error) {
	id, err := core.ParseOperationID(p.ID)
	if err != nil {
		return nil, err
	}
	op, err := s.service.UndoOperation(ctx, id)
	if err != nil {
		return nil, err
	}
	return reply(op), nil
}

func (s *Server) dead(ctx context.Context, p *deadQuery) (*answer[core.TaskPage], error) {
	var before core.TaskID
	if p.Before != "" {
		var err error
		if before, err = core.ParseTaskID(p.Before); err != nil {
			return nil, err
		}
	}
	page, err := s.service.Dead(ctx, core.BulkFilter{Function: p.Function, Queue: p.Queue, Error: p.Error}, before, p.Limit)
	if err != nil {
		return nil, err
	}
	page.Tasks = listed(page.Tasks)
	return reply(page), nil
}

func (s *Server) deadGroups(ctx context.Context, p *deadGroupQuery) (*answer[wire.DeadGroups], error) {
	groups, more, err := s.service.DeadGroups(ctx, core.BulkFilter{Function: p.Function, Queue: p.Queue, Error: p.Error})
	if err != nil {
		return nil, err
	}
	return reply(wire.DeadGroups{Groups: listed(groups), More: more}), nil
}
