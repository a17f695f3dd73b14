package redisstore

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"faasctl/core"
)

// walk does random things to a store.
type walk struct {
	*bench
	rng   *rand.Rand
	fns   []core.FunctionID
	tasks []core.TaskID
	held  []core.Claimed
	old   []core.Lease // given up, and so never to be accepted again
}

func newWalk(b *bench, seed uint64) *walk {
	return &walk{bench: b, rng: rand.New(rand.NewPCG(seed, 0)), fns: []core.FunctionID{b.fn, b.function("g").ID}}
}

func (w *walk) run(steps int) {
	for range steps {
		w.step()
	}
}

func (w *walk) step() {
	w.Helper()
	switch n := 1 + w.rng.IntN(8); w.rng.IntN(9) {
	case 0, 1:
		w.tasks = append(w.tasks, w.submit(n, func(s *core.Submission) {
			s.Spec.Function, s.Spec.Priority = w.fns[w.rng.IntN(2)], w.rng.IntN(10)
			s.Spec.Queue = fmt.Sprint("q", w.rng.IntN(3))
			if w.rng.IntN(2) == 0 {
				s.Spec.Retries, s.Spec.Backoff = 1, core.Backoff{First: time.Millisecond, Last: time.Millisecond}
			}
			if w.rng.IntN(4) == 0 {
				s.Delay = time.Duration(1+w.rng.IntN(20)) * time.Millisecond
			}
		})...)
	case 2, 3:
		w.held = append(w.held, w.claim(n)...)
	case 4:
		w.end(n)
	case 5:
		w.giveBack(n)
	case 6:
		_, _, err := w.Promote(w.ctx)
		w.must(err)
	case 8:
		w.retry(n)
	case 7:
		for range min(2, len(w.tasks)) {
			_, err := w.Cancel(w.ctx, []core.TaskID{w.tasks[w.rng.IntN(len(w.tasks))]}, 0)
			w.must(err)
		}
	}
}

// retry runs some dead letters again in bulk, and half of the time undoes that.
func (w *walk) retry(n int) {
	page, err := w.List(w.ctx, core.TaskFilter{Dead: true, Limit: n})
	w.must(err)
	op, err := w.PutOperation(w.ctx, core.Operation{ID: core.NewOperationID(), Kind: core.OperationRetry}, 0)
	w.must(err)
	step := core.OperationStep{ID: op.ID, To: "end", Last: true}
	for _, t := range page.Tasks {
		s, err := w.Spec(w.ctx, t.ID)
		w.must(err)
		s.RetryOf = t.ID
		step.Retries = append(step.Retries, core.Submission{ID: core.NewTaskID(), Spec: s})
	}
	op, err = w.StepOperation(w.ctx, step)
	w.must(err)
	made := 0
	for _, item := range step.Retries { // other walks of the same store may have been first
		if w.task(item.ID).ID != "" {
			w.tasks = append(w.tasks, item.ID)
			made++
		}
	}
	if op.Applied != made {
		w.Fatalf("made %d tasks: %+v", made, op)
	}
	if w.rng.IntN(2) == 0 {
		return
	}
	_, err = w.UndoOperation(w.ctx, op.ID)
	w.must(err)
	if op, err = w.UndoStep(w.ctx, op.ID, 100); err != nil || op.State != core.OperationUndone || op.Undone > made {
		w.Fatalf("%d new tasks: %+v, %v", made, op, err)
	}
}

func (w *walk) take(n int) []core.Claimed {
	n = min(n, len(w.held))
	w.rng.Shuffle(len(w.held), func(i, j int) { w.held[i], w.held[j] = w.held[j], w.held[i] })
	taken := slices.Clone(w.held[:n])
	w.held = w.held[n:]
	return taken
}

func (w *walk) end(n int) {
	var batch []core.Settlement
	for _, c := range w.take(n) {
		s := outcome(c.Lease, []core.State{core.Completed, core.Failed, core.Cancelled}[w.rng.IntN(3)])
		s.Started = w.rng.IntN(4) > 0
		batch = append(batch, s)
	}
	for i, verdict := range w.settle(batch...) {
		if verdict != core.VerdictOK {
			w.Fatalf("settle of a held task: %s", verdict)
		}
		w.old = append(w.old, batch[i].Lease)
	}
	for i, verdict := range w.settle(batch...) {
		if verdict != core.VerdictAlready {
			w.Fatalf("settle %d again: %s", i, verdict)
		}
	}
}

