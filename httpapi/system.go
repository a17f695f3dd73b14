package httpapi

import (
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"runtime"
	"strings"

	"faasctl/core"
	"faasctl/httpapi/wire"

	"github.com/danielgtaylor/huma/v2"
)

func systemRoutes(a *api) {
	tags := []string{"system"}
	declare(a, huma.Operation{
		OperationID: "workers", Method: http.MethodGet, Path: "/v1/workers", Tags: tags, Summary: "Who is there",
	}, a.s.workers)
	declare(a, huma.Operation{
		OperationID: "workers-show", Method: http.MethodGet, Path: "/v1/workers/{id}", Tags: tags, Summary: "One worker",
		Errors: []int{http.StatusNotFound},
	}, a.s.worker)
	declare(a, huma.Operation{
		OperationID: "workers-drain", Method: http.MethodPost, Path: "/v1/workers/{id}/drain", Tags: tags,
		Summary: "Have a worker end what it has and leave", Errors: []int{http.StatusNotFound, http.StatusConflict},
	}, a.s.drainWorker)
	declareBody(a, huma.Operation{
		OperationID: "checks", Method: http.MethodPost, Path: "/v1/checks", Tags: tags,
		Summary: "Ask the workers whether they could run a function", Description: "Nothing is registered. Takes up to 5 s.",
		Errors: []int{http.StatusUnprocessableEntity},
	}, true, a.s.check)
	declare(a, huma.Operation{
		OperationID: "stats", Method: http.MethodGet, Path: "/v1/stats", Tags: tags, Summary: "The whole system in numbers",
	}, a.s.stats)
	declare(a, huma.Operation{
		OperationID: "healthz", Method: http.MethodGet, Path: "/healthz", Tags: tags, Summary: "Whether this process answers",
	}, func(context.Context, *none) (*answer[wire.Status], error) {
		return reply(wire.Status{Status: "ok", Warnings: a.s.cfg.Warnings}), nil
	})
	declare(a, huma.Operation{
		OperationID: "readyz", Method: http.MethodGet, Path: "/readyz", Tags: tags, Summary: "Whether a task would be accepted and run now",
	}, a.s.ready)
	declare(a, huma.Operation{
		OperationID: "version", Method: http.MethodGet, Path: "/version", Tags: tags, Summary: "What this server is",
	}, func(context.Context, *none) (*answer[wire.Version], error) {
		return reply(wire.Version{Version: a.s.cfg.Version, Go: runtime.Version()}), nil
	})
}

func (s *Server) workers(ctx context.Context, _ *none) (*answer[wire.Workers], error) {
	roster, err := s.service.Roster(ctx)
	if err != nil {
		return nil, err
	}
	return reply(wire.Workers{Now: roster.Now, Workers: listed(roster.Workers), Dispatchers: listed(roster.Dispatchers)}), nil
}

func (s *Server) check(ctx context.Context, _ *none, body *wire.Check) (*answer[wire.Checked], error) {
	check := core.Check{Codec: body.Codec, Python: body.Python, Dependencies: body.Dependencies, Imports: body.Imports}
	if check.Codec == "" {
		check.Codec = core.Source
	}
	all, err := s.service.Check(ctx, check)
	if err != nil {
		return nil, err
	}
	return reply(wire.Checked{Workers: all}), nil
}

type workerRef struct {
	ID string `path:"id" doc:"a worker's id, or a unique prefix of it"`
}

func (s *Server) worker(ctx context.Context, p *workerRef) (*answer[core.Worker], error) {
	worker, err := s.service.Worker(ctx, p.ID)
	if err != nil {
		return nil, err
	}
	return reply(worker), nil
}

func (s *Server) drainWorker(ctx context.Context, p *workerRef) (*answer[core.Worker], error) {
	worker, err := s.service.DrainWorker(ctx, p.ID)
	if err != nil {
		return nil, err
	}
	return reply(worker), nil
}

func (s *Server) stats(ctx context.Context, _ *none) (*answer[core.Stats], error) {
	stats, err := s.service.Stats(ctx)
	if err != nil {
		return nil, err
	}
	stats.Workers, stats.Dispatchers = listed(stats.Workers), listed(stats.Dispatchers)
	return reply(stats), nil
}

func (s *Server) ready(ctx context.Context, _ *none) (*answer[wire.Status], error) {
	if s.drain.Err() != nil {
		return nil, core.Errorf(core.ErrUnavailable, "", "the server is stopping")
	}
	if err := s.service.Ready(ctx); err != nil {
		return nil, err
	}
	return reply(wire.Status{Status: "ready"}), nil
}

// writeJSON writes a success; a client that left needs no answer.
func writeJSON(w http.ResponseWriter, body any) {
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	_ = encoder.Encode(body)
}

func cutMark(n int64) []byte { return fmt.Appendf(nil, "\n[... %d bytes left out ...]\n", n) }

//go:embed docs.html
var docsPage []byte

// docsPolicy lets the page run exactly the script and the style that it was
// built with, and talk to this server only.
var docsPolicy = fmt.Sprintf("default-src 'none'; script-src %s; style-src %s; connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
	inlineHash("script"), inlineHash("style"))

func inlineHash(tag string) string {
	_, rest, _ := strings.Cut(string(docsPage), "<"+tag+">")
	text, _, _ := strings.Cut(rest, "</"+tag+">")
	sum := sha256.Sum256([]byte(text))
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}

func serveDocs(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Security-Policy", docsPolicy)
	_, _ = w.Write(docsPage)
}
