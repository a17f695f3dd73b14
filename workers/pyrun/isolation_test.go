package pyrun

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"faasctl/core"
)

func isolated(f *core.Function, i core.Isolation) core.Assignment {
	a := assign(f, none)
	a.Isolation = i
	return a
}

// ask runs a call and returns what it ended as.
func (r *rig) ask(a core.Assignment) core.Outcome {
	r.t.Helper()
	r.Start([]core.Assignment{a}, r)
	return r.outcome(r.t, a.Task)
}

// answer runs a call that has to succeed, and decodes its result.
func (r *rig) answer(a core.Assignment, into any) {
	r.t.Helper()
	o := r.ask(a)
	if o.State != core.Completed {
		r.t.Fatalf("ended %s: %+v", o.State, o.Result.Failure)
	}
	if err := json.Unmarshal(o.Result.JSON, into); err != nil {
		r.t.Fatal(err)
	}
}

// trail tells in which process a call ran, which loaded it, and how many calls
// it has seen in the module's and in the process's memory.
var trail = source("f", `import os, sys, builtins
loaded = os.getpid()
seen = 0
def f():
    global seen
    seen += 1
    builtins.seen = getattr(builtins, "seen", 0) + 1
    return {"pid": os.getpid(), "loaded": loaded, "seen": seen, "process": builtins.seen}
`)

type trace struct{ PID, Loaded, Seen, Process int }

func TestIsolation(t *testing.T) {
	r := newRig(t, Config{})
	var first, second, third trace
	for _, at := range []*trace{&first, &second} {
		r.answer(isolated(trail, core.Warm), at)
	}
	if first.PID != second.PID || second.Seen != 2 {
		t.Errorf("warm: %+v, then %+v", first, second)
	}
	for _, at := range []*trace{&first, &second, &third} {
		r.answer(isolated(trail, core.Fork), at)
		if at.Seen != 1 || at.Process != 1 || at.PID == at.Loaded {
			t.Errorf("fork: %+v", at)
		}
	}
	if first.Loaded != second.Loaded || second.Loaded != third.Loaded || first.PID == second.PID || second.PID == third.PID {
		t.Errorf("fork: %+v, %+v, %+v", first, second, third)
	}
	for _, at := range []*trace{&first, &second} {
		r.answer(isolated(trail, core.Fresh), at)
		if at.Seen != 1 || at.Process != 1 || at.PID != at.Loaded {
			t.Errorf("fresh: %+v", at)
		}
	}
	if first.PID == second.PID {
		t.Errorf("fresh: %+v, then %+v", first, second)
	}
	r.answer(isolated(trail, core.Warm), &third)
	if third.PID == second.PID || third.Process != 1 {
		t.Errorf("warm after fresh: %+v after %+v", third, second)
	}
}

func TestAWorkersIsolationIsTheLeast(t *testing.T) {
	r := newRig(t, Config{Rules: Rules{Ceiling: core.Limits{Isolation: core.Fork}}})
	var at trace
	for range 3 {
		r.answer(isolated(trail, core.Warm), &at)
		if at.Process != 1 || at.PID == at.Loaded {
			t.Errorf("warm on a worker that forks: %+v", at)
		}
	}
	r.answer(isolated(trail, core.Fresh), &at)
	if at.Process != 1 || at.PID != at.Loaded {
		t.Errorf("fresh on a worker that forks: %+v", at)
	}
}

// A batch may mix isolations: its calls end in order, each as it was asked for.
func TestBatchOfMixedIsolation(t *testing.T) {
	r := newRig(t, Config{})
	kinds := []core.Isolation{core.Warm, core.Warm, core.Fork, core.Fork, core.Fresh, core.Fresh, core.Warm, core.Fork, ""}
	var batch []core.Assignment
	for _, kind := range kinds {
		batch = append(batch, isolated(trail, kind))
	}
	r.Start(batch, r)
	for i, a := range batch {
		o := r.outcome(t, a.Task)
		var at trace
		if o.State != core.Completed || json.Unmarshal(o.Result.JSON, &at) != nil {
			t.Fatalf("%d: %s %+v", i, o.State, o.Result.Failure)
		}
		if want := map[core.Isolation]int{core.Fork: 1, core.Fresh: 1}[a.Isolation]; want != 0 && at.Process != want || i == 1 && at.Process != 2 {
			t.Errorf("%d, %s: %+v", i, a.Isolation, at)
		}
	}
	r.lock.Lock()
	defer r.lock.Unlock()
	for i, a := range batch {
		if r.finished[i] != a.Task || len(r.ended[a.Task]) != 1 || r.started[a.Task] != 1 {
			t.Errorf("call %d ended %d times, started %d times, or not in its order", i, len(r.ended[a.Task]), r.started[a.Task])
		}
	}
}

