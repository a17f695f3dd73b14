package pyrun

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"faasctl/core"
)

// under runs f of code under limits.
func (r *rig) under(l core.Limits, code, args string) core.Outcome {
	r.t.Helper()
	a := assign(source("f", code), args)
	a.Limits = l
	r.Start([]core.Assignment{a}, r)
	return r.outcome(r.t, a.Task)
}

func wantFailure(t *testing.T, o core.Outcome, kind core.FailureKind, message string) {
	t.Helper()
	if o.State != core.Failed || o.Result.Failure.Kind != kind || !strings.Contains(o.Result.Failure.Message, message) {
		t.Errorf("ended %s: %s %+v, want %s with %q", o.State, o.Result.JSON, o.Result.Failure, kind, message)
	}
}

func wantJSON(t *testing.T, o core.Outcome, json string) {
	t.Helper()
	if o.State != core.Completed || string(o.Result.JSON) != json {
		t.Errorf("ended %s: %s %+v, want %s", o.State, o.Result.JSON, o.Result.Failure, json)
	}
}

const (
	hugeAllocation = "def f():\n    return len(bytearray(4 << 30))\n"
	creeping       = "def f():\n    kept = []\n    while True: kept.append(b'x' * (1 << 20) + b'y')\n"
	inheritedCreep = "import subprocess, sys\ndef f():\n    return subprocess.call([sys.executable, '-c', 'kept = []\\nwhile True: kept.append(b\"x\" * (1 << 20) + b\"y\")'])\n"
	spinning       = "def f():\n    while True: pass\n"
	spinningShell  = "import subprocess\ndef f():\n    subprocess.run(['sh', '-c', 'while :; do :; done'])\n"
	sleepingSecond = "import time\ndef f():\n    time.sleep(1)\n    return 1\n"
)

// Each limit ends the call that breaks it with the right kind, and no other.
func TestLimits(t *testing.T) {
	r := newRig(t, Config{Slots: 2})
	memory := core.Limits{Memory: 128 << 20}
	wantFailure(t, r.under(memory, hugeAllocation, none), core.KindMemory, "more memory than the limit of 128 MiB")
	wantFailure(t, r.under(memory, creeping, none), core.KindMemory, "more memory than the limit of 128 MiB")
	wantFailure(t, r.under(memory, inheritedCreep, none), core.KindMemory, "128 MiB")
	wantJSON(t, r.under(memory, "def f():\n    return len(b'x' * (64 << 20))\n", none), strconv.Itoa(64<<20))
	wantJSON(t, r.under(core.Limits{}, "def f():\n    return len(b'x' * (256 << 20))\n", none), strconv.Itoa(256<<20))
	wantFailure(t, r.under(core.Limits{}, "def f():\n    raise MemoryError('mine')\n", none), core.KindException, "mine")

	cpu := core.Limits{CPUSeconds: 0.3}
	wantFailure(t, r.under(cpu, spinning, none), core.KindTimeout, "processor time than 0.3 s")
	wantFailure(t, r.under(cpu, spinningShell, none), core.KindTimeout, "processor time than 0.3 s")
	wantJSON(t, r.under(cpu, sleepingSecond, none), "1")
	r.fine()
}

