package pyrun

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"faasctl/core"
)

// hostile is one function that does its worst, and how it must end.
type hostile struct {
	name    string
	code    string // of f
	args    string
	setup   func(*core.Assignment)
	cancel  bool // once it has printed or slept a little
	state   core.State
	kind    core.FailureKind
	typ     string
	message string // contained in it
	trace   []string
	json    string
	repr    string
	out     string // contained in stdout
	signal  string
	exit    int // -1: none; -2: any, or a signal
	check   func(*testing.T, core.Outcome)
}

func limit(d time.Duration) func(*core.Assignment) {
	return func(a *core.Assignment) { a.Timeout = d }
}

var hostiles = []hostile{
	{name: "raise", code: "def f():\n    x = 1\n    raise ValueError('no such luck', x)\n", kind: core.KindException,
		typ: "ValueError", message: "no such luck", trace: []string{`File "fn.py", line 3, in f`, "raise ValueError('no such luck', x)"}, exit: -1},
	{name: "chained", code: "def f():\n    try:\n        {}['k']\n    except KeyError as e:\n        raise RuntimeError('outer') from e\n", kind: core.KindException,
		typ: "RuntimeError", message: "outer", trace: []string{"KeyError: 'k'", "direct cause", "{}['k']"}, exit: -1, check: func(t *testing.T, o core.Outcome) {
			e := o.Result.Failure.Exception
			if e == nil || e.Type != "RuntimeError" || len(e.Frames) != 1 || e.Frames[0] != (core.Frame{File: "fn.py", Line: 5, Function: "f", Source: "raise RuntimeError('outer') from e"}) ||
				e.Cause == nil || e.Cause.Type != "KeyError" || e.Cause.Frames[0].Source != "{}['k']" || e.Context != nil {
				t.Errorf("%+v", e)
			}
		}},
	{name: "exception trap", code: "class Trap(Exception):\n    def __getattribute__(self, name):\n        raise KeyboardInterrupt\ndef f():\n    raise Trap\n", kind: core.KindException, typ: "Trap", exit: -1},
	{name: "own class", code: "class Odd(Exception): pass\ndef f():\n    raise Odd('strange')\n", kind: core.KindException,
		typ: "Odd", message: "strange", trace: []string{"\nOdd: strange"}, exit: -1},
	{name: "recursion", code: "def f():\n    return f()\n", kind: core.KindException, typ: "RecursionError", exit: -1},
	{name: "sys.exit", code: "import sys\ndef f():\n    sys.exit(3)\n", kind: core.KindException, typ: "SystemExit", message: "sys.exit(3)", exit: 3},
	{name: "interrupt", code: "def f():\n    raise KeyboardInterrupt\n", kind: core.KindException, typ: "KeyboardInterrupt", exit: -1},
	{name: "_exit 0", code: "import os\ndef f():\n    print('bye', flush=True)\n    os._exit(0)\n", kind: core.KindCrash, message: "exit status 0 before", out: "bye", exit: 0},
	{name: "_exit 9", code: "import os\ndef f():\n    os._exit(9)\n", kind: core.KindCrash, message: "exit status 9 before", exit: 9},
	{name: "segfault", code: "import ctypes\ndef f():\n    ctypes.string_at(0)\n", kind: core.KindCrash, signal: "SIGSEGV", exit: -1, check: faultHas("Segmentation fault")},
	{name: "abort", code: "import os\ndef f():\n    print('so long')\n    os.abort()\n", kind: core.KindCrash, signal: "SIGABRT", exit: -1, out: "so long\n", check: faultHas(`File "fn.py", line 4 in f`)},
	{name: "kill -9", code: "import os\ndef f():\n    os.kill(os.getpid(), 9)\n", kind: core.KindCrash, signal: "SIGKILL", exit: -1},
	{name: "endless", code: "def f():\n    while True: pass\n", setup: limit(300 * time.Millisecond), kind: core.KindTimeout, message: "300ms", exit: -1},
	{name: "ignores signals", code: "import signal, time\ndef f():\n    for s in (1, 2, 15): signal.signal(s, signal.SIG_IGN)\n    print('deaf')\n    time.sleep(60)\n", cancel: true,
		state: core.Cancelled, kind: core.KindCancelled, exit: -1},
	{name: "sleep", code: "import time\ndef f():\n    print('tired')\n    time.sleep(60)\n", cancel: true, state: core.Cancelled, kind: core.KindCancelled, exit: -1},
	{name: "in its grace", code: "import signal, time\ndef f():\n    signal.signal(15, lambda *_: print('ouch'))\n    print('here')\n    time.sleep(60)\n    time.sleep(0.05)\n    return 1\n", cancel: true,
		state: core.Cancelled, kind: core.KindCancelled, exit: -1},
	{name: "no entry", code: "def g():\n    pass\n", kind: core.KindUnloadable, message: "no function named 'f'", exit: -1},
	{name: "bad import", code: "import no_such_module\ndef f():\n    pass\n", kind: core.KindUnloadable, typ: "ModuleNotFoundError", message: "no_such_module", trace: []string{"import no_such_module"}, exit: -1},
	{name: "syntax", code: "def f(:\n", kind: core.KindUnloadable, typ: "SyntaxError", exit: -1},
	{name: "arity", code: "def f(a):\n    pass\n", kind: core.KindException, typ: "TypeError", message: "missing 1 required", exit: -1},
	{name: "bad args", code: "def f(a):\n    pass\n", args: "[[}", kind: core.KindUnloadable, message: "the arguments", exit: -1},
	{name: "closes its pipes", code: "import os, time\ndef f():\n    os.closerange(3, 256)\n    return 1\n", kind: core.KindCrash, exit: -2},
	{name: "closes its pipes and stays", code: "import os, time\ndef f():\n    os.closerange(3, 256)\n    time.sleep(60)\n", kind: core.KindCrash, signal: "SIGKILL", message: "closed pipes", exit: -1},
	{name: "garbage", code: "import os, time\ndef f():\n    os.write(4, b'x' * 1000)\n    time.sleep(60)\n", kind: core.KindCrash, signal: "SIGKILL", message: "no frame", exit: -1},
	{name: "forged length", code: "import os, time\ndef f():\n    os.write(4, b'fxR\\x01\\xff\\xff\\xff\\xff\\0\\0\\0\\0')\n    time.sleep(60)\n", kind: core.KindCrash, signal: "SIGKILL", message: "a frame of", exit: -1},
	{name: "forged checksum", code: "import os, time\ndef f():\n    os.write(4, b'fxR\\x01\\x01\\0\\0\\0\\0\\0\\0\\0z')\n    time.sleep(60)\n", kind: core.KindCrash, signal: "SIGKILL", message: "checksum", exit: -1},
	{name: "forged result", code: "import os, struct, zlib\ndef f():\n    p = struct.pack('<IBBHQIIII', 1, 0, 0, 0, 1, 1, 0, 1, 0) + b'11'\n    os.write(4, struct.pack('<2sBBII', b'fx', 82, 1, len(p), zlib.crc32(p)) + p)\n    return 2\n",
		kind: core.KindCrash, signal: "SIGKILL", message: "no call that runs", exit: -1},
	{name: "flood", code: "import sys\ndef f():\n    for _ in range(200): sys.stdout.write('x' * 99999 + '\\n')\n    print('the end')\n    return 1\n", json: "1", check: func(t *testing.T, o core.Outcome) {
		if s := o.Output.Stdout; len(s.Head) != keepHead || len(s.Tail) != keepTail || s.Cut != 200*100000+8-keepHead-keepTail || !strings.HasSuffix(string(s.Tail), "x\nthe end\n") {
			t.Errorf("kept %d + %d, cut %d", len(s.Head), len(s.Tail), s.Cut)
		}
	}},
	{name: "os.write", code: "import os\ndef f():\n    os.write(1, b'one'); os.write(2, b'two')\n", json: "null", out: "one", check: func(t *testing.T, o core.Outcome) {
		if string(o.Output.Stderr.Head) != "two" {
			t.Errorf("stderr %q", o.Output.Stderr.Head)
		}
	}},
	{name: "subprocess", code: "import subprocess\ndef f():\n    return subprocess.call(['sh', '-c', 'echo from sh; ls /proc/self/fd | wc -l'])\n", json: "0", out: "from sh"},
	{name: "C level", code: "import ctypes\ndef f():\n    ctypes.CDLL(None).printf(b'from C')\n    return 1\n", json: "1", out: "from C"},
	{name: "reads stdin", code: "import sys\ndef f():\n    return sys.stdin.read()\n", json: `""`},
	{name: "large", code: "def f():\n    return 'x' * 3000000\n", check: func(t *testing.T, o core.Outcome) {
		if len(o.Result.JSON) != 3000002 || len(o.Result.Repr) > maxRepr {
			t.Errorf("%d bytes, repr %d", len(o.Result.JSON), len(o.Result.Repr))
		}
	}},
	{name: "too large", code: "def f():\n    return ['x' * 1000] * 10000\n", kind: core.KindResultTooLarge, message: "larger than 8388608 bytes", exit: -1},
	{name: "far too large", code: "def f():\n    return [['x' * 1000000] * 1000000] * 1000\n", kind: core.KindResultTooLarge, exit: -1},
	{name: "bomb", code: "def f():\n    x = []\n    for _ in range(100): x = [x, x]\n    return x\n", kind: core.KindResultTooLarge, exit: -1},
	{name: "repr raises", code: "class C:\n    def __repr__(self): raise SystemExit\ndef f():\n    return C()\n", json: `{"$repr":"<C: its repr failed: SystemExit>"}`, repr: "<C: its repr failed: SystemExit>"},
	{name: "NaN", code: "def f():\n    return [float('nan'), float('-inf'), 1.5]\n", json: `[{"$float":"nan"},{"$float":"-inf"},1.5]`, repr: "[nan, -inf, 1.5]"},
	{name: "surrogate", code: "def f():\n    print('\\ud800')\n    return ['\\ud800', 'é']\n", json: `[{"$repr":"'\\ud800'"},"é"]`, out: `\ud800`},
	{name: "keys", code: "def f():\n    return {1: 'a', (2, 3): {b'x'}}\n", json: `{"$map":[[1,"a"],[[2,3],{"$set":[{"$bytes":"eA=="}]}]]}`},
	{name: "deep", code: "def f():\n    x = []\n    for _ in range(200000): x = [x]\n    return x\n", check: func(t *testing.T, o core.Outcome) {
		if o.State != core.Completed || !strings.Contains(string(o.Result.JSON), `{"$repr":"[...]"}`) {
			t.Errorf("%s", o.Result.JSON)
		}
	}},
	{name: "cycle", code: "def f():\n    x = [1]; x.append(x)\n    return x\n", json: `[1,{"$repr":"[...]"}]`},
	{name: "huge int", code: "def f():\n    return 10 ** 5000\n", check: func(t *testing.T, o core.Outcome) {
		if !strings.HasPrefix(string(o.Result.JSON), `{"$repr":"0x`) {
			t.Errorf("%s", o.Result.JSON)
		}
	}},
	{name: "generator", code: "def f():\n    yield 1\n", check: func(t *testing.T, o core.Outcome) {
		if !strings.HasPrefix(string(o.Result.JSON), `{"$repr":"<generator object f`) {
			t.Errorf("%s", o.Result.JSON)
		}
	}},
	{name: "async", code: "import asyncio\nasync def f(x):\n    await asyncio.sleep(0.001)\n    return x + 1\n", args: "[[41], {}]", json: "42"},
	{name: "async raises", code: "import asyncio\nasync def f():\n    await asyncio.sleep(0)\n    raise ValueError('in time')\n", kind: core.KindException, typ: "ValueError", exit: -1, check: func(t *testing.T, o core.Outcome) {
		if strings.Contains(o.Result.Failure.Traceback, "asyncio") || strings.Contains(o.Result.Failure.Traceback, "runner") {
			t.Errorf("frames that are not the user's:\n%s", o.Result.Failure.Traceback)
		}
	}},
	{name: "closed stdout", code: "import sys\ndef f():\n    sys.stdout.close()\n    return 1\n", json: "1"},
	{name: "closed descriptor", code: "import os\ndef f():\n    os.close(1); os.close(2)\n    return 1\n", json: "1"},
	{name: "replaced stdout", code: "import sys, io\ndef f():\n    sys.stdout = io.StringIO()\n    print('nowhere')\n    return 1\n", json: "1"},
	{name: "alarm left", code: "import signal\ndef f():\n    signal.alarm(1)\n    return 1\n", json: "1"},
	{name: "fork falls through", code: "import os\ndef f():\n    return os.fork() > 0\n", json: "true"},
	{name: "patched json", code: "import json\ndef f():\n    json.dumps = json.loads = json.JSONEncoder.encode = None\n    return {'a': [1, 2.5]}\n", json: `{"a":[1,2.5]}`},
	{name: "low recursion limit", code: "import sys\ndef f():\n    sys.setrecursionlimit(40)\n    return 1\n", json: "1"},
	{name: "changed directory", code: "import os\ndef f():\n    os.chdir('/')\n    return 1\n", json: "1"},
	{name: "thread left", code: "import threading, time\ndef f():\n    threading.Thread(target=time.sleep, args=(60,)).start()\n    return 1\n", json: "1"},
}

