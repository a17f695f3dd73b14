package pyrun

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"faasctl/core"
)

// logged is a log that can be read while it is written.
type logged struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logged) Write(data []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(data)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// What is left running prints to the log, whoever prints it and however.
func TestWhatIsLeftRunningPrintsToTheLog(t *testing.T) {
	for _, c := range []struct{ name, code string }{
		{"thread of a module", `
import threading, time, logging, sys
log = logging.getLogger("f")
log.addHandler(logging.StreamHandler(sys.stderr))
def ramble():
    while True:
        print("stray print")
        sys.stderr.write("stray write\n")
        log.warning("stray log")
        time.sleep(0.002)
threading.Thread(target=ramble, daemon=True).start()
def f():
    print("f itself")
`},
		{"process", `
import subprocess
def f():
    subprocess.Popen(["sh", "-c", "while :; do echo stray; echo stray >&2; sleep 0.005; done"])
    print("f itself")
`},
		{"daemon", `
import subprocess
def f():
    subprocess.run(["sh", "-c", "setsid sh -c 'while :; do echo stray; sleep 0.005; done' &"], check=True)
    print("f itself")
`},
		{"fork", `
import os, time
def f():
    if os.fork() == 0:
        os.setsid()
        while True:
            os.write(1, b"stray\n")
            time.sleep(0.005)
    print("f itself")
`},
	} {
		for _, isolation := range []core.Isolation{core.Warm, core.Fork} {
			if c.name == "thread of a module" && isolation == core.Fork {
				continue // threads end with the fork that ran the call
			}
			t.Run(c.name+"/"+string(isolation), func(t *testing.T) {
				log := &logged{}
				r := newRig(t, Config{Slots: 1, Logger: slog.New(slog.NewTextHandler(log, nil))})
				a := with(assign(source("f", c.code), none), isolation)
				r.Start([]core.Assignment{a}, r)
				if o := r.outcome(t, a.Task); !strings.Contains(string(o.Output.Stdout.Head), "f itself\n") {
					t.Fatalf("it printed %q", o.Output.Stdout.Head)
				}
				slow := source("slow", "import time\ndef slow():\n    time.sleep(0.02)\n    print('mine')\n")
				deadline := time.Now().Add(20 * time.Second)
				for n := 0; n < 20 || !strings.Contains(log.String(), "stray"); n++ {
					if time.Now().After(deadline) {
						t.Fatalf("the log has nothing of it:\n%s", log)
					}
					b := with(assign(slow, none), isolation)
					r.Start([]core.Assignment{b}, r)
					if o := r.outcome(t, b.Task); string(o.Output.Stdout.Head) != "mine\n" || len(o.Output.Stderr.Head) > 0 || o.State != core.Completed {
						t.Fatalf("another call has %s %q %q", o.State, o.Output.Stdout.Head, o.Output.Stderr.Head)
					}
					c := with(assign(double, "[[4], {}]"), isolation)
					r.Start([]core.Assignment{c}, r)
					if o := r.outcome(t, c.Task); !o.Output.Empty() || string(o.Result.JSON) != "8" {
						t.Fatalf("another call has %s %q %q", o.Result.JSON, o.Output.Stdout.Head, o.Output.Stderr.Head)
					}
				}
				if text := log.String(); c.name != "thread of a module" && !strings.Contains(text, "left_by="+string(a.Task)) {
					t.Errorf("the log does not say whose it is:\n%s", text)
				}
			})
		}
	}
}

// What a call's threads print after its end, by whatever way, is in no other call's
// output, neither in the same batch nor later: they end with their process.
func TestThreadsOfACallEndWithIt(t *testing.T) {
	for name, stray := range map[string]string{
		"os.write":   `os.write(1, b"stray\n"); os.write(2, b"stray\n")`,
		"os.system":  `os.system("echo stray; echo stray >&2")`,
		"subprocess": `subprocess.run(["echo", "stray"])`,
		"file":       `open("/dev/stdout", "w").write("stray\n")`,
		"C":          `ctypes.CDLL(None).puts(b"stray")`,
		"descriptor": `os.writev(os.dup(1), [b"stray\n"])`,
	} {
		for _, isolation := range isolations {
			t.Run(name+"/"+string(isolation), func(t *testing.T) {
				r := newRig(t, Config{Slots: 1})
				f := source("f", `
import ctypes, os, subprocess, threading, time
def ramble(began):
    while True:
        try:
            `+stray+`
        except OSError:
            pass
        began.set()
def f():
    began = threading.Event()
    threading.Thread(target=ramble, args=(began,), daemon=True).start()
    began.wait()
    return os.getpid()
`)
				slow := source("slow", "import os, time\ndef slow():\n    time.sleep(0.05)\n    print('mine')\n    return os.getpid()\n")
				batch := []core.Assignment{with(assign(f, none), isolation), with(assign(slow, none), isolation), with(assign(slow, none), isolation)}
				outcomes := r.run(batch)
				outcomes = append(outcomes, r.ask(with(assign(slow, none), isolation)))
				for i, o := range outcomes {
					if o.State != core.Completed {
						t.Fatalf("%d: %+v", i, o)
					}
					if i > 0 && (string(o.Output.Stdout.Head) != "mine\n" || len(o.Output.Stderr.Head) > 0) {
						t.Errorf("%d has %q %q", i, o.Output.Stdout.Head, o.Output.Stderr.Head)
					}
					if i > 0 && string(o.Result.JSON) == string(outcomes[0].Result.JSON) {
						t.Errorf("%d ran in the process with the threads", i)
					}
				}
				if isolation == core.Warm && (string(outcomes[1].Result.JSON) != string(outcomes[2].Result.JSON) || string(outcomes[2].Result.JSON) != string(outcomes[3].Result.JSON)) {
					t.Error("a process that nothing is left in was replaced")
				}
			})
		}
	}
}

// Pools are for many calls, and so are threads of modules: a process with them is
// kept. What a pool still does when its call ends is not.
func TestPoolsStayWarm(t *testing.T) {
	for name, c := range map[string]struct {
		code string
		kept bool
	}{
		"made by the module":   {"pool = ThreadPoolExecutor(2)\ndef f():\n    return list(pool.map(abs, range(5)))[0] + os.getpid()\n", true},
		"made by the call":     {"pool = None\ndef f():\n    global pool\n    pool = pool or ThreadPoolExecutor(2)\n    return pool.submit(os.getpid).result()\n", true},
		"multiprocessing's":    {"pool = None\ndef f():\n    global pool\n    pool = pool or ThreadPool(2)\n    return pool.map(abs, [os.getpid()])[0]\n", true},
		"processes":            {"pool = None\ndef f():\n    global pool\n    pool = pool or Pool(1)\n    return pool.map(abs, [os.getpid()])[0]\n", true},
		"a thread of a module": {"threading.Thread(target=time.sleep, args=(600,), daemon=True).start()\ndef f():\n    return os.getpid()\n", true},
		"of setup":             {"def setup():\n    threading.Thread(target=time.sleep, args=(600,), daemon=True).start()\ndef f():\n    return os.getpid()\n", true},
		"joined":               {"def f():\n    t = threading.Thread(target=time.sleep, args=(0.01,)); t.start(); t.join()\n    return os.getpid()\n", true},
		"busy":                 {"pool = ThreadPoolExecutor(2)\ndef f():\n    pool.submit(time.sleep, 600)\n    return os.getpid()\n", false},
		"busy multiprocessing": {"pool = ThreadPool(2)\ndef f():\n    pool.apply_async(time.sleep, [600])\n    return os.getpid()\n", false},
		"a timer":              {"def f():\n    threading.Timer(600, print, ['late']).start()\n    return os.getpid()\n", false},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, Config{Slots: 1})
			f := source("f", "import os, threading, time\nfrom concurrent.futures import ThreadPoolExecutor\nfrom multiprocessing import Pool\nfrom multiprocessing.pool import ThreadPool\n"+c.code)
			seen := map[string]bool{}
			for range 4 {
				o := r.call(f, none)
				if o.State != core.Completed {
					t.Fatalf("%+v", o)
				}
				seen[string(o.Result.JSON)] = true
			}
			if want := map[bool]int{true: 1, false: 4}[c.kept]; len(seen) != want {
				t.Errorf("%d processes, not %d", len(seen), want)
			}
		})
	}
}

