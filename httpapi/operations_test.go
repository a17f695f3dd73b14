package httpapi

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"faasctl/core"
	"faasctl/httpapi/client"
)

// die submits n calls of f that fail with an error of a class.
func (st *stack) die(n int, class string) {
	st.t.Helper()
	for range n {
		st.submit("f", `[1]`)
		st.finish(core.Failed, core.Result{Failure: &core.Failure{Kind: core.KindException, Type: class, Message: "no such luck"}})
	}
}

func TestOperationsOverHTTP(t *testing.T) {
	st := start(t)
	st.function("f")
	st.die(2, "ValueError")
	st.die(1, "mod.KeyError")
	api, err := client.New(client.Config{URL: st.server.URL()})
	must(t, err)
	defer api.Close()
	ctx := context.Background()

	groups, more, err := api.DeadGroups(ctx, core.BulkFilter{})
	must(t, err)
	if len(groups) != 2 || more || groups[0].Count != 2 || groups[0].Type != "ValueError" || groups[0].Name != "f@1" || groups[0].Message != "no such luck" {
		t.Fatalf("%+v", groups)
	}
	page, err := api.Dead(ctx, core.BulkFilter{Function: "f", Error: "KeyError"}, "", 0)
	must(t, err)
	if len(page.Tasks) != 1 || page.Tasks[0].Type != "mod.KeyError" {
		t.Fatalf("%+v", page)
	}

	plan, err := api.Plan(ctx, core.OperationRetry, core.BulkFilter{Error: "ValueError"})
	must(t, err)
	if plan.Tasks != 2 || plan.WaitMS != 0 || plan.Oldest.IsZero() || len(plan.Groups) != 1 {
		t.Fatalf("%+v", plan)
	}
	op, err := api.Apply(ctx, core.OperationRetry, core.BulkFilter{Error: "ValueError"}, false)
	must(t, err)
	if op.State != core.OperationDone || op.Applied != 2 || op.Planned != 2 || op.By == "" {
		t.Fatalf("%+v", op)
	}
	op, err = api.Undo(ctx, op.ID)
	must(t, err)
	if op.State != core.OperationUndone || op.Undone != 2 || op.Started != 0 {
		t.Fatalf("%+v", op)
	}
	wait, err := api.Apply(ctx, core.OperationPurge, core.BulkFilter{}, false)
	must(t, err)
	if left := time.Until(wait.Due); wait.State != core.OperationPending || left <= 0 {
		t.Fatalf("%+v", wait)
	}
	if wait, err = api.Undo(ctx, wait.ID); err != nil || wait.State != core.OperationUndone {
		t.Fatalf("%+v, %v", wait, err)
	}
	purge, err := api.Apply(ctx, core.OperationPurge, core.BulkFilter{}, true)
	must(t, err)
	if purge, err = api.Operation(ctx, purge.ID, 10*time.Second); err != nil || purge.State != core.OperationDone || purge.Applied != 3 {
		t.Fatalf("%+v, %v", purge, err)
	}
	if _, err = api.Undo(ctx, purge.ID); core.ClassOf(err) != core.ErrConflict || core.HintOf(err) == "" {
		t.Fatalf("undo of what is over: %v", err)
	}
	journal, err := api.Operations(ctx, 2)
	must(t, err)
	if len(journal) != 2 {
		t.Fatalf("%+v", journal)
	}
}

// A start that comes again under its id starts nothing more.
func TestOperationsAreStartedOnce(t *testing.T) {
	st := start(t)
	st.function("f")
	st.die(1, "ValueError")
	body := `{"kind":"retry","id":"` + string(core.NewOperationID()) + `"}`
	var ops [2]core.Operation
	for i := range ops {
		must(t, json.Unmarshal([]byte(st.want(202, "POST", "/v1/operations", body).body), &ops[i]))
	}
	if ops[0].ID != ops[1].ID || ops[1].Applied != 1 {
		t.Fatalf("%+v", ops)
	}
}

func TestOperationsRefuse(t *testing.T) {
	st := start(t)
	st.function("f")
	for _, test := range []struct {
		status               int
		method, target, body string
	}{
		{422, "POST", "/v1/operations", `{"kind":"explode"}`},
		{422, "POST", "/v1/operations", `{"kind":"cancel","filter":{"error":"ValueError"}}`},
		{422, "POST", "/v1/operations:plan", `{"kind":"cancel","filter":{"state":"FAILED"}}`},
		{422, "POST", "/v1/operations", `{"kind":"purge","filter":{"queue":"a b"}}`},
		{422, "POST", "/v1/operations", `{"kind":"purge","filter":{"error":"` + strings.Repeat("x", 65) + `"}}`},
		{422, "POST", "/v1/operations", `{"kind":"purge","filters":{}}`},
		{400, "POST", "/v1/operations", `{"kind":"purge","id":"op-1"}`},
		{404, "POST", "/v1/operations", `{"kind":"purge","filter":{"function":"nobody"}}`},
		{404, "GET", "/v1/dead?function=nobody", ""},
		{400, "GET", "/v1/dead?before=x", ""},
		{400, "GET", "/v1/operations/x", ""},
		{404, "GET", "/v1/operations/" + string(core.NewOperationID()), ""},
		{404, "POST", fmt.Sprintf("/v1/operations/%s/undo", core.NewOperationID()), ""},
	} {
		answer := st.send(test.method, test.target, test.body)
		if answer.status != test.status || !strings.HasPrefix(answer.header.Get("Content-Type"), problemType) || !json.Valid([]byte(answer.body)) {
			t.Errorf("%s %s %s: %d: %s", test.method, test.target, test.body, answer.status, answer.body)
		}
	}
}
