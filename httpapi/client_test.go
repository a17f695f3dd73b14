package httpapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"faasctl/core"
	"faasctl/core/memstore"
	"faasctl/httpapi/client"

	"github.com/google/uuid"
)

func TestClientFunctions(t *testing.T) {
	st, ctx := start(t), context.Background()
	request := core.RegisterRequest{
		Name: "resize", Codec: core.Source, Entry: "run", File: "fn.py", Body: []byte("def run(a, b=10):\n    return a\n"),
		Signature: "(a, b=10)", Doc: "Resizes.", Policy: core.PolicyChange{Timeout: new(90 * time.Second)}, Labels: map[string]string{"team": "a,b"},
	}
	first, err := st.client.Register(ctx, request)
	must(t, err)
	if first.Outcome != core.RegisteredNew || first.Function.Ref() != "resize@1" || first.Function.Timeout != 90*time.Second {
		t.Fatalf("%+v", first)
	}
	again, err := st.client.Register(ctx, request)
	must(t, err)
	if again.Outcome != core.RegisteredSame || again.Function.ID != first.Function.ID {
		t.Fatalf("%+v", again)
	}
	request.Codec, request.Body, request.Entry = core.Dill, somePickle, ""
	second, err := st.client.Register(ctx, request)
	must(t, err)
	for ref, want := range map[string]core.Function{
		"resize": second.Function, "resize@1": first.Function, string(first.Function.ID): first.Function, string(first.Function.ID)[:8]: first.Function,
	} {
		got, err := st.client.FunctionBody(ctx, ref)
		must(t, err)
		if got.ID != want.ID || core.HashBody(got.Body) != want.BodyHash {
			t.Errorf("%s is %+v", ref, got)
		}
		if got, err = st.client.Function(ctx, ref); err != nil || got.Body != nil || got.ID != want.ID {
			t.Errorf("%s is %+v, %v", ref, got, err)
		}
	}
	all, err := st.client.Functions(ctx)
	if err != nil || len(all) != 2 {
		t.Fatalf("%v, %v", all, err)
	}
	if gone, err := st.client.RemoveFunction(ctx, "resize"); err != nil || len(gone) != 2 {
		t.Fatalf("%v, %v", gone, err)
	}
	if all, err = st.client.Functions(ctx); err != nil || len(all) != 0 {
		t.Fatalf("%v, %v", all, err)
	}
	for _, ref := range []string{"resize", "resize@1", "a/b", "..", "%2e", "x y"} {
		if _, err := st.client.Function(ctx, ref); core.ClassOf(err) != core.ErrNotFound && core.ClassOf(err) != core.ErrInvalid {
			t.Errorf("%q: %v", ref, err)
		}
	}
}

