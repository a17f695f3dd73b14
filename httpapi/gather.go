package httpapi

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"faasctl/core"
	"faasctl/httpapi/wire"

	"github.com/danielgtaylor/huma/v2"
)

// gatherBytes is about how many bytes of results one JSON answer holds; a stream of
// lines has no bound. Only tests change it.
var gatherBytes = 64 << 20

func gatherRoutes(a *api) {
	op := huma.Operation{
		OperationID: "tasks-results", Method: http.MethodPost, Path: "/v1/tasks:results", Tags: []string{"tasks"},
		Summary: "What many tasks ended with, in one answer",
		Description: "Waits, if asked to, until all of them have ended, or as many as are needed. Answers in the order of the ids; " +
			"what has not ended is PENDING. An answer holds about 64 MiB of results: those that do not fit are marked later. With " +
			"Accept: " + ndjsonType + " each task is a line, written as soon as it has ended, without that bound; what is PENDING " +
			"when the wait is over, or enough have ended, comes last.",
		Responses: map[string]*huma.Response{"200": {Description: "One entry for each id", Content: map[string]*huma.MediaType{
			jsonType:   {Schema: schemaOf[wire.Endings](a, "")},
			ndjsonType: {Schema: schemaOf[wire.Ending](a, "")},
		}}},
		Errors: append([]int{http.StatusBadRequest, http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType, http.StatusUnprocessableEntity}, commonErrors...),
	}
	huma.Register(a.huma, op, func(ctx context.Context, _ *none) (*streamed, error) {
		var body wire.Gather
		err := a.s.readJSON(ctx, &body, true)
		var g *gathering
		if err == nil {
			g, err = a.s.newGathering(ctx, &body)
		}
		if err != nil {
			return nil, a.s.refusal(ctx, err)
		}
		if strings.Contains(exchangeOf(ctx).r.Header.Get("Accept"), ndjsonType) {
			return &streamed{func(huma.Context) { g.stream(ctx) }}, nil
		}
		watch, states, err := g.wait(ctx)
		if err != nil {
			return nil, a.s.refusal(ctx, err)
		}
		return &streamed{func(huma.Context) { g.document(ctx, watch, states) }}, nil
	})
	describeBody[wire.Gather](a, op, jsonType)
}

// gathering is one request for many results.
type gathering struct {
	s     *Server
	ids   []core.TaskID
	until time.Time
	need  int
	out   io.Writer
	rc    *http.ResponseController
}

func (s *Server) newGathering(ctx context.Context, body *wire.Gather) (*gathering, error) {
	ids, err := idsOf(body.IDs)
	if err != nil {
		return nil, err
	}
	switch {
	case body.Wait < 0:
		return nil, core.Errorf(core.ErrInvalid, "", "wait must not be negative")
	case body.Need < 0 || body.Need > len(ids):
		return nil, core.Errorf(core.ErrInvalid, "", "need must be between 0 (all) and the number of ids, %d, not %d", len(ids), body.Need)
	}
	need := body.Need
	if need == 0 {
		need = len(ids)
	}
	x := exchangeOf(ctx)
	return &gathering{
		s: s, ids: ids, until: time.Now().Add(min(time.Duration(body.Wait), maxWait)), need: need, out: x.w, rc: x.controller(),
	}, nil
}

// next is Watch.Next; when the server drains the wait is over.
func (g *gathering) next(ctx context.Context, watch *core.Watch) ([]int, []core.State, error) {
	patient, cancel := g.s.patient(ctx)
	defer cancel()
	places, states, err := watch.Next(patient, g.until)
	if err != nil && errors.Is(context.Cause(patient), errDraining) && ctx.Err() == nil {
		return nil, nil, nil
	}
	return places, states, err
}

// wait waits until enough tasks are over, and returns how all stand, with the watch
// that has seen it and is closed.
func (g *gathering) wait(ctx context.Context) (*core.Watch, []core.State, error) {
	watch := g.s.service.Watch(g.ids)
	defer watch.Close()
	stand := slices.Repeat([]core.State{core.Queued}, len(g.ids))
	for over := 0; ; {
		places, states, err := g.next(ctx, watch)
		if err != nil {
			return nil, nil, err
		}
		for i, place := range places {
			stand[place] = states[i]
		}
		if over += len(places); len(places) == 0 || over >= g.need {
			return watch, stand, nil
		}
	}
}