func (w *walk) giveBack(n int) {
	var leases []core.Lease
	var renewals []core.Renewal
	for _, c := range w.take(n) {
		leases = append(leases, c.Lease)
		renewals = append(renewals, core.Renewal{Lease: c.Lease, Worker: "w-9", Started: w.rng.IntN(2) == 0})
	}
	_, err := w.Renew(w.ctx, renewals, time.Minute)
	w.must(err)
	reason := []core.ReleaseReason{core.ReleaseGraceful, core.ReleaseVanished}[w.rng.IntN(2)]
	verdicts, err := w.Release(w.ctx, leases, reason, "")
	w.must(err)
	for _, verdict := range verdicts {
		if verdict != core.VerdictOK {
			w.Fatalf("release of a held task: %s", verdict)
		}
	}
	var again []core.Settlement
	for _, lease := range leases {
		again = append(again, outcome(lease, core.Completed))
	}
	for _, verdict := range w.settle(again...) {
		if verdict != core.VerdictStale {
			w.Fatalf("settle of a released task: %s", verdict)
		}
	}
}

// TestIndexesAreWhatTheRecordsSay walks at random and then builds every index
// again from the records.
func TestIndexesAreWhatTheRecordsSay(t *testing.T) {
	for seed := range uint64(5) {
		b := newBench(t)
		w := newWalk(b, seed)
		w.run(200)
		w.check()
		// Everything that waits can be handed out, once.
		waiting := b.raw().ZCard(b.ctx, b.keys.index(core.Queued)).Val()
		if got := len(b.claim(1000)); int64(got) != waiting {
			t.Fatalf("seed %d: claimed %d of %d", seed, got, waiting)
		}
		if left := b.raw().Exists(b.ctx, b.keys.base+"queues").Val(); left != 0 {
			t.Fatalf("seed %d: an empty queue is in turn", seed)
		}
		w.check()
	}
}

func (w *walk) check() {
	w.Helper()
	want := map[string][]string{}
	found, err := w.Tasks(w.ctx, w.tasks)
	w.must(err)
	for _, task := range found {
		id := string(task.ID)
		want[w.keys.all()] = append(want[w.keys.all()], id)
		want[w.keys.index(task.State)] = append(want[w.keys.index(task.State)], id)
		if task.State == core.Failed {
			want[w.keys.failedOf(task.Function)] = append(want[w.keys.failedOf(task.Function)], id)
		}
		if task.Dead() {
			want[w.keys.dead()] = append(want[w.keys.dead()], id)
			want[w.keys.deadOf(task.Function)] = append(want[w.keys.deadOf(task.Function)], id)
		}
		results := w.raw().Exists(w.ctx, w.keys.result(task.ID)).Val() == 1
		if results != task.State.Terminal() || (task.Failure != "") != (task.State == core.Failed || task.State == core.Cancelled) {
			w.Fatalf("%+v, result %v", task, results)
		}
	}
	names := []string{w.keys.all(), w.keys.failedOf(w.fns[0]), w.keys.failedOf(w.fns[1])}
	names = append(names, w.keys.dead(), w.keys.deadOf(w.fns[0]), w.keys.deadOf(w.fns[1]))
	for _, state := range core.States {
		names = append(names, w.keys.index(state))
	}
	for _, name := range names {
		have := w.raw().ZRange(w.ctx, name, 0, -1).Val()
		slices.Sort(have)
		slices.Sort(want[name])
		if !slices.Equal(have, want[name]) {
			w.Fatalf("index %s holds %d, want %d", name, len(have), len(want[name]))
		}
	}
	for _, name := range w.raw().Keys(w.ctx, w.keys.base+"ready:*").Val() {
		for _, class := range w.raw().ZRange(w.ctx, name, 0, -1).Val() {
			line := strings.Replace(name, "ready:", "q:", 1) + ":" + class
			if w.raw().LLen(w.ctx, line).Val() == 0 {
				w.Fatalf("class %s is in turn with an empty line", class)
			}
		}
	}
}
