package pyrun

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"faasctl/core"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// python returns an interpreter with dill, found as faasctl finds it.
var python = sync.OnceValues(func() (core.Interpreter, error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	dir, err := os.MkdirTemp("", "faasctl-test-cache-")
	if err != nil {
		return core.Interpreter{}, err
	}
	defer os.RemoveAll(dir)
	old, had := os.LookupEnv("XDG_CACHE_HOME")
	os.Setenv("XDG_CACHE_HOME", dir)
	defer func() {
		if had {
			os.Setenv("XDG_CACHE_HOME", old)
		} else {
			os.Unsetenv("XDG_CACHE_HOME")
		}
	}()
	found, _, err := Find(ctx, "")
	return found, err
})

func needPython(t testing.TB) string {
	t.Helper()
	found, err := python()
	if err != nil {
		t.Skipf("SKIPPED: no interpreter with dill here: %v", err)
	}
	return found.Path
}

// recording is a Sink that keeps what it hears.
type recording struct {
	lock     sync.Mutex
	finished []core.TaskID
	started  map[core.TaskID]int
	ended    map[core.TaskID][]core.Outcome
	printed  map[core.TaskID][]core.Piece
	progress map[core.TaskID][]core.Progress
	news     chan struct{} // closed and renewed by every message
}

func newRecording() *recording {
	return &recording{started: map[core.TaskID]int{}, ended: map[core.TaskID][]core.Outcome{},
		printed: map[core.TaskID][]core.Piece{}, progress: map[core.TaskID][]core.Progress{}, news: make(chan struct{})}
}

func (r *recording) tell(f func()) {
	r.lock.Lock()
	defer r.lock.Unlock()
	f()
	close(r.news)
	r.news = make(chan struct{})
}

func (r *recording) Started(lease core.Lease, _ time.Time) {
	r.tell(func() { r.started[lease.Task]++ })
}

func (r *recording) Printed(lease core.Lease, _ time.Duration, pieces []core.Piece) {
	r.tell(func() { r.printed[lease.Task] = append(r.printed[lease.Task], pieces...) })
}

func (r *recording) Progressed(lease core.Lease, p core.Progress) {
	r.tell(func() { r.progress[lease.Task] = append(r.progress[lease.Task], p) })
}

func (r *recording) Ended(o core.Outcome) {
	r.tell(func() { r.ended[o.Task] = append(r.ended[o.Task], o); r.finished = append(r.finished, o.Task) })
}