// ending turns what the Service says into what the client is told.
func (g *gathering) ending(ctx context.Context, e core.Ending) wire.Ending {
	out := wire.Ending{ID: e.ID, State: e.State}
	switch {
	case e.Err != nil:
		out.Problem = &g.s.refusal(ctx, e.Err).Problem
	case !e.State.Terminal():
		out.State = wire.Pending
	case e.State == core.Completed:
		out.Value, out.Repr, out.Pickle = e.Result.JSON, e.Result.Repr, e.Result.Pickle
	default:
		out.Failure, out.Pickle = failureOf(&core.Task{State: e.State}, e.Result), e.Result.Pickle
	}
	return out
}

var errAnswered = errors.New("the client is gone, or takes no answers")

// document writes all entries as one document, piece by piece.
func (g *gathering) document(ctx context.Context, watch *core.Watch, states []core.State) {
	g.out.(http.ResponseWriter).Header().Set("Content-Type", jsonType)
	buffer, total, before := make([]byte, 0, 64<<10), 0, `{"results":[`
	flush := func() error {
		_ = g.rc.SetWriteDeadline(time.Now().Add(g.s.cfg.WriteTimeout))
		total += len(buffer)
		_, err := g.out.Write(buffer)
		buffer = buffer[:0]
		return err
	}
	put := func(e wire.Ending) error {
		text, err := json.Marshal(&e)
		if err != nil {
			return err
		}
		buffer = append(append(buffer, before...), text...)
		if before = ","; len(buffer) < 48<<10 {
			return nil
		}
		return flush()
	}
	done := 0
	err := watch.Endings(ctx, g.ids, states, func(e core.Ending) error {
		if total+len(buffer) > gatherBytes {
			return errAnswered
		}
		done++
		return put(g.ending(ctx, e))
	})
	for ; errors.Is(err, errAnswered) && done < len(g.ids) && put(g.later(done, states)) == nil; done++ {
	}
	if err != nil && !errors.Is(err, errAnswered) {
		panic(http.ErrAbortHandler) // half a document is none: the client sees a cut connection
	}
	if len(g.ids) == 0 {
		buffer = append(buffer, before...)
	}
	buffer = append(buffer, "]}\n"...)
	_ = flush() // a client that left needs no answer
}

// later is the entry of a task whose result does not fit.
func (g *gathering) later(i int, states []core.State) wire.Ending {
	e := wire.Ending{ID: g.ids[i], State: wire.Pending}
	if states[i] == "" || states[i].Terminal() {
		e.State, e.Later = states[i], true
	}
	return e
}

// stream writes a line for each task when it is over, and what is pending at the end.
func (g *gathering) stream(ctx context.Context) {
	watch := g.s.service.Watch(g.ids)
	defer watch.Close()
	g.out.(http.ResponseWriter).Header().Set("Content-Type", ndjsonType)
	pending := slices.Repeat([]bool{true}, len(g.ids))
	lines := json.NewEncoder(g.out)
	put := func(e core.Ending) error {
		_ = g.rc.SetWriteDeadline(time.Now().Add(g.s.cfg.WriteTimeout))
		one := g.ending(ctx, e)
		return lines.Encode(&one)
	}
	for over := 0; ; {
		places, states, err := g.next(ctx, watch)
		if err == nil && len(places) > 0 {
			ids := make([]core.TaskID, len(places))
			for i, place := range places {
				ids[i], pending[place] = g.ids[place], false
			}
			err = errors.Join(watch.Endings(ctx, ids, states, put), g.rc.Flush())
		}
		if err != nil {
			panic(http.ErrAbortHandler) // what has no line is asked for again
		}
		if over += len(places); len(places) == 0 || over >= g.need {
			break
		}
	}
	for i, id := range g.ids {
		if pending[i] && put(core.Ending{ID: id, State: core.Queued}) != nil {
			return
		}
	}
}
