package cli

import (
	"context"

	"faasctl/core"
)

func (e *environment) describeSource(ctx context.Context, python, path, entry string, source []byte, opt registerOptions) (core.RegisterRequest, error) {
	return core.RegisterRequest{}, core.Errorf(core.ErrInternal, "", "not yet")
}
