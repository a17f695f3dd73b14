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
		{"thread", `
import threading, time, logging, sys
log = logging.getLogger("f")
log.addHandler(logging.StreamHandler(sys.stderr))
def ramble():
    while True:
        print("stray print")
        sys.stderr.write("stray write\n")
        log.warning("stray log")
        time.sleep(0.002)
def f():
    threading.Thread(target=ramble, daemon=True).start()
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
			if c.name == "thread" && isolation == core.Fork {
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
				if text := log.String(); c.name != "thread" && !strings.Contains(text, "left_by="+string(a.Task)) {
					t.Errorf("the log does not say whose it is:\n%s", text)
				}
			})
		}
	}
}

// A thread of a pool that waits for work prints for the call that gives it some.
func TestAPoolsThreadPrintsForItsCaller(t *testing.T) {
	r := newRig(t, Config{Slots: 1})
	f := source("f", "from concurrent.futures import ThreadPoolExecutor\nimport time\npool = ThreadPoolExecutor(1)\ndef f(x):\n    pool.submit(print, x).result()\n    time.sleep(0.01)\n")
	for i := range 5 {
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
