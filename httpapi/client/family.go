package client

import (
	"context"
	"encoding/base64"
	"net/http"

	"faasctl/core"
)

// SubmitPickle asks for one call with pickled arguments, a tuple and a dict, by
// the family's route.
func (c *Client) SubmitPickle(ctx context.Context, function core.FunctionID, arguments []byte) (core.TaskID, error) {
	body := map[string]string{"function_id": string(function), "payload": base64.StdEncoding.EncodeToString(arguments)}
	var answer struct {
		TaskID core.TaskID `json:"task_id"`
	}
	_, err := c.exchange(ctx, asked{method: http.MethodPost, path: "/execute_function", body: body}, &answer)
	return answer.TaskID, err
}
