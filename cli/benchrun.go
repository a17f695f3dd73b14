package cli

import (
	"bytes"
	"context"
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

	moved   func(int)
	waiting context.Context // is done when nothing is waited for any more

	mu                       sync.Mutex
	submit, wait, run, total *hdrhistogram.Histogram // in microseconds
	right                    int
	wrong                    []string           // what was wrong, of the first few
	wrongs                   int                // how many were
	open                     map[int]benchBatch // accepted and not read, by first call
	sample                   []core.TaskID      // some of those that ended right
}

// benchSample is of how many calls about the times are read.
const benchSample = 1000

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

// ended notes how a call stands that has ended, or that is missing.
func (r *benchRun) ended(n int, took time.Duration, e core.Ending, want []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case e.Result == nil:
		r.fault("call %d, task %s: no result; it has not ended", n, e.ID)
	case e.State != core.Completed:
		kind, message := core.FailureKind(""), ""
		if e.Result.Failure != nil {
			kind, message = e.Result.Failure.Kind, e.Result.Failure.Message
		}
		r.fault("call %d, task %s: %s (%s) %s", n, e.ID, e.State, kind, clip(message, 200))
	case !bytes.Equal(e.Result.JSON, want):
		r.fault("call %d, task %s: returned %s instead of %s", n, e.ID, clip(string(e.Result.JSON), 64), clip(string(want), 64))
	default:
		r.right++
		record(r.total, took)
		if n%(r.tasks/benchSample+1) == 0 {
			r.sample = append(r.sample, e.ID)
		}
	}
	if r.moved != nil {
		r.moved(r.right + r.wrongs)
	}
}

// timed notes how long a call waited and ran.
func (r *benchRun) timed(task core.Task) {
	r.mu.Lock()
	defer r.mu.Unlock()
	record(r.wait, task.Started.Sub(task.Submitted))
	record(r.run, task.Finished.Sub(task.Started))
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