// What calls before have used is not charged to the next one: neither the
// processor time of the child, nor what it has in memory or left running.
func TestLimitsAreOfTheCall(t *testing.T) {
	r := newRig(t, Config{})
	used := r.call(source("f", "import time, os\ndef f():\n    while time.process_time() < 0.5: pass\n    return os.getpid()\n"), none)
	o := r.under(core.Limits{CPUSeconds: 0.4}, "import os, time\ndef f():\n    time.sleep(0.2)\n    return os.getpid()\n", none)
	wantJSON(t, o, string(used.Result.JSON)) // in the same child

	r.call(source("f", "kept = []\ndef f():\n    kept.append(b'x' * (120 << 20))\n"), none)
	wantJSON(t, r.under(core.Limits{Memory: 128 << 20}, "def f():\n    return len(b'x' * (32 << 20))\n", none), strconv.Itoa(32<<20))
	if r.Enforces().Processes != "cgroup" {
		t.Skipf("SKIPPED: processes are limited by %s here", r.Enforces().Processes)
	}
	r.call(source("f", "import subprocess\ndef f():\n    global p\n    p = subprocess.Popen(['sleep', '60'])\n"), none)
	wantJSON(t, r.under(core.Limits{Processes: 2}, "import subprocess\ndef f():\n    return subprocess.call(['true'])\n", none), "0")
	for range 3 { // children that nobody has waited for
		r.call(source("f", "import os\ndef f():\n    if os.fork() == 0: os._exit(0)\n"), none)
	}
	wantJSON(t, r.under(core.Limits{Processes: 2}, "import subprocess\ndef f():\n    return subprocess.call(['true'])\n", none), "0")
}

// What a call under limits leaves running ends with it: it would go on without any
// limit. Otherwise a bomb of forks would only have to wait for the next call.
func TestWhatALimitedCallLeavesEndsWithIt(t *testing.T) {
	for _, bare := range []bool{false, true} {
		t.Run(fmt.Sprintf("without control groups %v", bare), func(t *testing.T) { limitedCallsLeaveNothing(t, newRig(t, Config{bare: bare})) })
	}
}

func limitedCallsLeaveNothing(t *testing.T, r *rig) {
	leave := "import subprocess\ndef f():\n    return subprocess.Popen(['sleep', '600']).pid\n"
	for name, l := range map[string]core.Limits{
		"memory": {Memory: 256 << 20}, "processor time": {CPUSeconds: 60}, "processes": {Processes: 8},
		"in a fork": {Processes: 8, Isolation: core.Fork},
	} {
		t.Run(name, func(t *testing.T) {
			o := r.under(l, leave, none)
			pid, err := strconv.Atoi(string(o.Result.JSON))
			if err != nil {
				t.Fatalf("%s %+v", o.Result.JSON, o.Result.Failure)
			}
			gone(t, pid)
			r.fine()
		})
	}
	o := r.under(core.Limits{}, leave, none)
	pid, _ := strconv.Atoi(string(o.Result.JSON))
	r.fine()
	if p, ok := readProcess(strconv.Itoa(pid)); !ok || p.ended {
		t.Error("what a call without limits leaves is ended, too")
	}
	if r.Enforces().Processes != "cgroup" {
		t.Skipf("SKIPPED: processes are limited by %s here", r.Enforces().Processes)
	}
	// Threads that a limited call has left may not be let off either.
	before := r.under(core.Limits{Processes: 8}, "import os, threading, time\ndef f():\n    threading.Thread(target=time.sleep, args=(600,), daemon=True).start()\n    return os.getpid()\n", none)
	after := r.under(core.Limits{}, "import os\ndef f():\n    return os.getpid()\n", none)
	if string(before.Result.JSON) == string(after.Result.JSON) {
		t.Error("a thread of a limited call goes on without its limit")
	}
}

func TestLimitOfProcesses(t *testing.T) {
	r := newRig(t, Config{})
	if e := r.Enforces(); e.Processes != "cgroup" {
		t.Skipf("SKIPPED: processes are limited by %s here", e.Processes)
	}
	o := r.under(core.Limits{Processes: 1}, "import os\ndef f():\n    return os.fork()\n", none)
	wantFailure(t, o, core.KindException, "temporarily unavailable")
	o = r.under(core.Limits{Processes: 3}, "import threading, time\ndef f():\n    for _ in range(5): threading.Thread(target=time.sleep, args=(30,)).start()\n", none)
	wantFailure(t, o, core.KindException, "can't start new thread")
	r.fine()
}

