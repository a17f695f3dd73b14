package redisstore

import (
	"context"

	"github.com/redis/go-redis/v9"

	"faasctl/core"
)

// pieceHeader is a core.Piece without its data.
type pieceHeader struct {
	Attempt int             `json:"a"`
	Stream  core.StreamName `json:"s"`
	Offset  int64           `json:"o"`
	Times   []core.Tick     `json:"t,omitempty"`
}

// Follow implements core.LiveStore.
func (s *Store) Follow(ctx context.Context, ids []core.TaskID) error {
	return parcels(len(ids), small, func(from, to int) error {
		args := append(make([]any, 0, 2+to-from), s.cfg.KeepEvents, core.FollowFor.Milliseconds())
		for _, id := range ids[from:to] {
			args = append(args, string(id))
		}
		_, err := s.number(ctx, "follow", s.scripts.follow, args...)
		return err
	})
}

// Print implements core.LiveStore.
func (s *Store) Print(ctx context.Context, batch []core.Printed) error {
	const op = "print"
	return parcels(len(batch), func(i int) int { return len(batch[i].Data) }, func(from, to int) error {
		args := append(make([]any, 0, 3+4*(to-from)), s.cfg.KeepEvents, core.KeepPieces, core.FollowFor.Milliseconds())
		for _, p := range batch[from:to] {
			envelope, err := seal(pieceHeader{p.Attempt, p.Stream, p.Offset, p.Times}, p.Data)
			if err != nil {
				return core.Errorf(core.ErrInvalid, op, "what was printed cannot be stored: %v", err)
			}
			args = append(args, string(p.Task), p.Epoch, p.Claim, envelope)
		}
		_, err := s.number(ctx, op, s.scripts.print, args...)
		return err
	})
}

// Pieces implements core.LiveStore.
func (s *Store) Pieces(ctx context.Context, id core.TaskID, after string) ([]core.Piece, string, error) {
	const op = "read what was printed"
	start := "-"
	if after != "" {
		if _, ok := parseStreamID(after); !ok {
			return nil, "", core.Errorf(core.ErrMalformed, op, "%q is no entry", after)
		}
		start = "(" + after
	}
	messages, err := s.client.XRange(ctx, s.keys.pieces(id), start, "+").Result()
	if err != nil {
		return nil, after, s.failed(op, ctx, err)
	}
	pieces := make([]core.Piece, 0, len(messages))
	for _, m := range messages {
		after = m.ID
		if p, err := openPiece(m); err == nil {
			pieces = append(pieces, p)
		} else { // it counts as lost: the output is whole when the task has ended
			s.cfg.Logger.Error("a piece of output cannot be read", keyTask, id, keyError, err)
		}
	}
	return pieces, after, nil
}

func openPiece(m redis.XMessage) (core.Piece, error) {
	text, _ := m.Values["p"].(string)
	var h pieceHeader
	data, err := open("piece of output", []byte(text), &h)
	return core.Piece{Attempt: h.Attempt, Stream: h.Stream, Offset: h.Offset, Times: h.Times, Data: data}, err
}
