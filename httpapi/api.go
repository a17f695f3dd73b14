package httpapi

import (
	"context"
	"encoding/json"
	"net/http"
	"path"
	"reflect"
	"slices"
	"strings"

	"faasctl/core"
	"faasctl/httpapi/wire"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
)

// api collects routes: each declaration both serves and describes its route.
type api struct {
	s    *Server
	mux  *http.ServeMux
	huma huma.API
}

// answer is what a handler gives: a status (0 = the route's own) and a body.
type answer[T any] struct {
	Status int
	Body   T
}

// none is for routes without parameters.
type none struct{}

// routes declares every route and returns the handler of all of them.
func (s *Server) routes() (http.Handler, error) {
	mux := http.NewServeMux()
	a := &api{s: s, mux: mux, huma: humago.New(mux, s.description())}
	a.huma.OpenAPI().Components.Schemas.RegisterTypeAlias(reflect.TypeFor[problem](), reflect.TypeFor[wire.Problem]())
	for _, part := range []func(*api){familyRoutes, functionRoutes, taskRoutes, queueRoutes, operationRoutes, batchRoutes, resultRoutes, gatherRoutes, eventRoutes, topRoutes, metricsRoutes, systemRoutes} {
		part(a)
	}
	document, err := json.Marshal(a.huma.OpenAPI())
	if err != nil {
		return nil, &core.Error{Class: core.ErrInternal, Op: "write the OpenAPI document", Err: err}
	}
	s.openapi = document
	mux.HandleFunc("GET /openapi.json", s.serveOpenAPI)
	mux.HandleFunc("GET /docs", serveDocs)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { s.noRoute(mux, w, r) })
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// The mux would redirect to the shortest form of a path; a client that
		// writes another one is told that there is nothing.
		if clean := path.Clean(r.URL.Path); clean != r.URL.Path && clean+"/" != r.URL.Path {
			nothing(w, r)
			return
		}
		mux.ServeHTTP(w, r)
	}), nil
}

// description is the part of the OpenAPI document that is not about one route.
func (s *Server) description() huma.Config {
	config := huma.DefaultConfig("faasctl", s.cfg.Version)
	config.CreateHooks, config.DocsPath, config.SchemasPath, config.OpenAPIPath = nil, "", "", ""
	config.Info.Description = "Functions as a service, self-hosted. The four routes under \"family\" keep the contract of the systems " +
		"that faasctl descends from; everything else is native. Errors are application/problem+json (RFC 9457)."
	config.Components.SecuritySchemes = map[string]*huma.SecurityScheme{"token": {
		Type: "http", Scheme: "bearer", Description: "The server's token. Its own user and root need none on loopback.",
	}}
	config.Security = []map[string][]string{{"token": {}}, {}}
	config.Tags = []*huma.Tag{{Name: "family"}, {Name: "functions"}, {Name: "tasks"}, {Name: "operations"}, {Name: "system"}}
	return config
}

func (s *Server) serveOpenAPI(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", jsonType)
	_, _ = w.Write(s.openapi)
}

// noRoute answers what no route takes: 405 when another method would do.
func (s *Server) noRoute(mux *http.ServeMux, w http.ResponseWriter, r *http.Request) {
	var allowed []string
	for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete} {
		probe := &http.Request{Method: method, URL: r.URL, Host: r.Host}
		if _, pattern := mux.Handler(probe); strings.Contains(pattern, " ") {
			allowed = append(allowed, method)
		}
	}
	if len(allowed) == 0 {
		nothing(w, r)
		return
	}
	p := newProblem(core.Errorf(core.ErrMalformed, "", "%s does not take %s", clip(r.URL.Path, 128), clip(r.Method, 16)).
		WithHint("it takes %s", strings.Join(allowed, " and ")))
	p.Status, p.Title = http.StatusMethodNotAllowed, "Method not allowed"
	p.headers.Set("Allow", strings.Join(allowed, ", "))
	p.write(w)
}

func nothing(w http.ResponseWriter, r *http.Request) {
	newProblem(core.Errorf(core.ErrNotFound, "", "there is nothing at %s", clip(r.URL.Path, 128)).WithHint("/docs lists every route")).write(w)
}

// Errors that any route may answer with.
var commonErrors = []int{http.StatusUnauthorized, http.StatusForbidden, http.StatusServiceUnavailable}

// declare serves one route: huma reads P from the path and the query, handle
// does the work, huma writes O.
func declare[P, O any](a *api, op huma.Operation, handle func(context.Context, *P) (*answer[O], error)) {
	op.Errors = append(slices.Clone(op.Errors), commonErrors...)
	slices.Sort(op.Errors)
	huma.Register(a.huma, op, func(ctx context.Context, params *P) (*answer[O], error) {
		out, err := handle(ctx, params)
		if err != nil {
			return nil, a.s.refusal(ctx, err)
		}
		if out.Status == 0 {
			out.Status = max(op.DefaultStatus, http.StatusOK)
		}
		return out, nil
	})
}

// declareBody is declare for a route with a JSON body. strict refuses fields
// that B does not have.
func declareBody[P, B, O any](a *api, op huma.Operation, strict bool, handle func(context.Context, *P, *B) (*answer[O], error)) {
	op.Errors = append(op.Errors, http.StatusBadRequest, http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType, http.StatusUnprocessableEntity)
	declare(a, op, func(ctx context.Context, params *P) (*answer[O], error) {
		var body B
		if err := a.s.readJSON(ctx, &body, strict); err != nil {
			return nil, err
		}
		return handle(ctx, params, &body)
	})
	if !op.Hidden {
		describeBody[B](a, op, jsonType)
	}
}

// describeBody documents the body of a route that reads it itself. huma is not
// told before, as it would read the body for itself.
func describeBody[B any](a *api, op huma.Operation, kinds ...string) {
	registered := a.operation(op)
	schema := a.huma.OpenAPI().Components.Schemas.Schema(reflect.TypeFor[B](), true, op.OperationID+"Request")
	registered.RequestBody = &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{}}
	for _, kind := range kinds {
		registered.RequestBody.Content[kind] = &huma.MediaType{Schema: schema}
	}
}

// operation finds a declared route in the description.
func (a *api) operation(op huma.Operation) *huma.Operation {
	item := a.huma.OpenAPI().Paths[op.Path]
	switch op.Method {
	case http.MethodPost:
		return item.Post
	case http.MethodDelete:
		return item.Delete
	case http.MethodPatch:
		return item.Patch
	}
	return item.Get
}

func schemaOf[T any](a *api, hint string) *huma.Schema {
	return a.huma.OpenAPI().Components.Schemas.Schema(reflect.TypeFor[T](), true, hint)
}

func reply[T any](body T) *answer[T] { return &answer[T]{Body: body} }

// listed returns items, or an empty list in place of none: JSON shows it as [].
func listed[T any](items []T) []T {
	if items == nil {
		return []T{}
	}
	return items
}
