package httpapi

import (
	"context"
	"net/http"
	"slices"
	"time"

	"faasctl/core"
	"faasctl/httpapi/wire"

	"github.com/danielgtaylor/huma/v2"
)

// topBeat is how often a watcher hears that nothing has changed.
const topBeat = time.Second

func topRoutes(a *api) {
	tags := []string{"system"}
	op := huma.Operation{
		OperationID: "top", Method: http.MethodGet, Path: "/v1/top", Tags: tags,
		Summary: "A picture of the whole system, live, as server-sent events",
		Description: "First a message of kind snapshot with the whole picture, then, at most ten times a second, messages of kind delta with what " +
			"has changed; an empty one each second when nothing has. What is absent from a delta is as before; of histograms, functions " +
			"and buckets stand only those that have changed. The size of a message does not depend on how many tasks run.",
		Responses: map[string]*huma.Response{"200": {Description: "A stream", Content: map[string]*huma.MediaType{
			eventsType: {Schema: &huma.Schema{Type: huma.TypeString}},
		}}},
		Errors: slices.Clone(commonErrors),
	}
	huma.Register(a.huma, op, func(ctx context.Context, _ *none) (*streamed, error) {
		return &streamed{func(huma.Context) { a.s.watch(ctx) }}, nil
	})
	declare(a, huma.Operation{
		OperationID: "failures", Method: http.MethodGet, Path: "/v1/failures", Tags: tags,
		Summary: "Failed tasks by what they died of; the newest 2,000 are looked at",
	}, a.s.failures)
}

// watch shows the board to one client. A client that does not take what is
// written is cut off by the deadline of the write.
func (s *Server) watch(ctx context.Context) {
	patient, cancel := s.patient(ctx)
	defer cancel()
	out := &eventWriter{x: exchangeOf(ctx), patience: s.cfg.WriteTimeout}
	out.begin()
	if out.x.r.Method == http.MethodHead || out.flush() != nil {
		return
	}
	_ = s.board.Watch(patient, topBeat, func(t core.Top, whole bool) error {
		kind := "delta"
		if whole {
			kind = "snapshot"
		}
		out.message(kind, t)
		return out.flush()
	})
}

func (s *Server) failures(ctx context.Context, _ *none) (*answer[wire.Failures], error) {
	groups, err := s.service.Failures(ctx)
	if err != nil {
		return nil, err
	}
	return reply(wire.Failures{Groups: listed(groups)}), nil
}