// until waits for cond, which is called with the lock held.
func (r *recording) until(t testing.TB, what string, cond func() bool) {
	t.Helper()
	limit := time.After(3 * time.Minute) // what is made by an installer takes its time on a busy machine
	for {
		r.lock.Lock()
		ok, news := cond(), r.news
		r.lock.Unlock()
		if ok {
			return
		}
		select {
		case <-news:
		case <-time.After(20 * time.Millisecond): // not all that is waited for is told
		case <-limit:
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

func (r *recording) outcome(t testing.TB, task core.TaskID) core.Outcome {
	t.Helper()
	r.until(t, "the end of a call", func() bool { return len(r.ended[task]) > 0 })
	r.lock.Lock()
	defer r.lock.Unlock()
	return r.ended[task][0]
}

func (r *recording) begun(t testing.TB, task core.TaskID) {
	t.Helper()
	r.until(t, "the start of a call", func() bool { return r.started[task] > 0 })
}

// within starts a call, and waits until it has printed something.
func (r *rig) within(t testing.TB, a core.Assignment) {
	t.Helper()
	r.Follow([]core.TaskID{a.Task}, true)
	r.Start([]core.Assignment{a}, r)
	r.until(t, "the first words of a call", func() bool { return len(r.printed[a.Task]) > 0 })
}

// rig is a running pool.
type rig struct {
	*Pool
	*recording
	t testing.TB
}

func newRig(t testing.TB, c Config) *rig {
	t.Helper()
	if c.Python == "" {
		c.Python = needPython(t)
	}
	if c.Logger == nil && os.Getenv("PYRUN_LOG") != "" {
		c.Logger = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	pool, err := NewPool(c)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- pool.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		select {
		case err := <-ended:
			if err != nil {
				t.Errorf("Run: %v", err)
			}
		case <-time.After(20 * time.Second):
			t.Error("Run does not end")
		}
	})
	return &rig{Pool: pool, recording: newRecording(), t: t}
}

func source(entry, text string) *core.Function {
	return &core.Function{
		Name: entry, Version: 1, Codec: core.Source, Entry: entry, File: "fn.py",
		Body: []byte(text), BodyHash: core.HashBody([]byte(text)), BodySize: len(text),
	}
}

func pickled(body []byte) *core.Function {
	sum := sha256.Sum256(body)
	return &core.Function{Name: "f", Version: 1, Codec: core.Dill, Body: body, BodyHash: hex.EncodeToString(sum[:])}
}

func assign(f *core.Function, args string) core.Assignment {
	return core.Assignment{
		Lease:    core.Lease{Task: core.NewTaskID(), Epoch: 7, Claim: "claim"},
		Function: f, Codec: core.JSON, Args: []byte(args), Timeout: time.Minute,
	}
}

// idle waits until every slot would take a call: each does a moment after the end
// of its last one was told.
func (r *rig) idle() {
	r.t.Helper()
	r.until(r.t, "idle slots", func() bool { return r.Busy() == 0 })
}

// call runs one function with JSON arguments ("[args, kwargs]").
func (r *rig) call(f *core.Function, args string) core.Outcome {
	r.t.Helper()
	a := assign(f, args)
	r.Start([]core.Assignment{a}, r)
	return r.outcome(r.t, a.Task)
}

const none = "[[], {}]"

var double = source("double", "def double(x):\n    return x * 2\n")

// fine checks that the pool serves a normal call.
func (r *rig) fine() {
	r.t.Helper()
	o := r.call(double, "[[21], {}]")
	if o.State != core.Completed || string(o.Result.JSON) != "42" || o.Result.Repr != "42" || !o.Output.Empty() {
		r.t.Fatalf("a normal call ended as %s %s %+v %+v", o.State, o.Result.JSON, o.Result.Failure, o.Output)
	}
	if o.Epoch != 7 || o.Claim != "claim" || !o.Started || o.Elapsed <= 0 || o.Elapsed > time.Minute {
		r.t.Fatalf("outcome %+v", o)
	}
}

// dump pickles a Python expression by dill, after running setup as __main__.
func dump(t testing.TB, setup, expression string) []byte {
	t.Helper()
	script := fmt.Sprintf("import dill, sys\nexec(%q)\nsys.stdout.buffer.write(dill.dumps(%s, recurse=True))", setup, expression)
	out, err := exec.Command(needPython(t), "-c", script).Output()
	if err != nil {
		t.Fatalf("dill.dumps: %v", err)
	}
	return out
}

// bare evaluates a Python expression over a pickle, loaded without dill.
func bare(t testing.TB, pickle []byte, expression string) string {
	t.Helper()
	cmd := exec.Command(needPython(t), "-S", "-c", "import pickle,sys\nvalue = pickle.loads(bytes.fromhex(sys.argv[1]))\nprint("+expression+")", hex.EncodeToString(pickle))
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("pickle.loads: %v\n%s", err, out)
	}
	return string(out[:len(out)-1])
}

// openFiles counts our descriptors.
func openFiles(t testing.TB) int {
	t.Helper()
	files, err := filepath.Glob("/proc/self/fd/*")
	if err != nil {
		t.Fatal(err)
	}
	return len(files)
}

func TestPoolServes(t *testing.T) {
	r := newRig(t, Config{Slots: 2})
	r.fine()
	<-r.Ready()
	if i := r.Interpreter(); i.Version == "" || i.Path == "" || i.Dill == "" {
		t.Errorf("Interpreter() = %+v", i)
	}
	if err := r.Trouble(); err != nil {
		t.Error(err)
	}
	r.fine()
}
