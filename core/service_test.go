package core_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"faasctl/core"
	"faasctl/core/memstore"
)

// desk is a service on a memory store in a synctest bubble.
type desk struct {
	*testing.T
	*core.Service
	store *memstore.Store
	ctx   context.Context
}

func serve(t *testing.T, cfg core.ServiceConfig, run func(*desk)) {
	synctest.Test(t, func(t *testing.T) {
		store := memstore.New(memstore.Config{})
		cfg.Store = store
		service, err := core.NewService(cfg)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- service.Run(ctx) }()
		run(&desk{T: t, Service: service, store: store, ctx: t.Context()})
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

func (d *desk) register(name, text string) core.Registration {
	d.Helper()
	r, err := d.Register(d.ctx, core.RegisterRequest{Name: name, Codec: core.Source, Entry: name, Body: []byte(text)})
	if err != nil {
		d.Fatal(err)
	}
	return r
}

func (d *desk) submit(function string) core.TaskID {
	d.Helper()
	answer, err := d.Submit(d.ctx, core.SubmitRequest{Function: function, Codec: core.JSON, Args: []byte(`[[],{}]`)})
	if err != nil {
		d.Fatal(err)
	}
	return answer.ID
}

// end claims one task and settles it.
func (d *desk) end(id core.TaskID) {
	d.Helper()
	claimed, err := d.store.Claim(d.ctx, core.ClaimRequest{ID: string(id), Max: 1, Lease: time.Hour})
	if err != nil || len(claimed) != 1 {
		d.Fatal(claimed, err)
	}
	outcome := core.Outcome{Lease: claimed[0].Lease, State: core.Completed, Started: true, Result: core.Result{JSON: []byte("1")}}
	if _, err := d.store.Settle(d.ctx, []core.Settlement{{Outcome: outcome}}); err != nil {
		d.Fatal(err)
	}
}

func wantClass(t *testing.T, err error, class *core.Class, words ...string) {
	t.Helper()
	if err == nil || core.ClassOf(err) != class {
		t.Fatalf("got %v, want class %s", err, class.Name)
	}
	for _, word := range words {
		if !strings.Contains(err.Error()+" "+core.HintOf(err), word) {
			t.Fatalf("%q, hint %q: does not say %q", err, core.HintOf(err), word)
		}
	}
}

func TestFunctionsAreFoundByEveryReference(t *testing.T) {
	serve(t, core.ServiceConfig{}, func(d *desk) {
		one, two := d.register("f", "1").Function, d.register("f", "2").Function
		for ref, want := range map[string]core.FunctionID{
			"f": two.ID, "f@1": one.ID, "f@2": two.ID, string(one.ID): one.ID, string(two.ID)[:13]: two.ID, strings.ToUpper(string(one.ID)): one.ID,
		} {
			if got, err := d.Function(d.ctx, ref); err != nil || got.ID != want {
				t.Errorf("%s: %s, %v; want %s", ref, got.ID, err, want)
			}
		}
		for ref, class := range map[string]*core.Class{
			"g": core.ErrNotFound, "f@3": core.ErrNotFound, "ffffffff-0000": core.ErrNotFound, "f@x": core.ErrInvalid, "": core.ErrInvalid, string(core.NewFunctionID()): core.ErrNotFound,
		} {
			_, err := d.Function(d.ctx, ref)
			wantClass(t, err, class)
			if core.HintOf(err) == "" {
				t.Errorf("%q: no hint in %v", ref, err)
			}
		}
	})
}

func TestRegistrationsAreChecked(t *testing.T) {
	serve(t, core.ServiceConfig{MaxPayload: 100}, func(d *desk) {
		good := core.RegisterRequest{Name: "f", Codec: core.Dill, Body: []byte("\x80\x04N.")}
		for name, c := range map[string]struct {
			change func(*core.RegisterRequest)
			class  *core.Class
		}{
			"name":      {func(r *core.RegisterRequest) { r.Name = "a b" }, core.ErrInvalid},
			"id":        {func(r *core.RegisterRequest) { r.Name = "f0000000-0000-4000-8000-000000000000" }, core.ErrInvalid},
			"codec":     {func(r *core.RegisterRequest) { r.Codec = core.JSON }, core.ErrInvalid},
			"entry":     {func(r *core.RegisterRequest) { r.Codec = core.Source }, core.ErrInvalid},
			"pickle":    {func(r *core.RegisterRequest) { r.Body = []byte("payload") }, core.ErrMalformed},
			"truncated": {func(r *core.RegisterRequest) { r.Body = []byte("\x80\x04N") }, core.ErrMalformed},
			"large":     {func(r *core.RegisterRequest) { r.Body = make([]byte, 101) }, core.ErrTooLarge},
			"time-out":  {func(r *core.RegisterRequest) { r.Policy.Timeout = new(time.Duration(-1)) }, core.ErrInvalid},
		} {
			r := good
			c.change(&r)
			if _, err := d.Register(d.ctx, r); err == nil || core.ClassOf(err) != c.class {
				t.Errorf("%s: got %v, want %s", name, err, c.class.Name)
			}
		}
		if all, err := d.Functions(d.ctx); err != nil || len(all) != 0 {
			t.Fatalf("refused registrations were stored: %v %v", all, err)
		}
	})
}

func TestAssumedPythonIsSaid(t *testing.T) {
	serve(t, core.ServiceConfig{Python: "3.11"}, func(d *desk) {
		r, err := d.Register(d.ctx, core.RegisterRequest{Name: "f", Codec: core.Dill, Body: []byte("\x80\x04N.")})
		if err != nil || r.Function.Python != "3.11" || !r.Function.Assumed {
			t.Fatalf("%+v %v", r.Function, err)
		}
		r, err = d.Register(d.ctx, core.RegisterRequest{Name: "g", Codec: core.Dill, Body: []byte("\x80\x04N."), Python: "3.9"})
		if err != nil || r.Function.Python != "3.9" || r.Function.Assumed {
			t.Fatalf("%+v %v", r.Function, err)
		}
	})
}

func TestOneBadItemDoesNotSpoilTheBatch(t *testing.T) {
	serve(t, core.ServiceConfig{}, func(d *desk) {
		d.register("f", "1")
		requests := make([]core.SubmitRequest, 2500)
		for i := range requests {
			requests[i] = core.SubmitRequest{Function: "f", Codec: core.JSON, Args: []byte(fmt.Sprintf(`[[%d],{}]`, i))}
		}
		requests[7].Function, requests[1500].Args = "nobody", []byte(`{}`)
		answers, err := d.SubmitBatch(d.ctx, requests)
		if err != nil {
			t.Fatal(err)
		}
		wantClass(t, answers[7].Err, core.ErrNotFound, "nobody")
		wantClass(t, answers[1500].Err, core.ErrInvalid, "array")
		for i, a := range answers {
			if i == 7 || i == 1500 {
				continue
			}
			spec, err := d.Spec(d.ctx, a.ID)
			if a.Err != nil || err != nil || string(spec.Args) != fmt.Sprintf(`[[%d],{}]`, i) {
				t.Fatalf("item %d: %v %v %s", i, a.Err, err, spec.Args)
			}
		}
	})
}

func TestTimeoutsComeFromCallFunctionThenServer(t *testing.T) {
	serve(t, core.ServiceConfig{}, func(d *desk) {
		d.register("plain", "1")
		if _, err := d.Register(d.ctx, core.RegisterRequest{Name: "slow", Codec: core.Source, Entry: "slow", Body: []byte("2"), Policy: core.PolicyChange{Timeout: new(time.Hour)}}); err != nil {
			t.Fatal(err)
		}
		for _, c := range []struct {
			function string
			call     time.Duration
			want     time.Duration
		}{{"plain", 0, core.DefaultTimeout}, {"slow", 0, time.Hour}, {"slow", time.Second, time.Second}} {
			a, err := d.Submit(d.ctx, core.SubmitRequest{Function: c.function, Codec: core.JSON, Args: []byte(`[[],{}]`), Timeout: c.call})
			if err != nil {
				t.Fatal(err)
			}
			if spec, err := d.Spec(d.ctx, a.ID); err != nil || spec.Timeout != c.want {
				t.Errorf("%s, %s: %s, want %s", c.function, c.call, spec.Timeout, c.want)
			}
		}
	})
}

func TestPoliciesAreInheritedAndChanged(t *testing.T) {
	serve(t, core.ServiceConfig{}, func(d *desk) {
		register := func(body string, c core.PolicyChange) core.Registration {
			t.Helper()
			r, err := d.Register(d.ctx, core.RegisterRequest{Name: "f", Codec: core.Source, Entry: "f", Body: []byte(body), Policy: c})
			if err != nil {
				t.Fatal(err)
			}
			return r
		}
		first := register("1", core.PolicyChange{Retries: new(3), Rate: &core.Rate{N: 5, Per: time.Second}})
		if first.Outcome != core.RegisteredNew || first.Changed != nil || first.Function.Retries != 3 {
			t.Fatalf("%+v", first)
		}
		if same := register("1", core.PolicyChange{}); same.Outcome != core.RegisteredSame || same.Changed != nil || same.Function.Retries != 3 {
			t.Fatalf("what was not stated did not stay: %+v", same)
		}
		same := register("1", core.PolicyChange{Retries: new(1), Concurrency: new(2), Rate: &core.Rate{N: 5, Per: time.Second}})
		if same.Outcome != core.RegisteredSame || !slices.Equal(same.Changed, []string{"retries", "concurrency"}) || same.Function.ID != first.Function.ID {
			t.Fatalf("%+v", same)
		}
		if next := register("2", core.PolicyChange{Expires: new(time.Hour)}); next.Function.Version != 2 || next.Function.Retries != 1 || next.Function.Rate.N != 5 || next.Function.Expires != time.Hour {
			t.Fatalf("a new version is %+v", next)
		}
		if f, changed, err := d.SetPolicy(d.ctx, "f@1", core.PolicyChange{Retries: new(0)}); err != nil || !slices.Equal(changed, []string{"retries"}) || f.Retries != 0 || f.Concurrency != 2 {
			t.Fatalf("%+v, %v, %v", f, changed, err)
		}
		for name, c := range map[string]core.PolicyChange{
			"nothing": {}, "retries": {Retries: new(-1)}, "concurrency": {Concurrency: new(-1)}, "expires": {Expires: new(time.Duration(-1))},
			"rate": {Rate: &core.Rate{N: 1, Per: 3}}, "back-off": {Backoff: &core.Backoff{First: 2, Last: 1}}, "class": {RetryOn: &core.RetryOn{"a b"}},
		} {
			if _, _, err := d.SetPolicy(d.ctx, "f", c); core.ClassOf(err) != core.ErrInvalid {
				t.Errorf("%s: %v", name, err)
			}
		}
		if _, _, err := d.SetPolicy(d.ctx, "g", core.PolicyChange{Retries: new(1)}); core.ClassOf(err) != core.ErrNotFound {
			t.Errorf("%v", err)
		}
	})
}

func TestCallsTakeWhatTheyDoNotStateFromThePolicy(t *testing.T) {
	serve(t, core.ServiceConfig{}, func(d *desk) {
		backoff := core.Backoff{First: time.Second, Last: time.Second}
		done, err := d.Register(d.ctx, core.RegisterRequest{Name: "f", Codec: core.Source, Entry: "f", Body: []byte("1"), Policy: core.PolicyChange{
			Retries: new(2), Expires: new(time.Hour), Backoff: &backoff, RetryOn: &core.RetryOn{"E"}}})
		if err != nil {
			t.Fatal(err)
		}
		spec := func(r core.SubmitRequest) core.Spec {
			t.Helper()
			r.Codec, r.Args = core.JSON, []byte(`[[],{}]`)
			a, err := d.Submit(d.ctx, r)
			if err != nil {
				t.Fatal(err)
			}
			s, err := d.Spec(d.ctx, a.ID)
			if err != nil {
				t.Fatal(err)
			}
			return s
		}
		if s := spec(core.SubmitRequest{Function: "f"}); s.Retries != 2 || s.Backoff != backoff || !slices.Equal(s.RetryOn, core.RetryOn{"E"}) || s.Expires != time.Hour {
			t.Errorf("%+v", s)
		}
		if s := spec(core.SubmitRequest{Function: "f", Retries: new(0), Expires: new(time.Duration(0))}); s.Retries != 0 || s.RetryOn != nil || s.Expires != 0 {
			t.Errorf("what the call states does not hold: %+v", s)
		}
		// Also a call by id, whose function is cached, goes by the new policy.
		id := string(done.Function.ID)
		spec(core.SubmitRequest{Function: id})
		if _, _, err := d.SetPolicy(d.ctx, "f", core.PolicyChange{Retries: new(7)}); err != nil {
			t.Fatal(err)
		}
		if s := spec(core.SubmitRequest{Function: id}); s.Retries != 7 {
			t.Errorf("%+v", s)
		}
		if err := d.store.SetPolicy(d.ctx, done.Function.ID, core.Policy{Retries: 9}); err != nil { // another process
			t.Fatal(err)
		}
		time.Sleep(time.Second) // of the bubble
		if s := spec(core.SubmitRequest{Function: id}); s.Retries != 9 {
			t.Errorf("%+v", s)
		}
	})
}

func TestWaitEndsWithTheTask(t *testing.T) {
	serve(t, core.ServiceConfig{Recheck: time.Hour}, func(d *desk) {
		d.register("f", "1")
		id := d.submit("f")
		began := time.Now()
		if task, err := d.Wait(d.ctx, id, 30*time.Second); err != nil || task.State != core.Queued || time.Since(began) != 30*time.Second {
			t.Fatalf("%+v %v after %s", task, err, time.Since(began))
		}
		ended := make(chan core.Task, 3)
		for range 3 {
			go func() {
				task, err := d.Wait(d.ctx, id, time.Hour)
				if err != nil {
					t.Error(err)
				}
				ended <- task
			}()
		}
		synctest.Wait()
		began = time.Now()
		d.end(id)
		for range 3 {
			if task := <-ended; task.State != core.Completed || time.Since(began) != 0 {
				t.Fatalf("%+v after %s", task, time.Since(began))
			}
		}
	})
}

// A hint may be lost; then the waiter looks again by itself.
func TestWaitSurvivesALostHint(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memstore.New(memstore.Config{})
		service, err := core.NewService(core.ServiceConfig{Store: store}) // Run is not called: no hints
		if err != nil {
			t.Fatal(err)
		}
		d := &desk{T: t, Service: service, store: store, ctx: t.Context()}
		d.register("f", "1")
		id := d.submit("f")
		ended := make(chan core.Task, 1)
		go func() {
			task, err := d.Wait(d.ctx, id, time.Hour)
			if err != nil {
				t.Error(err)
			}
			ended <- task
		}()
		synctest.Wait()
		began := time.Now()
		d.end(id)
		if task := <-ended; task.State != core.Completed || time.Since(began) > 2*time.Second {
			t.Fatalf("%+v after %s", task, time.Since(began))
		}
	})
}

