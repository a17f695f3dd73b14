package httpapi

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"faasctl/core"
	"faasctl/httpapi/client"
	"faasctl/httpapi/wire"
)

// five returns tasks that are completed, failed, cancelled, waiting and unknown.
func (st *stack) five() []core.TaskID {
	st.t.Helper()
	st.function("f")
	ids := make([]core.TaskID, 5)
	for i := range 3 {
		ids[i] = st.submit("f", "[]")
	}
	held := st.claim()
	st.settle(held[0], core.Completed, core.Result{JSON: json.RawMessage(`{"a":[1,2]}`), Repr: "{'a': [1, 2]}"})
	st.settle(held[1], core.Failed, core.Result{Failure: &core.Failure{Kind: core.KindException, Type: "ValueError", Message: "no"}})
	st.settle(held[2], core.Cancelled, core.Result{Failure: &core.Failure{Kind: core.KindCancelled, Message: "cancelled"}})
	ids[3], ids[4] = st.submit("f", "[]"), core.NewTaskID()
	return ids
}

func TestGather(t *testing.T) {
	st := start(t)
	ids := st.five()
	body, err := json.Marshal(wire.Gather{IDs: []string{string(ids[0]), string(ids[1]), string(ids[2]), string(ids[3]), string(ids[4])}})
	must(t, err)
	got := st.want(200, "POST", "/v1/tasks:results", string(body))
	var doc wire.Endings
	must(t, json.Unmarshal([]byte(got.body), &doc))
	var told []string
	for i, e := range doc.Results {
		if e.ID != ids[i] {
			t.Errorf("entry %d is of %s", i, e.ID)
		}
		line := string(e.State) + " " + string(e.Value)
		if e.Failure != nil {
			line += string(e.Failure.Kind)
		}
		if e.Problem != nil {
			line += e.Problem.Code
		}
		told = append(told, line)
	}
	if want := `COMPLETED {"a":[1,2]}|FAILED exception|CANCELLED cancelled|PENDING | not-found`; strings.Join(told, "|") != want {
		t.Errorf("%s\nwant %s", strings.Join(told, "|"), want)
	}
	if got := st.want(200, "POST", "/v1/tasks:results", `{"ids":[]}`); strings.TrimSpace(got.body) != `{"results":[]}` {
		t.Errorf("of none: %s", got.body)
	}
	many := strings.Repeat(`"`+string(ids[0])+`",`, core.MaxBatch) + `"` + string(ids[0]) + `"`
	for body, status := range map[string]int{
		`{"ids":["x"]}`: 400, `{"ids":[],"need":1}`: 422, `{"ids":[],"wait":-1}`: 422, `{"ids":[` + many + `]}`: 422, `{"id":[]}`: 422,
	} {
		st.want(status, "POST", "/v1/tasks:results", body).problem(t)
	}
}

// A wait ends when enough have ended, and at once when the server stops.
func TestGatherWaits(t *testing.T) {
	st := start(t)
	st.function("f")
	ids := []core.TaskID{st.submit("f", "[]"), st.submit("f", "[]"), st.submit("f", "[]")}
	held := st.claim()
	ask := func(need int) chan []wire.Ending {
		answered := make(chan []wire.Ending, 1)
		go func() {
			body := fmt.Sprintf(`{"ids":[%q,%q,%q],"wait":"60s","need":%d}`, ids[0], ids[1], ids[2], need)
			var doc wire.Endings
			if err := json.Unmarshal([]byte(st.send("POST", "/v1/tasks:results", body).body), &doc); err != nil {
				t.Error(err)
			}
			answered <- doc.Results
		}()
		return answered
	}
	one, all := ask(1), ask(0)
	st.settle(held[1], core.Completed, core.Result{JSON: json.RawMessage("1")})
	if got := <-one; got[0].State != wire.Pending || string(got[1].Value) != "1" || got[2].State != wire.Pending {
		t.Errorf("of one: %+v", got)
	}
	select {
	case got := <-all:
		t.Errorf("not all have ended: %+v", got)
	default:
	}
	st.settle(held[0], core.Completed, core.Result{JSON: json.RawMessage("0")})
	st.settle(held[2], core.Completed, core.Result{JSON: json.RawMessage("2")})
	if got := <-all; string(got[0].Value)+string(got[1].Value)+string(got[2].Value) != "012" {
		t.Errorf("of all: %+v", got)
	}
	ids[0] = st.submit("f", "[]")
	stopped := ask(0)
	st.watched(ids[0])
	st.stop()
	if got := <-stopped; len(got) != 3 || got[0].State != wire.Pending {
		t.Errorf("when the server stopped: %+v", got)
	}
}

// watched waits until somebody waits for a task.
func (st *stack) watched(id core.TaskID) {
	st.t.Helper()
	for deadline := time.Now().Add(10 * time.Second); st.service.Waiting(id) == 0; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			st.t.Fatal("nobody waits")
		}
	}
}

