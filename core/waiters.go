package core

import "sync"

// waiters wakes those who wait for the end of a task, or for what it prints. One subscription to the
// store's hints serves all of them.
type waiters struct {
	mu    sync.Mutex
	bells map[TaskID][]chan struct{} // one per waiter, of capacity 1
}

func newWaiters() *waiters { return &waiters{bells: map[TaskID][]chan struct{}{}} }

// add returns a bell that rings when the task may have ended or, if it is followed,
// printed something, and its removal.
// Subscribe before reading the record: a hint in between is then not missed.
func (w *waiters) add(id TaskID) (<-chan struct{}, func()) {
	bell := make(chan struct{}, 1)
	w.mu.Lock()
	w.bells[id] = append(w.bells[id], bell)
	w.mu.Unlock()
	return bell, func() { w.remove(id, bell) }
}

func (w *waiters) remove(id TaskID, bell chan struct{}) {
	w.mu.Lock()
	defer w.mu.Unlock()
	bells := w.bells[id]
	for i, other := range bells {
		if other == bell {
			bells = append(bells[:i], bells[i+1:]...)
			break
		}
	}
	if len(bells) == 0 {
		delete(w.bells, id)
		return
	}
	w.bells[id] = bells
}

// hear rings the bells that a hint concerns.
func (w *waiters) hear(hint Hint) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch hint.Kind {
	case HintEnded, HintPrinted:
		for _, id := range hint.Tasks {
			ring(w.bells[id])
		}
	case HintReset:
		for _, bells := range w.bells {
			ring(bells)
		}
	}
}

func ring(bells []chan struct{}) {
	for _, bell := range bells {
		select {
		case bell <- struct{}{}:
		default: // already rung and not yet answered
		}
	}
}
