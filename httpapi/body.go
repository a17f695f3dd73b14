package httpapi

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"strings"
	"time"
	"unicode/utf8"

	"faasctl/core"
)

const (
	jsonType   = "application/json"
	ndjsonType = "application/x-ndjson"
	eventsType = "text/event-stream"
	// drainTimes bounds how much of an over-long body is read and thrown away,
	// in limits: a client that is still sending would not read our answer.
	drainTimes = 8
)

// bodyLimit is how many bytes a request's body may have: the payload in
// base64 with its line feeds, and the JSON around it.
func (s *Server) bodyLimit() int64 {
	payload := int64(s.service.MaxPayload())
	return payload/3*4 + payload/32 + bodySlack
}

// contentType returns the media type of a request's body, which must be one of
// allowed.
func contentType(r *http.Request, allowed ...string) (string, error) {
	header := r.Header.Get("Content-Type")
	kind := header
	if header != jsonType {
		kind, _, _ = mime.ParseMediaType(header)
	}
	for _, one := range allowed {
		if kind == one && r.Header.Get("Content-Encoding") == "" {
			return kind, nil
		}
	}
	return "", core.Errorf(core.ErrMediaType, "", "the body must be %s, not %s", strings.Join(allowed, " or "), described(header)).
		WithHint("send the header Content-Type: %s, and no Content-Encoding", allowed[0])
}

func described(header string) string {
	if header == "" {
		return "of unstated type"
	}
	return fmt.Sprintf("%q", clip(header, 64))
}

// readJSON reads a JSON body into into. strict refuses fields it does not
// know. What is not JSON is ErrMalformed, JSON of another shape ErrInvalid.
func (s *Server) readJSON(ctx context.Context, into any, strict bool) error {
	x := exchangeOf(ctx)
	if _, err := contentType(x.r, jsonType); err != nil {
		return err
	}
	data, err := s.readBody(x)
	if err != nil {
		return err
	}
	return decodeJSON(data, into, strict)
}

// readBody reads a whole body within the limits of size and time.
func (s *Server) readBody(x *exchange) ([]byte, error) {
	limit := s.bodyLimit()
	if x.r.ContentLength > limit && x.r.Header.Get("Expect") != "" {
		return nil, s.bodyTooLarge(x.r.ContentLength) // it has not been sent yet
	}
	rc := x.controller()
	_ = rc.SetReadDeadline(time.Now().Add(s.cfg.BodyTimeout)) // a recorder in a test has none
	defer func() { _ = rc.SetReadDeadline(time.Time{}) }()
	size := max(0, min(x.r.ContentLength, limit))
	buffer := bytes.NewBuffer(make([]byte, 0, size+bytes.MinRead))
	_, err := buffer.ReadFrom(io.LimitReader(x.r.Body, limit+1))
	if err != nil {
		return nil, unreadable(err)
	}
	if int64(buffer.Len()) > limit {
		more, _ := io.CopyN(io.Discard, x.r.Body, drainTimes*limit)
		return nil, s.bodyTooLarge(max(x.r.ContentLength, limit+1+more))
	}
	return buffer.Bytes(), nil
}

func unreadable(err error) error {
	var network net.Error
	if errors.As(err, &network) && network.Timeout() {
		return core.Errorf(core.ErrMalformed, "", "the body did not arrive in time")
	}
	return &core.Error{Class: core.ErrMalformed, Detail: "the body did not arrive whole", Err: err}
}

func (s *Server) bodyTooLarge(size int64) error {
	return core.Errorf(core.ErrTooLarge, "", "the body is %d bytes or more, above what a payload of %d bytes needs", size, s.service.MaxPayload()).
		WithHint("pass a path or a key to the data instead, or start the server with a larger --max-payload")
}

func decodeJSON(data []byte, into any, strict bool) error {
	if len(bytes.TrimSpace(data)) == 0 {
		return core.Errorf(core.ErrMalformed, "", "the body is empty, not JSON")
	}
	if !utf8.Valid(data) {
		return core.Errorf(core.ErrMalformed, "", "the body is not JSON: it is not UTF-8")
	}
	decoder := json.NewDecoder(bytes.NewReader(data))
	if strict {
		decoder.DisallowUnknownFields()
	}
	if err := decoder.Decode(into); err != nil {
		return explainJSON(err)
	}
	if _, err := decoder.Token(); err != io.EOF {
		return core.Errorf(core.ErrMalformed, "", "the body is not JSON: there is more after its end, at byte %d", decoder.InputOffset())
	}
	return nil
}

func explainJSON(err error) error {
	var syntax *json.SyntaxError
	var kind *json.UnmarshalTypeError
	switch {
	case errors.As(err, &syntax):
		return core.Errorf(core.ErrMalformed, "", "the body is not JSON: %s at byte %d", syntax.Error(), syntax.Offset)
	case errors.Is(err, io.ErrUnexpectedEOF):
		return core.Errorf(core.ErrMalformed, "", "the body is not JSON: it ends too early")
	case errors.As(err, &kind):
		where := "the body"
		if kind.Field != "" {
			where = kind.Field
		}
		return core.Errorf(core.ErrInvalid, "", "%s must not be a JSON %s", where, kind.Value)
	}
	return core.Errorf(core.ErrInvalid, "", "%s", strings.TrimPrefix(err.Error(), "json: "))
}

// missing is the complaint about an absent field.
func missing(field string) error {
	return core.Errorf(core.ErrInvalid, "", "the field %q is missing", field)
}
