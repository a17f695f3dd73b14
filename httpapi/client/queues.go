package client

import (
	"context"
	"net/url"

	"faasctl/core"
	"faasctl/httpapi/wire"
)

// Queues lists the queues that hold tasks or are paused.
func (c *Client) Queues(ctx context.Context) ([]core.QueueInfo, error) {
	var answer wire.Queues
	err := c.get(ctx, "/v1/queues", nil, 0, &answer)
	return answer.Queues, err
}

// PauseQueue stops the handing out of a queue's tasks, or resumes it, and reports
// whether that changed anything.
func (c *Client) PauseQueue(ctx context.Context, name string, paused bool) (changed bool, err error) {
	verb := "/resume"
	if paused {
		verb = "/pause"
	}
	var answer wire.PausedQueue
	err = c.post(ctx, "/v1/queues/"+url.PathEscape(name)+verb, nil, &answer)
	return answer.Changed, err
}
