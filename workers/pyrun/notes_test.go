package pyrun

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"faasctl/core"
)

// with gives a call an isolation.
func with(a core.Assignment, i core.Isolation) core.Assignment {
	a.Limits.Isolation = i
	return a
}

var isolations = []core.Isolation{core.Warm, core.Fork, core.Fresh}

func TestAFunctionKnowsItsTask(t *testing.T) {
	r := newRig(t, Config{Slots: 1})
	f := source("f", "from faasctl_task import task_id, attempt, cancelled\ndef f(): return [task_id(), attempt(), cancelled()]\n")
	for _, isolation := range isolations {
		var batch []core.Assignment
		for i := range 3 {
			a := with(assign(f, none), isolation)
			a.Attempt = i + 1
			batch = append(batch, a)
		}
		r.Start(batch, r)
		for i, a := range batch {
			if got, want := string(r.outcome(t, a.Task).Result.JSON), fmt.Sprintf(`["%s",%d,false]`, a.Task, i+1); got != want {
				t.Errorf("%s: it knows %s, want %s", isolation, got, want)
			}
		}
	}
}

func TestProgressIsTold(t *testing.T) {
	r := newRig(t, Config{Slots: 1})
	f := source("f", `
import faasctl_task, os, time
def until(gate):
    while not os.path.exists(gate): time.sleep(0.005)
def f(gate):
    for i in range(1000): faasctl_task.progress(i, 1000, "quickly")
    faasctl_task.progress(0.5, 4, "loading é")
    until(gate)
    if os.fork() == 0:
        faasctl_task.progress(3)
        os._exit(0)
    os.wait()
    until(gate + "2")
`)
	quiet := source("quiet", "import time\ndef quiet(): time.sleep(1.2)\n")
	for _, isolation := range isolations {
		gate := filepath.Join(t.TempDir(), "gate")
		a := with(assign(f, fmt.Sprintf("[[%q], {}]", gate)), isolation)
		r.Start([]core.Assignment{a}, r)
		said := func() []core.Progress { return r.progress[a.Task] }
		r.until(t, "progress", func() bool { return len(said()) > 0 })
		if err := os.WriteFile(gate, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		r.until(t, "more progress", func() bool { return len(said()) > 1 })
		if err := os.WriteFile(gate+"2", nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if o := r.outcome(t, a.Task); o.State != core.Completed {
			t.Fatalf("%+v", o)
		}
		r.lock.Lock()
		if got := said(); len(got) != 2 || got[0] != (core.Progress{Done: 0.5, Total: 4, Note: "loading é"}) || got[1] != (core.Progress{Done: 3}) {
			t.Errorf("%s: told %+v", isolation, got)
		}
		r.lock.Unlock()
	}
	// What the call before has left is not the next one's.
	b := assign(quiet, none)
	r.Start([]core.Assignment{b}, r)
	r.outcome(t, b.Task)
	if got := r.progress[b.Task]; len(got) > 0 {
		t.Errorf("told %+v of a call that says nothing", got)
	}
}

func TestTheLastProgressIsToldBeforeTheEnd(t *testing.T) {
	r := newRig(t, Config{Slots: 1})
	f := source("f", `
import faasctl_task, os
def f(how):
    faasctl_task.progress(3, 4, how)
    if how == "raises": raise ValueError(how)
    if how == "dies": os._exit(3)
`)
	for _, isolation := range isolations {
		for how, want := range map[string]core.State{"returns": core.Completed, "raises": core.Failed, "dies": core.Failed} {
			a := with(assign(f, fmt.Sprintf("[[%q], {}]", how)), isolation)
			r.Start([]core.Assignment{a}, r)
			if o := r.outcome(t, a.Task); o.State != want {
				t.Fatalf("%s %s: %+v", isolation, how, o)
			}
			r.lock.Lock()
			if got := r.progress[a.Task]; len(got) == 0 || got[len(got)-1] != (core.Progress{Done: 3, Total: 4, Note: how}) {
				t.Errorf("%s %s: told %+v", isolation, how, got)
			}
			r.lock.Unlock()
		}
	}
}

// began waits until a call has made a file.
func (r *rig) began(t *testing.T, path string) {
	t.Helper()
	r.until(t, "the file of a call", func() bool {
		_, err := os.Stat(path)
		return err == nil
	})
}

// Who cancels again with less patience has it, who has more has not; and until
// its grace is over a call has its limits.
func TestACancelAgain(t *testing.T) {
	f := source("f", `
import signal, time
def f(path):
    signal.signal(signal.SIGTERM, lambda *_: None)
    open(path, "w").close()
    while True: time.sleep(600)
`)
	for _, isolation := range isolations {
		t.Run(string(isolation), func(t *testing.T) {
			r := newRig(t, Config{Slots: 1})
			for name, test := range map[string]struct {
				graces  []time.Duration
				timeout time.Duration
			}{
				"less patience":   {graces: []time.Duration{time.Hour, 100 * time.Millisecond}},
				"more patience":   {graces: []time.Duration{300 * time.Millisecond, time.Hour}},
				"none":            {graces: []time.Duration{core.NoGrace}},
				"its time is out": {graces: []time.Duration{time.Hour}, timeout: time.Second},
			} {
				path := filepath.Join(t.TempDir(), "began")
				a := with(assign(f, fmt.Sprintf("[[%q], {}]", path)), isolation)
				a.Timeout = test.timeout
				r.Start([]core.Assignment{a}, r)
				r.began(t, path)
				for _, grace := range test.graces {
					r.Cancel([]core.TaskID{a.Task}, grace)
				}
				if o := r.outcome(t, a.Task); o.State != core.Cancelled { // long before the hour
					t.Errorf("%s: %+v", name, o)
				}
			}
			r.fine()
		})
	}
}

func TestCancelledIsAsked(t *testing.T) {
	r := newRig(t, Config{Slots: 1})
	f := source("f", `
import faasctl_task, time
def f(path, asks):
    if asks: faasctl_task.cancelled()
    open(path, "w").close()
    while not (asks and faasctl_task.cancelled()): time.sleep(0.005)
    open(path + ".tidied", "w").close()
    time.sleep(600)
`)
	for _, isolation := range isolations {
		for _, asks := range []bool{true, false} {
			path := filepath.Join(t.TempDir(), "began")
			a := with(assign(f, fmt.Sprintf("[[%q, %v], {}]", path, asks)), isolation)
			r.Start([]core.Assignment{a}, r)
			r.began(t, path)
			grace, began := 400*time.Millisecond, time.Now()
			if !asks {
				grace = time.Minute
			}
			r.Cancel([]core.TaskID{a.Task}, grace)
			if o := r.outcome(t, a.Task); o.State != core.Cancelled {
				t.Fatalf("%+v", o)
			}
			if _, err := os.Stat(path + ".tidied"); asks != (err == nil) {
				t.Errorf("%s: asks %v: %v", isolation, asks, err)
			}
			if took := time.Since(began); took > 20*time.Second {
				t.Errorf("%s: asks %v: it took %v", isolation, asks, took)
			}
		}
	}
	r.fine()
}

// TestWhatACrashTells: the stack at the crash, of that crash alone, the signal and
// the most memory that there was.
func TestWhatACrashTells(t *testing.T) {
	r := newRig(t, Config{Slots: 1})
	f := source("f", `
import ctypes
def deep(n, at):
    if n: deep(n - 1, at)
    else: ctypes.string_at(at)
def f(mib, n):
    data = bytearray(mib << 20)
    print("so far so good")
    deep(n, len(data) * 0)
`)
	for _, isolation := range isolations {
		for n := range 2 {
			a := with(assign(f, fmt.Sprintf("[[200, %d], {}]", n)), isolation)
			r.Start([]core.Assignment{a}, r)
			o := r.outcome(t, a.Task)
			failure := o.Result.Failure
			if failure == nil || failure.Kind != core.KindCrash || failure.Signal != "SIGSEGV" || failure.Last != "so far so good\n" {
				t.Fatalf("%s: %+v", isolation, failure)
			}
			if strings.Count(failure.Fault, "Fatal Python error") != 1 || strings.Count(failure.Fault, `File "fn.py", line 4 in deep`) != n ||
				!strings.Contains(failure.Fault, `File "fn.py", line 5 in deep`) || strings.Contains(failure.Fault, "runner") {
				t.Errorf("%s: %s", isolation, failure.Fault)
			}
			if failure.Peak < 200<<20 || failure.Peak > 2<<30 {
				t.Errorf("%s: %d bytes at most", isolation, failure.Peak)
			}
		}
	}
	if o := r.call(source("g", "def g():\n    raise ValueError\n"), none); o.Result.Failure.Fault != "" || o.Result.Failure.Peak != 0 {
		t.Errorf("%+v", o.Result.Failure)
	}
}

func page(tag uint32, done, total float64, note string) []byte {
	data := make([]byte, notesFixed, notesFixed+len(note))
	binary.LittleEndian.PutUint32(data[4:], tag)
	binary.LittleEndian.PutUint64(data[8:], math.Float64bits(done))
	binary.LittleEndian.PutUint64(data[16:], math.Float64bits(total))
	binary.LittleEndian.PutUint16(data[24:], uint16(len(note)))
	data = append(data, note...)
	binary.LittleEndian.PutUint32(data, crc32.ChecksumIEEE(data[4:]))
	return data
}

func FuzzProgress(f *testing.F) {
	f.Add(page(1, 1, 2, "three"))
	f.Add(page(2, 1, 2, ""))
	f.Add(page(1, math.NaN(), math.Inf(1), "x"))
	f.Add(page(1, 1, 2, strings.Repeat("x", 200)))
	f.Add(page(1, 1, 2, "\xff\x00"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) >= notesFixed { // so that the fuzzer gets past the checksum
			end := notesFixed + int(binary.LittleEndian.Uint16(data[24:]))
			binary.LittleEndian.PutUint32(data, crc32.ChecksumIEEE(data[4:min(end, len(data))]))
		}
		p, ok := parseProgress(data, 1)
		if !ok {
			return
		}
		if _, err := json.Marshal(p); err != nil || len(p.Note) > core.MaxProgressNote {
			t.Fatalf("%+v: %v", p, err)
		}
	})
}
