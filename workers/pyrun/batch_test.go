package pyrun

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"faasctl/core"
)

// run starts a batch and returns its outcomes in order.
func (r *rig) run(batch []core.Assignment) []core.Outcome {
	r.t.Helper()
	r.Start(batch, r)
	outcomes := make([]core.Outcome, len(batch))
	for i, a := range batch {
		outcomes[i] = r.outcome(r.t, a.Task)
	}
	return outcomes
}

func TestOutputBelongsToItsCall(t *testing.T) {
	r := newRig(t, Config{})
	loud := source("loud", "import os, subprocess, sys\ndef loud(n):\n    print('out', n)\n    os.write(2, b'err %d\\n' % n)\n    if n % 10 == 0: subprocess.call(['echo', 'sub', str(n)])\n    if n % 7 == 0: sys.stdout.write('partial')\n    return n\n")
	silent := source("silent", "def silent(n):\n    return n\n")
	for round := range 5 {
		var batch []core.Assignment
		for n := range 50 {
			f := silent
			if n%2 == round%2 {
				f = loud
			}
			batch = append(batch, assign(f, fmt.Sprintf("[[%d], {}]", n)))
		}
		for n, o := range r.run(batch) {
			stdout, stderr := "", ""
			if n%2 == round%2 {
				stdout, stderr = fmt.Sprintf("out %d\n", n), fmt.Sprintf("err %d\n", n)
				if n%10 == 0 {
					stdout += fmt.Sprintf("sub %d\n", n)
				}
				if n%7 == 0 {
					stdout += "partial"
				}
			}
			if got := string(o.Output.Stdout.Head); got != stdout {
				t.Errorf("call %d printed %q, want %q", n, got, stdout)
			}
			if got := string(o.Output.Stderr.Head); got != stderr {
				t.Errorf("call %d printed %q on stderr, want %q", n, got, stderr)
			}
		}
	}
}

func TestOneCrashCostsNoNeighbour(t *testing.T) {
	r := newRig(t, Config{Slots: 2})
	f := source("f", "import os, time\ndef f(n):\n    if n == 5: os._exit(0)\n    if n == 9: time.sleep(60)\n    if n == 12: os.write(4, b'nonsense')\n    return n\n")
	var batch []core.Assignment
	for n := range 20 {
		a := assign(f, fmt.Sprintf("[[%d], {}]", n))
		a.Timeout = 500 * time.Millisecond
		if n != 9 {
			a.Timeout = time.Minute
		}
		batch = append(batch, a)
	}
	kinds := map[int]core.FailureKind{5: core.KindCrash, 9: core.KindTimeout, 12: core.KindCrash}
	for n, o := range r.run(batch) {
		if kind := kinds[n]; kind == "" && (o.State != core.Completed || string(o.Result.JSON) != fmt.Sprint(n)) || kind != "" && (o.Result.Failure == nil || o.Result.Failure.Kind != kind) {
			t.Errorf("call %d ended %s %+v", n, o.State, o.Result.Failure)
		}
	}
	r.lock.Lock()
	defer r.lock.Unlock()
	var tasks []core.TaskID
	for _, a := range batch {
		tasks = append(tasks, a.Task)
		if r.started[a.Task] != 1 || len(r.ended[a.Task]) != 1 {
			t.Errorf("%s was started %d times and ended %d times", a.Task, r.started[a.Task], len(r.ended[a.Task]))
		}
	}
	if !slices.Equal(tasks, r.finished) {
		t.Errorf("ended in the order %v", r.finished)
	}
}

func TestCancelWhatWaits(t *testing.T) {
	r := newRig(t, Config{})
	nap := source("nap", "import time\ndef nap(s):\n    time.sleep(s)\n    return s\n")
	batch := []core.Assignment{assign(nap, "[[0.3], {}]"), assign(nap, "[[0], {}]"), assign(nap, "[[0], {}]")}
	queued := assign(nap, "[[0], {}]")
	r.Start(batch, r)
	r.Start([]core.Assignment{queued}, r)
	r.begun(t, batch[0].Task)
	r.Cancel([]core.TaskID{batch[1].Task, queued.Task, "unknown"}, 0)
	for i, task := range []core.TaskID{batch[0].Task, batch[1].Task, batch[2].Task, queued.Task} {
		o := r.outcome(t, task)
		state := core.Completed
		if i%2 == 1 {
			state = core.Cancelled
		}
		if o.State != state || o.Started != (i%2 == 0) {
			t.Errorf("call %d ended %s, started %v: %+v", i, o.State, o.Started, o.Result.Failure)
		}
	}
	r.fine()
}