// faultHas checks what is told of a crash, which stdout and stderr have no part of.
func faultHas(text string) func(*testing.T, core.Outcome) {
	return func(t *testing.T, o core.Outcome) {
		f := o.Result.Failure
		if !strings.Contains(f.Fault, text) || strings.Contains(f.Fault, "runner") || f.Peak != 0 && f.Peak < 1<<20 || len(o.Output.Stderr.Head) > 0 {
			t.Errorf("fault %q, peak %d, stderr %q", f.Fault, f.Peak, o.Output.Stderr.Head)
		}
	}
}

var goodbye = source("goodbye", "import os\ndef goodbye():\n    os.killpg(0, 9)\n")

func TestHostileFunctions(t *testing.T) { tryHostiles(t, newRig(t, Config{Slots: 1})) }

func tryHostiles(t *testing.T, r *rig) {
	r.fine()
	files := openFiles(t)
	for _, h := range hostiles {
		t.Run(h.name, func(t *testing.T) {
			a := assign(source("f", h.code), none)
			if h.args != "" {
				a.Args = []byte(h.args)
			}
			if h.setup != nil {
				h.setup(&a)
			}
			if h.cancel {
				r.within(t, a)
				r.Cancel([]core.TaskID{a.Task}, 400*time.Millisecond)
			} else {
				r.Start([]core.Assignment{a}, r)
			}
			h.judge(t, r.outcome(t, a.Task))
		})
		r.fine()
	}
	r.call(goodbye, none) // with it goes what calls have left running, and its pipes
	r.fine()
	r.idle()
	if now := openFiles(t); now > files {
		t.Errorf("%d descriptors open, %d at the start", now, files)
	}
}

