package cli

import (
	"bytes"
	"fmt"
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"faasctl/core"
)

// benchRun is what was seen of one load.
type benchRun struct {
	tasks   int
	seconds float64 // from the first request to the last result
	usage   benchUsage

	moved func(int)

	mu                       sync.Mutex
	submit, wait, run, total *hdrhistogram.Histogram // in microseconds
	right                    int
	wrong                    []string           // what was wrong, of the first few
	wrongs                   int                // how many were
	open                     map[int]benchBatch // accepted and not read, by first call
}

// benchMost is the longest latency that is told apart from longer ones.
const benchMost = time.Hour

func newBenchRun(tasks int, moved func(int)) *benchRun {
	histogram := func() *hdrhistogram.Histogram { return hdrhistogram.New(1, benchMost.Microseconds(), 3) }
	return &benchRun{
		tasks: tasks, moved: moved, open: map[int]benchBatch{},
		submit: histogram(), wait: histogram(), run: histogram(), total: histogram(),
	}
}

func record(h *hdrhistogram.Histogram, d time.Duration) {
	_ = h.RecordValue(min(max(d, 0), benchMost).Microseconds()) // which is in its range
}

// accepted notes that a request was answered; its latency is that of each of its
// calls.
func (r *benchRun) accepted(took time.Duration, batch benchBatch) {
	r.mu.Lock()
	defer r.mu.Unlock()
	_ = r.submit.RecordValues(min(took, benchMost).Microseconds(), int64(len(batch.ids)))
	r.open[batch.first] = batch
}

// ended notes how a call ended; result is nil when that is not known.
func (r *benchRun) ended(n int, took time.Duration, task core.Task, result *core.Result, want []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case result == nil:
		r.fault("call %d, task %s: no result; it is %s", n, task.ID, task.State)
	case task.State != core.Completed:
		kind, message := task.Failure, ""
		if result.Failure != nil {
			kind, message = result.Failure.Kind, result.Failure.Message
		}
		r.fault("call %d, task %s: %s (%s) %s", n, task.ID, task.State, kind, clip(message, 200))
	case !bytes.Equal(result.JSON, want):
		r.fault("call %d, task %s: returned %s instead of %s", n, task.ID, clip(string(result.JSON), 64), clip(string(want), 64))
	default:
		r.right++
		record(r.total, took)
		record(r.wait, task.Started.Sub(task.Submitted))
		record(r.run, task.Finished.Sub(task.Started))
	}
	if r.moved != nil {
		r.moved(r.right + r.wrongs)
	}
}

func (r *benchRun) fault(format string, args ...any) {
	if r.wrongs++; len(r.wrong) < 3 {
		r.wrong = append(r.wrong, fmt.Sprintf(format, args...))
	}
}

// done notes that all calls of a batch have been read.
func (r *benchRun) done(batch benchBatch) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.open, batch.first)
}

// unread are the tasks whose results nobody has read.
func (r *benchRun) unread() []core.TaskID {
	r.mu.Lock()
	defer r.mu.Unlock()
	var ids []core.TaskID
	for _, batch := range r.open {
		ids = append(ids, batch.ids...)
	}
	return ids
}

func (r *benchRun) rate() float64 { return float64(r.tasks) / r.seconds }