func TestCancelTheRunningOneOfABatch(t *testing.T) {
	r := newRig(t, Config{})
	nap := source("nap", "import time\ndef nap(s):\n    time.sleep(s)\n    return s\n")
	batch := []core.Assignment{assign(nap, "[[60], {}]"), assign(nap, "[[0], {}]")}
	r.Start(batch, r)
	r.begun(t, batch[0].Task)
	begin := time.Now()
	r.Cancel([]core.TaskID{batch[0].Task}, 10*time.Second)
	if o := r.outcome(t, batch[0].Task); o.State != core.Cancelled || !o.Started || time.Since(begin) > 5*time.Second {
		t.Errorf("ended %s after %s", o.State, time.Since(begin))
	}
	if o := r.outcome(t, batch[1].Task); o.State != core.Completed {
		t.Errorf("its neighbour ended %s %+v", o.State, o.Result.Failure)
	}
}

func TestKillIsSilent(t *testing.T) {
	r := newRig(t, Config{})
	nap := source("nap", "import time\ndef nap(s):\n    time.sleep(s)\n    return s\n")
	batch := []core.Assignment{assign(nap, "[[60], {}]"), assign(nap, "[[0], {}]"), assign(nap, "[[0], {}]")}
	r.Start(batch, r)
	r.begun(t, batch[0].Task)
	r.Kill([]core.TaskID{batch[0].Task, batch[1].Task})
	if o := r.outcome(t, batch[2].Task); o.State != core.Completed {
		t.Errorf("ended %s", o.State)
	}
	r.lock.Lock()
	if len(r.ended) != 1 {
		t.Errorf("heard of %d calls", len(r.ended))
	}
	r.lock.Unlock()
	// A task that comes back after it was killed is a new one.
	r.Start(batch[1:2], r)
	if o := r.outcome(t, batch[1].Task); o.State != core.Completed {
		t.Errorf("ended %s", o.State)
	}
}

func TestManyBodiesAreSentAgain(t *testing.T) {
	r := newRig(t, Config{})
	var batch []core.Assignment
	for n := range 3 * cachedBodies {
		batch = append(batch, assign(source("f", fmt.Sprintf("def f():\n    return %d\n", n)), none))
	}
	for range 2 {
		for i := range batch {
			batch[i].Task = core.NewTaskID()
		}
		for n, o := range r.run(batch) {
			if string(o.Result.JSON) != fmt.Sprint(n) {
				t.Fatalf("call %d returned %s %+v", n, o.Result.JSON, o.Result.Failure)
			}
		}
	}
}

func TestLargeArgumentsGoInSeveralFrames(t *testing.T) {
	r := newRig(t, Config{})
	f := source("f", "def f(x):\n    return len(x)\n")
	var batch []core.Assignment
	for n := range 6 {
		batch = append(batch, assign(f, fmt.Sprintf("[[%q], {}]", strings.Repeat("x", n*700_000))))
	}
	for n, o := range r.run(batch) {
		if string(o.Result.JSON) != fmt.Sprint(n*700_000) {
			t.Errorf("call %d returned %s", n, o.Result.JSON)
		}
	}
}

