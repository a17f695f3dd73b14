package httpapi

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"sort"
	"strings"
	"testing"
	"time"

	"faasctl/core"
)

type document struct {
	OpenAPI    string                               `json:"openapi"`
	Paths      map[string]map[string]documentedPath `json:"paths"`
	Components struct {
		Schemas map[string]json.RawMessage `json:"schemas"`
	} `json:"components"`
}

type documentedPath struct {
	OperationID string `json:"operationId"`
	Parameters  []struct{ Name, In string }
	RequestBody *struct{ Content map[string]any }
	Responses   map[string]struct{ Content map[string]any }
}

func (st *stack) document() (doc document) {
	st.t.Helper()
	answer := st.want(200, "GET", "/openapi.json", "")
	must(st.t, json.Unmarshal([]byte(answer.body), &doc))
	return doc
}

func TestOpenAPIPaths(t *testing.T) {
	st := start(t)
	doc := st.document()
	if !strings.HasPrefix(doc.OpenAPI, "3.1") {
		t.Errorf("OpenAPI %s", doc.OpenAPI)
	}
	var lines []string
	for path, methods := range doc.Paths {
		for method, op := range methods {
			var params, kinds, statuses []string
			for _, p := range op.Parameters {
				params = append(params, p.In+":"+p.Name)
			}
			if op.RequestBody != nil {
				for kind := range op.RequestBody.Content {
					kinds = append(kinds, kind)
				}
			}
			for status, r := range op.Responses {
				statuses = append(statuses, status)
				if status >= "400" && r.Content[problemType] == nil {
					t.Errorf("%s %s: %s is not described as a problem", method, path, status)
				}
			}
			sort.Strings(kinds)
			sort.Strings(statuses)
			lines = append(lines, fmt.Sprintf("%s %s (%s) takes [%s] body [%s] answers %s", path, strings.ToUpper(method), op.OperationID,
				strings.Join(params, " "), strings.Join(kinds, " "), strings.Join(statuses, " ")))
		}
	}
	sort.Strings(lines)
	golden(t, "openapi.txt", strings.Join(lines, "\n")+"\n")
}

func TestOpenAPIReferencesResolve(t *testing.T) {
	st := start(t)
	text := st.want(200, "GET", "/openapi.json", "").body
	doc := st.document()
	for _, match := range regexp.MustCompile(`"#/components/schemas/([^"]+)"`).FindAllStringSubmatch(text, -1) {
		if doc.Components.Schemas[match[1]] == nil {
			t.Errorf("no schema %s", match[1])
		}
	}
	for _, secret := range []string{`"Epoch"`, `"Claim"`, `{$}`} {
		if strings.Contains(text, secret) {
			t.Errorf("%s is in the document", secret)
		}
	}
}

// Each described route answers with a status that its description has, and no
// route is served that is not described.
func TestEveryDescribedRouteAnswers(t *testing.T) {
	st := start(t)
	f := st.function("f")
	id := string(st.submit("f", `[1]`))
	st.finish(core.Completed, core.Result{JSON: json.RawMessage("1")})
	_, err := st.store.Announce(context.Background(), core.Announcement{
		Dispatcher: core.DispatcherInfo{ID: "d-1"}, Workers: []core.Worker{{ID: "w-1", State: core.WorkerRunning}},
	})
	must(t, err)
	bodies := map[string]string{
		"register_function":  `{"name":"g","payload":` + quoted(encodeDill64(somePickle)) + `}`,
		"execute_function":   `{"function_id":"` + string(f.ID) + `","payload":` + quoted(encodeDill64(somePickle)) + `}`,
		"functions-register": `{"name":"h","body":"def h(): pass"}`,
		"functions-set":      `{"retries":3}`,
		"tasks-submit":       `{"function":"f"}`,
		"tasks-submit-many":  `[{"function":"f"}]`,
		"tasks-cancel-many":  `{"ids":["` + id + `"]}`,
		"tasks-retry-many":   `{"ids":["` + id + `"]}`,
		"tasks-results":      `{"ids":["` + id + `"]}`,
		"checks":             `{"imports":["json"]}`,
		"operations-plan":    `{"kind":"purge","filter":{"error":"ValueError"}}`,
		"operations-start":   `{"kind":"retry"}`,
	}
	pending, err := st.store.PutOperation(context.Background(), core.Operation{ID: core.NewOperationID(), Kind: core.OperationPurge}, time.Hour)
	must(t, err)
	served := 0
	for path, methods := range st.document().Paths {
		for method, op := range methods {
			target := strings.NewReplacer("{task_id}", id, "{id}", id, "{ref}", "f@1", "{name}", "default").Replace(path)
			if op.OperationID == "top" { // has no end: TestTopIsWatched reads it
				served++
				continue
			}
			if op.OperationID == "events" {
				target += "?follow=false"
			}
			if strings.HasPrefix(path, "/v1/workers/") {
				target = strings.Replace(path, "{id}", "w-1", 1)
			}
			if strings.HasPrefix(path, "/v1/operations/") {
				target = strings.Replace(path, "{id}", string(pending.ID), 1)
			}
			if op.OperationID == "functions-remove" {
				target = "/v1/functions/nobody"
			}
			if (op.RequestBody != nil) != (bodies[op.OperationID] != "") {
				t.Fatalf("%s: does it have a body?", op.OperationID)
			}
			answer := st.send(strings.ToUpper(method), target, bodies[op.OperationID])
			described, ok := op.Responses[fmt.Sprint(answer.status)]
			if !ok || answer.status == 405 || (answer.status >= 400 && op.OperationID != "readyz" && op.OperationID != "functions-remove") {
				t.Errorf("%s %s: %d: %s", method, target, answer.status, answer.body)
				continue
			}
			kind, _, _ := strings.Cut(answer.header.Get("Content-Type"), ";")
			if described.Content[kind] == nil {
				t.Errorf("%s %s: %d with %s, which is not described", method, target, answer.status, kind)
			}
			if kind != metricsType && !json.Valid([]byte(answer.body)) {
				t.Errorf("%s %s: no JSON: %s", method, target, answer.body)
			}
			served++
		}
	}
	if served < 24 {
		t.Errorf("only %d routes", served)
	}
}

func TestDocsPage(t *testing.T) {
	st := start(t)
	page := st.want(200, "GET", "/docs", "")
	policy := page.header.Get("Content-Security-Policy")
	for _, want := range []string{"default-src 'none'", "script-src 'sha256-", "style-src 'sha256-", "connect-src 'self'", "frame-ancestors 'none'"} {
		if !strings.Contains(policy, want) {
			t.Errorf("the policy %q lacks %q", policy, want)
		}
	}
	if strings.Contains(policy, "unsafe") {
		t.Error(policy)
	}
	// It must work offline, and the policy would stop these.
	for _, bad := range []string{"http://", "https://", "<script src", " style=", "onload=", "innerHTML", "//cdn", "@import"} {
		if strings.Contains(page.body, bad) {
			t.Errorf("the page contains %q", bad)
		}
	}
	for _, class := range core.Classes {
		if !strings.Contains(page.body, fmt.Sprintf("%q: \"%d", class.Name, class.Status)) {
			t.Errorf("the page does not explain %s (%d)", class.Name, class.Status)
		}
	}
	if kind := page.header.Get("Content-Type"); !strings.HasPrefix(kind, "text/html") {
		t.Error(kind)
	}
	st.want(http.StatusOK, "HEAD", "/docs", "")
}