func (h hostile) judge(t *testing.T, o core.Outcome) {
	t.Helper()
	state := h.state
	if state == "" && h.kind == "" {
		state = core.Completed
	} else if state == "" {
		state = core.Failed
	}
	if o.State != state {
		t.Fatalf("ended %s: %s %+v", o.State, clip(string(o.Result.JSON), 200), o.Result.Failure)
	}
	if h.json != "" && string(o.Result.JSON) != h.json {
		t.Errorf("JSON %s, want %s", o.Result.JSON, h.json)
	}
	if h.repr != "" && o.Result.Repr != h.repr {
		t.Errorf("repr %s, want %s", o.Result.Repr, h.repr)
	}
	if !strings.Contains(string(o.Output.Stdout.Head), h.out) {
		t.Errorf("stdout %q, want %q in it", o.Output.Stdout.Head, h.out)
	}
	if f := o.Result.Failure; f != nil {
		exit := "none"
		if f.Exit != nil {
			exit = fmt.Sprint(*f.Exit)
		}
		if f.Kind != h.kind || f.Signal != h.signal && h.exit != -2 || h.typ != "" && f.Type != h.typ || !strings.Contains(f.Message, h.message) {
			t.Errorf("failure %+v", f)
		}
		if h.exit != -2 && (h.exit == -1) != (f.Exit == nil) || h.exit >= 0 && f.Exit != nil && *f.Exit != h.exit {
			if h.kind != core.KindCancelled {
				t.Errorf("exit %s, want %d", exit, h.exit)
			}
		}
		for _, part := range h.trace {
			if !strings.Contains(f.Traceback, part) {
				t.Errorf("no %q in\n%s", part, f.Traceback)
			}
		}
		if strings.Contains(f.Traceback, "faasctl runner") {
			t.Errorf("the runner's frames show:\n%s", f.Traceback)
		}
	}
	if h.check != nil {
		h.check(t, o)
	}
}
