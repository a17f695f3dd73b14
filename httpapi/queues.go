package httpapi

import (
	"context"
	"net/http"

	"faasctl/httpapi/wire"

	"github.com/danielgtaylor/huma/v2"
)

type queueRef struct {
	Name string `path:"name" doc:"a queue's name" example:"default"`
}

func queueRoutes(a *api) {
	tags := []string{"tasks"}
	declare(a, huma.Operation{
		OperationID: "queues-list", Method: http.MethodGet, Path: "/v1/queues", Tags: tags, Summary: "List the queues that hold tasks or are paused",
	}, a.s.queues)
	errors := []int{http.StatusUnprocessableEntity}
	declare(a, huma.Operation{
		OperationID: "queues-pause", Method: http.MethodPost, Path: "/v1/queues/{name}/pause", Tags: tags, Errors: errors,
		Summary: "Hand out no more tasks of a queue", Description: "Tasks are accepted all the same, and what runs goes on. A queue may be paused before it has tasks.",
	}, a.s.pauseQueue)
	declare(a, huma.Operation{
		OperationID: "queues-resume", Method: http.MethodPost, Path: "/v1/queues/{name}/resume", Tags: tags, Errors: errors,
		Summary: "Hand out tasks of a paused queue again",
	}, a.s.resumeQueue)
}

func (s *Server) queues(ctx context.Context, _ *none) (*answer[wire.Queues], error) {
	all, err := s.service.Queues(ctx)
	if err != nil {
		return nil, err
	}
	return reply(wire.Queues{Queues: listed(all)}), nil
}

func (s *Server) pauseQueue(ctx context.Context, p *queueRef) (*answer[wire.PausedQueue], error) {
	return s.setPaused(ctx, p.Name, true)
}

func (s *Server) resumeQueue(ctx context.Context, p *queueRef) (*answer[wire.PausedQueue], error) {
	return s.setPaused(ctx, p.Name, false)
}

func (s *Server) setPaused(ctx context.Context, name string, paused bool) (*answer[wire.PausedQueue], error) {
	changed, err := s.service.PauseQueue(ctx, name, paused)
	if err != nil {
		return nil, err
	}
	return reply(wire.PausedQueue{Name: name, Paused: paused, Changed: changed}), nil
}
