package core

import (
	"context"
	"time"
)

// Ending is how one of many tasks stands.
type Ending struct {
	ID     TaskID
	State  State   // terminal when it has ended; QUEUED stands for all others
	Result *Result // nil when it has not ended, or was not asked for
	Err    error   // there is no such task, or its result is not kept any more
}

// Over reports whether there is nothing to wait for any more.
func (e Ending) Over() bool { return e.Err != nil || e.State.Terminal() }

// Watch waits for the ends of many tasks. Not for use by several goroutines.
type Watch struct {
	s    *Service
	ids  []TaskID
	wake *waiter
	stop func()

	open    map[TaskID][]int   // places in ids of those that are not over
	asked   bool               // all were looked at once
	results map[TaskID]*Result // of those that are over, as far as they came along
}

// Watch begins to watch tasks, at most MaxBatch; Close ends it.
func (s *Service) Watch(ids []TaskID) *Watch {
	w := &Watch{s: s, ids: ids, open: make(map[TaskID][]int, len(ids)), results: map[TaskID]*Result{}}
	for i, id := range ids {
		w.open[id] = append(w.open[id], i)
	}
	w.wake, w.stop = s.wake.add(ids...)
	return w
}

// Close ends the watch.
func (w *Watch) Close() { w.stop() }

// Open is how many tasks are not over, as far as Next has told.
func (w *Watch) Open() int {
	n := 0
	for _, places := range w.open {
		n += len(places)
	}
	return n
}

// Next returns the places in ids of tasks that are over and that it has not returned
// before, with their states: as soon as there are any, and at until at the latest.
// None are returned then, or when all are over.
func (w *Watch) Next(ctx context.Context, until time.Time) (places []int, states []State, err error) {
	deadline := time.NewTimer(time.Until(until))
	defer deadline.Stop()
	for late := false; ; {
		ids, all := w.s.wake.hints(w.wake)
		if all || late || !w.asked {
			ids = ids[:0]
			for id := range w.open {
				ids = append(ids, id)
			}
		}
		places, states, err = w.look(ctx, ids)
		if err != nil || len(places) > 0 || len(w.open) == 0 {
			return places, states, err
		}
		if !time.Now().Before(until) {
			return nil, nil, nil
		}
		w.asked = true
		recheck := time.NewTimer(w.s.cfg.Recheck)
		select {
		case <-w.wake.bell:
			late = false
		case <-recheck.C:
			late = true
		case <-deadline.C:
			late = true
		case <-ctx.Done():
			err = context.Cause(ctx)
		}
		recheck.Stop()
		if err != nil {
			return nil, nil, err
		}
	}
}

// look takes those of ids that are over out of the open ones.
func (w *Watch) look(ctx context.Context, ids []TaskID) (places []int, states []State, err error) {
	if len(ids) == 0 {
		return nil, nil, nil
	}
	found, err := w.states(ctx, ids)
	if err != nil {
		return nil, nil, err
	}
	w.asked = true
	for i, id := range ids {
		if state := found[i]; state == "" || state.Terminal() {
			for _, place := range w.open[id] {
				places, states = append(places, place), append(states, state)
			}
			delete(w.open, id)
		}
	}
	return places, states, nil
}

// fewResults is how many tasks are looked at together with their results: about as
// many as cost less than another round trip.
const fewResults = 16

// states is how tasks stand, "" for one that there is not. Of a few it also keeps the
// results.
func (w *Watch) states(ctx context.Context, ids []TaskID) ([]State, error) {
	if len(ids)+len(w.results) > fewResults {
		return w.s.store.Ended(ctx, ids)
	}
	tasks, results, err := w.s.store.Outcomes(ctx, ids)
	if err != nil {
		return nil, err
	}
	states := make([]State, len(ids))
	for i, task := range tasks {
		if states[i] = task.State; results[i] != nil {
			w.results[ids[i]] = results[i]
		}
	}
	return states, nil
}

// resultBytes is how many bytes of results are in memory at once, about.
const resultBytes = 4 << 20

// Endings hands over how tasks stand, in order, with the results of those that have
// ended in these states, as Next gave them. Results are read bit by bit, so that
// memory stays bounded; each may refuse to go on.
func (w *Watch) Endings(ctx context.Context, ids []TaskID, states []State, each func(Ending) error) (err error) {
	s := w.s
	var over []TaskID
	for i, state := range states {
		if state.Terminal() && w.results[ids[i]] == nil {
			over = append(over, ids[i])
		}
	}
	var results []*Result // of the first of over
	for i, id := range ids {
		e := Ending{ID: id, State: states[i]}
		switch {
		case e.State == "":
			e.Err = s.unknownTask(id)
		case w.results[id] != nil:
			e.Result = w.results[id]
		case e.State.Terminal():
			if len(results) == 0 {
				if results, err = s.store.ResultsUpTo(ctx, over, resultBytes); err != nil {
					return err
				}
				over = over[len(results):]
			}
			e.Result, results = results[0], results[1:]
			if e.Result == nil {
				e.Err = Errorf(ErrGone, "", "the result of task %s is not kept any more", id)
			}
		}
		if err := each(e); err != nil {
			return err
		}
	}
	return nil
}

// Waiting is how many wait for a task's end in this process.
func (s *Service) Waiting(id TaskID) int {
	s.wake.mu.Lock()
	defer s.wake.mu.Unlock()
	return len(s.wake.bells[id])
}