// Every hostile function ends in a fork as it does in a warm child.
func TestHostileFunctionsInForks(t *testing.T) {
	tryHostiles(t, newRig(t, Config{Slots: 1, Rules: Rules{Ceiling: core.Limits{Isolation: core.Fork}}}))
}

// A crash costs a fork, not the process that it came from.
func TestAForkDiesAlone(t *testing.T) {
	r := newRig(t, Config{})
	f := source("f", "import os\nloaded = os.getpid()\ndef f(kill):\n    if kill: os.kill(os.getpid(), 9)\n    return loaded\n")
	var before, after int
	call := func(args string) core.Assignment {
		a := isolated(f, core.Fork)
		a.Args = []byte(args)
		return a
	}
	r.answer(call("[[0], {}]"), &before)
	if o := r.ask(call("[[1], {}]")); o.State != core.Failed || o.Result.Failure.Signal != "SIGKILL" {
		t.Errorf("ended %s: %+v", o.State, o.Result.Failure)
	}
	r.answer(call("[[0], {}]"), &after)
	if before != after {
		t.Errorf("process %d was replaced by %d", before, after)
	}
}

// What a fork started and left behind keeps nobody waiting, whatever it holds.
func TestAForkLeavesADaemon(t *testing.T) {
	r := newRig(t, Config{})
	f := source("f", "import os, time\ndef f(code):\n    if os.fork() == 0:\n        time.sleep(60)\n        os._exit(0)\n    if code is not None: os._exit(code)\n    return 1\n")
	for _, args := range []string{"[[null], {}]", "[[7], {}]"} {
		a := isolated(f, core.Fork)
		a.Args = []byte(args)
		o := r.ask(a)
		if crashed := o.Result.Failure != nil && o.Result.Failure.Exit != nil && *o.Result.Failure.Exit == 7; crashed == (args == "[[null], {}]") {
			t.Errorf("%s ended %s: %+v", args, o.State, o.Result.Failure)
		}
	}
}

func TestForkOutputAndLimits(t *testing.T) {
	r := newRig(t, Config{})
	f := source("f", "import sys\nprint('loading')\ndef f(n):\n    print('call', n)\n    print('oops', file=sys.stderr)\n    return n\n")
	var batch []core.Assignment
	for i := range 20 {
		a := isolated(f, core.Fork)
		a.Args = fmt.Appendf(nil, "[[%d], {}]", i)
		batch = append(batch, a)
	}
	r.Start(batch, r)
	for i, a := range batch {
		o := r.outcome(t, a.Task)
		want := fmt.Sprintf("call %d\n", i)
		if i == 0 {
			want = "loading\n" + want
		}
		if string(o.Output.Stdout.Head) != want || string(o.Output.Stderr.Head) != "oops\n" {
			t.Errorf("call %d printed %q and %q", i, o.Output.Stdout.Head, o.Output.Stderr.Head)
		}
	}
	large := isolated(source("f", "def f():\n    return 'x' * 3000000\n"), core.Fork)
	if o := r.ask(large); len(o.Result.JSON) != 3000002 {
		t.Errorf("a large result has %d bytes", len(o.Result.JSON))
	}
	slow := isolated(source("f", "import time\ndef f():\n    time.sleep(60)\n"), core.Fork)
	slow.Timeout = 200 * time.Millisecond
	if o := r.ask(slow); o.Result.Failure == nil || o.Result.Failure.Kind != core.KindTimeout {
		t.Errorf("ended %s: %+v", o.State, o.Result.Failure)
	}
	r.fine()
}

