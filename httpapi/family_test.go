package httpapi

import (
	"encoding/json"
	"strings"
	"testing"

	"faasctl/core"

	"github.com/google/uuid"
)

func TestFamilyRefusals(t *testing.T) {
	st := start(t)
	good := quoted(encodeDill64(somePickle))
	stranger := uuid.NewString()
	known := st.want(200, "POST", "/register_function", `{"name":"f","payload":`+good+`}`).field(t, "function_id")
	const register, execute = "/register_function", "/execute_function"
	for _, c := range []struct {
		path, body string
		status     int
	}{
		{register, ``, 400}, {register, `{`, 400}, {register, "\xff", 400}, {register, `{"name": "f"} trailing`, 400},
		{register, `{"name":"f","payload":` + good + `}{}`, 400}, {register, "  \n", 400}, {register, `{"name":"` + "\xff" + `"}`, 400},
		{register, `{}`, 422}, {register, `[]`, 422}, {register, `null`, 422}, {register, `7`, 422}, {register, `"x"`, 422},
		{register, `{"name":"f"}`, 422}, {register, `{"payload":` + good + `}`, 422}, {register, `{"name":1,"payload":` + good + `}`, 422},
		{register, `{"name":"f","payload":1}`, 422}, {register, `{"name":null,"payload":` + good + `}`, 422},
		{register, `{"name":"f","payload":"payload"}`, 400}, {register, `{"name":"f","payload":"payloads"}`, 400},
		{register, `{"name":"f","payload":""}`, 400}, {register, `{"name":"f","payload":"☃"}`, 400},
		{register, `{"name":"1 odd näme/☃","payload":` + good + `}`, 200}, {register, `{"name":"","payload":` + good + `}`, 200},
		{register, `{"name":"` + strings.Repeat("long", 100) + `","payload":` + good + `}`, 200},
		{register, `{"name":"f","payload":` + good + `,"python":"banana"}`, 422},
		{register, `{"name":"f","payload":` + good + `,"python":3.11}`, 422},
		{register, `{"name":"f","payload":` + good + `,"python":"3.11","colour":"blue"}`, 200},
		{execute, `{"function_id":"` + stranger + `","payload":` + good + `}`, 404},
		{execute, `{"function_id":"not-an-id","payload":` + good + `}`, 400},
		{execute, `{"function_id":"{` + known + `}","payload":` + good + `}`, 400},
		{execute, `{"function_id":"` + known + `"}`, 422}, {execute, `{"payload":` + good + `}`, 422},
		{execute, `{"function_id":"` + known + `","payload":"payload"}`, 400},
		{execute, `{"function_id":"` + known + `","payload":` + good + `,"more":[]}`, 200},
		{execute, `{"function_id":"` + strings.ToUpper(known) + `","payload":` + good + `}`, 200},
	} {
		got := st.send("POST", c.path, c.body, "Content-Type: application/json")
		if got.status != c.status {
			t.Errorf("%s %s: %d, want %d: %s", c.path, c.body, got.status, c.status, got.body)
		} else if c.status != 200 {
			got.problem(t)
		}
	}
	for _, path := range []string{"/status/", "/result/"} {
		st.want(404, "GET", path+stranger, "").problem(t)
		st.want(400, "GET", path+"not-an-id", "").problem(t)
	}
	st.want(422, "GET", "/result/"+stranger+"?format=xml", "").problem(t)
	for _, kind := range []string{"text/plain", "application/x-www-form-urlencoded", ""} {
		st.want(415, "POST", register, `{"name":"f","payload":`+good+`}`, "Content-Type: "+kind).problem(t)
	}
	st.want(415, "POST", register, `{"name":"f","payload":`+good+`}`, "Content-Encoding: gzip").problem(t)
	st.want(200, "POST", register, `{"name":"f","payload":`+good+`}`, "Content-Type: application/json; charset=utf-8")
}

func TestFamilyLife(t *testing.T) {
	st := start(t)
	pickle := append(append([]byte("\x80\x04X"), make([]byte, 200)...), '.')
	flat := strings.ReplaceAll(encodeDill64(pickle), "\n", "")
	function := st.want(200, "POST", "/register_function/", `{"name":"f","payload":"`+flat+`"}`).field(t, "function_id")
	call := `{"function_id":"` + function + `","payload":` + quoted(encodeDill64(pickle)) + `}`
	task := st.want(200, "POST", "/execute_function/", call).field(t, "task_id")
	if got := st.want(200, "GET", "/status/"+task, ""); got.field(t, "status") != "QUEUED" || got.field(t, "task_id") != task {
		t.Fatal(got.body)
	}
	if got := st.want(200, "GET", "/result/"+task, ""); got.field(t, "result") != "" {
		t.Fatal(got.body)
	}
	held := st.claim()[0]
	if string(held.Spec.Args) != string(pickle) || held.Spec.Codec != core.Dill {
		t.Fatalf("the worker gets %+v", held.Spec)
	}
	if got := st.want(200, "GET", "/result/"+task, ""); got.field(t, "status") != "RUNNING" || got.field(t, "result") != "" {
		t.Fatal(got.body)
	}
	st.settle(held, core.Completed, core.Result{JSON: json.RawMessage(`[1]`), Pickle: pickle})
	got := st.want(200, "GET", "/result/"+task, "")
	if got.field(t, "status") != "COMPLETED" || got.field(t, "result") != encodeDill64(pickle) {
		t.Fatal(got.body)
	}
	if got := st.want(200, "GET", "/result/"+task+"?format=json", ""); got.field(t, "result") != "[1]" {
		t.Fatal(got.body)
	}
}

func TestFamilyWordsForOtherEnds(t *testing.T) {
	st := start(t)
	st.function("f")
	later := st.want(202, "POST", "/v1/tasks", `{"function":"f","delay":"1h"}`).field(t, "id")
	if got := st.want(200, "GET", "/status/"+later, ""); got.field(t, "status") != "QUEUED" {
		t.Fatal(got.body)
	}
	if got := st.want(200, "GET", "/result/"+later, ""); got.field(t, "result") != "<nil>" {
		t.Fatal(got.body)
	}
	st.want(200, "POST", "/v1/tasks/"+later+"/cancel", "")
	if got := st.want(200, "GET", "/result/"+later, ""); got.field(t, "status") != "FAILED" || !strings.Contains(got.body, `"kind":"cancelled"`) {
		t.Fatal(got.body)
	}
	dill := st.dillTask()
	st.finish(core.Failed, core.Result{Failure: &core.Failure{Kind: core.KindTimeout, Message: "ran longer than 5 s"}})
	got := st.want(200, "GET", "/result/"+string(dill), "").field(t, "result")
	data, err := decodeDill64("result", got)
	must(t, err)
	if !strings.Contains(string(data), "RuntimeError") || !strings.Contains(string(data), "timeout: ran longer than 5 s") {
		t.Fatalf("%q", data)
	}
}
