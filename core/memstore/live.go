package memstore

import (
	"context"
	"slices"
	"strconv"
	"time"

	"faasctl/core"
)

// live is what a followed task has printed lately.
type live struct {
	until  time.Time // followed until
	pieces []core.Piece
	count  int // of pieces ever added
}

// Follow implements core.LiveStore.
func (s *Store) Follow(ctx context.Context, ids []core.TaskID) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.cfg.Now()
	for id, l := range s.live {
		if now.After(l.until) {
			delete(s.live, id)
		}
	}
	for _, id := range ids {
		l := s.live[id]
		if l == nil {
			l = &live{}
			s.live[id] = l
		}
		l.until = now.Add(core.FollowFor)
	}
	s.hint(core.Hint{Kind: core.HintFollow, Tasks: ids})
	return ctx.Err()
}

// Print implements core.LiveStore.
func (s *Store) Print(ctx context.Context, batch []core.Printed) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.cfg.Now()
	var told []core.TaskID
	for _, p := range batch {
		l := s.live[p.Task]
		if _, verdict := s.check(p.Lease); verdict != core.VerdictOK || l == nil || now.After(l.until) {
			continue
		}
		l.count++
		if l.pieces = append(l.pieces, p.Piece); len(l.pieces) > core.KeepPieces {
			l.pieces = slices.Clone(l.pieces[1:])
		}
		if !slices.Contains(told, p.Task) {
			told = append(told, p.Task)
		}
	}
	s.hint(core.Hint{Kind: core.HintPrinted, Tasks: told})
	return ctx.Err()
}

// Pieces implements core.LiveStore. An entry is the number of pieces up to it.
func (s *Store) Pieces(ctx context.Context, id core.TaskID, after string) ([]core.Piece, string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.live[id]
	if l == nil {
		return nil, "", ctx.Err()
	}
	seen, _ := strconv.Atoi(after)
	if seen > l.count {
		seen = 0 // of a time before it was forgotten
	}
	kept := l.count - len(l.pieces)
	from := min(max(seen-kept, 0), len(l.pieces))
	return slices.Clone(l.pieces[from:]), strconv.Itoa(l.count), ctx.Err()
}