func TestDillCalls(t *testing.T) {
	r := newRig(t, Config{})
	call := func(f *core.Function, args []byte) core.Outcome {
		a := assign(f, "")
		a.Codec, a.Args = core.Dill, args
		return r.run([]core.Assignment{a})[0]
	}
	args := dump(t, "", "((b'\\x00', {1}, 1+2j), {'key': 10**40})")
	same := pickled(dump(t, "def same(*a, **k):\n    return a, k\n", "same"))
	o := call(same, args)
	if o.State != core.Completed || bare(t, o.Result.Pickle, "value") != "((b'\\x00', {1}, (1+2j)), {'key': "+fmt.Sprint("1", strings.Repeat("0", 40))+"})" {
		t.Errorf("same: %+v %s", o.Result.Failure, o.Result.JSON)
	}
	if want := `[[{"$bytes":"AA=="},{"$set":[1]},{"$repr":"(1+2j)"}],{"key":1` + strings.Repeat("0", 40) + `}]`; string(o.Result.JSON) != want {
		t.Errorf("same: %s", o.Result.JSON)
	}
	nothing := dump(t, "", "((), {})")
	boom := pickled(dump(t, "def boom():\n    raise ValueError('no such luck', 7)\n", "boom"))
	o = call(boom, nothing)
	if got := bare(t, o.Result.Pickle, "repr(value)"); got != "ValueError('no such luck', 7)" {
		t.Errorf("boom: %s", got)
	}
	odd := pickled(dump(t, "class Odd(Exception):\n    pass\ndef odd():\n    raise Odd('strange')\n", "odd"))
	o = call(odd, nothing)
	if got := bare(t, o.Result.Pickle, "repr(value)"); got != "RuntimeError('Odd: strange')" {
		t.Errorf("odd: %s %+v", got, o.Result.Failure)
	}
	missing := pickled([]byte("\x80\x04\x8c\x0eno_such_module\x94\x8c\x01f\x94\x93\x94."))
	o = call(missing, nothing)
	if got := bare(t, o.Result.Pickle, "str(value)"); o.Result.Failure.Kind != core.KindUnloadable || !strings.Contains(got, "no_such_module") || !strings.Contains(got, "Python 3.") {
		t.Errorf("missing: %s %+v", got, o.Result.Failure)
	}
	o = call(same, missing.Body)
	if o.Result.Failure == nil || o.Result.Failure.Kind != core.KindUnloadable || !strings.Contains(o.Result.Failure.Message, "the arguments") {
		t.Errorf("missing arguments: %+v", o.Result.Failure)
	}
	lazy := pickled(dump(t, "def lazy():\n    yield 1\n", "lazy"))
	o = call(lazy, nothing)
	if o.Result.Failure == nil || o.Result.Failure.Kind != core.KindUnserializable || !strings.Contains(o.Result.Failure.Message, "generator") {
		t.Errorf("lazy: %+v", o.Result.Failure)
	}
	die := pickled(dump(t, "def die():\n    import os\n    os._exit(0)\n", "die"))
	o = call(die, nothing)
	if got := bare(t, o.Result.Pickle, "repr(value)"); !strings.Contains(got, "RuntimeError('crash: the process ended with exit status 0") {
		t.Errorf("die: %s", got)
	}
	r.fine()
}

