package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"faasctl/core"
	"faasctl/core/coretest/ports"
	"faasctl/httpapi/client"
)

// fleet is every kind of process, each on its own.
type fleet struct {
	t     *testing.T
	env   []string
	home  string
	redis *redisServer
	words map[string][]string // by name: how to start it
	runs  map[string]*stack
}

func newFleet(t *testing.T) *fleet {
	t.Helper()
	home := t.TempDir()
	f := &fleet{t: t, env: cleanEnv(t, home), home: home, redis: redisServerFor(t), runs: map[string]*stack{}}
	port, sockets := ports.Reserve(t, 1), ports.Reserve(t, 2)
	f.words = map[string][]string{
		"api":        {"serve", "--listen", ports.At(port), "--redis", f.redis.url()},
		"dispatcher": {"dispatcher", "-m", "local,push,pull", "-w", "1", "-p", strconv.Itoa(sockets), "--redis", f.redis.url()},
		"push":       {"worker", "push", "1", ports.At(sockets)},
		"pull":       {"worker", "pull", "1", ports.At(sockets + 1)},
	}
	for _, name := range []string{"dispatcher", "push", "pull", "api"} {
		f.start(name)
	}
	t.Cleanup(func() {
		for _, name := range []string{"push", "pull", "dispatcher", "api"} {
			f.stop(name)
		}
	})
	return f
}

func (f *fleet) start(name string) {
	f.t.Helper()
	var err error
	if f.runs[name], err = startStack(f.env, f.home, f.words[name]...); err != nil {
		f.t.Fatalf("%s: %v", name, err)
	}
}

func (f *fleet) stop(name string) {
	f.t.Helper()
	if s := f.runs[name]; s != nil {
		if err := s.stop(syscall.SIGTERM); err != nil && !f.t.Failed() {
			f.t.Errorf("stopping %s: %v", name, err)
		}
		f.runs[name] = nil
	}
}

// restart stops one part and starts it again.
func (f *fleet) restart(name string) {
	f.t.Helper()
	if name == "redis" {
		f.redis.end(syscall.SIGTERM)
		f.redis.start()
		return
	}
	f.stop(name)
	f.start(name)
}

// slowAfter is longer than any restart, and shorter than a lease: nobody waits for
// one to lapse when all say goodbye.
const slowAfter = 20 * time.Second

// life tells what happened to a task.
func life(ctx context.Context, api *client.Client, id core.TaskID) string {
	var text strings.Builder
	events, err := api.EventsOnceWhere(ctx, core.EventFilter{Task: id}, "", 100)
	for _, e := range events {
		fmt.Fprintf(&text, "\n  %s %s worker %s dispatcher %s %s", e.At.Format(time.StampMilli), e.Kind, e.Worker, e.Dispatcher, e.Detail)
	}
	if err != nil {
		fmt.Fprint(&text, err)
	}
	return text.String()
}

func (f *fleet) url() string { return "http://" + f.words["api"][2] }

// soaking says that there is time for the long versions of tests.
var soaking = os.Getenv("FAASCTL_SOAK") == "1"

// TestRollingRestart restarts every process, one after the other, under load: no
// client sees an error, nothing is lost, nothing is settled twice.
func TestRollingRestart(t *testing.T) {
	if testing.Short() {
		t.Skip("starts whole stacks")
	}
	span, every := 5*time.Second, 500*time.Millisecond
	if soaking {
		span, every = time.Minute, 3*time.Second
	}
	f := newFleet(t)
	ran := filepath.Join(f.home, "ran")
	file := write(t, f.home, "fn.py", "import os\n"+
		"def square(x):\n    f = os.open("+strconv.Quote(ran)+", os.O_WRONLY | os.O_CREAT | os.O_APPEND)\n    os.write(f, b'%d\\n' % x)\n    os.close(f)\n    return x * x\n")
	if _, said, code := command(t, append(f.env, "FAASCTL_URL="+f.url()), f.home, "", "register", file+"::square"); code != 0 {
		t.Fatal(said)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	load, stopLoad := context.WithCancel(ctx)
	var group sync.WaitGroup
	var mu sync.Mutex
	want := map[core.TaskID]string{}
	for lane := range 4 {
		group.Go(func() {
			api, err := client.New(client.Config{URL: f.url(), Patience: 30 * time.Second})
			if err != nil {
				t.Error(err)
				return
			}
			defer api.Close()
			for n := 0; load.Err() == nil; n++ {
				x := lane*1_000_000 + n
				asked := time.Now()
				one, err := api.Submit(ctx, client.Call{Function: "square", Args: json.RawMessage(fmt.Sprintf("[%d]", x))})
				if err == nil {
					err = one.Err
				}
				if err != nil {
					t.Errorf("submit %d: %v", x, err)
					return
				}
				mu.Lock()
				want[one.ID] = strconv.Itoa(x * x)
				mu.Unlock()
				task, result, err := api.Result(ctx, one.ID, time.Minute)
				if err != nil || result == nil || string(result.JSON) != strconv.Itoa(x*x) {
					t.Errorf("result of %d, %s, which is %s: %+v, %v", x, one.ID, task.State, result, err)
					return
				}
				if took := time.Since(asked); took > slowAfter {
					t.Errorf("task %d took %v: %s", x, took, life(ctx, api, one.ID))
				}
			}
		})
	}
	restarts := 0
	tick := time.NewTicker(every)
	defer tick.Stop()
	for began := time.Now(); (time.Since(began) < span || restarts < 5) && !t.Failed(); restarts++ {
		<-tick.C // what is tested is time itself
		f.restart([]string{"api", "dispatcher", "push", "pull", "redis"}[restarts%5])
	}
	stopLoad()
	group.Wait()
	if t.Failed() {
		for name, s := range f.runs {
			if s != nil {
				t.Logf("%s said:\n%s", name, s.output())
			}
		}
		return
	}
	api, err := client.New(client.Config{URL: f.url()})
	if err != nil {
		t.Fatal(err)
	}
	defer api.Close()
	settledOnce(t, ctx, api, want)
	text, err := os.ReadFile(ran)
	if err != nil {
		t.Fatal(err)
	}
	executions := map[string]int{}
	for _, x := range strings.Fields(string(text)) {
		if executions[x]++; executions[x] > 1 {
			t.Errorf("%s was executed %d times", x, executions[x])
		}
	}
	stats, err := api.Stats(ctx)
	if err != nil || stats.Totals.Submitted != int64(len(want)) || stats.Queued+stats.Delayed+stats.Running != 0 || stats.Repaired != 0 {
		t.Errorf("%d tasks; %+v, %d are left, %d repairs, %v", len(want), stats.Totals, stats.Queued+stats.Delayed+stats.Running, stats.Repaired, err)
	}
	t.Logf("%d restarts, %d tasks, %d executions, no error", restarts, len(want), len(executions))
	if len(want) < restarts {
		t.Errorf("only %d tasks came through", len(want))
	}
}
