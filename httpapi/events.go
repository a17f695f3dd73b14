package httpapi

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"faasctl/core"

	"github.com/danielgtaylor/huma/v2"
)

const (
	eventBatch = 256         // events asked for at once by a stream
	storePause = time.Second // between attempts while the store is out of reach
)

type eventQuery struct {
	After     string   `query:"after" doc:"begin after the event with this id; oldest: with the oldest kept (default of an array); $: with those to come (default of a stream)" example:"1700000000000-0.3"`
	LastEvent string   `header:"Last-Event-ID" doc:"as after, which goes first; browsers send it when they reconnect"`
	Follow    string   `query:"follow" enum:"true,false" doc:"false: an array of those kept instead of a stream"`
	Max       int      `query:"max" doc:"of an array: at most so many; default 1000" minimum:"1" maximum:"10000"`
	Kind      []string `query:"kind" doc:"only events of these kinds, with commas between"`
	Task      string   `query:"task" doc:"only events of this task"`
	Function  string   `query:"function" doc:"only events of this function, by any reference"`
	Worker    string   `query:"worker" doc:"only events of this worker"`
	Accept    string   `header:"Accept" hidden:"true"`
}

// filter reads what q selects; a function may be referred to by its name.
func (s *Server) eventFilter(ctx context.Context, q *eventQuery) (core.EventFilter, error) {
	f := core.EventFilter{Worker: core.WorkerID(q.Worker)}
	for _, kind := range q.Kind {
		f.Kinds = append(f.Kinds, core.EventKind(kind))
	}
	var err error
	if q.Task != "" {
		if f.Task, err = core.ParseTaskID(q.Task); err != nil {
			return f, err
		}
	}
	if q.Function != "" {
		function, err := s.service.Function(ctx, q.Function)
		if err != nil {
			return f, err
		}
		f.Function = function.ID
	}
	return f, nil
}

func (q *eventQuery) array() bool {
	return q.Follow == "false" || (q.Follow == "" && strings.Contains(q.Accept, jsonType) && !strings.Contains(q.Accept, eventsType))
}

func eventRoutes(a *api) {
	op := huma.Operation{
		OperationID: "events", Method: http.MethodGet, Path: "/v1/events", Tags: []string{"system"}, RejectUnknownQueryParameters: true,
		Summary: "What happens, as server-sent events",
		Description: "Each message has the event's id, its kind as event, and the event as data. A message of kind reset says that events were " +
			"trimmed away before they could be sent; the stream goes on with the oldest kept. A quiet stream carries a comment every 15 s. A " +
			"client that does not take what is written is cut off; it may come back with the id of the last event it saw.",
		Responses: map[string]*huma.Response{"200": {Description: "A stream, or with follow=false an array", Content: map[string]*huma.MediaType{
			eventsType: {Schema: &huma.Schema{Type: huma.TypeString}},
			jsonType:   {Schema: schemaOf[[]core.Event](a, "Events")},
		}}},
		Errors: append([]int{http.StatusBadRequest, http.StatusGone, http.StatusUnprocessableEntity}, commonErrors...),
	}
	huma.Register(a.huma, op, func(ctx context.Context, q *eventQuery) (*streamed, error) {
		out, err := a.s.events(ctx, q)
		if err != nil {
			return nil, a.s.refusal(ctx, err)
		}
		return out, nil
	})
}

func (s *Server) events(ctx context.Context, q *eventQuery) (*streamed, error) {
	filter, err := s.eventFilter(ctx, q)
	if err != nil {
		return nil, err
	}
	after := q.After
	if after == "" {
		after = q.LastEvent
	}
	if q.array() {
		kept, err := s.keptEvents(ctx, filter, after, q.Max)
		if err != nil {
			return nil, err
		}
		return &streamed{func(huma.Context) {
			w := exchangeOf(ctx).w
			w.Header().Set("Content-Type", jsonType)
			writeJSON(w, kept)
		}}, nil
	}
	first, after, err := s.beginEvents(ctx, after)
	if err != nil && !errors.Is(err, core.ErrGone) {
		return nil, err
	}
	return &streamed{func(huma.Context) { s.follow(ctx, filter, after, first, err) }}, nil
}