func TestErrorPickle(t *testing.T) {
	for want, failure := range map[string]core.Failure{
		"TimeoutError('ran longer than 1s')":     timedOut(time.Second, ""),
		"RuntimeError('lost: \\' \\n é \\x00 ')": {Kind: core.KindLost, Message: "' \n é \x00 "},
	} {
		want = strings.ReplaceAll(want, `('lost: \' `, `("lost: ' `)
		want = strings.ReplaceAll(want, ` ')`, ` ")`)
		if got := bare(t, ErrorPickle(failure), "repr(value)"); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

func TestEnvironmentIsAnAllowList(t *testing.T) {
	for name, value := range map[string]string{"FAASCTL_TOKEN": "secret", "OTHER": "no", "LC_TIME": "C", "PYTHONPATH": "/a:rel"} {
		t.Setenv(name, value)
	}
	r := newRig(t, Config{ImportPath: []string{"/mine"}, Env: []string{"EXTRA=1"}})
	o := r.call(source("f", "import os, sys\ndef f():\n    return [sorted(os.environ), sys.path[:2], os.getcwd(), oct(os.umask(0o077)), os.stat('.').st_mode & 0o777, __name__]\n"), none)
	got := string(o.Result.JSON)
	if r.Enforces().Stop != "cgroup" {
		got = strings.Replace(got, `"`+markName+`",`, "", 1) // what processes are found by
	}
	for _, bad := range []string{"FAASCTL", "OTHER", `""`, "__main__"} {
		if strings.Contains(got, bad) {
			t.Errorf("%s in %s", bad, got)
		}
	}
	for _, good := range []string{`"LC_TIME"`, `"EXTRA"`, `"PATH"`, `["/mine","/a"]`, `faasctl-work-`, `"0o77",448`} {
		if !strings.Contains(got, good) {
			t.Errorf("no %s in %s", good, got)
		}
	}
	if _, err := NewPool(Config{Python: "p", Env: []string{"FAASCTL_TOKEN=1"}}); err == nil {
		t.Error("a FAASCTL_ variable was accepted")
	}
}

func TestAChildThatDoesNotStart(t *testing.T) {
	needPython(t)
	pool, err := NewPool(Config{Python: "/bin/false"})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 300*time.Millisecond)
	defer cancel()
	pool.Start([]core.Assignment{assign(double, none)}, newRecording())
	if err := pool.Run(ctx); err != nil {
		t.Error(err)
	}
	if err := pool.Trouble(); err == nil || !strings.Contains(err.Error(), "exit status 1") {
		t.Errorf("Trouble: %v", err)
	}
}

func TestStopWithWorkInHand(t *testing.T) {
	pool, err := NewPool(Config{Python: needPython(t), Slots: 2})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	sink := newRecording()
	nap := source("nap", "import time\ndef nap():\n    time.sleep(60)\n")
	first := assign(nap, none)
	pool.Start([]core.Assignment{first}, sink)
	pool.Start([]core.Assignment{assign(nap, none), assign(nap, none)}, sink)
	pool.Start([]core.Assignment{assign(nap, none)}, sink)
	ended := make(chan error, 1)
	go func() { ended <- pool.Run(ctx) }()
	sink.begun(t, first.Task)
	if pool.Busy() != 2 || pool.Free() != 0 {
		t.Errorf("busy %d, free %d", pool.Busy(), pool.Free())
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	pool.Start([]core.Assignment{first}, sink)
	pool.Cancel([]core.TaskID{first.Task}, 0)
	if len(sink.ended) != 0 {
		t.Errorf("heard of %v", sink.ended)
	}
}

func TestCaptureKeepsBothEnds(t *testing.T) {
	var whole []byte
	for i := 0; len(whole) < 200_000; i++ {
		whole = fmt.Appendf(whole, "line %d\n", i)
	}
	for _, size := range []int{0, 1, keepHead, keepHead + 1, keepHead + keepTail, keepHead + keepTail + 1, len(whole)} {
		for _, chunk := range []int{1, 7, 4096, 1 << 20} {
			var c capture
			for rest := whole[:size]; len(rest) > 0; rest = rest[min(chunk, len(rest)):] {
				c.write(rest[:min(chunk, len(rest))], 0)
			}
			s := c.stream()
			head, tail := whole[:min(size, keepHead)], whole[min(size, max(keepHead, size-keepTail)):size]
			if string(s.Head) != string(head) || string(s.Tail) != string(tail) || s.Cut != int64(size-len(head)-len(tail)) {
				t.Fatalf("%d bytes in chunks of %d: %d + %d, cut %d", size, chunk, len(s.Head), len(s.Tail), s.Cut)
			}
		}
	}
}

func FuzzFrames(f *testing.F) {
	result := make([]byte, resultHeader)
	f.Add(appendFrame(nil, kindResult, result))
	f.Add(appendFrame(appendFrame(nil, kindHello, []byte("{}")), kindMiss, number(3)))
	f.Add([]byte("fxR\x01\xff\xff\xff\xff\x00\x00\x00\x00"))
	f.Fuzz(func(t *testing.T, data []byte) {
		for {
			kind, payload, rest, need, ok, err := nextFrame(data, 1<<16)
			if err != nil || !ok {
				if need > headerSize+1<<16 {
					t.Fatalf("needs %d bytes", need)
				}
				return
			}
			if !reflect.DeepEqual(appendFrame(nil, kind, payload), data[:need]) || len(rest) != len(data)-need {
				t.Fatal("the frame does not round-trip")
			}
			if reply, err := parseReply(payload); err == nil {
				if n := len(reply.json) + len(reply.pickle) + len(reply.repr) + len(reply.failure) + resultHeader; n != len(payload) {
					t.Fatalf("%d of %d bytes", n, len(payload))
				}
				for _, codec := range []core.Codec{core.JSON, core.Dill} {
					if reply.status != statusSkipped {
						_, _, _ = resultOf(reply, codec, 1<<16)
					}
				}
			}
			data = rest
		}
	})
}