func TestClientTaskLife(t *testing.T) {
	st, ctx := start(t), context.Background()
	st.function("add")
	priority := 7
	call := client.Call{
		Function: "add", Args: json.RawMessage(`[3, "x\u2028<"]`), Kwargs: json.RawMessage(`{"k": [1.5, null]}`), Timeout: 5 * time.Second,
		Retries: new(2), Queue: "fast", Priority: &priority, Labels: map[string]string{"a": "1"},
	}
	done, err := st.client.Submit(ctx, call)
	must(t, err)
	if done.Name != "add@1" {
		t.Fatalf("%+v", done)
	}
	spec, err := st.client.Spec(ctx, done.ID)
	must(t, err)
	var got, want any
	must(t, json.Unmarshal(spec.Args, &got))
	must(t, json.Unmarshal([]byte(`[[3, "x\u2028<"], {"k": [1.5, null]}]`), &want))
	if !reflect.DeepEqual(got, want) || spec.Timeout != 5*time.Second || spec.Retries != 2 || spec.Queue != "fast" || spec.Priority != 7 || spec.Labels["a"] != "1" {
		t.Fatalf("%+v: %s", spec, spec.Args)
	}
	if task, result, err := st.client.Result(ctx, done.ID, 0); err != nil || result != nil || task.State != core.Queued {
		t.Fatalf("%+v, %+v, %v", task, result, err)
	}
	waited := make(chan core.Task)
	go func() {
		task, err := st.client.Task(ctx, done.ID, 90*time.Second)
		if err != nil {
			t.Error(err)
		}
		waited <- task
	}()
	st.finish(core.Completed, core.Result{JSON: json.RawMessage(`{"sum":7}`), Repr: "{'sum': 7}"})
	if task := <-waited; task.State != core.Completed || task.Name != "add@1" {
		t.Fatalf("%+v", task)
	}
	task, result, err := st.client.Result(ctx, done.ID, time.Minute)
	if err != nil || task.State != core.Completed || string(result.JSON) != `{"sum":7}` || result.Repr != "{'sum': 7}" || result.Pickle != nil {
		t.Fatalf("%+v, %+v, %v", task, result, err)
	}
	output, err := st.client.Output(ctx, done.ID)
	if err != nil || string(output.Stdout.Head) != "out\n" || output.Stdout.Cut != 7 || string(output.Stderr.Head) != "err\n" {
		t.Fatalf("%+v, %v", output, err)
	}
	plain := st.want(200, "GET", "/v1/tasks/"+string(done.ID)+"/logs?format=text", "")
	if plain.body != "out\n\n[... 7 bytes left out ...]\nend\nerr\n" || !strings.HasPrefix(plain.header.Get("Content-Type"), "text/plain") {
		t.Fatalf("%q", plain.body)
	}
}

func TestClientFailure(t *testing.T) {
	st, ctx := start(t), context.Background()
	st.function("f")
	id := st.submit("f", `[]`)
	exit := 3
	want := core.Failure{Kind: core.KindCrash, Type: "SystemExit", Message: "exited", Traceback: "Traceback…", Exit: &exit, Last: "bye"}
	st.finish(core.Failed, core.Result{Failure: &want})
	task, result, err := st.client.Result(ctx, id, 0)
	if err != nil || task.Failure != core.KindCrash || !reflect.DeepEqual(result.Failure, &want) || result.JSON != nil {
		t.Fatalf("%+v, %+v, %v", task, result, err)
	}
	dill := st.dillTask()
	st.finish(core.Completed, core.Result{JSON: json.RawMessage(`1`), Pickle: somePickle})
	if _, result, err = st.client.Result(ctx, dill, 0); err != nil || string(result.Pickle) != string(somePickle) || string(result.JSON) != "1" {
		t.Fatalf("%+v, %v", result, err)
	}
	if spec, err := st.client.Spec(ctx, dill); err != nil || string(spec.Args) != string(somePickle) {
		t.Fatalf("%+v, %v", spec, err)
	}
}

