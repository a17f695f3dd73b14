package memstore

import (
	"context"
	"slices"

	"faasctl/core"
)

// ear is one listener. Hints wait in a short line; when it is full they are
// replaced by a reset, which says "look again".
type ear struct {
	kinds    []core.HintKind // that it hears; none = all
	hints    chan core.Hint
	overflow chan struct{} // capacity 1
}

// hint passes h to every listener without waiting. Called with Store.mu held.
func (s *Store) hint(h core.Hint) {
	if h.Kind != core.HintWork && h.Kind != core.HintPrepare && len(h.Tasks) == 0 {
		return
	}
	for e := range s.ears {
		if len(e.kinds) > 0 && !slices.Contains(e.kinds, h.Kind) {
			continue
		}
		select {
		case e.hints <- h:
		default:
			select {
			case e.overflow <- struct{}{}:
			default:
			}
		}
	}
}

// Listen implements core.HintStore.
func (s *Store) Listen(ctx context.Context, hear func(core.Hint), kinds ...core.HintKind) error {
	e := &ear{kinds: kinds, hints: make(chan core.Hint, 256), overflow: make(chan struct{}, 1)}
	s.mu.Lock()
	s.ears[e] = struct{}{}
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		delete(s.ears, e)
		s.mu.Unlock()
	}()
	hear(core.Hint{Kind: core.HintReset})
	for {
		select {
		case h := <-e.hints:
			hear(h)
		case <-e.overflow:
			hear(core.Hint{Kind: core.HintReset})
		case <-ctx.Done():
			return nil
		}
	}
}
