package httpapi

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"time"

	"faasctl/core"
	"faasctl/httpapi/wire"

	"github.com/danielgtaylor/huma/v2"
)

// batchBuffer is how much of a streamed batch is read ahead: about what
// core.MaxBatch small calls take.
const batchBuffer = 256 << 10

// streamed is an answer that its handler writes itself.
type streamed struct {
	Body func(huma.Context)
}

func batchRoutes(a *api) {
	op := huma.Operation{
		OperationID: "tasks-submit-many", Method: http.MethodPost, Path: "/v1/tasks:batch", Tags: []string{"tasks"},
		Summary: "Call functions with JSON arguments, many in one request",
		Description: "As application/json, an array of at most 1000 calls. As application/x-ndjson, a stream of any number of calls, one a " +
			"line; the answers are lines in the same order, written while the request is still being read. Each call is accepted or refused " +
			"on its own. An array may carry the header " + onceHeader + " (see POST /v1/tasks). When a stream breaks, calls without an answer were not accepted, save those of the last few lines before the break; give calls keys to send them again.",
		Responses: map[string]*huma.Response{"200": {Description: "One answer for each call, in order", Content: map[string]*huma.MediaType{
			jsonType:   {Schema: schemaOf[wire.SubmittedBatch](a, "")},
			ndjsonType: {Schema: schemaOf[wire.Submitted](a, "")},
		}}},
		Errors: append([]int{http.StatusBadRequest, http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType, http.StatusUnprocessableEntity}, commonErrors...),
	}
	huma.Register(a.huma, op, func(ctx context.Context, _ *none) (*streamed, error) {
		x := exchangeOf(ctx)
		kind, err := contentType(x.r, jsonType, ndjsonType)
		if err == nil && kind == ndjsonType {
			return &streamed{func(huma.Context) { a.s.batchStream(ctx, x) }}, nil
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
		answers, err := s.submitCalls(ctx, token, calls, make([]error, len(calls)))
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
	answers, err := s.submitItems(ctx, token, items)
	return &wire.SubmittedBatch{Tasks: answers}, err
}

// submitItems accepts what can be accepted of items and answers each. With a
// token they may come again: see core.Service.SubmitOnce.
func (s *Server) submitItems(ctx context.Context, token string, items []json.RawMessage) ([]wire.Submitted, error) {
	calls, faults := make([]wire.Call, len(items)), make([]error, len(items))
	for i, item := range items {
		faults[i] = decodeJSON(item, &calls[i], true)
	}
	return s.submitCalls(ctx, token, calls, faults)
}

// submitCalls accepts those of calls that have no fault, and answers each.
func (s *Server) submitCalls(ctx context.Context, token string, calls []wire.Call, faults []error) ([]wire.Submitted, error) {
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
	done, err := s.service.SubmitOnce(ctx, token, requests)
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

// batchStream reads calls line by line and submits as many at once as have
// arrived: one when they trickle in, core.MaxBatch when they pour.
func (s *Server) batchStream(ctx context.Context, x *exchange) {
	rc := x.controller()
	_ = rc.EnableFullDuplex() // where it is not needed it is refused
	x.w.Header().Set("Content-Type", ndjsonType)
	lines := &lineReader{in: bufio.NewReaderSize(x.r.Body, batchBuffer), most: s.bodyLimit(), before: func() {
		_ = rc.SetReadDeadline(time.Now().Add(s.cfg.BodyTimeout))
	}}
	defer func() { _ = rc.SetReadDeadline(time.Time{}) }()
	answer := json.NewEncoder(x.w)
	for {
		items, readErr := lines.next(core.MaxBatch)
		var answers []wire.Submitted
		if len(items) > 0 {
			var err error
			if answers, err = s.submitItems(ctx, "", items); err != nil {
				refused := &s.refusal(ctx, err).Problem
				answers = make([]wire.Submitted, len(items))
				for i := range answers {
					answers[i].Problem = refused
				}
				readErr = io.EOF // what was not read is not answered
			}
		}
		if readErr != nil && !errors.Is(readErr, io.EOF) {
			answers = append(answers, wire.Submitted{Problem: &s.refusal(ctx, lineError(readErr, s)).Problem})
		}
		_ = rc.SetWriteDeadline(time.Now().Add(s.cfg.WriteTimeout))
		for i := range answers {
			if answer.Encode(&answers[i]) != nil {
				return // the client is gone, or takes no answers
			}
		}
		if readErr != nil || rc.Flush() != nil {
			return
		}
	}
}

var errLineTooLong = errors.New("line too long")

func lineError(err error, s *Server) error {
	if errors.Is(err, errLineTooLong) {
		return s.bodyTooLarge(s.bodyLimit() + 1)
	}
	return unreadable(err)
}

// lineReader splits a stream into lines of at most most bytes.
type lineReader struct {
	in     *bufio.Reader
	most   int64
	before func() // is called before each read that may wait
}

// next returns up to max lines that are not blank: it waits for the first and
// takes the others as far as they have arrived, up to most bytes in all. Lines
// may come together with the error that ended the stream.
func (l *lineReader) next(max int) (lines []json.RawMessage, err error) {
	var bytesRead int64
	for len(lines) < max && (len(lines) == 0 || (l.arrived() && bytesRead < l.most)) {
		var line []byte
		line, err = l.line()
		bytesRead += int64(len(line))
		if line = bytes.TrimSpace(line); len(line) > 0 {
			lines = append(lines, line)
		}
		if err != nil {
			return lines, err
		}
	}
	return lines, nil
}

// arrived reports whether a whole line can be read without waiting.
func (l *lineReader) arrived() bool {
	data, _ := l.in.Peek(l.in.Buffered())
	return bytes.IndexByte(data, '\n') >= 0
}

func (l *lineReader) line() ([]byte, error) {
	var line []byte
	for {
		l.before()
		part, err := l.in.ReadSlice('\n')
		if int64(len(line)+len(part)) > l.most {
			return nil, errLineTooLong
		}
		line = append(line, part...)
		if !errors.Is(err, bufio.ErrBufferFull) {
			return line, err
		}
	}
}
