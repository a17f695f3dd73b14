package httpapi

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"faasctl/core"
	"faasctl/httpapi/client"
	"faasctl/httpapi/wire"
)

// post sends a call and reads the answer.
func (st *stack) post(path, body string, headers ...string) (status int, answer string) {
	st.t.Helper()
	request, err := http.NewRequest(http.MethodPost, st.server.URL()+path, strings.NewReader(body))
	must(st.t, err)
	request.Header.Set("Content-Type", "application/json")
	for i := 0; i < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
	}
	got, err := st.http.Do(request)
	must(st.t, err)
	defer got.Body.Close()
	data, err := io.ReadAll(got.Body)
	must(st.t, err)
	return got.StatusCode, string(data)
}

func TestIdempotencyKey(t *testing.T) {
	st := start(t)
	st.function("charge")
	st.function("ship")
	submitted := func(text string) (s wire.Submitted) {
		t.Helper()
		must(t, json.Unmarshal([]byte(text), &s))
		return s
	}
	status, text := st.post("/v1/tasks", `{"function":"charge","args":[42]}`, "Idempotency-Key", "order-42")
	first := submitted(text)
	if status != 202 || first.Repeated {
		t.Fatal(status, text)
	}
	status, text = st.post("/v1/tasks", `{"function":"charge@1", "args": [ 42 ], "key":"order-42"}`)
	if again := submitted(text); status != 200 || !again.Repeated || again.ID != first.ID || again.Function != "charge@1" {
		t.Fatal(status, text)
	}
	status, text = st.post("/v1/tasks", `{"function":"charge","args":[43],"key":"order-42"}`)
	var p wire.Problem
	must(t, json.Unmarshal([]byte(text), &p))
	if status != 409 || p.Code != "conflict" || !strings.Contains(p.Detail, string(first.ID)) || !strings.Contains(p.Hint, string(first.ID)) {
		t.Fatal(status, text)
	}
	if status, text = st.post("/v1/tasks", `{"function":"ship","args":[43],"key":"order-42"}`); status != 202 {
		t.Fatal("another function has keys of its own", status, text)
	}
	if status, text = st.post("/v1/tasks", `{"function":"charge","key":"a"}`, "Idempotency-Key", "b"); status != 422 {
		t.Fatal(status, text)
	}
	status, text = st.post("/v1/tasks:batch", `[{"function":"charge","args":[42],"key":"order-42"},{"function":"charge","args":[44],"key":"order-42"},
		{"function":"charge","args":[1],"key":"new"},{"function":"charge","args":[1],"key":"new"}]`)
	var batch wire.SubmittedBatch
	must(t, json.Unmarshal([]byte(text), &batch))
	a := batch.Tasks
	if status != 200 || a[0].ID != first.ID || !a[0].Repeated || a[1].Problem == nil || a[1].Problem.Status != 409 || a[2].Repeated || a[3].ID != a[2].ID || !a[3].Repeated {
		t.Fatal(status, text)
	}
	// After a new version was registered, the call is still the same one.
	_, err := st.client.Register(context.Background(), core.RegisterRequest{Name: "charge", Codec: core.Source, Body: []byte("def charge(*a):\n    return 2\n")})
	must(t, err)
	status, text = st.post("/v1/tasks", `{"function":"charge","args":[42],"key":"order-42"}`)
	if again := submitted(text); status != 200 || again.ID != first.ID || again.Function != "charge@1" {
		t.Fatal(status, text)
	}
}

// forgetful passes requests on and cuts the connection instead of answering the
// first few.
func forgetful(t *testing.T, target string, drop int32) (url string, arrived *atomic.Int32) {
	arrived = &atomic.Int32{}
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		onward, err := http.NewRequestWithContext(r.Context(), r.Method, target+r.URL.RequestURI(), bytes.NewReader(body))
		if err != nil {
			t.Error(err)
			return
		}
		onward.Header = r.Header.Clone()
		answer, err := http.DefaultClient.Do(onward)
		if err != nil {
			t.Error(err)
			return
		}
		defer answer.Body.Close()
		text, _ := io.ReadAll(answer.Body)
		if arrived.Add(1) <= drop {
			conn, _, err := w.(http.Hijacker).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			_ = conn.Close()
			return
		}
		w.Header().Set("Content-Type", answer.Header.Get("Content-Type"))
		w.WriteHeader(answer.StatusCode)
		_, _ = w.Write(text)
	}))
	t.Cleanup(func() { proxy.Close(); http.DefaultClient.CloseIdleConnections() })
	return proxy.URL, arrived
}

