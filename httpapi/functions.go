package httpapi

import (
	"context"
	"encoding/base64"
	"net/http"

	"faasctl/core"
	"faasctl/core/header"
	"faasctl/httpapi/wire"

	"github.com/danielgtaylor/huma/v2"
)

type functionRef struct {
	Ref string `path:"ref" doc:"name, name@version, an id or a unique prefix of one"`
}

func functionRoutes(a *api) {
	tags := []string{"functions"}
	declareBody(a, huma.Operation{
		OperationID: "functions-register", Method: http.MethodPost, Path: "/v1/functions", Tags: tags,
		Summary: "Register a function", Description: "Registering an equal one again gives the same id.",
	}, true, a.s.register)
	declare(a, huma.Operation{
		OperationID: "functions-list", Method: http.MethodGet, Path: "/v1/functions", Tags: tags,
		Summary: "List every version of every function",
	}, a.s.functions)
	refErrors := []int{http.StatusNotFound, http.StatusUnprocessableEntity}
	declare(a, huma.Operation{
		OperationID: "functions-get", Method: http.MethodGet, Path: "/v1/functions/{ref}", Tags: tags,
		Summary: "Show a function", Errors: refErrors,
	}, a.s.function)
	declare(a, huma.Operation{
		OperationID: "functions-body", Method: http.MethodGet, Path: "/v1/functions/{ref}/body", Tags: tags,
		Summary: "Show a function with its body", Errors: refErrors,
	}, a.s.functionBody)
	declareBody(a, huma.Operation{
		OperationID: "functions-set", Method: http.MethodPatch, Path: "/v1/functions/{ref}", Tags: tags,
		Summary:     "Change how calls of a function are run, tried again and limited",
		Description: "Concurrency and rate concern what waits already; everything else later calls.", Errors: refErrors,
	}, true, a.s.setPolicy)
	declare(a, huma.Operation{
		OperationID: "functions-remove", Method: http.MethodDelete, Path: "/v1/functions/{ref}", Tags: tags,
		Summary: "Take a version, or with a bare name all versions, out of service", Description: "Tasks that were accepted still run.", Errors: refErrors,
	}, a.s.removeFunction)
}

func (s *Server) register(ctx context.Context, _ *none, body *wire.Register) (*answer[wire.Registration], error) {
	switch {
	case body.Name == "":
		return nil, missing("name")
	case body.Body == "":
		return nil, missing("body")
	}
	request := core.RegisterRequest{
		Name: body.Name, Codec: body.Codec, Body: []byte(body.Body), Entry: body.Entry, File: body.File, Signature: body.Signature,
		Doc: body.Doc, Python: body.Python, Dependencies: body.Dependencies, Policy: body.Policy.Change(), Labels: body.Labels,
	}
	switch request.Codec {
	case "", core.Source:
		request.Codec = core.Source
		if request.Entry == "" {
			request.Entry = body.Name
		}
		said, err := header.Read(request.Body)
		if err != nil {
			return nil, err
		}
		request.Python = core.CleanPython(said.Python + "," + request.Python)
		request.Dependencies = append(said.Dependencies, request.Dependencies...)
	case core.Dill:
		var err error
		if request.Body, err = decodeDill64("body", body.Body); err != nil {
			return nil, err
		}
	}
	done, err := s.service.Register(ctx, request)
	if err != nil {
		return nil, err
	}
	return reply(wire.Registration{Function: wire.FunctionOf(done.Function), Outcome: done.Outcome, Changed: done.Changed, Unfit: done.Unfit}), nil
}

func (s *Server) functions(ctx context.Context, _ *none) (*answer[wire.Functions], error) {
	all, err := s.service.Functions(ctx)
	if err != nil {
		return nil, err
	}
	return reply(wireFunctions(all)), nil
}

func (s *Server) function(ctx context.Context, p *functionRef) (*answer[wire.Function], error) {
	f, err := s.service.Function(ctx, p.Ref)
	if err != nil {
		return nil, err
	}
	return reply(wire.FunctionOf(f)), nil
}

func (s *Server) functionBody(ctx context.Context, p *functionRef) (*answer[wire.Function], error) {
	f, err := s.service.FunctionBody(ctx, p.Ref)
	if err != nil {
		return nil, err
	}
	out := wire.FunctionOf(f)
	body := string(f.Body)
	if f.Codec == core.Dill {
		body = base64.StdEncoding.EncodeToString(f.Body)
	}
	out.Body = &body
	return reply(out), nil
}

func (s *Server) setPolicy(ctx context.Context, p *functionRef, body *wire.Policy) (*answer[wire.Changed], error) {
	f, changed, err := s.service.SetPolicy(ctx, p.Ref, body.Change())
	if err != nil {
		return nil, err
	}
	return reply(wire.Changed{Function: wire.FunctionOf(f), Changed: listed(changed)}), nil
}

func (s *Server) removeFunction(ctx context.Context, p *functionRef) (*answer[wire.Functions], error) {
	removed, err := s.service.RemoveFunction(ctx, p.Ref)
	if err != nil {
		return nil, err
	}
	return reply(wireFunctions(removed)), nil
}

func wireFunctions(all []core.Function) wire.Functions {
	out := make([]wire.Function, len(all))
	for i, f := range all {
		out[i] = wire.FunctionOf(f)
	}
	return wire.Functions{Functions: out}
}
