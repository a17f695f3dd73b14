package faults

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"faasctl/core"
	"faasctl/core/redisstore"
	"faasctl/workers/pyrun"
)

// source is what tasks run: an execution leaves a line when it begins and one when
// it ends; between them it waits for a file, or sleeps.
const source = `
import fcntl, os, time

def note(log, what, x):
    with open(log, "a") as f:
        fcntl.flock(f, fcntl.LOCK_EX)
        f.write("%s %d %d\n" % (what, x, os.getpid()))

def work(log, x, gate="", took=0):
    note(log, "begin", x)
    while gate and not os.path.exists(gate):
        time.sleep(0.005)
    if took:
        time.sleep(took)
    note(log, "end", x)
    return x * x

def nothing(x):
    return x + 1

def t50ms(x):
    pass
`

// interpreter is looked for once.
var interpreter = sync.OnceValues(func() (core.Interpreter, error) {
	python, _, err := pyrun.Find(context.Background(), "")
	return python, err
})

// quiet is where words of the test's own process go.
var quiet = slog.New(slog.DiscardHandler)

// bench is a Redis of its own, a service on it, and processes around it.
type bench struct {
	testing.TB
	ctx     context.Context
	timers  timers
	dir     string
	log     string // of executions
	python  core.Interpreter
	redis   *redisstore.Child
	store   *redisstore.Store
	service *core.Service
	all     []*process
	given   map[core.TaskID]int // the argument of each task that was handed in
}

func newBench(t testing.TB) *bench {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	t.Cleanup(cancel)
	b := &bench{TB: t, ctx: ctx, timers: chosen(), dir: t.TempDir(), given: map[core.TaskID]int{}}
	b.log = filepath.Join(b.dir, "executions")
	var err error
	if b.python, err = interpreter(); err != nil {
		t.Fatal(err)
	}
	if b.redis, err = redisstore.StartChild(ctx, redisstore.ChildConfig{Dir: b.dir, Logger: quiet}); err != nil {
		t.Fatal(err)
	}
	b.running(b.redis.Run)
	if b.store, err = redisstore.Open(ctx, redisstore.Config{URL: b.redis.URL(), KeepEvents: eventsKept, Logger: quiet}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.store.Close() })
	if b.service, err = core.NewService(core.ServiceConfig{Store: b.store, Logger: quiet}); err != nil {
		t.Fatal(err)
	}
	b.running(b.service.Run)
	b.register("work")
	b.register("nothing")
	t.Cleanup(b.bury)
	return b
}

// register registers a function of source; fake workers know others.
func (b *bench) register(name string) {
	b.Helper()
	_, err := b.service.Register(b.ctx, core.RegisterRequest{Name: name, Codec: core.Source, Body: []byte(source), Entry: name, File: "faults.py"})
	if err != nil {
		b.Fatal(err)
	}
}

// running runs something until the test's end.
func (b *bench) running(run func(context.Context) error) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- run(ctx) }()
	b.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			b.Error(err)
		}
	})
}

// bury kills all processes, and waits for their Python children, who die with
// them. None of the processes may have panicked or raced.
func (b *bench) bury() {
	for _, p := range b.all {
		p.Kill()
		if flaw := p.Flaw(); flaw != "" {
			b.Errorf("%s has a flaw:\n%s", p.Name, flaw)
		} else if b.Failed() {
			b.Logf("%s (%d) said:\n%s", p.Name, p.pid(), p.Said())
		}
	}
	for _, e := range b.executions() {
		b.until("the Python child is dead", func() bool { return !alive(e.pid) })
	}
}

// until waits until something holds.
func (b *bench) until(what string, holds func() bool) {
	b.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	deadline := time.NewTimer(b.timers.slowly)
	defer deadline.Stop()
	for !holds() {
		select {
		case <-tick.C:
		case <-deadline.C:
			b.Fatalf("waited in vain for %s until %s", b.timers.slowly, what)
		}
	}
}

// pass lets a fault last for so long.
func (b *bench) pass(d time.Duration) { <-time.After(d) }

// gate returns the path of a file that does not exist yet, and a function that
// makes it.
func (b *bench) gate(name string) (path string, open func()) {
	path = filepath.Join(b.dir, "gate-"+name)
	return path, func() {
		b.Helper()
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			b.Fatal(err)
		}
	}
}

// gated hands in n tasks that end once the gate is open.
func (b *bench) gated(n int, gate string) []core.TaskID {
	b.Helper()
	return b.submit("work", n, func(x int) string { return fmt.Sprintf("[[%q,%d,%q],{}]", b.log, x, gate) })
}

// lasting hands in n tasks that take so long.
func (b *bench) lasting(n int, took time.Duration) []core.TaskID {
	b.Helper()
	return b.submit("work", n, func(x int) string { return fmt.Sprintf(`[[%q,%d],{"took":%g}]`, b.log, x, took.Seconds()) })
}

