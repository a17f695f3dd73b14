package client

import (
	"context"
	"encoding/base64"
	"net/http"
	"net/url"
	"time"

	"faasctl/core"
	"faasctl/httpapi/wire"
)

// Register stores a function, or finds the equal one.
func (c *Client) Register(ctx context.Context, r core.RegisterRequest) (core.Registration, error) {
	body := string(r.Body)
	if r.Codec == core.Dill {
		body = base64.StdEncoding.EncodeToString(r.Body)
	}
	var answer wire.Registration
	err := c.post(ctx, "/v1/functions", wire.Register{
		Name: r.Name, Codec: r.Codec, Body: body, Entry: r.Entry, File: r.File, Signature: r.Signature, Doc: r.Doc,
		Python: r.Python, Dependencies: r.Dependencies, Policy: wire.PolicyOf(r.Policy), Labels: r.Labels,
	}, &answer)
	if err != nil {
		return core.Registration{}, err
	}
	f, err := c.function(answer.Function)
	return core.Registration{Function: f, Outcome: answer.Outcome, Changed: answer.Changed, Unfit: answer.Unfit}, err
}

// Check asks the workers whether they could run a function, and find what it imports.
func (c *Client) Check(ctx context.Context, check core.Check) ([]core.WorkerCheck, error) {
	var answer wire.Checked
	err := c.post(ctx, "/v1/checks", wire.Check{Codec: check.Codec, Python: check.Python, Dependencies: check.Dependencies, Imports: check.Imports}, &answer)
	return answer.Workers, err
}

// SetPolicy changes what change states of a function's policy and names the fields
// that are others now.
func (c *Client) SetPolicy(ctx context.Context, ref string, change core.PolicyChange) (core.Function, []string, error) {
	var answer wire.Changed
	if _, err := c.exchange(ctx, asked{method: http.MethodPatch, path: "/v1/functions/" + url.PathEscape(ref), body: wire.PolicyOf(change), again: true}, &answer); err != nil {
		return core.Function{}, nil, err
	}
	f, err := c.function(answer.Function)
	return f, answer.Changed, err
}

// Function finds one function by any reference, without its body.
func (c *Client) Function(ctx context.Context, ref string) (core.Function, error) {
	return c.oneFunction(ctx, "/v1/functions/"+url.PathEscape(ref))
}

// FunctionBody finds one function by any reference, with its body.
func (c *Client) FunctionBody(ctx context.Context, ref string) (core.Function, error) {
	return c.oneFunction(ctx, "/v1/functions/"+url.PathEscape(ref)+"/body")
}

func (c *Client) oneFunction(ctx context.Context, path string) (core.Function, error) {
	var answer wire.Function
	if err := c.get(ctx, path, nil, 0, &answer); err != nil {
		return core.Function{}, err
	}
	return c.function(answer)
}

// Functions lists every version of every function.
func (c *Client) Functions(ctx context.Context) ([]core.Function, error) {
	var answer wire.Functions
	if err := c.get(ctx, "/v1/functions", nil, 0, &answer); err != nil {
		return nil, err
	}
	return c.functions(answer)
}

// RemoveFunction takes a version, or with a bare name all versions, out of
// service and returns them.
func (c *Client) RemoveFunction(ctx context.Context, ref string) ([]core.Function, error) {
	var answer wire.Functions
	if _, err := c.exchange(ctx, asked{method: http.MethodDelete, path: "/v1/functions/" + url.PathEscape(ref)}, &answer); err != nil {
		return nil, err
	}
	return c.functions(answer)
}

func (c *Client) functions(answer wire.Functions) ([]core.Function, error) {
	all := make([]core.Function, len(answer.Functions))
	for i, f := range answer.Functions {
		var err error
		if all[i], err = c.function(f); err != nil {
			return nil, err
		}
	}
	return all, nil
}

func (c *Client) function(from wire.Function) (core.Function, error) {
	f := from.Function
	f.Timeout, f.Expires = time.Duration(from.Timeout), time.Duration(from.Expires)
	if from.Body == nil {
		return f, nil
	}
	if f.Codec != core.Dill {
		f.Body = []byte(*from.Body)
		return f, nil
	}
	var err error
	if f.Body, err = base64.StdEncoding.DecodeString(*from.Body); err != nil {
		return f, c.strange(err)
	}
	return f, nil
}