func TestUnknownTasks(t *testing.T) {
	serve(t, core.ServiceConfig{}, func(d *desk) {
		id := core.NewTaskID()
		_, err := d.Task(d.ctx, id)
		wantClass(t, err, core.ErrNotFound, string(id))
		_, err = d.Wait(d.ctx, id, time.Hour)
		wantClass(t, err, core.ErrNotFound)
		_, _, err = d.Result(d.ctx, id)
		wantClass(t, err, core.ErrNotFound)
		_, err = d.Spec(d.ctx, id)
		wantClass(t, err, core.ErrNotFound, "task ls")
	})
}

func TestReadyMeansAbleToRun(t *testing.T) {
	serve(t, core.ServiceConfig{}, func(d *desk) {
		wantClass(t, d.Ready(d.ctx), core.ErrUnavailable, "dispatcher")
		announce := core.Announcement{Dispatcher: core.DispatcherInfo{ID: "d-1"}}
		if _, err := d.store.Announce(d.ctx, announce); err != nil {
			t.Fatal(err)
		}
		wantClass(t, d.Ready(d.ctx), core.ErrUnavailable, "worker")
		announce.Workers = []core.Worker{{ID: "w-1", State: core.WorkerRunning, Slots: 1}}
		if _, err := d.store.Announce(d.ctx, announce); err != nil {
			t.Fatal(err)
		}
		if err := d.Ready(d.ctx); err != nil {
			t.Fatal(err)
		}
		time.Sleep(15 * time.Second) // of the bubble: both fall silent
		wantClass(t, d.Ready(d.ctx), core.ErrUnavailable)
	})
}

