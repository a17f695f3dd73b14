package cli

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"faasctl/core"
	"faasctl/httpapi/wire"
)

// stub is a server that answers what a test told it to: outcomes that a real
// stack reaches only by accident or after hours.
type stub struct {
	*httptest.Server
	mu      sync.Mutex
	answers map[string]http.HandlerFunc // "METHOD /path"
	endings map[string]wire.Ending      // what /v1/tasks:results knows
	calls   []wire.Call
}

func newStub(t *testing.T) *stub {
	s := &stub{answers: map[string]http.HandlerFunc{}, endings: map[string]wire.Ending{}}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		answer := s.answers[r.Method+" "+r.URL.Path]
		s.mu.Unlock()
		if answer == nil {
			problem(w, core.Errorf(core.ErrNotFound, "", "no such thing: %s", r.URL.Path))
			return
		}
		answer(w, r)
	}))
	t.Cleanup(s.Close)
	s.on("POST /v1/tasks:results", s.results)
	return s
}

// results answers for many tasks at once.
func (s *stub) results(w http.ResponseWriter, r *http.Request) {
	var asked wire.Gather
	_ = json.NewDecoder(r.Body).Decode(&asked)
	answer := wire.Endings{}
	for _, id := range asked.IDs {
		one, known := s.endings[id]
		if !known {
			one = wire.Ending{ID: core.TaskID(id), Problem: &wire.Problem{Status: 404, Code: core.ClassOf(core.ErrNotFound).Name, Detail: "no such task: " + id}}
		}
		answer.Results = append(answer.Results, one)
	}
	_ = json.NewEncoder(w).Encode(answer)
}

func (s *stub) on(route string, answer http.HandlerFunc) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answers[route] = answer
}

// says answers a route with a document.
func (s *stub) says(route string, status int, document any) {
	s.on(route, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(document)
	})
}

// task answers all routes about a task that ended.
func (s *stub) task(task core.Task, result wire.Result, output core.Output) {
	result.Task = task
	status := http.StatusOK
	if !task.State.Terminal() {
		status = http.StatusAccepted
	}
	ending := wire.Ending{ID: task.ID, State: task.State, Value: result.Value, Repr: result.Repr, Failure: result.Failure}
	if !task.State.Terminal() {
		ending.State = wire.Pending
	}
	s.endings[string(task.ID)] = ending
	path := "/v1/tasks/" + string(task.ID)
	s.says("GET "+path, 200, task)
	s.says("GET "+path+"/result", status, result)
	s.says("GET "+path+"/logs", 200, output)
	s.says("GET "+path+"/attempts", 200, wire.Attempts{Attempts: []core.Attempt{{Number: 1, End: core.AttemptCompleted}}})
	s.says("GET "+path+"/spec", 200, wire.Spec{Spec: core.Spec{Codec: core.JSON}, Args: json.RawMessage("[3]"), Kwargs: json.RawMessage("{}")})
	s.on("POST /v1/tasks", func(w http.ResponseWriter, r *http.Request) {
		var call wire.Call
		_ = json.NewDecoder(r.Body).Decode(&call)
		s.calls = append(s.calls, call)
		_ = json.NewEncoder(w).Encode(wire.Submitted{ID: task.ID, FunctionID: task.Function, Function: task.Name})
	})
}

func problem(w http.ResponseWriter, err error) {
	class := core.ClassOf(err)
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(class.Status)
	_ = json.NewEncoder(w).Encode(wire.Problem{Status: class.Status, Code: class.Name, Detail: err.Error(), Hint: core.HintOf(err)})
}

// to runs one command line against the stub.
func (s *stub) to(t *testing.T, stdin string, words ...string) (*fake, int) {
	t.Helper()
	f := newFake(stdin)
	return f, f.run(t, append(words, "--url", s.URL)...)
}

func ended(state core.State, kind core.FailureKind) core.Task {
	now := time.Now()
	return core.Task{ID: core.NewTaskID(), Function: core.NewFunctionID(), Name: "add@1", State: state, Failure: kind, Codec: core.JSON,
		Attempt: 1, Submitted: now.Add(-2 * time.Second), Started: now.Add(-time.Second), Finished: now}
}

