package client

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"faasctl/core"
	"faasctl/httpapi/wire"
)

// Reset is the kind of an event that only clients see: events were trimmed
// away before they could be read, so what was added up from them is wrong.
const Reset core.EventKind = "reset"

const (
	quietLimit = 45 * time.Second // the server beats every 15 s
	maxLine    = 1 << 20          // bytes of one line of the stream
	retryFirst = 200 * time.Millisecond
	retryMost  = 5 * time.Second
)

// errLost marks an interrupted stream, which is taken up again.
var errLost = errors.New("the stream was interrupted")

// Events calls each for every event after the one with id after ("" = from the
// oldest kept, "$" = none but those to come) until ctx is done or each fails.
// When the connection is lost it is made again where it broke; only the first
// attempt to connect may fail. Events that were trimmed away meanwhile are
// told of by one event of kind Reset.
func (c *Client) Events(ctx context.Context, after string, each func(core.Event) error) error {
	pause, connected := retryFirst, false
	for {
		err := c.follow(ctx, &after, func(e core.Event) error {
			pause = retryFirst
			return each(e)
		}, &connected)
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case !errors.Is(err, errLost) && !(connected && retryable(err)):
			return err
		}
		wait := time.NewTimer(pause/2 + rand.N(pause))
		select {
		case <-wait.C:
		case <-ctx.Done():
			wait.Stop()
			return context.Cause(ctx)
		}
		pause = min(2*pause, retryMost)
	}
}

// retryable reports whether a request that failed so may succeed later.
func retryable(err error) bool {
	switch core.ClassOf(err) {
	case core.ErrUnavailable, core.ErrFull:
		return true
	}
	return false
}

// follow reads one connection's worth of events and moves after along.
func (c *Client) follow(ctx context.Context, after *string, each func(core.Event) error, connected *bool) error {
	quiet, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	watch := time.AfterFunc(quietLimit, func() { cancel(errLost) })
	defer watch.Stop()
	request, err := c.request(quiet, http.MethodGet, "/v1/events", url.Values{"after": {wireAfter(*after)}}, nil)
	if err != nil {
		return err
	}
	request.Header.Set("Accept", "text/event-stream")
	answer, err := c.http.Do(request)
	if err != nil {
		return c.explain(ctx, quiet, quietLimit, err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return c.problem(answer)
	}
	if !strings.HasPrefix(answer.Header.Get("Content-Type"), "text/event-stream") {
		return c.strange(core.Errorf(core.ErrInternal, "", "no event stream but %q", answer.Header.Get("Content-Type")))
	}
	*connected = true
	lines := bufio.NewScanner(answer.Body)
	lines.Buffer(make([]byte, 0, 4096), maxLine)
	var m message
	for lines.Scan() {
		watch.Reset(quietLimit)
		if !m.add(lines.Text()) {
			continue
		}
		if m.id != "" {
			*after = m.id
		}
		if event, ok, err := m.event(); err != nil {
			return c.strange(err)
		} else if ok {
			if err := each(event); err != nil {
				return err
			}
		}
		m = message{}
	}
	return errLost
}

// message gathers the lines of one server-sent event.
type message struct{ id, kind, data string }

// add takes one line and reports whether the message is complete.
func (m *message) add(line string) bool {
	if line == "" {
		return m.id != "" || m.kind != "" || m.data != ""
	}
	field, value, _ := strings.Cut(line, ":")
	value = strings.TrimPrefix(value, " ")
	switch field {
	case "id":
		m.id = value
	case "event":
		m.kind = value
	case "data":
		if m.data != "" {
			m.data += "\n"
		}
		m.data += value
	}
	return false
}

func (m *message) event() (core.Event, bool, error) {
	if m.kind == string(Reset) {
		var p wire.Problem
		err := json.Unmarshal([]byte(m.data), &p)
		return core.Event{At: time.Now(), Kind: Reset, Detail: p.Detail}, true, err
	}
	if m.data == "" {
		return core.Event{}, false, nil
	}
	var e core.Event
	err := json.Unmarshal([]byte(m.data), &e)
	return e, true, err
}

// wireAfter is how the server wants "from the oldest kept" to be written.
func wireAfter(after string) string {
	if after == "" {
		return "oldest"
	}
	return after
}

// EventsOnce returns up to max events that are kept, after the one with id
// after, without waiting for more.
func (c *Client) EventsOnce(ctx context.Context, after string, max int) ([]core.Event, error) {
	query := url.Values{"after": {wireAfter(after)}, "follow": {"false"}}
	if max > 0 {
		query.Set("max", strconv.Itoa(max))
	}
	var events []core.Event
	err := c.get(ctx, "/v1/events", query, 0, &events)
	return events, err
}
