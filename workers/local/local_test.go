package local_test

import (
	"context"
	"log/slog"
	"strconv"
	"testing"
	"time"

	"faasctl/core"
	"faasctl/core/memstore"
	"faasctl/workers/local"
	"faasctl/workers/pyrun"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// stack is a memory store, a dispatcher and one local worker with real Python
// children.
type stack struct {
	*testing.T
	*core.Service
	ctx  context.Context
	stop func()
}

func newStack(t *testing.T, slots int) *stack {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	python, _, err := pyrun.Find(ctx, "")
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.NewTextHandler(t.Output(), nil))
	worker, err := local.New(local.Config{Slots: slots, Interpreters: []core.Interpreter{python}, Beat: 20 * time.Millisecond, Logger: log})
	if err != nil {
		t.Fatal(err)
	}
	store := memstore.New(memstore.Config{})
	dispatcher, err := core.NewDispatcher(core.DispatcherConfig{Store: store, Transports: []core.Transport{worker}, Logger: log, Beat: 50 * time.Millisecond, Renew: 100 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	service, err := core.NewService(core.ServiceConfig{Store: store, Logger: log})
	if err != nil {
		t.Fatal(err)
	}
	run, stopRun := context.WithCancel(ctx)
	ended := make(chan error, 2)
	go func() { ended <- dispatcher.Run(run) }()
	go func() { ended <- service.Run(run) }()
	stopped := false
	s := &stack{T: t, Service: service, ctx: ctx}
	s.stop = func() {
		if stopped {
			return
		}
		stopped = true
		stopRun()
		for range 2 {
			if err := <-ended; err != nil {
				t.Errorf("stop: %v", err)
			}
		}
		cancel()
	}
	t.Cleanup(s.stop)
	return s
}

func (s *stack) register(name, text string) core.Function {
	s.Helper()
	r, err := s.Register(s.ctx, core.RegisterRequest{Name: name, Codec: core.Source, Body: []byte(text), Entry: name, File: name + ".py"})
	if err != nil {
		s.Fatal(err)
	}
	return r.Function
}

func (s *stack) submit(r core.SubmitRequest) core.TaskID {
	s.Helper()
	r.Codec = core.JSON
	answer, err := s.Submit(s.ctx, r)
	if err != nil {
		s.Fatal(err)
	}
	return answer.ID
}

func (s *stack) result(id core.TaskID) (core.Task, *core.Result) {
	s.Helper()
	if _, err := s.Wait(s.ctx, id, time.Minute); err != nil {
		s.Fatal(err)
	}
	task, result, err := s.Result(s.ctx, id)
	if err != nil || result == nil {
		s.Fatalf("task %s is %s: %v", id, task.State, err)
	}
	return task, result
}

func (s *stack) waitState(id core.TaskID, want core.State, also func(core.Task) bool) {
	s.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		task, err := s.Task(s.ctx, id)
		if err != nil {
			s.Fatal(err)
		}
		if task.State == want && (also == nil || also(task)) {
			return
		}
		select {
		case <-tick.C:
		case <-s.ctx.Done():
			s.Fatalf("task %s stayed %s, wanted %s", id, task.State, want)
		}
	}
}

func TestCallsRunAndEnd(t *testing.T) {
	s := newStack(t, 2)
	s.register("add", "def add(a, b=10):\n    print('adding', a)\n    return a + b\n")
	s.register("boom", "def boom():\n    raise ValueError('no such luck')\n")
	id := s.submit(core.SubmitRequest{Function: "add", Args: []byte(`[[3],{"b":4}]`)})
	task, result := s.result(id)
	if task.State != core.Completed || string(result.JSON) != "7" || task.Attempt != 1 || task.Name != "add@1" {
		t.Fatalf("%+v %+v", task, result)
	}
	if _, output, err := s.Output(s.ctx, id); err != nil || string(output.Stdout.Head) != "adding 3\n" {
		t.Fatalf("output %+v %v", output, err)
	}
	task, result = s.result(s.submit(core.SubmitRequest{Function: "boom", Args: []byte(`[[],{}]`)}))
	if task.State != core.Failed || result.Failure.Kind != core.KindException || result.Failure.Type != "ValueError" {
		t.Fatalf("%+v %+v", task, result.Failure)
	}
}

func TestManyCallsEachWithItsOwnResult(t *testing.T) {
	s := newStack(t, 2)
	s.register("square", "def square(x):\n    return x * x\n")
	requests := make([]core.SubmitRequest, 3000)
	for i := range requests {
		requests[i] = core.SubmitRequest{Function: "square@1", Codec: core.JSON, Args: []byte(`[[` + strconv.Itoa(i) + `],{}]`)}
	}
	answers, err := s.SubmitBatch(s.ctx, requests)
	if err != nil {
		t.Fatal(err)
	}
	for i, a := range answers {
		if a.Err != nil {
			t.Fatal(a.Err)
		}
		if task, result := s.result(a.ID); task.State != core.Completed || string(result.JSON) != strconv.Itoa(i*i) {
			t.Fatalf("square(%d): %s %s", i, task.State, result.JSON)
		}
	}
	stats, err := s.Stats(s.ctx)
	if err != nil || stats.Totals.Completed != 3000 || stats.Totals.Lost != 0 {
		t.Fatalf("%+v %v", stats.Totals, err)
	}
}

func TestCancelOfARunningTask(t *testing.T) {
	s := newStack(t, 1)
	s.register("nap", "import time\ndef nap(s):\n    time.sleep(s)\n")
	running := s.submit(core.SubmitRequest{Function: "nap", Args: []byte(`[[600],{}]`)})
	s.waitState(running, core.Running, func(t core.Task) bool { return t.Attempt == 1 })
	queued := s.submit(core.SubmitRequest{Function: "nap", Args: []byte(`[[0],{}]`)})
	if v, err := s.Cancel(s.ctx, []core.TaskID{running}, 0); err != nil || v[0] != core.CancelRequested {
		t.Fatal(v, err)
	}
	if task, result := s.result(running); task.State != core.Cancelled || result.Failure.Kind != core.KindCancelled {
		t.Fatalf("%+v %+v", task, result)
	}
	if task, _ := s.result(queued); task.State != core.Completed {
		t.Fatalf("the next task ended %s", task.State)
	}
}

func TestTimeoutEndsTheCallAndFreesTheSlot(t *testing.T) {
	s := newStack(t, 1)
	s.register("forever", "def forever():\n    while True: pass\n")
	s.register("one", "def one():\n    return 1\n")
	late := s.submit(core.SubmitRequest{Function: "forever", Args: []byte(`[[],{}]`), Timeout: 100 * time.Millisecond})
	next := s.submit(core.SubmitRequest{Function: "one", Args: []byte(`[[],{}]`)})
	if task, result := s.result(late); task.State != core.Failed || result.Failure.Kind != core.KindTimeout {
		t.Fatalf("%+v %+v", task, result)
	}
	if task, _ := s.result(next); task.State != core.Completed {
		t.Fatalf("the next task ended %s", task.State)
	}
}

func TestRetriesRunAgainAfterAPause(t *testing.T) {
	s := newStack(t, 1)
	flag := t.TempDir() + "/tried"
	s.register("flaky", "import os\ndef flaky(p):\n    if os.path.exists(p): return 'ok'\n    open(p,'w').close()\n    raise OSError('first time')\n")
	id := s.submit(core.SubmitRequest{Function: "flaky", Args: []byte(`[["` + flag + `"],{}]`), Retries: new(1)})
	if task, result := s.result(id); task.State != core.Completed || task.Attempt != 2 || string(result.JSON) != `"ok"` {
		t.Fatalf("%+v %+v", task, result)
	}
}

func TestStopLetsARunningTaskEnd(t *testing.T) {
	s := newStack(t, 1)
	s.register("nap", "import time\ndef nap(s):\n    time.sleep(s)\n    return 'rested'\n")
	running := s.submit(core.SubmitRequest{Function: "nap", Args: []byte(`[[1],{}]`)})
	s.waitState(running, core.Running, func(t core.Task) bool { return t.Attempt == 1 })
	queued := s.submit(core.SubmitRequest{Function: "nap", Args: []byte(`[[1],{}]`)})
	s.stop()
	ctx := context.Background()
	if task, err := s.Task(ctx, running); err != nil || task.State != core.Completed {
		t.Fatalf("%+v %v", task, err)
	}
	if task, err := s.Task(ctx, queued); err != nil || task.State != core.Queued || task.Deliveries != 0 {
		t.Fatalf("%+v %v", task, err)
	}
}
