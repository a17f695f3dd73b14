package pyrun

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"faasctl/core"
)

// needBwrap skips where no sandbox can be made, and says so.
func needBwrap(t testing.TB) {
	t.Helper()
	python := needPython(t)
	if _, err := exec.LookPath("bwrap"); err != nil {
		t.Skip("SKIPPED: no bwrap here: nothing about the sandbox is tested")
	}
	c := Config{Python: python}.withDefaults()
	if _, err := newJail(c, nil, -1); err != nil {
		t.Skipf("SKIPPED: bwrap does not work here: nothing about the sandbox is tested: %v", err)
	}
}

// Every hostile function ends in a sandbox as it does without.
func TestHostileFunctionsInASandbox(t *testing.T) {
	needBwrap(t)
	tryHostiles(t, newRig(t, Config{Slots: 1, Rules: Rules{Sandbox: Bwrap}}))
}

func TestIsolationInASandbox(t *testing.T) {
	needBwrap(t)
	r := newRig(t, Config{Rules: Rules{Sandbox: Bwrap, RecycleMemory: 64 << 20}})
	var first, second trace
	for _, isolation := range core.Isolations {
		r.answer(isolated(trail, isolation), &first)
		r.answer(isolated(trail, isolation), &second)
		if (isolation == core.Warm) != (second.Process == 2) || (isolation == core.Fork) == (second.PID == second.Loaded) {
			t.Errorf("%s: %+v, then %+v", isolation, first, second)
		}
	}
	hold := source("f", "kept = []\ndef f():\n    kept.append(b'x' * (100 << 20))\n    return len(kept)\n")
	for range 2 {
		if o := r.call(hold, none); string(o.Result.JSON) != "1" {
			t.Errorf("a child that holds 100 MiB was kept: %s %+v", o.Result.JSON, o.Result.Failure)
		}
	}
}

// A cancelled call in a sandbox has its grace: the signal is for it, not for the
// sandbox.
func TestGraceInASandbox(t *testing.T) {
	needBwrap(t)
	r := newRig(t, Config{Rules: Rules{Sandbox: Bwrap}})
	f := source("f", "import signal, time\ndef f():\n    told = []\n    signal.signal(15, lambda *_: told.append(1))\n    print('here', flush=True)\n"+
		"    while not told: time.sleep(0.01)\n    print('in its grace', flush=True)\n")
	for _, isolation := range core.Isolations {
		a := isolated(f, isolation)
		r.within(t, a)
		r.Cancel([]core.TaskID{a.Task}, 10*time.Second)
		o := r.outcome(t, a.Task)
		if o.State != core.Cancelled || !strings.Contains(string(o.Output.Stdout.Head), "in its grace") {
			t.Errorf("%s: ended %s, printed %q", isolation, o.State, o.Output.Stdout.Head)
		}
	}
	r.fine()
}

// Limits are the call's: the sandbox's own processes do not count.
func TestLimitsInASandbox(t *testing.T) {
	needBwrap(t)
	r := newRig(t, Config{Rules: Rules{Sandbox: Bwrap}})
	enforced := r.Enforces()
	if enforced.Sandbox != Bwrap || enforced.Stop != "pid namespace" {
		t.Errorf("in force: %+v", enforced)
	}
	for _, isolation := range core.Isolations {
		a := isolated(source("f", "import subprocess\ndef f():\n    return subprocess.call(['true'])\n"), isolation)
		a.Processes = 2
		for range 2 {
			a.Task = core.NewTaskID()
			if o := r.ask(a); string(o.Result.JSON) != "0" {
				t.Errorf("%s, one process more: %s %+v", isolation, o.Result.JSON, o.Result.Failure)
			}
		}
		a = isolated(source("f", "kept = []\ndef f():\n    for _ in range(200): kept.append(b'x' * (8 << 20))\n"), isolation)
		a.Memory = 256 << 20
		if o := r.ask(a); o.Result.Failure == nil || o.Result.Failure.Kind != core.KindMemory {
			t.Errorf("%s, too much memory: ended %s: %+v", isolation, o.State, o.Result.Failure)
		}
		a = isolated(source("f", "def f():\n    while True: pass\n"), isolation)
		a.CPUSeconds = 0.3
		if o := r.ask(a); o.Result.Failure == nil || o.Result.Failure.Kind != core.KindTimeout {
			t.Errorf("%s, too much processor time: ended %s: %+v", isolation, o.State, o.Result.Failure)
		}
	}
	r.fine()
}

