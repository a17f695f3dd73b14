package client

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"faasctl/core"
	"faasctl/httpapi/wire"
)

const (
	maxAnswer  = 256 << 20 // bytes of an answer that is read
	maxProblem = 1 << 20   // bytes of a problem document that is read
)

func (c *Client) get(ctx context.Context, path string, query url.Values, wait time.Duration, into any) error {
	_, err := c.exchange(ctx, asked{method: http.MethodGet, path: path, query: query, wait: wait, again: true}, into)
	return err
}

// post is for requests that change nothing more when they come twice.
func (c *Client) post(ctx context.Context, path string, body, into any) error {
	_, err := c.exchange(ctx, asked{method: http.MethodPost, path: path, body: body, again: true}, into)
	return err
}

// postOnce is for requests that the server knows again by a token.
func (c *Client) postOnce(ctx context.Context, path string, body, into any) error {
	_, err := c.exchange(ctx, asked{method: http.MethodPost, path: path, body: body, again: true, once: rand.Text()}, into)
	return err
}

// asked is one request of the API.
type asked struct {
	method, path string
	query        url.Values
	body         any           // nil = none
	wait         time.Duration // for which the server is asked to wait
	patient      time.Duration // for which the body asks it to
	again        bool          // it may be sent again although it may have arrived
	once         string        // token by which the server knows it again
}

// send sends one request, once, and reads its JSON answer into into. A wait is
// added to the query and to the time that the server is given; after is how long it
// asks to be left alone.
func (c *Client) send(ctx context.Context, a asked, into any) (status int, after time.Duration, err error) {
	span, query := c.timeout+a.wait+a.patient, a.query
	limited, cancel := context.WithTimeout(ctx, span)
	defer cancel()
	if a.wait > 0 {
		if query == nil {
			query = url.Values{}
		}
		query.Set("wait", a.wait.String())
	}
	request, err := c.request(limited, a.method, a.path, query, a.body)
	if err != nil {
		return 0, 0, err
	}
	if a.once != "" {
		request.Header.Set("Faasctl-Request", a.once)
	}
	answer, err := c.http.Do(request)
	if err != nil {
		return 0, 0, c.explain(ctx, limited, span, err)
	}
	defer answer.Body.Close()
	if answer.StatusCode < 200 || answer.StatusCode > 299 {
		seconds, _ := strconv.Atoi(answer.Header.Get("Retry-After"))
		return answer.StatusCode, time.Duration(seconds) * time.Second, c.problem(answer)
	}
	data, err := readBounded(answer.Body, maxAnswer)
	if err != nil {
		return answer.StatusCode, 0, c.explain(ctx, limited, span, err)
	}
	if err := json.Unmarshal(data, into); err != nil {
		return answer.StatusCode, 0, c.strange(err)
	}
	return answer.StatusCode, 0, nil
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