// Slots keep to what their children are good for, where there is a choice: a slot
// is idle only a moment after its call was heard to have ended, so each call waits
// until both are.
func TestMixedIsolationFindsItsChildren(t *testing.T) {
	r := newRig(t, Config{Slots: 2})
	warm := func() {
		r.idle()
		r.fine()
	}
	fork := func() (at trace) {
		r.idle()
		r.answer(isolated(trail, core.Fork), &at)
		return at
	}
	for range 4 {
		warm()
		fork()
	}
	a := fork()
	warm()
	if b := fork(); a.Loaded != b.Loaded {
		t.Errorf("forks of %d and %d: a warm call between took the child away", a.Loaded, b.Loaded)
	}
}

func TestRecycleAfterCalls(t *testing.T) {
	r := newRig(t, Config{Rules: Rules{RecycleAfter: 3}})
	f := source("f", "import os\ndef f():\n    return os.getpid()\n")
	var batch []core.Assignment
	for range 20 {
		batch = append(batch, assign(f, none))
	}
	r.Start(batch[:10], r)
	r.Start(batch[10:11], r)
	r.Start(batch[11:], r)
	ran := map[string]int{}
	for _, a := range batch {
		o := r.outcome(t, a.Task)
		if o.State != core.Completed {
			t.Fatalf("ended %s: %+v", o.State, o.Result.Failure)
		}
		ran[string(o.Result.JSON)]++
	}
	if len(ran) != 7 {
		t.Errorf("20 calls ran in %d processes: %v", len(ran), ran)
	}
	for pid, n := range ran {
		if n > 3 {
			t.Errorf("%d calls ran in process %s", n, pid)
		}
	}
}

func TestRecycleMemory(t *testing.T) {
	r := newRig(t, Config{Rules: Rules{RecycleMemory: 64 << 20}})
	f := source("f", "import os\nkept = []\ndef f(mib):\n    kept.append(b'x' * (mib << 20))\n    return os.getpid()\n")
	pid := func(mib int) string {
		o := r.call(f, fmt.Sprintf("[[%d], {}]", mib))
		if o.State != core.Completed {
			t.Fatalf("ended %s: %+v", o.State, o.Result.Failure)
		}
		return string(o.Result.JSON)
	}
	first := pid(1)
	if second := pid(100); second != first {
		t.Errorf("a child of little memory was replaced: %s by %s", first, second)
	}
	if third := pid(1); third == first {
		t.Error("a child that holds 100 MiB was kept")
	}
}

// A cancel or a stop while a child is replaced finds the calls that wait.
func TestCancelWhileReplaced(t *testing.T) {
	r := newRig(t, Config{Rules: Rules{RecycleAfter: 1}})
	for range 20 {
		a, b := assign(double, "[[1], {}]"), assign(double, "[[2], {}]")
		r.Start([]core.Assignment{a, b}, r)
		r.outcome(t, a.Task)
		r.Cancel([]core.TaskID{b.Task}, time.Second)
		if o := r.outcome(t, b.Task); o.State != core.Cancelled && o.State != core.Completed {
			t.Fatalf("ended %s: %+v", o.State, o.Result.Failure)
		}
	}
	r.fine()
}

func TestSetupRunsOncePerChild(t *testing.T) {
	r := newRig(t, Config{})
	text := "import os\nmodel = []\ndef setup():\n    print('loading the model')\n    model.append(os.getpid())\ndef f():\n    return [len(model), model[0] == os.getpid()]\n"
	f := source("f", text)
	for i, want := range []string{"[1,true]", "[1,true]"} {
		o := r.ask(assign(f, none))
		if string(o.Result.JSON) != want || (i == 0) != strings.Contains(string(o.Output.Stdout.Head), "loading the model") {
			t.Errorf("call %d: %s %+v %q", i, o.Result.JSON, o.Result.Failure, o.Output.Stdout.Head)
		}
	}
	for range 2 { // the process that forks has it once for all
		if o := r.ask(isolated(f, core.Fork)); string(o.Result.JSON) != "[1,false]" {
			t.Errorf("fork: %s %+v", o.Result.JSON, o.Result.Failure)
		}
	}
}