// A worker's ceilings hold for functions that state nothing.
func TestCeilings(t *testing.T) {
	r := newRig(t, Config{Rules: Rules{Ceiling: core.Limits{Memory: 128 << 20, CPUSeconds: 0.3}}})
	wantFailure(t, r.call(source("f", hugeAllocation), none), core.KindMemory, "128 MiB")
	wantFailure(t, r.under(core.Limits{CPUSeconds: 60}, spinning, none), core.KindTimeout, "0.3 s")
	wantFailure(t, r.under(core.Limits{Memory: 64 << 20}, creeping, none), core.KindMemory, "64 MiB")
	r.fine()
}

// One batch of calls under different limits: each is judged by its own, in order.
func TestLimitsWithinABatch(t *testing.T) {
	r := newRig(t, Config{})
	var batch []core.Assignment
	for i := range 60 {
		a := assign(source("f", "import resource\ndef f(x):\n    return [x, resource.getrlimit(resource.RLIMIT_DATA)[0] > 0]\n"), fmt.Sprintf("[[%d], {}]", i))
		if i%3 == 1 {
			a.Limits = core.Limits{Memory: 512 << 20, CPUSeconds: 30}
		}
		batch = append(batch, a)
	}
	batch[30].Function, batch[30].Args, batch[30].Limits = source("f", spinning), []byte(none), core.Limits{CPUSeconds: 0.2}
	r.Start(batch, r)
	for i, a := range batch {
		if o := r.outcome(t, a.Task); i == 30 {
			wantFailure(t, o, core.KindTimeout, "0.2 s")
		} else {
			wantJSON(t, o, fmt.Sprintf("[%d,%v]", i, i%3 == 1 && r.Enforces().Memory == "rlimit"))
		}
	}
}

// A function's variables are its calls' alone: those that are stated, and those of
// the worker that its operator passes on. One that cannot be had ends the call.
func TestEnv(t *testing.T) {
	t.Setenv("PYRUN_SECRET", "s3cret")
	t.Setenv("PYRUN_KEPT_BACK", "x")
	r := newRig(t, Config{Rules: Rules{PassEnv: []string{"PYRUN_SECRET", "PYRUN_MISSING"}}})
	see := source("f", "import os\nAT_LOAD = os.environ.get('MODE')\ndef f():\n    return [AT_LOAD, os.environ.get('MODE'), os.environ.get('PYRUN_SECRET')]\n")
	for _, isolation := range core.Isolations {
		ask := func(env core.Env) core.Outcome {
			a := assign(see, none)
			a.Env, a.Isolation = env, isolation
			r.Start([]core.Assignment{a}, r)
			return r.outcome(t, a.Task)
		}
		wantJSON(t, ask(nil), `[null,null,null]`)
		wantJSON(t, ask(core.Env{"MODE=fast"}), `["fast","fast",null]`)
		wantJSON(t, ask(core.Env{"MODE=slow", "PYRUN_SECRET"}), `["slow","slow","s3cret"]`)
		wantJSON(t, ask(core.Env{"MODE=fast"}), `["fast","fast",null]`)
		wantJSON(t, ask(nil), `[null,null,null]`)
		wantFailure(t, ask(core.Env{"PYRUN_KEPT_BACK"}), core.KindUnloadable, "--pass-env PYRUN_KEPT_BACK")
		wantFailure(t, ask(core.Env{"PYRUN_MISSING"}), core.KindUnloadable, "PYRUN_MISSING")
		r.fine()
	}
	var batch []core.Assignment
	for i := range 90 {
		a := assign(source("f", "import os\ndef f():\n    return os.environ.get('N')\n"), none)
		if i%3 > 0 {
			a.Env = core.Env{fmt.Sprintf("N=%d", i%3)}
		}
		batch = append(batch, a)
	}
	r.Start(batch, r)
	for i, a := range batch {
		wantJSON(t, r.outcome(t, a.Task), []string{"null", `"1"`, `"2"`}[i%3])
	}
}

