package redisstore

import (
	"context"
	"errors"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"

	"faasctl/core"
)

// layout is the form of what is stored, which stands beside it. In layout 1, which had no
// number, records were hashes.
const layout = 2

// adopt makes sure that the data have our layout: those of an older one are brought to it,
// those of a newer one refused. It may be repeated and done by several at once, but nobody
// of an older version may be at work.
func (s *Store) adopt(ctx context.Context, empty bool) error {
	const field = "layout"
	found, err := s.client.HGet(ctx, s.keys.reap(), field).Result()
	if err != nil && !errors.Is(err, redis.Nil) {
		return err
	}
	number, _ := strconv.Atoi(found)
	switch {
	case number == layout:
		return nil
	case number > layout:
		return core.Errorf(core.ErrConflict, "", "its data have layout %d, and this version knows %d", number, layout).
			WithHint("use the version of faasctl that wrote them, or a newer one")
	case !empty:
		if err := s.migrate(ctx); err != nil {
			return err
		}
	}
	return s.client.HSet(ctx, s.keys.reap(), field, layout).Err()
}

// migrate looks through all records.
func (s *Store) migrate(ctx context.Context) error {
	for cursor, moved := uint64(0), int64(0); ; {
		names, next, err := s.client.ScanType(ctx, cursor, s.keys.task("*"), core.MaxBatch, "hash").Result()
		if err != nil {
			return err
		}
		args := []any{s.cfg.KeepEvents}
		for _, name := range names {
			args = append(args, strings.TrimPrefix(name, s.keys.task("")))
		}
		if len(names) > 0 {
			n, err := s.scripts.migrate.Run(ctx, s.client, s.fixed, args...).Int64()
			if err != nil {
				return err
			}
			moved += n
		}
		if cursor = next; cursor == 0 {
			if moved > 0 {
				s.cfg.Logger.Info("records were brought to another layout", "records", moved, "layout", layout)
			}
			return nil
		}
	}
}
