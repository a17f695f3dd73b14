package faults

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"faasctl/core"
	"faasctl/workers/pyrun"
)

// hostile is a function f that does its worst, and how its task must end.
type hostile struct {
	name   string
	code   string
	policy core.PolicyChange
	pickle bool   // its result has to be pickled
	cancel bool   // it is cancelled once it runs
	needs  string // what has to be in force for it to be tried: "processes"; "3.11": a Python

	state core.State
	kind  core.FailureKind
	says  string        // in message, type, traceback, signal or JSON
	lasts time.Duration // at most, of its run; default: 10 s
	alone string        // a process that it prints as "left N" has ended with it
}

const mib = 1 << 20

func within(d time.Duration) core.PolicyChange { return core.PolicyChange{Timeout: &d} }

func memory(n int64) core.PolicyChange { return core.PolicyChange{Memory: &n} }

func processes(n int, timeout time.Duration) core.PolicyChange {
	return core.PolicyChange{Processes: &n, Timeout: &timeout}
}

var hostiles = []hostile{
	{name: "raise", code: "def f():\n    raise ValueError('no such luck')\n", kind: core.KindException, says: "no such luck"},
	{name: "chained raise", code: "def f():\n    try: {}['k']\n    except KeyError as e: raise RuntimeError('outer') from e\n", kind: core.KindException, says: "direct cause"},
	{name: "exception group", needs: "3.11", code: "def f():\n    raise ExceptionGroup('several', [ValueError('one'), TypeError('two')])\n", kind: core.KindException, says: "two"},
	{name: "sys.exit", code: "import sys\ndef f():\n    sys.exit(3)\n", kind: core.KindException, says: "sys.exit(3)"},
	{name: "os._exit(0)", code: "import os\ndef f():\n    os._exit(0)\n", kind: core.KindCrash, says: "exit status 0"},
	{name: "segfault", code: "import ctypes\ndef f():\n    ctypes.string_at(0)\n", kind: core.KindCrash, says: "SIGSEGV"},
	{name: "abort", code: "import os\ndef f():\n    os.abort()\n", kind: core.KindCrash, says: "SIGABRT"},
	{name: "kill -9 self", code: "import os\ndef f():\n    os.kill(os.getpid(), 9)\n", kind: core.KindCrash, says: "SIGKILL"},
	{name: "4 GiB allocation", code: "def f():\n    return len(bytearray(4 << 30))\n", policy: memory(256 * mib), kind: core.KindMemory, says: "256 MiB"},
	{name: "creeping allocation", code: "def f():\n    kept = []\n    while True: kept.append(b'x' * (1 << 20) + b'y')\n", policy: memory(256 * mib), kind: core.KindMemory, says: "256 MiB"},
	{name: "creeping allocation of a process it starts", code: "import subprocess, sys\ndef f():\n    return subprocess.call([sys.executable, '-c', 'kept = []\\nwhile True: kept.append(b\"x\" * (1 << 20) + b\"y\")'])\n",
		policy: memory(256 * mib), kind: core.KindMemory, says: "256 MiB"},
	{name: "endless loop", code: "def f():\n    while True: pass\n", policy: within(time.Second), kind: core.KindTimeout, says: "longer than 1s"},
	{name: "catastrophic regex", code: "import re\ndef f():\n    re.match('(a*)*b', 'a' * 64)\n", policy: within(time.Second), kind: core.KindTimeout, says: "longer than 1s"},
	{name: "processor time", code: "def f():\n    while True: pass\n", policy: core.PolicyChange{CPUSeconds: new(0.5)}, kind: core.KindTimeout, says: "0.5 s"},
	{name: "ignored signals", code: "import signal, time\ndef f():\n    for s in range(1, 32):\n        if s not in (9, 19): signal.signal(s, signal.SIG_IGN)\n    while True: time.sleep(1)\n", cancel: true, state: core.Cancelled, kind: core.KindCancelled},
	{name: "fork bomb", needs: "processes", code: "import os\ndef f():\n    while True: os.fork()\n", policy: processes(24, 20*time.Second), kind: core.KindException, says: "BlockingIOError", lasts: 40 * time.Second},
	{name: "fork bomb that goes on", needs: "processes", code: "import os\ndef f():\n    while True:\n        try: os.fork()\n        except OSError: pass\n", policy: processes(24, time.Second), kind: core.KindTimeout, says: "longer than 1s"},
	{name: "threads without end", needs: "processes", code: "import threading, time\ndef f():\n    while True: threading.Thread(target=time.sleep, args=(600,), daemon=True).start()\n",
		policy: processes(24, 20*time.Second), kind: core.KindException, says: "can't start new thread"},
	{name: "setsid daemon", code: `import os, signal, sys, time
def f():
    read, write = os.pipe()
    if os.fork() == 0:
        os.setsid()
        if os.fork(): os._exit(0)
        for s in (1, 2, 15): signal.signal(s, signal.SIG_IGN)
        os.write(write, b'%d' % os.getpid())
        time.sleep(600)
    print('left', os.read(read, 20).decode(), flush=True)
    time.sleep(600)
`, policy: within(2 * time.Second), kind: core.KindTimeout, alone: "left"},
	{name: "stdout flood", code: "import os\ndef f():\n    for _ in range(200): os.write(1, b'x' * (1 << 20))\n    return 1\n", state: core.Completed, says: "1", lasts: 60 * time.Second},
	{name: "64 MiB result", code: "def f():\n    return 'x' * (64 << 20)\n", kind: core.KindResultTooLarge},
	{name: "200,000-deep list", code: "def f():\n    x = []\n    for _ in range(200000): x = [x]\n    return x\n", state: core.Completed, says: "[...]"},
	{name: "repr that raises", code: "class C:\n    def __repr__(self): raise SystemExit\ndef f():\n    return C()\n", state: core.Completed, says: "its repr failed"},
	{name: "NaN", code: "def f():\n    return [float('nan'), float('inf')]\n", state: core.Completed, says: `{"$float":"nan"}`},
	{name: "lone surrogates", code: "def f():\n    print('\\ud800')\n    return '\\ud800'\n", state: core.Completed, says: "$repr"},
	{name: "unpicklable result", pickle: true, code: "def f():\n    return (x for x in ())\n", kind: core.KindUnserializable, says: "generator"},
	{name: "generator", code: "def f():\n    yield 1\n", state: core.Completed, says: "generator object f"},
	{name: "thread left running", code: "import threading, time\ndef f():\n    def noise():\n        while True: print('noise'); time.sleep(0.01)\n    threading.Thread(target=noise, daemon=True).start()\n    return 1\n", state: core.Completed, says: "1"},
	{name: "closed file descriptors", code: "import os\ndef f():\n    os.closerange(0, 256)\n    return 1\n", kind: core.KindCrash},
	{name: "forged result pipe", code: "import os, struct, time, zlib\ndef f():\n    p = struct.pack('<IBBHQIIII', 1, 0, 0, 0, 1, 1, 0, 1, 0) + b'11'\n    os.write(4, struct.pack('<2sBBII', b'fx', 82, 1, len(p), zlib.crc32(p)) + p)\n    time.sleep(600)\n", kind: core.KindCrash, says: "no call that runs"},
	{name: "deleted cwd", code: "import os\ndef f():\n    try: os.rmdir(os.getcwd())\n    except PermissionError: pass\n    return 1\n", state: core.Completed, says: "1"},
	{name: "changed cwd", code: "import os\ndef f():\n    os.chdir('/')\n    return 1\n", state: core.Completed, says: "1"},
	{name: "littered cwd", code: "import os\ndef f():\n    for n in range(100): open('file-%d' % n, 'w').close()\n    os.symlink('/', 'root')\n    return 1\n", state: core.Completed, says: "1"},
	{name: "changed env", code: "import os\ndef f():\n    os.environ.clear(); os.environ['PATH'] = '/nowhere'\n    return 1\n", state: core.Completed, says: "1"},
	{name: "monkey-patched json", code: "import json\ndef f():\n    json.dumps = json.loads = json.JSONEncoder.encode = json.encoder = None\n    return {'a': [1, 2.5]}\n", state: core.Completed, says: `{"a":[1,2.5]}`},
}