// gone waits until a process has ended.
func gone(t *testing.T, pid int) {
	t.Helper()
	newRecording().until(t, fmt.Sprintf("the end of process %d", pid), func() bool {
		p, ok := readProcess(strconv.Itoa(pid))
		return !ok || p.ended
	})
}

// detach starts a process that leaves the group, the session and the line of
// ancestors, whose ends nobody waits for, ignores signals, writes its id to a file, and stays.
const detach = `import os, signal, sys, time
def f(path, then):
    signal.signal(signal.SIGCHLD, signal.SIG_IGN) # no ancestor stays as a zombie
    if os.fork() == 0:
        os.setsid()
        if os.fork():
            os._exit(0)
        for s in (1, 2, 15): signal.signal(s, signal.SIG_IGN)
        with open(path + '.new', 'w') as file: file.write(str(os.getpid()))
        os.rename(path + '.new', path)
        time.sleep(600)
    while not os.path.exists(path): time.sleep(0.001)
    print('begun', flush=True)
    if then == 'exit': os._exit(0)
    if then == 'spin':
        while True: pass
    if then == 'regex':
        import re
        re.match('(a*)*b', 'a' * 64)
    if then == 'C': pow(7, 10 ** 9)
    signal.signal(15, signal.SIG_IGN)
    time.sleep(600)
`

// Whatever a call does, it ends with all its processes: within its grace and a
// second when it is cancelled, at once when its time is out.
func TestTheWholeTreeEnds(t *testing.T) {
	for _, bare := range []bool{false, true} {
		r := newRig(t, Config{bare: bare})
		if stop := r.Enforces().Stop; bare == (stop == "cgroup") {
			t.Logf("SKIPPED: no control groups here, all is ended as a %s", stop)
			continue
		}
		for _, then := range []string{"sleep", "spin", "regex", "C", "exit"} {
			for _, cancel := range []bool{false, true} {
				if then == "exit" && cancel {
					continue
				}
				t.Run(fmt.Sprintf("%s, %s, cancelled %v", r.Enforces().Stop, then, cancel), func(t *testing.T) {
					path := filepath.Join(t.TempDir(), "pid")
					a := assign(source("f", detach), fmt.Sprintf("[[%q, %q], {}]", path, then))
					if !cancel && then != "exit" {
						a.Timeout = 1500 * time.Millisecond // by then it has to have started its process
					}
					r.Start([]core.Assignment{a}, r)
					var text []byte
					r.begun(t, a.Task)
					r.until(t, "the process that it starts", func() bool {
						text, _ = os.ReadFile(path)
						return len(text) > 0
					})
					pid, _ := strconv.Atoi(string(text))
					asked := time.Now()
					if cancel {
						r.Cancel([]core.TaskID{a.Task}, 300*time.Millisecond)
					}
					o := r.outcome(t, a.Task)
					switch took := time.Since(asked); {
					case cancel && o.State != core.Cancelled, took > 30*time.Second:
						t.Errorf("ended %s after %s: %+v", o.State, took, o.Result.Failure)
					case then == "exit":
						wantFailure(t, o, core.KindCrash, "exit status 0")
					case !cancel:
						wantFailure(t, o, core.KindTimeout, "1.5s")
					}
					gone(t, pid)
					r.fine()
				})
			}
		}
	}
}