func TestClientBatchListCancel(t *testing.T) {
	st, ctx := start(t), context.Background()
	f := st.function("f")
	calls := make([]client.Call, 2500)
	for i := range calls {
		calls[i] = client.Call{Function: "f", Args: json.RawMessage(fmt.Sprintf("[%d]", i))}
	}
	calls[7].Function, calls[8].Retries, calls[9].Args = "nobody", new(-1), json.RawMessage(`{}`)
	answers, err := st.client.SubmitBatch(ctx, calls)
	must(t, err)
	ids := []core.TaskID{}
	for i, a := range answers {
		switch i {
		case 7:
			if !errors.Is(a.Err, core.ErrNotFound) || core.HintOf(a.Err) == "" {
				t.Errorf("%d: %+v", i, a)
			}
		case 8, 9:
			if !errors.Is(a.Err, core.ErrInvalid) {
				t.Errorf("%d: %+v", i, a)
			}
		default:
			if a.Err != nil || a.ID == "" || a.Function != f.ID {
				t.Fatalf("%d: %+v", i, a)
			}
			ids = append(ids, a.ID)
		}
	}
	seen := 0
	for filter := (core.TaskFilter{State: core.Queued, Function: f.ID, Limit: 1000}); ; {
		page, err := st.client.List(ctx, filter)
		must(t, err)
		seen += len(page.Tasks)
		if page.Next == "" {
			break
		}
		filter.Before = page.Next
	}
	if seen != len(ids) {
		t.Fatalf("listed %d of %d", seen, len(ids))
	}
	verdicts, err := st.client.Cancel(ctx, append(ids, core.TaskID(uuid.NewString())))
	must(t, err)
	for i, v := range verdicts {
		if want := map[bool]core.CancelVerdict{true: core.CancelDone, false: core.CancelUnknown}[i < len(ids)]; v != want {
			t.Fatalf("%d: %s", i, v)
		}
	}
	if got := st.want(200, "POST", "/v1/tasks/"+string(ids[0])+"/cancel", ""); got.field(t, "verdict") != "ended" {
		t.Fatal(got.body)
	}
	if page, err := st.client.List(ctx, core.TaskFilter{State: core.Running}); err != nil || page.Tasks == nil || len(page.Tasks) != 0 {
		t.Fatalf("%+v, %v", page, err)
	}
	if empty, err := st.client.SubmitBatch(ctx, nil); err != nil || len(empty) != 0 {
		t.Fatalf("%v, %v", empty, err)
	}
}

// The grace of a cancel gets to the store, from every door that takes one.
func TestCancelWithin(t *testing.T) {
	st, ctx := start(t), context.Background()
	st.function("f")
	id := st.submit("f", `[]`)
	held := st.claim()[0]
	renewed := func() time.Duration {
		verdicts, err := st.store.Renew(ctx, []core.Renewal{{Lease: held.Lease}}, time.Minute)
		must(t, err)
		grace, yes := verdicts[0].Cancelling()
		if !yes {
			t.Fatalf("renewed: %s", verdicts[0])
		}
		return grace
	}
	one, many := "/v1/tasks/"+string(id)+"/cancel", `{"ids":["`+string(id)+`"]`
	for _, c := range []struct {
		path, body string
		want       time.Duration
	}{
		{one, "", 0}, {one + "?grace=5s", "", 5 * time.Second}, {one + "?grace=1.5", "", 1500 * time.Millisecond}, {one + "?grace=0", "", core.NoGrace},
		{"/v1/tasks:cancel", many + `}`, 0}, {"/v1/tasks:cancel", many + `,"grace":"5s"}`, 5 * time.Second}, {"/v1/tasks:cancel", many + `,"grace":0}`, core.NoGrace},
	} {
		st.want(200, "POST", c.path, c.body)
		if got := renewed(); got != c.want {
			t.Errorf("%s %s: a grace of %s, not %s", c.path, c.body, got, c.want)
		}
	}
	for _, want := range []time.Duration{core.NoGrace, time.Second, 0, core.MaxGrace} {
		verdicts, err := st.client.CancelWithin(ctx, []core.TaskID{id}, want)
		must(t, err)
		if got := renewed(); verdicts[0] != core.CancelRequested || got != want {
			t.Errorf("%s: a grace of %s, not %s", verdicts[0], got, want)
		}
	}
	for _, c := range [][2]string{
		{one + "?grace=soon"}, {one + "?grace=-1s"}, {one + "?grace=61m"}, {one + "?grave=1s"},
		{"/v1/tasks:cancel", many + `,"grace":"61m"}`}, {"/v1/tasks:cancel", many + `,"grace":-1}`},
		{"/v1/operations", `{"kind":"cancel","grace":"61m"}`}, {"/v1/operations", `{"kind":"retry","grace":"1s"}`},
	} {
		if got := st.send("POST", c[0], c[1]); got.status != 422 && got.status != 400 || got.problem(t).Detail == "" {
			t.Errorf("%v: %d %s", c, got.status, got.body)
		}
	}
	op, err := st.client.ApplyWithin(ctx, core.OperationCancel, core.BulkFilter{}, false, 1500*time.Millisecond)
	if must(t, err); op.GraceMS != 1500 {
		t.Errorf("%+v", op)
	}
}

