package workertest

import (
	"sync"
	"time"

	"faasctl/core"
	"faasctl/workers/pyrun"
)

// Runner is a fake: a call of the function "t10ms" takes 10 ms and returns its
// arguments.
type Runner struct {
	mu      sync.Mutex
	running int
	most    int
	begun   []core.TaskID
	count   map[core.TaskID]int
	stops   map[core.TaskID]chan bool         // true is a kill
	sinks   map[core.TaskID]func(text string) // of running calls: prints to those who follow
	follows map[core.TaskID]bool
}

// NewRunner returns an idle runner.
func NewRunner() *Runner {
	return &Runner{count: map[core.TaskID]int{}, stops: map[core.TaskID]chan bool{},
		sinks: map[core.TaskID]func(string){}, follows: map[core.TaskID]bool{}}
}

// Start implements agent.Runner.
func (r *Runner) Start(batch []core.Assignment, sink pyrun.Sink) {
	stops := make([]chan bool, len(batch))
	r.mu.Lock()
	r.running++
	r.most = max(r.most, r.running)
	for i, a := range batch {
		stops[i] = make(chan bool, 2)
		r.stops[a.Task] = stops[i]
	}
	r.mu.Unlock()
	go func() {
		for i, a := range batch {
			r.call(a, stops[i], i == len(batch)-1, sink)
		}
	}()
}

func (r *Runner) call(a core.Assignment, stop chan bool, last bool, sink pyrun.Sink) {
	took, err := time.ParseDuration(a.Function.Name[1:])
	if err != nil || string(a.Function.Body) == "" {
		panic("a function without a body, or with a bad name: " + a.Function.Name)
	}
	r.mu.Lock()
	r.begun = append(r.begun, a.Task)
	r.count[a.Task]++
	offset := int64(0)
	r.sinks[a.Task] = func(text string) {
		sink.Printed(a.Lease, time.Millisecond, []core.Piece{{Stream: core.Stdout, Offset: offset, Data: []byte(text)}})
		offset += int64(len(text))
	}
	r.mu.Unlock()
	sink.Started(a.Lease, time.Now())
	outcome := core.Outcome{Lease: a.Lease, State: core.Completed, Started: true, Elapsed: took, Result: core.Result{JSON: a.Args}}
	killed := false
	if took > 0 {
		timer := time.NewTimer(took)
		select {
		case <-timer.C:
		case killed = <-stop:
			outcome.State = core.Cancelled
			outcome.Result = core.Result{Failure: &core.Failure{Kind: core.KindCancelled, Message: "cancelled"}}
		}
		timer.Stop()
	}
	r.mu.Lock()
	delete(r.stops, a.Task)
	delete(r.sinks, a.Task)
	if last {
		r.running--
	}
	r.mu.Unlock()
	if !killed {
		sink.Ended(outcome)
	}
}

// Follow implements agent.Runner.
func (r *Runner) Follow(tasks []core.TaskID, on bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, id := range tasks {
		if r.follows[id] = on; !on {
			delete(r.follows, id)
		}
	}
}

// Followed is how many calls are followed now.
func (r *Runner) Followed() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.follows)
}

// Print has a running call print text, if it is followed, and says whether it is.
func (r *Runner) Print(id core.TaskID, text string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.follows[id] || r.sinks[id] == nil {
		return false
	}
	r.sinks[id](text)
	return true
}

// Cancel implements agent.Runner.
func (r *Runner) Cancel(tasks []core.TaskID, _ time.Duration) { r.stop(tasks, false) }

// Kill implements agent.Runner.
func (r *Runner) Kill(tasks []core.TaskID) { r.stop(tasks, true) }

func (r *Runner) stop(tasks []core.TaskID, kill bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, id := range tasks {
		if stop := r.stops[id]; stop != nil {
			select {
			case stop <- kill:
			default:
			}
		}
	}
}

// Most is how many calls ran at once at most.
func (r *Runner) Most() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.most
}

// Times is how often a task was started.
func (r *Runner) Times(id core.TaskID) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.count[id]
}

// Running is how many batches run now.
func (r *Runner) Running() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.running
}

// Begun returns the tasks that were started, in order.
func (r *Runner) Begun() []core.TaskID {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]core.TaskID(nil), r.begun...)
}

// StopAll ends all that runs without an outcome, as the end of a process does.
func (r *Runner) StopAll() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, stop := range r.stops {
		select {
		case stop <- true:
		default:
		}
	}
}