func TestRunShowsEveryOutcome(t *testing.T) {
	tests := []struct {
		state core.State
		kind  core.FailureKind
		code  int
	}{
		{core.Completed, "", 0},
		{core.Failed, core.KindException, 1},
		{core.Failed, core.KindUnserializable, 1},
		{core.Failed, core.KindUnloadable, 1},
		{core.Failed, core.KindResultTooLarge, 1},
		{core.Failed, core.KindTimeout, 3},
		{core.Cancelled, core.KindCancelled, 5},
		{core.Cancelled, "", 5},
		{core.Failed, core.KindCrash, 6},
		{core.Failed, core.KindMemory, 6},
		{core.Failed, core.KindLost, 6},
		{core.Failed, core.KindExpired, 7},
	}
	for _, test := range tests {
		t.Run(string(test.state)+"-"+string(test.kind), func(t *testing.T) {
			s := newStub(t)
			task := ended(test.state, test.kind)
			result := wire.Result{Value: json.RawMessage("7"), Repr: "7"}
			if test.state != core.Completed {
				result = wire.Result{Failure: &core.Failure{Kind: test.kind, Message: "what happened"}}
			}
			s.task(task, result, core.Output{Stdout: core.Stream{Head: []byte("out\n")}, Stderr: core.Stream{Head: []byte("err\n")}})
			f, code := s.to(t, "", "run", "add", "--args", "[3, 4]")
			if code != test.code {
				t.Errorf("run: exit code %d, want %d", code, test.code)
			}
			if want := "task " + string(task.ID) + "  add@1\nout\nerr\n"; !strings.HasPrefix(f.err.String(), want) {
				t.Errorf("run: stderr %q", f.err.String())
			}
			if (f.out.String() == "7\n") != (code == 0) {
				t.Errorf("run: stdout %q", f.out.String())
			}
			f, code = s.to(t, "", "result", string(task.ID))
			if code != test.code || (f.out.String() == "7\n") != (code == 0) {
				t.Errorf("result: exit code %d, stdout %q", code, f.out.String())
			}
			if code != 0 && !strings.Contains(f.err.String(), "faasctl: result: task "+string(task.ID)+" failed: ") {
				t.Errorf("result: stderr %q", f.err.String())
			}
		})
	}
}

func TestRunShowsTheTracebackAndTheSignature(t *testing.T) {
	s := newStub(t)
	task := ended(core.Failed, core.KindException)
	s.task(task, wire.Result{Failure: &core.Failure{Kind: core.KindException, Type: "TypeError",
		Message: "add() missing 1 required positional argument: 'b'", Traceback: "Traceback (most recent call last):\n  \x1b[31m…\x1b[0m\nTypeError: x\n"}}, core.Output{})
	s.says("GET /v1/functions/"+string(task.Function), 200, wire.Function{Function: core.Function{Name: "add", Entry: "add", Signature: "(a, b)"}})
	f, code := s.to(t, "", "run", "add", "--args", "[3]")
	want := "task " + string(task.ID) + "  add@1\nTraceback (most recent call last):\n  …\nTypeError: x\n" +
		"faasctl: run: task " + string(task.ID) + " failed (exception)\n" +
		"  → its signature is add(a, b)\n"
	if code != 1 || f.err.String() != want {
		t.Errorf("exit code %d\n%s", code, f.err.String())
	}
}

func TestRunSendsWhatWasSaid(t *testing.T) {
	s := newStub(t)
	s.task(ended(core.Completed, ""), wire.Result{Value: json.RawMessage("1")}, core.Output{})
	f, code := s.to(t, `{"b": 2}`, "run", "--timeout", "5s", "add@2", "--args", "[12345678901234567890]", "--kwargs", "-",
		"--retries", "2", "--priority", "0", "--label", "a=1,2", "--in", "1m", "--async")
	if code != 0 || f.err.Len() > 0 || len(s.calls) != 1 || len(strings.Fields(f.out.String())) != 1 {
		t.Fatalf("exit code %d, %q, %q", code, f.out.String(), f.err.String())
	}
	call := s.calls[0]
	if call.Function != "add@2" || string(call.Args) != "[12345678901234567890]" || string(call.Kwargs) != `{"b":2}` ||
		time.Duration(call.Timeout) != 5*time.Second || *call.Retries != 2 || *call.Priority != 0 || call.Labels["a"] != "1,2" ||
		time.Duration(call.Delay) != time.Minute {
		t.Errorf("sent %+v", call)
	}
}

func TestRunDetachesAfterItsWait(t *testing.T) {
	s := newStub(t)
	task := core.Task{ID: core.NewTaskID(), State: core.Running}
	s.task(task, wire.Result{}, core.Output{})
	f, code := s.to(t, "", "run", "add", "--wait", "1ms")
	if code != core.ExitPending || !strings.Contains(f.err.String(), "is RUNNING\n  → faasctl result "+string(task.ID)) || f.out.Len() > 0 {
		t.Errorf("exit code %d, %q, %q", code, f.out.String(), f.err.String())
	}
}