// neighbour is what runs beside and after them: it would notice what they leave.
const neighbour = `
import os, signal, sys
def neighbour(x):
    assert os.listdir(".") == [], os.listdir(".")
    assert os.getcwd() == os.environ["TMPDIR"], os.getcwd()
    assert os.environ["PATH"] != "/nowhere" and sys.stdout is sys.__stdout__
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    print("neighbour", x)
    return x * x
`

// Every hostile function ends in the state, with the kind and within the time that
// are documented, and a hundred normal tasks beside them, in the same processes,
// all succeed.
func TestHostileFunctions(t *testing.T) {
	t.Run("as users of their own", func(t *testing.T) { tryHostiles(t, "auto") })
	if os.Geteuid() == 0 {
		t.Run("as root", func(t *testing.T) { tryHostiles(t, "none") })
	}
}

func tryHostiles(t *testing.T, runAs string) {
	b := newBench(t)
	b.patient()
	for _, dir := range []string{filepath.Dir(b.dir), b.dir} { // functions' users pass through
		if err := os.Chmod(dir, 0o711); err != nil {
			t.Fatal(err)
		}
	}
	d := b.dispatcher(core.Push)
	worker := b.hire(workerRole{Mode: core.Push, URLs: []string{d.at[core.Push]}, Slots: 3, Rules: pyrun.Rules{RunAs: runAs}})
	force := b.card(worker).Enforces
	t.Logf("in force: %+v", *force)
	if runAs == "auto" && os.Geteuid() == 0 && force.User == "root" {
		t.Log("SKIPPED: functions cannot run as other users here")
	}
	if _, err := b.service.Register(b.ctx, core.RegisterRequest{Name: "neighbour", Codec: core.Source, Body: []byte(neighbour), Entry: "neighbour", File: "neighbour.py"}); err != nil {
		t.Fatal(err)
	}
	normal := b.submit("neighbour", 20, func(x int) string { return fmt.Sprintf("[[%d],{}]", x) })
	tried := map[core.TaskID]hostile{}
	for i, h := range hostiles {
		if why := b.unfit(h, force); why != "" {
			t.Logf("SKIPPED: %s: %s", h.name, why)
			continue
		}
		tried[b.attack(i, h)] = h
		normal = append(normal, b.submit("neighbour", 2, func(x int) string { return fmt.Sprintf("[[%d],{}]", x) })...)
	}
	normal = append(normal, b.submit("neighbour", 100-len(normal), func(x int) string { return fmt.Sprintf("[[%d],{}]", x) })...)
	b.cancelWhatIsTo(tried)
	for id, h := range tried {
		t.Run(h.name, func(t *testing.T) { b.survived(t, id, h) })
	}
	b.ended(normal)
	b.until("all slots are free again", func() bool { card := b.card(worker); return card.Busy == 0 && card.Held == 0 })
	if after := b.submit("neighbour", 6, func(x int) string { return fmt.Sprintf("[[%d],{}]", x) }); true {
		b.ended(after)
	}
}

