package tui

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/charmbracelet/x/exp/golden"

	"faasctl/core"
)

// stillBackend answers with the fixtures.
type stillBackend struct{ err error }

func (b stillBackend) Top(ctx context.Context, each func(core.Top, bool) error) error {
	if b.err != nil {
		return b.err
	}
	if err := each(fixtureTop(5000, 4900, noon), true); err != nil {
		return err
	}
	<-ctx.Done()
	return ctx.Err()
}

func (b stillBackend) Tasks(_ context.Context, f core.TaskFilter) (page core.TaskPage, _ error) {
	for _, t := range fixtureTasks() {
		if (f.State == "" || f.State == t.State) && (f.Function == "" || f.Function == t.Function) {
			page.Tasks = append(page.Tasks, t)
		}
	}
	return page, b.err
}

func (b stillBackend) Detail(_ context.Context, id core.TaskID) (Detail, error) {
	if id == taskID(1) { // it runs
		task := fixtureTasks()[0]
		task.Queue, task.Priority = "default", 5
		return Detail{Task: task, Spec: core.Spec{Codec: core.JSON, Args: []byte(`[[3], {}]`), Retries: 2},
			Events: []core.Event{{At: task.Submitted, Kind: core.TaskSubmitted}, {At: task.Started, Kind: core.TaskStarted, Worker: task.Worker}}}, b.err
	}
	task := fixtureTasks()[2]
	at := task.Submitted
	return Detail{Task: task, Spec: core.Spec{Codec: core.JSON, Args: []byte(`[[3, "four"], {}]`), Retries: 1},
		Result: &core.Result{Failure: &core.Failure{Kind: core.KindException, Type: "ValueError", Message: "no such harbour: \x1b[31mred",
			Traceback: "Traceback (most recent call last):\n  File \"harbour.py\", line 3, in fetch\n    raise ValueError(place)\nValueError: no such harbour"}},
		Output: core.Output{Stdout: core.Stream{Head: []byte("one\ntwo"), Tail: []byte("ninety"), Cut: 4096}},
		Events: []core.Event{{At: at, Kind: core.TaskSubmitted}, {At: at.Add(time.Second), Kind: core.TaskClaimed, Worker: "w-1f2e3d4c5b6a"},
			{At: at.Add(92 * time.Second), Kind: core.TaskFailed, Detail: "exception"}}}, b.err
}

func (b stillBackend) Why(_ context.Context, id core.TaskID) (core.Why, error) {
	task := fixtureTasks()[2]
	task.ID = id
	return core.Why{Task: task, Command: "faasctl retry " + string(id), Findings: []core.Finding{
		{Code: core.WhyFailed, Cause: true, Text: "it raised ValueError: no such harbour: \x1b[31mred", Command: "faasctl retry " + string(id)},
		{Code: core.WhyDead, Text: "it is a dead letter: nothing runs it again by itself, but faasctl retry does"},
		{Code: core.WhyUsual, Text: "95 of 100 calls of fetch@1 ran no longer than 1.2 s and waited no longer than 20 ms (412 calls ended)"},
		{Code: core.WhySpent, Text: "its retries are spent", Command: "faasctl fn set fetch --retries 3"}},
		Attempts: []core.Attempt{
			{Number: 1, End: core.AttemptRetried, Worker: "w-1f2e3d4c5b6a", Started: noon, ElapsedMS: 1200, Failure: &core.AttemptFailure{Kind: core.KindException, Type: "ValueError", Message: "no such \x1b[2Jharbour"}},
			{Number: 2, End: core.AttemptFailed, Claimed: noon.Add(3 * time.Second), Failure: &core.AttemptFailure{Kind: core.KindCrash, Signal: "SIGSEGV"}}}}, b.err
}

// Follow tells of a task that prints, and goes on.
func (b stillBackend) Follow(ctx context.Context, id core.TaskID, _ core.Position, each func(core.News) error) error {
	if b.err != nil {
		return b.err
	}
	for _, n := range fixtureNews(id) {
		if err := each(n); err != nil {
			return err
		}
	}
	<-ctx.Done()
	return ctx.Err()
}