// What functions need works inside: temporary files, subprocesses, threads,
// locks shared between processes, time zones, certificates.
func TestWorkInASandbox(t *testing.T) {
	needBwrap(t)
	r := newRig(t, Config{Rules: Rules{Sandbox: Bwrap}})
	for name, text := range map[string]string{
		"temp":            "import os, tempfile\ndef f():\n    with tempfile.NamedTemporaryFile() as t: t.write(b'x'); return t.name.startswith(os.environ['TMPDIR'])\n",
		"/tmp":            "def f():\n    open('/tmp/x', 'w').write('x'); return open('/tmp/x').read() == 'x'\n",
		"cwd":             "import os\ndef f():\n    open('here', 'w').close(); os.unlink('here'); return os.getcwd() == os.environ['TMPDIR']\n",
		"home":            "import os\ndef f(): return os.path.expanduser('~') == os.environ['TMPDIR']\n",
		"subprocess":      "import subprocess, sys\ndef f(): return subprocess.check_output([sys.executable, '-c', 'print(6 * 7)']).strip() == b'42'\n",
		"multiprocessing": "import multiprocessing\ndef f():\n    with multiprocessing.get_context('fork').Pool(2) as p: return p.map(abs, [-1, -2]) == [1, 2]\n",
		"processors":      "import os\ndef f(): return os.cpu_count() >= 1\n",
		"loopback":        "import socket\ndef f():\n    s = socket.create_server(('127.0.0.1', 0)); socket.create_connection(s.getsockname(), 5); return True\n",
		"user":            "import getpass\ndef f(): return bool(getpass.getuser())\n",
		"system":          "import os\ndef f():\n    try: open('/usr/x', 'w')\n    except OSError: return True\n",
		"stdin":           "import sys\ndef f(): return sys.stdin.read() == ''\n",
		"no terminal":     "import os\ndef f():\n    try: os.open('/dev/tty', os.O_RDWR)\n    except OSError: return True\n",
		"no namespaces":   "import ctypes\ndef f(): return ctypes.CDLL(None).unshare(0x10000000) == -1\n",
	} {
		if o := r.call(source("f", text), none); string(o.Result.JSON) != "true" {
			t.Errorf("%s: %s %+v", name, o.Result.JSON, o.Result.Failure)
		}
	}
}

// What a function depends on is there, also when it was made after its child's
// sandbox.
func TestEnvironmentsInASandbox(t *testing.T) {
	needBwrap(t)
	r := newRig(t, Config{Rules: Rules{Sandbox: Bwrap, Environments: newCache(t)}})
	r.fine()
	if o := r.call(depending("answers==2"), none); string(o.Result.JSON) != "42" {
		t.Errorf("%s %+v", o.Result.JSON, o.Result.Failure)
	}
}

// The whole sandbox ends with a call that is stopped: also what has left its
// process group and session.
func TestNothingSurvivesASandbox(t *testing.T) {
	needBwrap(t)
	r := newRig(t, Config{Rules: Rules{Sandbox: Bwrap}})
	mark := filepath.Base(t.TempDir()) + "-daemon"
	text := "import os, subprocess, sys, time\ndef f(mark):\n" +
		"    subprocess.Popen(['setsid', 'env', '-i', sys.executable, '-c', 'import time; time.sleep(600)', mark])\n" +
		"    time.sleep(600)\n"
	a := assign(source("f", text), `[["`+mark+`"], {}]`)
	a.Timeout = 400 * time.Millisecond
	if o := r.ask(a); o.Result.Failure == nil || o.Result.Failure.Kind != core.KindTimeout {
		t.Fatalf("ended %s: %+v", o.State, o.Result.Failure)
	}
	r.fine() // its child has taken the place of the one that was killed
	r.until(t, "the end of a detached process with its sandbox", func() bool { return !running(mark) })
}

// running reports whether a process has mark in its command line.
func running(mark string) bool {
	files, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	return slices.ContainsFunc(files, func(file string) bool {
		text, _ := os.ReadFile(file)
		return strings.Contains(string(text), mark)
	})
}