// What our own client sends again after a lost answer is accepted once.
func TestLostAnswersMakeNoSecondTask(t *testing.T) {
	st, ctx := start(t), context.Background()
	st.function("add")
	at, arrived := forgetful(t, st.server.URL(), 3)
	c, err := client.New(client.Config{URL: at})
	must(t, err)
	defer c.Close()
	one, err := c.Submit(ctx, client.Call{Function: "add", Args: json.RawMessage(`[1,2]`)})
	must(t, err)
	if arrived.Load() != 4 || one.Repeated || one.Err != nil {
		t.Fatalf("%d requests, %+v", arrived.Load(), one)
	}
	arrived.Store(1)
	many, err := c.SubmitBatch(ctx, []client.Call{{Function: "add"}, {Function: "none"}, {Function: "add"}, {Function: "add", Key: "k"}})
	must(t, err)
	if arrived.Load() < 4 || many[0].Err != nil || many[1].Err == nil || many[2].ID == many[0].ID || many[3].Repeated {
		t.Fatalf("%d requests, %+v", arrived.Load(), many)
	}
	page, err := c.List(ctx, core.TaskFilter{})
	must(t, err)
	if len(page.Tasks) != 4 {
		t.Fatalf("%d tasks, want 4", len(page.Tasks))
	}
}

// A retry that is sent again after a lost answer makes one set of tasks; two retries
// make two.
func TestLostAnswersMakeNoSecondRetry(t *testing.T) {
	st, ctx := start(t), context.Background()
	st.function("add")
	var old []core.TaskID
	for range 3 {
		old = append(old, st.submit("add", `[1]`))
		st.finish(core.Completed, core.Result{JSON: json.RawMessage("1")})
	}
	at, arrived := forgetful(t, st.server.URL(), 2)
	c, err := client.New(client.Config{URL: at})
	must(t, err)
	defer c.Close()
	ask := append(old, core.NewTaskID())
	first, err := c.Retry(ctx, ask)
	must(t, err)
	if arrived.Load() != 3 || first[3].Err == nil {
		t.Fatalf("%d requests, %+v", arrived.Load(), first)
	}
	second, err := c.Retry(ctx, old)
	must(t, err)
	page, err := c.List(ctx, core.TaskFilter{State: core.Queued})
	must(t, err)
	if len(page.Tasks) != 6 {
		t.Fatalf("%d new tasks, want 2 × 3", len(page.Tasks))
	}
	for i, id := range old {
		spec, err := c.Spec(ctx, first[i].ID)
		must(t, err)
		task, err := c.Task(ctx, id, 0)
		must(t, err)
		if spec.RetryOf != id || task.RetriedAs != second[i].ID || first[i].ID == second[i].ID {
			t.Fatalf("%s: again as %s and %s, and says %s", id, first[i].ID, second[i].ID, task.RetriedAs)
		}
	}
}

// A task that is not kept any more is 410; to the family's clients 404, as ever.
func TestGoneTask(t *testing.T) {
	st := start(t)
	const old = "01890a5d-ac96-774b-bcce-b302099a8050"
	for path, want := range map[string]int{
		"/v1/tasks/" + old: 410, "/v1/tasks/" + old + "/result": 410, "/v1/tasks/" + old + "/spec": 410, "/v1/tasks/" + old + "/logs": 410,
		"/status/" + old: 404, "/result/" + old: 404, "/v1/tasks/" + string(core.NewTaskID()): 404,
	} {
		answer, err := st.http.Get(st.server.URL() + path)
		must(t, err)
		answer.Body.Close()
		if answer.StatusCode != want {
			t.Errorf("%s: %d, want %d", path, answer.StatusCode, want)
		}
	}
}