// What a killed worker left behind is ended by the next one; what a living one
// has is left alone.
func TestSweep(t *testing.T) {
	c := findCgroups()
	if c.kill == "" {
		t.Skip("SKIPPED: no control groups can be made here")
	}
	mine, err := c.group()
	if err != nil {
		t.Fatal(err)
	}
	defer mine.remove()
	left := strings.Replace(filepath.Base(mine.kill), fmt.Sprintf("-%d-", startOf(os.Getpid())), "-1-", 1) // of one that had our process id before
	cmd := startSleep(t)
	for _, dir := range distinct(c.kill, c.pids, c.memory, c.cpu) {
		if err := os.Mkdir(filepath.Join(dir, left), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, left, "cgroup.procs"), []byte(strconv.Itoa(cmd)), 0); err != nil {
			t.Fatal(err)
		}
	}
	newRig(t, Config{}).fine()
	gone(t, cmd)
	for _, dir := range distinct(c.kill, c.pids, c.memory, c.cpu) {
		if _, err := os.Stat(filepath.Join(dir, left)); !os.IsNotExist(err) {
			t.Errorf("%s is left: %v", left, err)
		}
	}
	for _, dir := range mine.dirs() {
		if _, err := os.Stat(dir); err != nil {
			t.Errorf("a group of ours was swept: %v", err)
		}
	}
}

func startSleep(t *testing.T) (pid int) {
	t.Helper()
	pid, err := syscall.ForkExec("/bin/sleep", []string{"sleep", "600"}, &syscall.ProcAttr{})
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		var status syscall.WaitStatus
		_, _ = syscall.Wait4(pid, &status, 0, nil)
	}()
	t.Cleanup(func() { _ = syscall.Kill(pid, syscall.SIGKILL); <-ended })
	return pid
}

// Groups are gone when the pool has ended.
func TestGroupsAreRemoved(t *testing.T) {
	c := findCgroups()
	pool, err := NewPool(Config{Python: needPython(t), Slots: 2})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- pool.Run(ctx) }()
	<-pool.Ready()
	mine := fmt.Sprintf("faasctl-%s-%d-*", pidNamespace(), os.Getpid())
	before, _ := filepath.Glob(filepath.Join(c.kill, mine))
	cancel()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	for _, dir := range distinct(c.kill, c.pids, c.memory, c.cpu) {
		if left, _ := filepath.Glob(filepath.Join(dir, mine)); len(left) > 0 {
			t.Errorf("left: %s", left)
		}
	}
	if c.kill == "" {
		t.Skip("SKIPPED: no control groups can be made here")
	}
	if len(before) != 2 {
		t.Errorf("groups of two slots: %s", before)
	}
}

func TestCgroupsIn(t *testing.T) {
	const hybrid = "30 29 0:26 / /sys/fs/cgroup/unified rw shared:4 - cgroup2 cgroup2 rw\n" +
		"31 29 0:27 / /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids\n" +
		"32 29 0:28 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n" +
		"33 29 0:29 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n"
	const unified = "30 29 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n"
	yes, no := func(string) bool { return true }, func(string) bool { return false }
	for name, c := range map[string]struct {
		mounts, own       string
		usable, delegated func(string) bool
		want              cgroups
	}{
		"hybrid, all ours": {hybrid, "4:memory:/\n3:cpu,cpuacct:/\n2:pids:/\n0::/\n", yes, no,
			cgroups{kill: "/sys/fs/cgroup/unified", pids: "/sys/fs/cgroup/pids", memory: "/sys/fs/cgroup/memory", cpu: "/sys/fs/cgroup/unified"}},
		"hybrid, memory is another's": {hybrid, "4:memory:/somebody/else\n2:pids:/\n0::/user.slice\n", yes, no,
			cgroups{kill: "/sys/fs/cgroup/pids", pids: "/sys/fs/cgroup/pids"}},
		"read-only":     {hybrid, "4:memory:/\n2:pids:/\n0::/\n", no, yes, cgroups{}},
		"not delegated": {unified, "0::/system.slice/sshd.service\n", yes, no, cgroups{}},
		"delegated": {unified, "0::/system.slice/faasctl.service\n", yes, yes,
			cgroups{kill: "/sys/fs/cgroup/system.slice/faasctl.service", cpu: "/sys/fs/cgroup/system.slice/faasctl.service"}},
		"delegated, and we have moved": {unified, "0::/system.slice/faasctl.service/faasctl-main\n", yes, yes,
			cgroups{kill: "/sys/fs/cgroup/system.slice/faasctl.service", cpu: "/sys/fs/cgroup/system.slice/faasctl.service"}},
		"nothing": {"", "", yes, yes, cgroups{}},
	} {
		if got := cgroupsIn(c.mounts, c.own, c.usable, c.delegated); got != c.want {
			t.Errorf("%s: %+v, want %+v", name, got, c.want)
		}
	}
}