func TestRemovalByNameTakesAllVersions(t *testing.T) {
	serve(t, core.ServiceConfig{}, func(d *desk) {
		d.register("f", "1")
		d.register("f", "2")
		d.register("g", "1")
		gone, err := d.RemoveFunction(d.ctx, "f")
		if err != nil || len(gone) != 2 {
			t.Fatal(gone, err)
		}
		left, err := d.Functions(d.ctx)
		if err != nil || len(left) != 1 || left[0].Name != "g" {
			t.Fatal(left, err)
		}
	})
}

// A task that is not there is gone when it is older than what is kept, and else
// unknown.
func TestWhatIsNotKeptIsGone(t *testing.T) {
	service, err := core.NewService(core.ServiceConfig{Store: memstore.New(memstore.Config{}), Keep: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	old := core.TaskID("01890a5d-ac96-774b-bcce-b302099a8050") // of June 2023
	for id, want := range map[core.TaskID]*core.Class{
		old: core.ErrGone, core.NewTaskID(): core.ErrNotFound, "6ba7b810-9dad-11d1-80b4-00c04fd430c8": core.ErrNotFound,
	} {
		for what, err := range map[string]error{
			"task":   func() error { _, err := service.Task(t.Context(), id); return err }(),
			"spec":   func() error { _, err := service.Spec(t.Context(), id); return err }(),
			"result": func() error { _, _, err := service.Result(t.Context(), id); return err }(),
		} {
			if core.ClassOf(err) != want || core.HintOf(err) == "" {
				t.Errorf("%s of %s: %v, want %s", what, id, err, want.Name)
			}
		}
	}
	if at, ok := old.Time(); !ok || at.UTC().Format(time.DateOnly) != "2023-06-30" {
		t.Errorf("made on %s", at)
	}
}