func TestWhatIsNoSetup(t *testing.T) {
	r := newRig(t, Config{})
	for name, text := range map[string]string{
		"arguments": "def setup(app): raise OSError\n", "keyword": "def setup(*, app): raise OSError\n",
		"imported": "from posixpath import join as setup\n", "a class": "class setup:\n    def __init__(self): raise OSError\n", "data": "setup = 3\n",
	} {
		if o := r.ask(assign(source("f", text+"def f():\n    return 1\n"), none)); o.State != core.Completed {
			t.Errorf("%s: %+v", name, o.Result.Failure)
		}
	}
	if o := r.ask(assign(source("setup", "seen = []\ndef setup():\n    seen.append(1)\n    return len(seen)\n"), none)); string(o.Result.JSON) != "1" {
		t.Errorf("an entry of that name: %s %+v", o.Result.JSON, o.Result.Failure)
	}
	for name, text := range map[string]string{
		"defaults": "seen = []\ndef setup(a=1, *b, c=2): seen.append(1)\n",
		"async":    "seen = []\nimport asyncio\nasync def setup():\n    await asyncio.sleep(0)\n    seen.append(1)\n",
	} {
		if o := r.ask(assign(source("f", text+"def f():\n    return len(seen)\n"), none)); string(o.Result.JSON) != "1" {
			t.Errorf("%s: %s %+v", name, o.Result.JSON, o.Result.Failure)
		}
	}
}

func TestSetupThatFails(t *testing.T) {
	for _, isolation := range core.Isolations {
		r := newRig(t, Config{Rules: Rules{SetupTimeout: 300 * time.Millisecond}})
		a := isolated(source("f", "def setup():\n    raise ConnectionError('no model here')\ndef f():\n    return 1\n"), isolation)
		o := r.ask(a)
		if f := o.Result.Failure; f == nil || f.Kind != core.KindUnloadable || f.Type != "ConnectionError" ||
			!strings.Contains(f.Message, "setup() failed: no model here") || !strings.Contains(f.Traceback, "in setup") {
			t.Errorf("%s: %s %+v", isolation, o.State, f)
		}
		a = isolated(source("f", "import time\ndef setup():\n    time.sleep(60)\ndef f():\n    return 1\n"), isolation)
		o = r.ask(a)
		if f := o.Result.Failure; f == nil || f.Kind != core.KindTimeout || !strings.Contains(f.Message, "its setup() ran longer than 300ms") {
			t.Errorf("%s: %s %+v", isolation, o.State, f)
		}
		r.fine()
	}
}

// A setup that takes its time is not the call's fault; the call's own time-out
// counts from where it ends.
func TestSetupIsNotInTheTimeout(t *testing.T) {
	for _, isolation := range core.Isolations {
		r := newRig(t, Config{})
		text := "import time\ndef setup():\n    time.sleep(0.6)\ndef f(s):\n    time.sleep(s)\n    return 1\n"
		for args, want := range map[string]core.State{"[[0], {}]": core.Completed, "[[60], {}]": core.Failed} {
			a := isolated(source("f", text+"#"+args), isolation) // a function of its own, as a setup runs once
			a.Args, a.Timeout = []byte(args), 400*time.Millisecond
			o := r.ask(a)
			if o.State != want || want == core.Failed && o.Result.Failure.Kind != core.KindTimeout {
				t.Errorf("%s %s: ended %s: %+v", isolation, args, o.State, o.Result.Failure)
			}
			if want == core.Completed && o.Elapsed > 400*time.Millisecond {
				t.Errorf("%s: took %s", isolation, o.Elapsed)
			}
		}
	}
}

func TestPreload(t *testing.T) {
	var log logged
	r := newRig(t, Config{
		Slots: 2, Rules: Rules{Preload: []string{"wave", "email.mime", "no_such_module", "wave"}, RecycleAfter: 1},
		Logger: slog.New(slog.NewTextHandler(&log, nil)),
	})
	f := source("f", "import sys\nhas = sorted({'wave', 'email.mime', 'sndhdr'} & set(sys.modules))\ndef f():\n    return has\n")
	for range 5 {
		if o := r.ask(assign(f, none)); string(o.Result.JSON) != `["email.mime","wave"]` {
			t.Errorf("%s %+v", o.Result.JSON, o.Result.Failure)
		}
	}
	if n := strings.Count(log.String(), "no_such_module"); n == 0 || strings.Count(log.String(), "a module cannot be preloaded") != 1 {
		t.Errorf("the log says it %d times:\n%s", n, log.String())
	}
	for _, name := range []string{"", "a b", "a.", ".a", "1a", "a;b", "a-b"} {
		if _, err := NewPool(Config{Python: "python3", Rules: Rules{Preload: []string{name}}}); core.ClassOf(err) != core.ErrInvalid {
			t.Errorf("a module named %q: %v", name, err)
		}
	}
}