func TestRunSurvivesARestartOfTheServer(t *testing.T) {
	s := newStub(t)
	task := ended(core.Completed, "")
	s.task(task, wire.Result{Value: json.RawMessage("7")}, core.Output{})
	route := "GET /v1/tasks/" + string(task.ID) + "/result"
	well, tries := s.answers[route], 0
	s.on(route, func(w http.ResponseWriter, r *http.Request) {
		if tries++; tries <= 2 {
			problem(w, core.Errorf(core.ErrUnavailable, "", "the store is away"))
			return
		}
		well(w, r)
	})
	f, code := s.to(t, "", "run", "add")
	if code != 0 || f.out.String() != "7\n" || strings.Count(f.err.String(), "trying again") != 1 {
		t.Errorf("exit code %d, %q, %q", code, f.out.String(), f.err.String())
	}
}

func TestResultFormats(t *testing.T) {
	tests := []struct{ value, repr, as, want string }{
		{`{"a": [1, 2]}`, "{'a': [1, 2]}", "json", "{\"a\":[1,2]}\n"},
		{`"text"`, "'text'", "json", "\"text\"\n"},
		{`"text"`, "'text'", "raw", "text\n"},
		{`"text"`, "'text'", "repr", "'text'\n"},
		{`{"$bytes": "AAH/"}`, "b'..'", "raw", "\x00\x01\xff"},
		{`{"$bytes": "AAH/", "more": 1}`, "", "raw", "{\"$bytes\":\"AAH/\",\"more\":1}\n"},
		{`null`, "None", "raw", "null\n"},
	}
	for _, test := range tests {
		s := newStub(t)
		task := ended(core.Completed, "")
		s.task(task, wire.Result{Value: json.RawMessage(test.value), Repr: test.repr}, core.Output{})
		f, code := s.to(t, "", "result", string(task.ID), "-o", test.as)
		if code != 0 || f.out.String() != test.want {
			t.Errorf("%s as %s: exit code %d, %q, %q", test.value, test.as, code, f.out.String(), f.err.String())
		}
	}
}

func TestSeveralTasks(t *testing.T) {
	s := newStub(t)
	good, failed, running := ended(core.Completed, ""), ended(core.Failed, core.KindTimeout), core.Task{ID: core.NewTaskID(), State: core.Queued}
	s.task(good, wire.Result{Value: json.RawMessage("7")}, core.Output{Stdout: core.Stream{Head: []byte("one\n")}})
	s.task(failed, wire.Result{Failure: &core.Failure{Kind: core.KindTimeout}}, core.Output{})
	s.task(running, wire.Result{}, core.Output{})
	missing := string(core.NewTaskID())
	s.says("POST /v1/tasks:cancel", 200, wire.CancelledBatch{Tasks: []wire.Cancelled{{Verdict: core.CancelDone}, {Verdict: core.CancelTooLate}, {Verdict: core.CancelUnknown}}})
	ids := func(words ...string) string { return strings.Join(words, " ") }
	tests := []struct {
		line, stdin, out string
		code             int
	}{
		{ids("result", string(good.ID)), "", "7\n", 0},
		{ids("result", string(good.ID), string(running.ID), string(failed.ID)), "", "7\n", 10},
		{ids("result", string(failed.ID), missing, string(good.ID)), "", "7\n", 3},
		{ids("result", missing, string(failed.ID)), "", "", 4},
		{ids("result", "-"), string(good.ID) + "\n" + string(good.ID), "7\n7\n", 0},
		{ids("status", "-o", "state", string(good.ID), string(failed.ID)), "", "COMPLETED\nFAILED\n", 0},
		{ids("status", "-o", "state", missing, string(failed.ID)), "", "FAILED\n", 4},
		{ids("status", "-o", "id", string(good.ID)), "", string(good.ID) + "\n", 0},
		{ids("logs", string(good.ID), string(running.ID)), "", "one\n", 10},
		{ids("cancel", "-o", "id", string(good.ID), string(failed.ID), missing), "", string(good.ID) + "\n", 9},
	}
	for _, test := range tests {
		f, code := s.to(t, test.stdin, strings.Fields(test.line)...)
		if code != test.code || f.out.String() != test.out {
			t.Errorf("%s: exit code %d, want %d; stdout %q, stderr %q", test.line, code, test.code, f.out.String(), f.err.String())
		}
	}
}