// fixtureNews is what a task prints in its second attempt, half way through.
func fixtureNews(id core.TaskID) []core.News {
	task := fixtureTasks()[0]
	task.ID, task.Progress = id, &core.Progress{Done: 40, Total: 100, Note: "epoch \x1b[31m3"}
	began := noon.Add(ahead - 9*time.Second)
	part := func(attempt int, stream core.StreamName, offset int64, cut int64, text string, times ...core.Tick) core.News {
		return core.News{Heard: &core.Heard{Piece: core.Piece{Attempt: attempt, Stream: stream, Offset: offset, Times: times, Data: []byte(text)}, Started: began, Cut: cut}}
	}
	return []core.News{{Task: &task},
		part(1, core.Stdout, 0, 0, "first try\n"), part(1, core.Stderr, 0, 0, "it did not work\n"),
		part(2, core.Stdout, 0, 0, "loading\nepoch 1: loss 0.5\nepoch", core.Tick{0, 10}, core.Tick{8, 1500}),
		part(2, core.Stderr, 0, 0, "10%\r20%\r30%", core.Tick{0, 2000}),
		part(2, core.Stdout, 33, 0, " 2: loss\x1b[31m 0.4\x1b[0m\n", core.Tick{33, 2500}),
		part(2, core.Stdout, 5000, 4000, "after a flood\n", core.Tick{5000, 3000})}
}

func (b stillBackend) Failures(context.Context) ([]core.FailureGroup, error) {
	return []core.FailureGroup{
		{Kind: core.KindException, Type: "ValueError", Message: "no such harbour", Function: "f-3", Name: "fetch@1", Count: 11, Dead: 9, Newest: taskID(3), Last: noon},
		{Kind: core.KindTimeout, Message: "ran longer than 5s", Name: "pi@1", Count: 1, Newest: taskID(4), Last: noon},
	}, b.err
}

func (b stillBackend) EventsOnceWhere(context.Context, core.EventFilter, string, int) ([]core.Event, error) {
	return []core.Event{
		{ID: "1-0.0", At: noon, Kind: core.WorkerJoined, Worker: "w-1f2e3d4c5b6a"},
		{ID: "2-0.0", At: noon, Kind: core.TaskFailed, Task: taskID(3), Name: "fetch@1", Detail: "exception"},
	}, b.err
}

func (b stillBackend) Cancel(_ context.Context, ids []core.TaskID) ([]core.CancelVerdict, error) {
	verdicts := []core.CancelVerdict{}
	for i := range ids {
		verdicts = append(verdicts, []core.CancelVerdict{core.CancelDone, core.CancelRequested, core.CancelTooLate}[i%3])
	}
	return verdicts, b.err
}

func (b stillBackend) Retry(_ context.Context, ids []core.TaskID) ([]core.Submitted, error) {
	answers := []core.Submitted{}
	for range ids {
		answers = append(answers, core.Submitted{ID: taskID(9)})
	}
	return answers, b.err
}

func (b stillBackend) Plan(_ context.Context, kind core.OperationKind, f core.BulkFilter) (core.Plan, error) {
	state, wait := core.Failed, int64(5000)
	switch {
	case f.Error == "timeout":
		return core.Plan{Kind: kind, Filter: f}, b.err
	case kind == core.OperationCancel:
		state = core.Queued
	case kind == core.OperationRetry:
		wait = 0
	}
	return core.Plan{Kind: kind, Filter: f, Tasks: 1234, Oldest: noon.Add(ahead - 3*time.Hour), WaitMS: wait, Groups: []core.PlanGroup{
		{Function: "f-3", Name: "fetch@1", State: state, Error: f.Error, Count: 1200}, {Function: "f-4", Name: "fet\x1b[31mch@2", State: state, Count: 30}}}, b.err
}

// bulkID is the operation that stillBackend makes of everything.
const bulkID = core.OperationID("op-0123456789abc")

func (b stillBackend) Apply(_ context.Context, kind core.OperationKind, f core.BulkFilter, _ bool) (core.Operation, error) {
	now := noon.Add(ahead)
	op := core.Operation{ID: bulkID, Kind: kind, Filter: f, State: core.OperationPending, Planned: 1234, Created: now, Due: now.Add(5 * time.Second)}
	if kind == core.OperationRetry {
		op.State, op.Applied, op.Ended, op.Due = core.OperationDone, 1233, now, now
		op.Skipped = 1
	}
	return op, b.err
}

