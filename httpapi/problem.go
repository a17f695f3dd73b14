package httpapi

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"strings"

	"faasctl/core"
	"faasctl/httpapi/wire"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"
)

const problemType = "application/problem+json"

// problem is an error on its way to the client. huma writes it as it is.
type problem struct {
	wire.Problem
	headers http.Header
}

func (p *problem) Error() string             { return p.Detail }
func (p *problem) GetStatus() int            { return p.Status }
func (p *problem) GetHeaders() http.Header   { return p.headers }
func (p *problem) ContentType(string) string { return problemType }

// newProblem writes an error down. Its class alone decides the status.
func newProblem(err error) *problem {
	class := core.ClassOf(err)
	p := &problem{Problem: wire.Problem{
		Type: "/docs#" + class.Name, Title: titleOf(class.Name), Status: class.Status,
		Detail: err.Error(), Code: class.Name, Hint: core.HintOf(err),
	}, headers: http.Header{}}
	switch class {
	case core.ErrUnavailable, core.ErrFull:
		p.headers.Set("Retry-After", "1")
	case core.ErrNoToken:
		p.headers.Set("WWW-Authenticate", `Bearer realm="faasctl"`)
	}
	return p
}

func titleOf(name string) string {
	words := strings.ReplaceAll(name, "-", " ")
	return strings.ToUpper(words[:1]) + words[1:]
}

// refusal turns an error into what the client is told, and tells the log what
// the client is not: our own mistakes are named by an id only.
func (s *Server) refusal(ctx context.Context, err error) *problem {
	var done *problem
	if errors.As(err, &done) {
		return done
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, errDraining) {
		return newProblem(core.Errorf(core.ErrUnavailable, "", "the request was given up before it was answered"))
	}
	p := newProblem(err)
	if p.Code == core.ErrInternal.Name {
		id := uuid.NewString()
		s.cfg.Logger.ErrorContext(ctx, "internal error", slog.String("id", id), slog.Any("error", err))
		p.Detail = "something went wrong inside the server; its log has it under " + id
		p.Hint = "look there, or ask whoever runs the server"
		p.Instance = "urn:uuid:" + id
	}
	return p
}

// write sends a problem without huma's help.
func (p *problem) write(w http.ResponseWriter) {
	header := w.Header()
	for name, values := range p.headers {
		header[name] = values
	}
	header.Set("Content-Type", problemType)
	w.WriteHeader(p.Status)
	_ = json.NewEncoder(w).Encode(p.Problem) // a client that left needs no answer
}

// huma makes the errors of its own, about parameters, through these two hooks.
func init() {
	huma.NewError = func(status int, message string, errs ...error) huma.StatusError {
		for _, err := range errs {
			if err == nil {
				continue
			}
			var detail huma.ErrorDetailer
			if errors.As(err, &detail) {
				d := detail.ErrorDetail()
				message += ": " + strings.TrimSpace(d.Location+" "+d.Message)
				continue
			}
			message += ": " + err.Error()
		}
		p := newProblem(core.Errorf(core.ClassNamed("", status), "", "%s", message))
		if status >= 400 {
			p.Status = status
		}
		return p
	}
	huma.DefaultArrayNullable = false // empty lists are written as []
}