// unfit says why a function cannot be tried here.
func (b *bench) unfit(h hostile, force *core.Enforcement) string {
	switch {
	case h.needs == "processes" && force.Processes != "cgroup":
		return "processes are limited by " + force.Processes + " here, and a fork bomb needs a control group"
	case h.needs == "3.11" && minor(b.python.Version) < 11:
		return "Python " + b.python.Version + " has no exception groups"
	case h.alone != "" && force.Stop != "cgroup":
		return "calls are stopped by " + force.Stop + " here"
	}
	return ""
}

func minor(version string) int {
	parts := strings.Split(version, ".")
	if len(parts) < 2 {
		return 0
	}
	n, _ := strconv.Atoi(parts[1])
	return n
}

// attack hands a hostile function in.
func (b *bench) attack(i int, h hostile) core.TaskID {
	b.Helper()
	name := fmt.Sprintf("hostile%d", i)
	if _, err := b.service.Register(b.ctx, core.RegisterRequest{Name: name, Codec: core.Source, Body: []byte(h.code), Entry: "f", File: "hostile.py", Policy: h.policy}); err != nil {
		b.Fatalf("%s: %v", h.name, err)
	}
	request := core.SubmitRequest{Function: name, Codec: core.JSON, Args: []byte("[[],{}]")}
	if h.pickle {
		request.Codec, request.Args = core.Dill, []byte("\x80\x04)}\x86.")
	}
	answers, err := b.service.SubmitBatch(b.ctx, []core.SubmitRequest{request})
	if err != nil || answers[0].Err != nil {
		b.Fatalf("%s: %v %v", h.name, err, answers)
	}
	return answers[0].ID
}