func TestLogsNameTheCut(t *testing.T) {
	s := newStub(t)
	task := ended(core.Completed, "")
	s.task(task, wire.Result{}, core.Output{
		Stdout: core.Stream{Head: []byte("head\n"), Tail: []byte("tail\n"), Cut: 1234},
		Stderr: core.Stream{Head: []byte("oh\n")},
	})
	f, code := s.to(t, "", "logs", string(task.ID))
	if code != 0 || f.out.String() != "head\ntail\n" || f.err.String() != "faasctl: … 1234 bytes of stdout are left out here …\noh\n" {
		t.Errorf("exit code %d, %q, %q", code, f.out.String(), f.err.String())
	}
}

func TestRefusalsKeepTheirCodeAndHint(t *testing.T) {
	for _, class := range core.Classes {
		s := newStub(t)
		s.on("POST /v1/tasks", func(w http.ResponseWriter, _ *http.Request) {
			problem(w, core.Errorf(class, "", "said the server\x1b[31m").WithHint("do this"))
		})
		f, code := s.to(t, "", "run", "add")
		if code != class.Exit || f.err.String() != "faasctl: run: said the server\n  → do this\n" || f.out.Len() > 0 {
			t.Errorf("%s: exit code %d, %q", class.Name, code, f.err.String())
		}
	}
}

func TestNobodyListens(t *testing.T) {
	s := newStub(t)
	s.Close()
	id := string(core.NewTaskID())
	for _, line := range []string{"run add", "status " + id, "result " + id, "logs " + id, "cancel " + id, "fn ls", "fn show add", "fn rm add",
		"task ls", "task show " + id, "events", "events -f"} {
		f, code := s.to(t, "", strings.Fields(line)...)
		if code != core.ExitUnavailable || !strings.Contains(f.err.String(), "\n  → start it: faasctl up\n") || f.out.Len() > 0 {
			t.Errorf("%s: exit code %d, %q, %q", line, code, f.out.String(), f.err.String())
		}
	}
}

func TestListings(t *testing.T) {
	s := newStub(t)
	task := ended(core.Failed, core.KindTimeout)
	old := core.Function{ID: core.NewFunctionID(), Name: "add", Version: 1, Codec: core.Source}
	latest := core.Function{ID: core.NewFunctionID(), Name: "add", Version: 2, Codec: core.Source, Latest: true, Signature: "(a, b)", Policy: core.Policy{Timeout: time.Minute}}
	s.says("GET /v1/functions", 200, wire.Functions{Functions: []wire.Function{{Function: old}, {Function: latest, Timeout: wire.Duration(time.Minute)}}})
	s.says("GET /v1/tasks", 200, core.TaskPage{Tasks: []core.Task{task}})
	s.says("GET /v1/events", 200, []core.Event{{ID: "1-0.0", Kind: core.TaskFailed, Task: task.ID, Name: "add@1", Detail: "timeout"}})
	tests := []struct{ line, want string }{
		{"fn ls -o id", string(latest.ID) + "\n"},
		{"fn ls -o id --all", string(old.ID) + "\n" + string(latest.ID) + "\n"},
		{"fn ls", "add@2"},
		{"fn ls", "(a, b)"},
		{"fn ls -o json", `"timeout":"1m0s"`},
		{"task ls -o id", string(task.ID) + "\n"},
		{"task ls", "timeout"},
		{"task ls -o json", `[{"id":"` + string(task.ID)},
	}
	for _, test := range tests {
		f, code := s.to(t, "", strings.Fields(test.line)...)
		if code != 0 || !strings.Contains(f.out.String(), test.want) || f.err.Len() > 0 {
			t.Errorf("%s: exit code %d, %q, %q", test.line, code, f.out.String(), f.err.String())
		}
	}
	if f, code := s.to(t, "", "fn", "ls", "-o", "id"); code != 0 || f.out.String() != string(latest.ID)+"\n" {
		t.Errorf("only the latest version belongs into the list: %q", f.out.String())
	}
}

func TestEmptyListingsSayWhatToType(t *testing.T) {
	s := newStub(t)
	s.says("GET /v1/functions", 200, wire.Functions{})
	s.says("GET /v1/tasks", 200, core.TaskPage{})
	for line, want := range map[string]string{"fn ls": "no functions yet\n  → faasctl register", "task ls": "no tasks yet\n  → faasctl run"} {
		f, code := s.to(t, "", strings.Fields(line)...)
		if code != 0 || f.out.Len() > 0 || !strings.Contains(f.err.String(), want) {
			t.Errorf("%s: exit code %d, %q, %q", line, code, f.out.String(), f.err.String())
		}
		f, code = s.to(t, "", append(strings.Fields(line), "-o", "json")...)
		if code != 0 || f.out.String() != "[]\n" {
			t.Errorf("%s -o json: exit code %d, %q, %q", line, code, f.out.String(), f.err.String())
		}
	}
}