func TestClientSystem(t *testing.T) {
	st, ctx := start(t), context.Background()
	if err := st.client.Ready(ctx); !errors.Is(err, core.ErrUnavailable) || core.HintOf(err) == "" {
		t.Fatalf("ready without a dispatcher: %v", err)
	}
	_, err := st.store.Announce(ctx, core.Announcement{
		Dispatcher: core.DispatcherInfo{ID: "d-1", Host: "h", PID: 1, Modes: []core.Mode{core.Local}},
		Workers:    []core.Worker{{ID: "w-1", Mode: core.Local, State: core.WorkerRunning, Slots: 3, Busy: 1}},
	})
	must(t, err)
	must(t, st.client.Ready(ctx))
	if stats, err := st.client.Stats(ctx); err != nil || stats.Slots != 3 || stats.Store.Kind != "memory" {
		t.Fatalf("%+v, %v", stats, err)
	}
	if w, err := st.client.Worker(ctx, "w-1"); err != nil || w.Slots != 3 {
		t.Fatalf("%+v, %v", w, err)
	}
	if _, err := st.client.DrainWorker(ctx, "w-2"); !errors.Is(err, core.ErrNotFound) || core.HintOf(err) == "" {
		t.Fatalf("draining a stranger: %v", err)
	}
	_, err = st.client.DrainWorker(ctx, "w-1")
	must(t, err)
	if drain, err := st.store.Announce(ctx, core.Announcement{Workers: []core.Worker{{ID: "w-1", Slots: 3, State: core.WorkerRunning}}}); err != nil || len(drain) != 1 {
		t.Fatalf("the drain was not passed on: %v, %v", drain, err)
	}
	if workers, err := st.client.Workers(ctx); err != nil || len(workers) != 1 || workers[0].ID != "w-1" {
		t.Fatalf("%+v, %v", workers, err)
	}
	if version, err := st.client.Version(ctx); err != nil || version != "1.2.3-test" {
		t.Fatalf("%q, %v", version, err)
	}
}

func TestClientUnreachable(t *testing.T) {
	st := start(t)
	st.stop()
	_, err := st.client.Version(context.Background())
	if !errors.Is(err, core.ErrUnavailable) || !strings.Contains(err.Error(), "cannot reach the server at http://127.0.0.1:") || !strings.Contains(core.HintOf(err), "faasctl up") {
		t.Fatalf("%v (%s)", err, core.HintOf(err))
	}
	if err := st.client.Events(context.Background(), "", nil); !errors.Is(err, core.ErrUnavailable) {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	mine := errors.New("enough")
	cancel(mine)
	if _, err := st.client.Version(ctx); !errors.Is(err, mine) {
		t.Fatalf("%v", err)
	}
	for _, url := range []string{"ftp://x", "http://", "://", "http://a b"} {
		if _, err := client.New(client.Config{URL: url}); !errors.Is(err, core.ErrInvalid) {
			t.Errorf("%q: %v", url, err)
		}
	}
}

// A wait ends at once when the server drains, with the record as it stands.
func TestDrainEndsWaits(t *testing.T) {
	face := &tapped{Store: memstore.New(memstore.Config{}), looked: make(chan struct{}, 100)}
	st := startOn(t, face.Store, face, 0)
	st.function("f")
	id := st.submit("f", `[]`)
	answers := make(chan answerOf, 1)
	go func() { answers <- st.send("GET", "/v1/tasks/"+string(id)+"?wait=60s", "") }()
	<-face.looked
	begin := time.Now()
	st.stop()
	if got := <-answers; got.status != 200 || got.field(t, "state") != "QUEUED" {
		t.Fatalf("%d %s", got.status, got.body)
	}
	if took := time.Since(begin); took > 30*time.Second {
		t.Fatalf("draining took %v", took)
	}
}
