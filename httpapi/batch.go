package httpapi

import (
	"context"
	"encoding/json"
	"net/http"

	"faasctl/core"
	"faasctl/httpapi/wire"

	"github.com/danielgtaylor/huma/v2"
)

// streamed is an answer that its handler writes itself.
type streamed struct {
	Body func(huma.Context)
}

func batchRoutes(a *api) {
	op := huma.Operation{
		OperationID: "tasks-submit-many", Method: http.MethodPost, Path: "/v1/tasks:batch", Tags: []string{"tasks"},
		Summary: "Call functions with JSON arguments, many in one request",
		Description: "As application/json, an array of at most 1000 calls. As application/x-ndjson, a stream of any number of calls, one a " +
			"line; the answers are lines in the same order with the numbers of theirs, written while the request is still being read. Each call is accepted or " +
			"refused on its own. " + streamDoc,
		Responses: map[string]*huma.Response{"200": {Description: "One answer for each call, in order", Content: map[string]*huma.MediaType{
			jsonType:   {Schema: schemaOf[wire.SubmittedBatch](a, "")},
			ndjsonType: {Schema: schemaOf[wire.StreamedLine](a, "")},
		}}},
		Errors: append([]int{http.StatusBadRequest, http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType, http.StatusUnprocessableEntity}, commonErrors...),
	}
	huma.Register(a.huma, op, func(ctx context.Context, p *batchParams) (*streamed, error) {
		x := exchangeOf(ctx)
		kind, err := contentType(x.r, jsonType, ndjsonType)
		if err == nil && kind == ndjsonType {
			stream, err := a.s.newBatchStream(x, p)
			if err != nil {
				return nil, a.s.refusal(ctx, err)
			}
			return &streamed{func(huma.Context) { stream.run(ctx) }}, nil
		}
		var out *wire.SubmittedBatch
		if err == nil {
			out, err = a.s.batch(ctx)
		}
		if err != nil {
			return nil, a.s.refusal(ctx, err)
		}
		return &streamed{func(huma.Context) {
			x.w.Header().Set("Content-Type", jsonType)
			_ = json.NewEncoder(x.w).Encode(out) // a client that left needs no answer
		}}, nil
	})
	describeBody[[]wire.Call](a, op, jsonType)
	a.operation(op).RequestBody.Content[ndjsonType] = &huma.MediaType{Schema: schemaOf[wire.Call](a, "")}
}

// batch accepts an array of calls as one write to the store.
func (s *Server) batch(ctx context.Context) (*wire.SubmittedBatch, error) {
	x := exchangeOf(ctx)
	if _, err := contentType(x.r, jsonType); err != nil {
		return nil, err
	}
	data, err := s.readBody(x)
	if err != nil {
		return nil, err
	}
	token := x.r.Header.Get(onceHeader)
	// Mostly all calls are well-formed, and one pass reads them. When one is not, each
	// is read by itself, as the others are to be accepted.
	var calls []wire.Call
	if decodeJSON(data, &calls, true) == nil && len(calls) <= core.MaxBatch {
		answers, err := s.submitCalls(ctx, s.once(token), calls, make([]error, len(calls)))
		return &wire.SubmittedBatch{Tasks: answers}, err
	}
	var items []json.RawMessage
	if err := decodeJSON(data, &items, true); err != nil {
		return nil, err
	}
	if len(items) > core.MaxBatch {
		return nil, core.Errorf(core.ErrInvalid, "", "%d calls are more than the %d that one array may hold", len(items), core.MaxBatch).
			WithHint("send them as application/x-ndjson, a call a line, without limit")
	}
	calls = make([]wire.Call, len(items))
	faults := make([]error, len(items))
	for i, item := range items {
		faults[i] = decodeJSON(item, &calls[i], true)
	}
	answers, err := s.submitCalls(ctx, s.once(token), calls, faults)
	return &wire.SubmittedBatch{Tasks: answers}, err
}

// submitter hands calls on; places are their numbers among all that came.
type submitter func(ctx context.Context, places []int, requests []core.SubmitRequest) ([]core.Submitted, error)

// once is core.Service.SubmitOnce.
func (s *Server) once(token string) submitter {
	return func(ctx context.Context, _ []int, requests []core.SubmitRequest) ([]core.Submitted, error) {
		return s.service.SubmitOnce(ctx, token, requests)
	}
}

// submitCalls accepts those of calls that have no fault, and answers each.
func (s *Server) submitCalls(ctx context.Context, submit submitter, calls []wire.Call, faults []error) ([]wire.Submitted, error) {
	answers := make([]wire.Submitted, len(calls))
	requests := make([]core.SubmitRequest, 0, len(calls))
	place := make([]int, 0, len(calls))
	for i, err := range faults {
		var request core.SubmitRequest
		if err == nil {
			request, err = callRequest(&calls[i])
		}
		if err != nil {
			answers[i].Problem = &s.refusal(ctx, err).Problem
			continue
		}
		requests, place = append(requests, request), append(place, i)
	}
	done, err := submit(ctx, place, requests)
	if err != nil {
		return nil, err
	}
	for i, one := range done {
		answers[place[i]] = s.submitted(ctx, one)
	}
	return answers, nil
}

// submitted is the answer to one call of many.
func (s *Server) submitted(ctx context.Context, one core.Submitted) wire.Submitted {
	if one.Err != nil {
		return wire.Submitted{Problem: &s.refusal(ctx, one.Err).Problem}
	}
	return wire.Submitted{ID: one.ID, FunctionID: one.Function, Function: one.Name, Repeated: one.Repeated}
}