func (b *bench) submit(function string, n int, args func(x int) string) []core.TaskID {
	b.Helper()
	batch := make([]core.SubmitRequest, n)
	first := len(b.given)
	for i := range batch {
		batch[i] = core.SubmitRequest{Function: function, Codec: core.JSON, Args: []byte(args(first + i))}
	}
	answers, err := b.service.SubmitBatch(b.ctx, batch)
	if err != nil {
		b.Fatal(err)
	}
	ids := make([]core.TaskID, n)
	for i, a := range answers {
		if a.Err != nil {
			b.Fatal(a.Err)
		}
		ids[i] = a.ID
		b.given[a.ID] = first + i
	}
	return ids
}

// execution is one line that a task has left.
type execution struct {
	what string // begin or end
	x    int
	pid  int // of the Python child
}

func (b *bench) executions() []execution {
	text, err := os.ReadFile(b.log)
	if err != nil && !os.IsNotExist(err) {
		b.Fatal(err)
	}
	var list []execution
	for line := range strings.Lines(string(text)) {
		words := strings.Fields(line)
		if len(words) != 3 || !strings.HasSuffix(line, "\n") {
			continue // it is being written
		}
		x, err1 := strconv.Atoi(words[1])
		pid, err2 := strconv.Atoi(words[2])
		if err1 != nil || err2 != nil {
			b.Fatalf("%q was left behind", line)
		}
		list = append(list, execution{words[0], x, pid})
	}
	return list
}

// begun counts how often tasks were begun in all.
func (b *bench) begun(ids []core.TaskID) int {
	n := 0
	for _, k := range b.times(ids) {
		n += k
	}
	return n
}

// times counts how often each task was begun.
func (b *bench) times(ids []core.TaskID) map[core.TaskID]int {
	count := map[int]int{}
	for _, e := range b.executions() {
		if e.what == "begin" {
			count[e.x]++
		}
	}
	of := map[core.TaskID]int{}
	for _, id := range ids {
		of[id] = count[b.given[id]]
	}
	return of
}

// children returns the Python children that have begun these tasks.
func (b *bench) children(ids []core.TaskID) map[int]bool {
	ours := map[int]bool{}
	for _, id := range ids {
		ours[b.given[id]] = true
	}
	pids := map[int]bool{}
	for _, e := range b.executions() {
		if ours[e.x] {
			pids[e.pid] = true
		}
	}
	return pids
}

// card is what the roster says of a worker process; of one that is not there the
// zero value.
func (b *bench) card(p *process) core.Worker {
	b.Helper()
	roster, err := b.store.Roster(b.ctx)
	if err != nil {
		b.Fatal(err)
	}
	for _, w := range roster.Workers {
		if w.PID == p.pid() {
			return w
		}
	}
	return core.Worker{}
}

// ended waits until all tasks are completed with the right results.
func (b *bench) ended(ids []core.TaskID) {
	b.Helper()
	var left []core.TaskID
	ended := func() bool {
		for len(left) > 0 {
			part := left[:min(len(left), core.MaxBatch)]
			tasks, err := b.store.Tasks(b.ctx, part)
			if err != nil {
				b.Fatal(err)
			}
			for _, task := range tasks {
				if !task.State.Terminal() {
					return false
				}
				if task.State != core.Completed {
					b.Fatalf("%s is %s (%s)", task.ID, task.State, task.Failure)
				}
			}
			left = left[len(part):]
		}
		return true
	}
	left = ids
	b.until("all tasks have ended", ended)
	for _, id := range ids {
		_, result, err := b.service.Result(b.ctx, id)
		if want := strconv.Itoa(b.given[id] * b.given[id]); err != nil || string(result.JSON) != want {
			b.Fatalf("%s has the result %s, want %s (%v)", id, result.JSON, want, err)
		}
	}
}

// noted returns all events of one kind.
func (b *bench) noted(kind core.EventKind) (list []core.Event) {
	b.Helper()
	for after := ""; ; {
		events, err := b.store.Events(b.ctx, after, 1000, 0)
		if err != nil {
			b.Fatal(err)
		}
		if len(events) == 0 {
			return list
		}
		for _, e := range events {
			if e.Kind == kind {
				list = append(list, e)
			}
		}
		after = events[len(events)-1].ID
	}
}

// events counts the events of one kind for each task.
func (b *bench) events(kind core.EventKind) map[core.TaskID]int {
	b.Helper()
	count := map[core.TaskID]int{}
	for _, e := range b.noted(kind) {
		count[e.Task]++
	}
	return count
}

// right waits for the end of everything that was handed in: nothing is lost, all
// results are right, and nothing was committed twice.
func (b *bench) right() {
	b.Helper()
	ids := b.handed()
	b.ended(ids)
	completed := b.events(core.TaskCompleted)
	for _, id := range ids {
		if completed[id] != 1 {
			b.Errorf("%s was completed %d times", id, completed[id])
		}
	}
	if stats, err := b.store.Stats(b.ctx); err != nil || stats.Totals.Completed != int64(len(ids)) {
		b.Errorf("%d tasks were completed, want %d (%v)", stats.Totals.Completed, len(ids), err)
	}
}

// handed returns all tasks that were handed in.
func (b *bench) handed() []core.TaskID { return slices.Collect(maps.Keys(b.given)) }

// once checks that no task was begun twice.
func (b *bench) once() {
	b.Helper()
	times := b.times(b.handed())
	for id, n := range times {
		if n != 1 {
			b.Errorf("%s (%d) was begun %d times", id, b.given[id], n)
		}
	}
}