// keptEvents returns up to max events without waiting for more.
func (s *Server) keptEvents(ctx context.Context, filter core.EventFilter, after string, max int) ([]core.Event, error) {
	if after == "oldest" {
		after = ""
	}
	if max == 0 {
		max = 1000
	}
	kept := []core.Event{}
	for len(kept) < max {
		more, err := s.service.Events(ctx, after, 1000, 0)
		if err != nil {
			if errors.Is(err, core.ErrGone) {
				err = core.Errorf(core.ErrGone, "", "events after %s are not kept any more", clip(after, 64)).WithHint("begin with after=oldest")
			}
			return nil, err
		}
		if len(more) == 0 {
			break
		}
		for _, e := range more {
			if len(kept) < max && filter.Match(e) {
				kept = append(kept, e)
			}
		}
		after = more[len(more)-1].ID
	}
	return kept, nil
}

// beginEvents reads the first events of a stream while a problem can still be
// told by the status, and says after which event they begin.
func (s *Server) beginEvents(ctx context.Context, after string) ([]core.Event, string, error) {
	switch after {
	case "", "$":
		// From here on "those to come" needs a name, or what happens between
		// two reads would be missed.
		last, err := s.service.LastEvent(ctx)
		if err != nil {
			return nil, "", err
		}
		after = last
	case "oldest":
		after = ""
	}
	first, err := s.service.Events(ctx, after, eventBatch, 0)
	return first, after, err
}

// follow writes events until the client leaves or falls behind, or the server
// drains. Nothing is kept for a slow client: it is asked for the next events
// only when it took the ones before.
func (s *Server) follow(ctx context.Context, filter core.EventFilter, after string, events []core.Event, err error) {
	patient, cancel := s.patient(ctx)
	defer cancel()
	out := &eventWriter{x: exchangeOf(ctx), patience: s.cfg.WriteTimeout}
	out.begin()
	if out.x.r.Method == http.MethodHead {
		return
	}
	for {
		switch {
		case patient.Err() != nil:
			return
		case errors.Is(err, core.ErrGone):
			out.reset()
			after = ""
		case err != nil:
			out.comment("the store is out of reach")
			pause(patient, storePause)
		case len(events) == 0:
			out.comment("nothing new")
		default:
			for i := range events {
				if filter.Match(events[i]) {
					out.event(&events[i])
				}
			}
			after = events[len(events)-1].ID
		}
		if out.flush() != nil {
			return
		}
		events, err = s.service.Events(patient, after, eventBatch, s.cfg.Heartbeat)
	}
}

func pause(ctx context.Context, span time.Duration) {
	timer := time.NewTimer(span)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// eventWriter writes server-sent events in batches, each under a deadline.
type eventWriter struct {
	x        *exchange
	buffer   bytes.Buffer
	patience time.Duration
}

func (w *eventWriter) begin() {
	header := w.x.w.Header()
	header.Set("Content-Type", eventsType)
	header.Set("X-Accel-Buffering", "no") // for a proxy in between
	w.buffer.WriteString("retry: 1000\n\n")
}

func (w *eventWriter) comment(text string) { fmt.Fprintf(&w.buffer, ": %s\n\n", text) }

func (w *eventWriter) event(e *core.Event) {
	data, err := json.Marshal(e)
	if err != nil {
		w.comment("an event cannot be written")
		return
	}
	fmt.Fprintf(&w.buffer, "id: %s\nevent: %s\ndata: %s\n\n", e.ID, e.Kind, data)
}

// numbered writes a server-sent event after which a client can go on.
func (w *eventWriter) numbered(id, kind string, body any) {
	fmt.Fprintf(&w.buffer, "id: %s\n", id)
	w.message(kind, body)
}

// message writes a server-sent event that no one can resume from.
func (w *eventWriter) message(kind string, body any) {
	data, err := json.Marshal(body)
	if err != nil {
		w.comment("a message cannot be written")
		return
	}
	fmt.Fprintf(&w.buffer, "event: %s\ndata: %s\n\n", kind, data)
}

func (w *eventWriter) reset() {
	data, _ := json.Marshal(newProblem(core.Errorf(core.ErrGone, "", "events were trimmed away before they could be sent")).Problem)
	fmt.Fprintf(&w.buffer, "event: reset\ndata: %s\n\n", data)
}

func (w *eventWriter) flush() error {
	if w.buffer.Len() == 0 {
		return nil
	}
	rc := w.x.controller()
	_ = rc.SetWriteDeadline(time.Now().Add(w.patience)) // a recorder in a test has none
	_, err := w.buffer.WriteTo(w.x.w)
	w.buffer.Reset()
	if err != nil {
		return err
	}
	return rc.Flush()
}
