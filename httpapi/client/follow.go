package client

import (
	"context"
	"encoding/json"
	"errors"
	"net/url"

	"faasctl/core"
)

// errEnded ends the reading of a stream that has said all.
var errEnded = errors.New("the task has ended")

// Follow calls each with what a task prints, from a position on (zero: from the
// beginning), and with its record at first and whenever state, attempt or progress
// have changed. It returns nil once the task has ended, which each was told with
// the last news. When the connection is lost it goes on where that broke; only the
// first attempt to connect may fail.
func (c *Client) Follow(ctx context.Context, id core.TaskID, from core.Position, each func(core.News) error) error {
	err := c.again(ctx, func(open *bool) error {
		query := url.Values{"follow": {"true"}}
		if from != (core.Position{}) {
			query.Set("after", from.String())
		}
		return c.stream(ctx, taskPath(id, "/logs"), query, open, func(m message) error {
			news, err := m.news()
			if err != nil {
				return c.strange(err)
			}
			if m.id != "" {
				if from, err = core.ParsePosition(m.id); err != nil {
					return c.strange(err)
				}
			}
			news.Position = from
			if news.Heard == nil && news.Task == nil {
				return nil
			}
			if err := each(news); err != nil {
				return err
			}
			if news.Task != nil && news.Task.State.Terminal() {
				return errEnded
			}
			return nil
		})
	})
	if errors.Is(err, errEnded) {
		return nil
	}
	return err
}

// news reads a message of a followed task; one of another kind says nothing.
func (m *message) news() (n core.News, err error) {
	switch m.kind {
	case "output":
		err = json.Unmarshal([]byte(m.data), &n.Heard)
	case "task":
		err = json.Unmarshal([]byte(m.data), &n.Task)
	}
	return n, err
}