func TestParseUsers(t *testing.T) {
	for text, want := range map[string]users{"none": {}, "": {}, "auto": autoUsers, "70000": {70000, 70000}, "70000-70009": {70000, 70009}} {
		if got, _, err := parseUsers(text); err != nil || got != want {
			t.Errorf("%q: %v %v", text, got, err)
		}
	}
	for _, text := range []string{"0", "root", "-5", "5-4", "0-9", "9-99999999999", "7-", "auto-"} {
		if got, _, err := parseUsers(text); core.ClassOf(err) != core.ErrInvalid {
			t.Errorf("%q: %v %v", text, got, err)
		}
	}
}

// As root, each slot has a user of its own, who is not root, owns the directory
// that calls work in, and can reach neither the next slot's nor the worker.
func TestRunAs(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("SKIPPED: not root")
	}
	r := newRig(t, Config{Slots: 2, Rules: Rules{RunAs: "auto"}})
	if r.bounds.why != "" {
		t.Skipf("SKIPPED: %s", r.bounds.why)
	}
	const who = `import os, time
def f(n):
    open('mine', 'w').write('x'); os.mkdir(os.environ['TMPDIR'] + '/below')
    open('/dev/stdout', 'w').write('through the door\n')
    seen = []
    for slot in [os.path.dirname(os.path.dirname(os.environ['HOME'])) + '/slot-' + n + '/home' for n in '01']:
        try:
            os.listdir(slot); seen.append(slot)
        except PermissionError: pass
    try:
        os.kill(os.getppid(), 0); reach = True
    except PermissionError: reach = False
    time.sleep(0.2)
    return [os.getuid(), os.getgid(), os.getgroups(), os.getcwd() == os.environ['TMPDIR'], len(seen), reach]
`
	var users []string
	first, second := assign(source("f", who), "[[1], {}]"), assign(source("f", who), "[[2], {}]")
	r.Start([]core.Assignment{first}, r)
	r.Start([]core.Assignment{second}, r)
	for _, a := range []core.Assignment{first, second} {
		o := r.outcome(t, a.Task)
		parts := strings.SplitN(strings.Trim(string(o.Result.JSON), "[]"), ",", 3)
		if len(parts) != 3 || parts[0] != parts[1] || parts[2] != "[],true,1,false" || string(o.Output.Stdout.Head) != "through the door\n" {
			t.Fatalf("%s %+v %q", o.Result.JSON, o.Result.Failure, o.Output.Stdout.Head)
		}
		users = append(users, parts[0])
	}
	if users[0] == users[1] {
		t.Errorf("both slots run as %s", users[0])
	}
}

// Where the interpreter or an import path is out of an unprivileged user's reach,
// auto stays root and says why; a range insists.
func TestRunAsOutOfReach(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("SKIPPED: not root")
	}
	dir := filepath.Join(t.TempDir(), "private")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	c := Config{Python: needPython(t), ImportPath: []string{dir}, Rules: Rules{RunAs: "auto"}}
	e, why, err := Survey(c)
	if err != nil || e.User != "root" || !strings.Contains(why, "Permission denied") && !strings.Contains(why, "PermissionError") {
		t.Errorf("%+v %q %v", e, why, err)
	}
	c.RunAs = "70000-70009"
	if _, err := NewPool(c); core.ClassOf(err) != core.ErrUnavailable {
		t.Errorf("%v", err)
	}
	c.RunAs, c.Slots = "70000-70001", 3
	if _, err := NewPool(c); core.ClassOf(err) != core.ErrInvalid {
		t.Errorf("%v", err)
	}
}
