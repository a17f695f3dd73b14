package core

import "sync"

// waiters wakes those who wait for the end of tasks, or for what they print. One
// subscription to the store's hints serves all of them.
type waiters struct {
	mu    sync.Mutex
	bells map[TaskID][]*waiter
}

// waiter is one who waits for one task, or for many.
type waiter struct {
	bell   chan struct{} // rings when one of its tasks may have ended or, if it is followed, printed something; capacity 1
	hinted []TaskID      // those that may have ended; guarded by waiters.mu
	all    bool          // any may have, as hints may have been lost; guarded by waiters.mu
}

func newWaiters() *waiters { return &waiters{bells: map[TaskID][]*waiter{}} }

// add returns a waiter for tasks, and its removal. Subscribe before reading the
// records: a hint in between is then not missed.
func (w *waiters) add(ids ...TaskID) (*waiter, func()) {
	one := &waiter{bell: make(chan struct{}, 1)}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, id := range ids {
		w.bells[id] = append(w.bells[id], one)
	}
	return one, func() { w.remove(one, ids) }
}

func (w *waiters) remove(one *waiter, ids []TaskID) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, id := range ids {
		others := w.bells[id]
		for i, other := range others {
			if other == one {
				others = append(others[:i], others[i+1:]...)
				break
			}
		}
		if len(others) == 0 {
			delete(w.bells, id)
		} else {
			w.bells[id] = others
		}
	}
}

// hints returns which tasks of a waiter may have ended since it was last asked; all
// says that any may have.
func (w *waiters) hints(one *waiter) (ids []TaskID, all bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	ids, all = one.hinted, one.all
	one.hinted, one.all = nil, false
	return ids, all
}

// hear rings the bells that a hint concerns.
func (w *waiters) hear(hint Hint) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch hint.Kind {
	case HintEnded:
		for _, id := range hint.Tasks {
			for _, one := range w.bells[id] {
				one.hinted = append(one.hinted, id)
				one.ring()
			}
		}
	case HintPrinted:
		for _, id := range hint.Tasks {
			for _, one := range w.bells[id] {
				one.ring()
			}
		}
	case HintReset:
		for _, waiting := range w.bells {
			for _, one := range waiting {
				one.all = true
				one.ring()
			}
		}
	}
}

func (one *waiter) ring() {
	select {
	case one.bell <- struct{}{}:
	default: // already rung and not yet answered
	}
}