// A line comes when its task has ended, and what is pending comes last.
func TestGatherStreams(t *testing.T) {
	st := start(t)
	ids := st.five()
	more := st.submit("f", "[]")
	body := fmt.Sprintf(`{"ids":[%q,%q,%q,%q],"wait":"60s","need":3}`, ids[3], ids[0], ids[4], more)
	request, err := http.NewRequest("POST", st.server.URL()+"/v1/tasks:results", strings.NewReader(body))
	must(t, err)
	request.Header.Set("Content-Type", jsonType)
	request.Header.Set("Accept", ndjsonType)
	answer, err := st.http.Do(request)
	must(t, err)
	defer answer.Body.Close()
	lines := bufio.NewScanner(answer.Body)
	next := func() (e wire.Ending) {
		if !lines.Scan() {
			t.Fatal("the stream has ended:", lines.Err())
		}
		must(t, json.Unmarshal(lines.Bytes(), &e))
		return e
	}
	first, second := next(), next()
	if first.ID == ids[4] {
		first, second = second, first
	}
	if first.ID != ids[0] || second.Problem == nil {
		t.Errorf("first %+v and %+v", first, second)
	}
	held := st.claim() // now that the others were told
	st.settle(held[1], core.Completed, core.Result{JSON: json.RawMessage("7")})
	if e := next(); e.ID != more || string(e.Value) != "7" {
		t.Errorf("then %+v", e)
	}
	if e := next(); e.ID != ids[3] || e.State != wire.Pending {
		t.Errorf("at last %+v", e)
	}
	if lines.Scan() {
		t.Errorf("more: %s", lines.Text())
	}
}

// A document holds so much and no more; the client asks again for the rest.
func TestGatherIsBounded(t *testing.T) {
	defer func(n int) { gatherBytes = n }(gatherBytes)
	gatherBytes = 300 << 10
	st := start(t)
	st.function("f")
	var ids []core.TaskID
	for range 10 {
		ids = append(ids, st.submit("f", "[]"))
	}
	value := `"` + strings.Repeat("x", 100<<10) + `"`
	for _, held := range st.claim() {
		st.settle(held, core.Completed, core.Result{JSON: json.RawMessage(value)})
	}
	var list []string
	for _, id := range ids {
		list = append(list, string(id))
	}
	body, err := json.Marshal(wire.Gather{IDs: list})
	must(t, err)
	got := st.want(200, "POST", "/v1/tasks:results", string(body))
	var doc wire.Endings
	must(t, json.Unmarshal([]byte(got.body), &doc))
	later := 0
	for _, e := range doc.Results {
		if e.Later {
			later++
		}
	}
	if len(got.body) > 500<<10 || later < 5 || later > 8 || len(doc.Results) != 10 {
		t.Errorf("%d bytes, %d entries, %d of them later", len(got.body), len(doc.Results), later)
	}
	endings, err := st.client.Results(context.Background(), ids, time.Minute)
	must(t, err)
	for i, e := range endings {
		if e.ID != ids[i] || e.Err != nil || string(e.Result.JSON) != value {
			t.Errorf("result %d is wrong: %+v", i, e)
		}
	}
}

// The client gathers more tasks than one request may name, also when connections are
// cut in the middle of an answer.
func TestClientGathers(t *testing.T) {
	const many = 2*core.MaxBatch + 300
	st := start(t)
	st.function("f")
	calls := make([]client.Call, many)
	for i := range calls {
		calls[i] = client.Call{Function: "f"}
	}
	answers, err := st.client.SubmitBatch(context.Background(), calls)
	must(t, err)
	ids := make([]core.TaskID, many)
	place := map[core.TaskID]int{}
	for i, a := range answers {
		must(t, a.Err)
		ids[i], place[a.ID] = a.ID, i
	}
	var cuts atomic.Int32
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		request, err := http.NewRequestWithContext(r.Context(), r.Method, st.server.URL()+r.URL.Path, r.Body)
		if err != nil {
			t.Error(err)
			return
		}
		request.Header = r.Header
		answer, err := st.http.Do(request)
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		defer answer.Body.Close()
		w.WriteHeader(answer.StatusCode)
		if cuts.Add(1) <= 3 {
			_, _ = io.CopyN(w, answer.Body, 20_000)
			panic(http.ErrAbortHandler)
		}
		_, _ = io.Copy(w, answer.Body)
	}))
	defer proxy.Close()
	api, err := client.New(client.Config{URL: proxy.URL})
	must(t, err)
	defer api.Close()
	settled := make(chan error, 1)
	go func() {
		for range 3 {
			for _, held := range st.claim() {
				st.settle(held, core.Completed, core.Result{JSON: json.RawMessage(fmt.Sprint(place[held.Task]))})
			}
		}
		settled <- nil
	}()
	seen := map[core.TaskID]int{}
	must(t, api.Gather(context.Background(), ids, func(e core.Ending) error {
		if seen[e.ID]++; e.Err != nil || string(e.Result.JSON) != fmt.Sprint(place[e.ID]) {
			return fmt.Errorf("%+v", e)
		}
		return nil
	}))
	must(t, <-settled)
	for id, n := range seen {
		if n != 1 {
			t.Errorf("%s came %d times", id, n)
		}
	}
	if len(seen) != many || cuts.Load() < 4 {
		t.Errorf("%d of %d tasks, %d answers", len(seen), many, cuts.Load())
	}
	enough := errors.New("enough")
	if err := api.Gather(context.Background(), ids, func(core.Ending) error { return enough }); !errors.Is(err, enough) {
		t.Errorf("a callback's error became %v", err)
	}
	endings, err := api.Results(context.Background(), ids, time.Minute)
	if err != nil || len(endings) != many || string(endings[many-1].Result.JSON) != fmt.Sprint(many-1) {
		t.Errorf("%d results, %v", len(endings), err)
	}
}
