package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"faasctl/core"
	"faasctl/httpapi/wire"
)

const (
	maxAnswer  = 256 << 20 // bytes of an answer that is read
	maxProblem = 1 << 20   // bytes of a problem document that is read
)

func (c *Client) get(ctx context.Context, path string, query url.Values, wait time.Duration, into any) error {
	_, err := c.exchange(ctx, http.MethodGet, path, query, nil, wait, into)
	return err
}

func (c *Client) post(ctx context.Context, path string, body, into any) error {
	_, err := c.exchange(ctx, http.MethodPost, path, nil, body, 0, into)
	return err
}

// exchange sends one request and reads its JSON answer into into. A wait is
// added to the query and to the time that the server is given.
func (c *Client) exchange(ctx context.Context, method, path string, query url.Values, body any, wait time.Duration, into any) (status int, err error) {
	span := c.timeout + wait
	limited, cancel := context.WithTimeout(ctx, span)
	defer cancel()
	if wait > 0 {
		if query == nil {
			query = url.Values{}
		}
		query.Set("wait", wait.String())
	}
	request, err := c.request(limited, method, path, query, body)
	if err != nil {
		return 0, err
	}
	answer, err := c.http.Do(request)
	if err != nil {
		return 0, c.explain(ctx, limited, span, err)
	}
	defer answer.Body.Close()
	if answer.StatusCode < 200 || answer.StatusCode > 299 {
		return answer.StatusCode, c.problem(answer)
	}
	data, err := readBounded(answer.Body, maxAnswer)
	if err != nil {
		return answer.StatusCode, c.explain(ctx, limited, span, err)
	}
	if err := json.Unmarshal(data, into); err != nil {
		return answer.StatusCode, c.strange(err)
	}
	return answer.StatusCode, nil
}

func (c *Client) request(ctx context.Context, method, path string, query url.Values, body any) (*http.Request, error) {
	var content io.Reader
	if body != nil {
		data, err := json.Marshal(body)
		if err != nil {
			return nil, &core.Error{Class: core.ErrMalformed, Detail: "the request cannot be written as JSON", Err: err}
		}
		content = bytes.NewReader(data)
	}
	address := c.base + path
	if len(query) > 0 {
		address += "?" + query.Encode()
	}
	request, err := http.NewRequestWithContext(ctx, method, address, content)
	if err != nil {
		return nil, &core.Error{Class: core.ErrInvalid, Detail: "the request cannot be made", Err: err}
	}
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	request.Header.Set("Accept", "application/json")
	if c.token != "" {
		request.Header.Set("Authorization", "Bearer "+c.token)
	}
	return request, nil
}

// explain turns a failed exchange into an error: the caller's own reason when
// it gave up, a silent or an unreachable server otherwise.
func (c *Client) explain(caller, limited context.Context, span time.Duration, err error) error {
	if caller.Err() != nil {
		return context.Cause(caller)
	}
	var known *core.Error
	if errors.As(err, &known) {
		return err
	}
	if limited.Err() != nil {
		return c.silent(span)
	}
	var wrapped *url.Error // its text would repeat the method and the address
	if errors.As(err, &wrapped) {
		err = wrapped.Err
	}
	return c.unreachable(err)
}

// problem reads an answer that is not a success.
func (c *Client) problem(answer *http.Response) error {
	data, _ := readBounded(answer.Body, maxProblem)
	var p wire.Problem
	if json.Unmarshal(data, &p) != nil || p.Detail == "" {
		class := core.ClassNamed("", answer.StatusCode)
		if answer.StatusCode == http.StatusBadGateway || answer.StatusCode == http.StatusGatewayTimeout {
			class = core.ErrUnavailable // a proxy says so of the server behind it
		}
		return core.Errorf(class, "", "the server at %s answered %s", c.base, answer.Status).
			WithHint("is it faasctl that listens there?")
	}
	return problemError(&p, answer.StatusCode)
}

func problemError(p *wire.Problem, status int) *core.Error {
	if p.Status != 0 {
		status = p.Status
	}
	return &core.Error{Class: core.ClassNamed(p.Code, status), Detail: p.Detail, Hint: p.Hint}
}

func (c *Client) strange(err error) error {
	return &core.Error{Class: core.ErrInternal, Detail: "cannot make sense of what the server at " + c.base + " answered", Err: err,
		Hint: "is it faasctl that listens there, and of the same version?"}
}

func readBounded(from io.Reader, most int64) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(from, most+1))
	if err == nil && int64(len(data)) > most {
		err = core.Errorf(core.ErrTooLarge, "", "the answer is larger than %s", size(most))
	}
	return data, err
}

func size(n int64) string { return fmt.Sprintf("%d MiB", n>>20) }