// A thread of a pool that waits for work prints for the call that gives it some.
func TestAPoolsThreadPrintsForItsCaller(t *testing.T) {
	r := newRig(t, Config{Slots: 1})
	f := source("f", "from concurrent.futures import ThreadPoolExecutor\nimport time\npool = ThreadPoolExecutor(1)\ndef f(x):\n    pool.submit(print, x).result()\n")
	for i := range 20 {
		if o := r.call(f, fmt.Sprintf("[[%d], {}]", i)); string(o.Output.Stdout.Head) != fmt.Sprintf("%d\n", i) {
			t.Errorf("call %d printed %q", i, o.Output.Stdout.Head)
		}
	}
}

// A flood of what is left running keeps nobody from working, and is logged a
// little of.
func TestAFloodOfWhatIsLeftRunning(t *testing.T) {
	log := &logged{}
	r := newRig(t, Config{Slots: 1, Logger: slog.New(slog.NewTextHandler(log, nil))})
	if o := r.call(source("f", "import subprocess\ndef f():\n    subprocess.Popen(['sh', '-c', 'while :; do echo flood; done'])\n    subprocess.Popen(['sh', '-c', 'while :; do echo flood >&2; done'])\n"), none); o.State != core.Completed {
		t.Fatalf("%+v", o)
	}
	began := time.Now()
	for range 200 {
		r.fine()
	}
	if text, most := log.String(), 2*(2+int(time.Since(began)/strayEvery))*strayText; len(text) > most || !strings.Contains(text, "flood") {
		t.Errorf("%d bytes are logged", len(text))
	}
	r.call(goodbye, none)
	r.fine()
}
