package httpapi

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"testing"
	"time"

	"faasctl/core"
)

var errSeen = errors.New("seen")

func TestTopIsWatched(t *testing.T) {
	st := start(t)
	st.function("f")
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	var picture core.Top
	deltas := 0
	err := st.client.Top(ctx, func(delta core.Top, whole bool) error {
		if whole {
			if picture.Numbers != nil {
				t.Error("a second snapshot on one connection")
			}
			picture = delta
			st.submit("f", `[1]`)
			st.finish(core.Completed, core.Result{JSON: json.RawMessage("1")})
			return nil
		}
		deltas++
		picture = picture.Merge(delta)
		if n := picture.Numbers; n.Totals.Completed == 1 && picture.Run.Count() == 1 && len(picture.Functions) == 1 && picture.Functions[0].Name == "f@1" {
			return errSeen
		}
		return nil
	})
	if !errors.Is(err, errSeen) || deltas == 0 {
		t.Fatalf("%v after %d deltas: %+v", err, deltas, picture)
	}
}

func TestEventsAreFiltered(t *testing.T) {
	st := start(t)
	f := st.function("f")
	st.function("g")
	first := st.submit("f", `[1]`)
	st.submit("g", `[2]`)
	ctx := context.Background()
	for name, c := range map[string]struct {
		filter core.EventFilter
		want   int
	}{
		"all":        {core.EventFilter{}, 4},
		"a task":     {core.EventFilter{Task: first}, 1},
		"a function": {core.EventFilter{Function: f.ID}, 2},
		"kinds":      {core.EventFilter{Kinds: []core.EventKind{core.FunctionRegistered, core.TaskClaimed}}, 2},
		"both":       {core.EventFilter{Kinds: []core.EventKind{core.TaskSubmitted}, Function: f.ID}, 1},
		"a worker":   {core.EventFilter{Worker: "w-nobody"}, 0},
	} {
		events, err := st.client.EventsOnceWhere(ctx, c.filter, "", 0)
		if err != nil || len(events) != c.want {
			t.Errorf("%s: %d events, want %d, %v", name, len(events), c.want, err)
		}
		for _, e := range events {
			if !c.filter.Match(e) {
				t.Errorf("%s: %+v", name, e)
			}
		}
	}
	st.want(400, "GET", "/v1/events?follow=false&task=nonsense", "").problem(t)
	st.want(404, "GET", "/v1/events?follow=false&function=nobody", "").problem(t)
	limited, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	err := st.client.EventsWhere(limited, core.EventFilter{Kinds: []core.EventKind{core.TaskSubmitted}}, "", func(e core.Event) error {
		if e.Kind != core.TaskSubmitted {
			t.Errorf("%+v", e)
		}
		return errSeen
	})
	if !errors.Is(err, errSeen) {
		t.Fatal(err)
	}
}

func TestRetryAndFailures(t *testing.T) {
	st := start(t)
	st.function("f")
	failed := st.submit("f", `[1]`)
	st.finish(core.Failed, core.Result{Failure: &core.Failure{Kind: core.KindException, Type: "ValueError", Message: "no such luck"}})
	waiting := st.submit("f", `[2]`)
	ctx := context.Background()
	groups, err := st.client.Failures(ctx)
	if err != nil || len(groups) != 1 || groups[0].Count != 1 || groups[0].Type != "ValueError" || groups[0].Newest != failed || groups[0].Name != "f@1" {
		t.Fatalf("%+v, %v", groups, err)
	}
	answers, err := st.client.Retry(ctx, []core.TaskID{failed, waiting, core.NewTaskID()})
	if err != nil || len(answers) != 3 || answers[0].Err != nil || !errors.Is(answers[1].Err, core.ErrConflict) || !errors.Is(answers[2].Err, core.ErrNotFound) {
		t.Fatalf("%+v, %v", answers, err)
	}
	spec, err := st.client.Spec(ctx, answers[0].ID)
	if err != nil || spec.RetryOf != failed {
		t.Fatalf("%+v, %v", spec, err)
	}
	page, err := st.client.List(ctx, core.TaskFilter{State: core.Queued})
	if err != nil || len(page.Tasks) != 2 || !slices.ContainsFunc(page.Tasks, func(task core.Task) bool { return task.ID == answers[0].ID }) {
		t.Fatalf("%+v, %v", page, err)
	}
}