func TestShare(t *testing.T) {
	needBwrap(t)
	dir := t.TempDir()
	for _, name := range []string{"read", "write", "other"} {
		if err := os.Mkdir(filepath.Join(dir, name), 0o777); err != nil {
			t.Fatal(err)
		}
		_ = os.Chmod(filepath.Join(dir, name), 0o777)
		if err := os.WriteFile(filepath.Join(dir, name, "file"), []byte("1"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	r := newRig(t, Config{Rules: Rules{Sandbox: Bwrap, Share: []string{filepath.Join(dir, "read"), filepath.Join(dir, "write:rw")}}})
	text := "import os\ndef f(dir):\n    can = []\n    for name in ('read', 'write', 'other'):\n        path = os.path.join(dir, name)\n" +
		"        can.append(os.path.exists(path + '/file'))\n        try:\n            open(path + '/new', 'w').close()\n            can.append(True)\n        except OSError:\n            can.append(False)\n    return can\n"
	if o := r.call(source("f", text), `[["`+dir+`"], {}]`); string(o.Result.JSON) != "[true,false,true,true,false,false]" {
		t.Errorf("%s %+v", o.Result.JSON, o.Result.Failure)
	}
	if _, err := os.Stat(filepath.Join(dir, "write", "new")); err != nil {
		t.Error(err)
	}
	for _, share := range []string{"/", "/no/such/place", ""} {
		_, err := NewPool(Config{Python: needPython(t), Rules: Rules{Sandbox: Bwrap, Share: []string{share}}})
		if core.ClassOf(err) != core.ErrInvalid && share != "" {
			t.Errorf("--share %q: %v", share, err)
		}
	}
}

// A secret that lies where functions read is covered; one that holds what they
// are to read is a contradiction.
func TestHide(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"project/keys", "data"} {
		if err := os.MkdirAll(filepath.Join(dir, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	token := filepath.Join(dir, "project/token")
	if err := os.WriteFile(token, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(filepath.Join(dir, "project/keys"), filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	var v view
	v.add("--ro-bind", filepath.Join(dir, "project"))
	options, err := v.hide([]string{token, filepath.Join(dir, "link"), filepath.Join(dir, "data"), "/no/such/place"})
	want := []string{"--ro-bind", os.DevNull, token, "--tmpfs", filepath.Join(dir, "project/keys"), "--remount-ro", filepath.Join(dir, "project/keys")}
	if err != nil || !slices.Equal(options, want) {
		t.Errorf("%q %v", options, err)
	}
	for _, path := range []string{dir, filepath.Join(dir, "project")} {
		if _, err := v.hide([]string{path}); core.ClassOf(err) != core.ErrInvalid {
			t.Errorf("hiding %s: %v", path, err)
		}
	}
}

// A worker that cannot shut functions in as told does not start: where there is
// no bwrap, where it fails, and where it only pretends.
func TestSandboxThatDoesNotHold(t *testing.T) {
	dir := t.TempDir()
	python := needPython(t)
	path := os.Getenv("PATH")
	for name, c := range map[string]struct{ script, says string }{
		"none":     {"", "there is no bwrap"},
		"fails":    {"#!/bin/sh\necho 'bwrap: No permissions to create a new namespace' >&2\nexit 1\n", "No permissions"},
		"pretends": {"#!/bin/sh\nwhile [ \"$1\" != -- ]; do shift; done\nshift\nexec \"$@\"\n", "it does not hold"},
		"is mute":  {"#!/bin/sh\nexit 0\n", "does not say what it sees"},
	} {
		bin := filepath.Join(dir, name)
		if err := os.Mkdir(bin, 0o755); err != nil {
			t.Fatal(err)
		}
		t.Setenv("PATH", bin)
		if c.script != "" {
			if err := os.WriteFile(filepath.Join(bin, "bwrap"), []byte(c.script), 0o755); err != nil {
				t.Fatal(err)
			}
			t.Setenv("PATH", bin+":"+path)
		}
		_, err := NewPool(Config{Python: python, Rules: Rules{Sandbox: Bwrap}})
		if core.ClassOf(err) != core.ErrUnavailable || !strings.Contains(err.Error(), c.says) || !strings.Contains(core.HintOf(err), "--sandbox none") {
			t.Errorf("%s: %v (%s)", name, err, core.HintOf(err))
		}
	}
	if _, err := NewPool(Config{Python: python, Rules: Rules{Sandbox: "jail"}}); core.ClassOf(err) != core.ErrInvalid {
		t.Errorf("an unknown sandbox: %v", err)
	}
}

// A sandbox's launcher does not tell a signal from an exit status above 128; the process
// that forks, inside, does.
func TestExitAbove128InAFork(t *testing.T) {
	needBwrap(t)
	r := newRig(t, Config{Rules: Rules{Sandbox: Bwrap}})
	for text, want := range map[string]string{"os._exit(137)": "exit status 137", "os.kill(os.getpid(), 9)": "SIGKILL"} {
		o := r.ask(with(assign(source("f", "import os\ndef f():\n    "+text+"\n"), none), core.Fork))
		wantFailure(t, o, core.KindCrash, want)
	}
	r.fine()
}