// cancelWhatIsTo cancels tasks once they run.
func (b *bench) cancelWhatIsTo(tried map[core.TaskID]hostile) {
	for id, h := range tried {
		if !h.cancel {
			continue
		}
		b.until(h.name+" runs", func() bool {
			tasks, err := b.store.Tasks(b.ctx, []core.TaskID{id})
			return err == nil && len(tasks) == 1 && !tasks[0].Started.IsZero()
		})
		if _, err := b.service.Cancel(b.ctx, []core.TaskID{id}, 0); err != nil {
			b.Fatal(err)
		}
	}
}

// survived checks how a hostile function has ended.
func (b *bench) survived(t *testing.T, id core.TaskID, h hostile) {
	var task core.Task
	b.until(h.name+" has ended", func() bool {
		tasks, err := b.store.Tasks(b.ctx, []core.TaskID{id})
		if err != nil || len(tasks) != 1 {
			return false
		}
		task = tasks[0]
		return task.State.Terminal()
	})
	_, result, err := b.service.Result(b.ctx, id)
	if err != nil {
		t.Fatal(err)
	}
	failure, said := core.Failure{}, string(result.JSON)
	if result.Failure != nil {
		failure = *result.Failure
		said = strings.Join([]string{failure.Type, failure.Message, failure.Signal, failure.Traceback}, "\n")
	}
	state := h.state
	if state == "" {
		state = core.Failed
	}
	if task.State != state || failure.Kind != h.kind || !strings.Contains(said, h.says) {
		t.Errorf("it is %s (%s), want %s (%s) with %q:\n%s", task.State, failure.Kind, state, h.kind, h.says, said[:min(len(said), 2000)])
	}
	if task.Attempt > 1 {
		t.Errorf("it was started %d times", task.Attempt)
	}
	lasts := h.lasts
	if lasts == 0 {
		lasts = 40 * time.Second // where nothing holds it up it is moments
	}
	if took := task.Finished.Sub(task.Started); !task.Started.IsZero() && took > lasts {
		t.Errorf("it took %s, want at most %s", took, lasts)
	}
	if h.alone == "" {
		return
	}
	_, output, err := b.service.Output(b.ctx, id)
	words := strings.Fields(string(output.Stdout.Head))
	at := slices.Index(words, h.alone)
	if err != nil || at < 0 || at+1 >= len(words) {
		t.Fatalf("it printed %q (%v)", output.Stdout.Head, err)
	}
	pid, err := strconv.Atoi(words[at+1])
	if err != nil {
		t.Fatal(err)
	}
	b.until("the process that it left has ended", func() bool { return !alive(pid) })
}