func (b stillBackend) Undo(_ context.Context, id core.OperationID) (core.Operation, error) {
	return core.Operation{ID: id, Kind: core.OperationPurge, State: core.OperationUndone, Planned: 1234, Created: noon.Add(ahead), Ended: noon.Add(ahead)}, b.err
}

func (b stillBackend) PauseQueue(context.Context, string, bool) (bool, error) { return true, b.err }

func (b stillBackend) DrainWorker(_ context.Context, id string) (core.Worker, error) {
	return core.Worker{ID: core.WorkerID(id), State: core.WorkerDraining}, b.err
}

type panicBackend struct{ stillBackend }

func (panicBackend) Top(context.Context, func(core.Top, bool) error) error { panic("no such number") }

func TestOnce(t *testing.T) {
	var out bytes.Buffer
	err := Once(context.Background(), Config{Backend: stillBackend{}, URL: "http://127.0.0.1:8000", Output: &out, Now: func() time.Time { return noon }})
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(out.String(), "\x1b") {
		t.Error("an escape sequence in a plain frame")
	}
	checkFrame(t, strings.TrimSuffix(out.String(), "\n"), 80, strings.Count(out.String(), "\n"))
	golden.RequireEqual(t, out.Bytes())
}

func TestOnceUnreachable(t *testing.T) {
	var out bytes.Buffer
	err := Once(context.Background(), Config{Backend: stillBackend{unreachable}, Output: &out})
	if !errors.Is(err, core.ErrUnavailable) || out.Len() > 0 {
		t.Errorf("%v, %q", err, out.String())
	}
}

// lockedBuffer is an output that may be written while it is read.
type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

const leaveScreen = "\x1b[?1049l"

// TestRunEnds quits by key and by context; either way the terminal is given
// back and goleak finds nothing.
func TestRunEnds(t *testing.T) {
	for name, end := range map[string]func(keys io.Writer, cancel func()){
		"key":     func(keys io.Writer, _ func()) { _, _ = keys.Write([]byte("q")) },
		"context": func(_ io.Writer, cancel func()) { cancel() },
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			keys, typed := io.Pipe()
			var out lockedBuffer
			ended := make(chan error, 1)
			go func() { ended <- Run(ctx, Config{Backend: stillBackend{}, Input: keys, Output: &out}) }()
			end(typed, cancel)
			if err := <-ended; err != nil {
				t.Error(err)
			}
			if got := out.String(); !strings.Contains(got, leaveScreen) && strings.Contains(got, "\x1b[?1049h") {
				t.Errorf("the terminal was not given back: %q", got)
			}
			_ = typed.Close()
			_ = keys.Close()
		})
	}
}

// TestRunPanics restores the terminal when our own code breaks.
func TestRunPanics(t *testing.T) {
	keys, typed := io.Pipe()
	defer typed.Close()
	defer keys.Close()
	var out lockedBuffer
	err := Run(context.Background(), Config{Backend: panicBackend{}, Input: keys, Output: &out})
	if !errors.Is(err, core.ErrInternal) || !strings.Contains(err.Error(), "no such number") {
		t.Errorf("%v", err)
	}
	if !strings.Contains(out.String(), leaveScreen) {
		t.Error("the terminal was not given back")
	}
}

// TestOpen begins with the screen that was asked for.
func TestOpen(t *testing.T) {
	for open, want := range map[string]string{
		"task/" + string(core.NewTaskID()): "ValueError: no such harbour", "workers": "w-deadbee", "failures": "ran longer than 5s", "": "submitted",
	} {
		var out bytes.Buffer
		if err := Once(context.Background(), Config{Backend: stillBackend{}, Open: open, Output: &out}); err != nil || !strings.Contains(out.String(), want) {
			t.Errorf("%q: %v\n%s", open, err, out.String())
		}
	}
	for _, open := range []string{"nonsense", "task", "task/7", "workers/1"} {
		if err := Once(context.Background(), Config{Backend: stillBackend{}, Open: open, Output: io.Discard}); !errors.Is(err, core.ErrInvalid) {
			t.Errorf("%q: %v", open, err)
		}
	}
}
