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
	maxLine    = 16 << 20         // bytes of one line of a stream
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
	return c.EventsWhere(ctx, core.EventFilter{}, after, each)
}

// EventsWhere is Events for those that a filter selects.
func (c *Client) EventsWhere(ctx context.Context, filter core.EventFilter, after string, each func(core.Event) error) error {
	query := filterQuery(filter)
	return c.again(ctx, func(open *bool) error {
		query.Set("after", wireAfter(after))
		return c.stream(ctx, "/v1/events", query, open, func(m message) error {
			if m.id != "" {
				after = m.id
			}
			event, ok, err := m.event()
			if err != nil {
				return c.strange(err)
			}
			if !ok {
				return nil
			}
			return each(event)
		})
	})
}

func filterQuery(f core.EventFilter) url.Values {
	query := url.Values{}
	for name, value := range map[string]string{"task": string(f.Task), "function": string(f.Function), "worker": string(f.Worker)} {
		if value != "" {
			query.Set(name, value)
		}
	}
	if len(f.Kinds) > 0 {
		kinds := make([]string, len(f.Kinds))
		for i, kind := range f.Kinds {
			kinds[i] = string(kind)
		}
		query.Set("kind", strings.Join(kinds, ","))
	}
	return query
}

// Top calls each with the whole picture of the system and then with what has
// changed (see core.Top.Merge), at most ten times a second and at least once a
// second, until ctx is done or each fails. When the connection is lost it is made
// again and begins with a whole picture; only the first attempt may fail.
func (c *Client) Top(ctx context.Context, each func(t core.Top, whole bool) error) error {
	return c.again(ctx, func(open *bool) error {
		return c.stream(ctx, "/v1/top", nil, open, func(m message) error {
			if m.data == "" {
				return nil
			}
			var t core.Top
			if err := json.Unmarshal([]byte(m.data), &t); err != nil {
				return c.strange(err)
			}
			return each(t, m.kind == "snapshot")
		})
	})
}

// again repeats once, which reads one connection's worth of a stream, for as long
// as what ends it is the connection. open tells that it was made: the pauses
// then begin anew, and failures to connect are not final any more.
func (c *Client) again(ctx context.Context, once func(open *bool) error) error {
	pause, connected := retryFirst, false
	for {
		open := false
		err := once(&open)
		if open {
			pause, connected = retryFirst, true
		}
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

// stream reads one connection's worth of server-sent events.
func (c *Client) stream(ctx context.Context, path string, query url.Values, open *bool, take func(message) error) error {
	quiet, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	watch := time.AfterFunc(quietLimit, func() { cancel(errLost) })
	defer watch.Stop()
	request, err := c.request(quiet, http.MethodGet, path, query, nil)
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
	*open = true
	lines := bufio.NewScanner(answer.Body)
	lines.Buffer(make([]byte, 0, 4096), maxLine)
	var m message
	for lines.Scan() {
		watch.Reset(quietLimit)
		if !m.add(lines.Text()) {
			continue
		}
		if err := take(m); err != nil {
			return err
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
	return c.EventsOnceWhere(ctx, core.EventFilter{}, after, max)
}

// EventsOnceWhere is EventsOnce for those that a filter selects.
func (c *Client) EventsOnceWhere(ctx context.Context, filter core.EventFilter, after string, max int) ([]core.Event, error) {
	query := filterQuery(filter)
	query.Set("after", wireAfter(after))
	query.Set("follow", "false")
	if max > 0 {
		query.Set("max", strconv.Itoa(max))
	}
	var events []core.Event
	err := c.get(ctx, "/v1/events", query, 0, &events)
	return events, err
}
