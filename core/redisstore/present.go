package redisstore

import (
	"context"
	"sync"
	"time"

	"github.com/google/uuid"

	"faasctl/core"
)

// present knows which server and which data we talk to. The generation is a
// random word beside the data: when it is another, the server was emptied or a new
// one has taken its place, and every task that was accepted before is gone. The run
// id is another after each start of the server.
type present struct {
	mu         sync.Mutex
	generation string
	run        string
}

// begin reads the generation, or gives one to a server that has none.
func (p *present) begin(ctx context.Context, s *Store) error {
	clock, err := s.client.Time(ctx).Result()
	if err != nil {
		return err
	}
	fresh, err := s.client.HSetNX(ctx, s.keys.reap(), "gen", uuid.NewString()).Result()
	if err != nil {
		return err
	}
	if err := s.adopt(ctx, fresh); err != nil {
		return err
	}
	if fresh {
		if err := s.client.HSet(ctx, s.keys.reap(), "since", clock.UnixMilli()).Err(); err != nil {
			return err
		}
	}
	p.generation, err = s.client.HGet(ctx, s.keys.reap(), "gen").Result()
	return err
}

// look reads the generation again.
func (p *present) look(ctx context.Context, s *Store, op string) error {
	life, err := s.client.HMGet(ctx, s.keys.reap(), "gen", "since").Result()
	if err != nil {
		return s.failed(op, ctx, err)
	}
	p.since(s, life)
	return nil
}

// since takes note of a generation and returns when it began.
func (p *present) since(s *Store, life []any) time.Time {
	if len(life) != 2 {
		return time.Time{}
	}
	p.note(s, life[0])
	return instant(asNumber(life[1]))
}

// note tells the log, once, that all data are gone.
func (p *present) note(s *Store, word any) {
	generation, _ := word.(string) // "" for a server that was just emptied
	p.mu.Lock()
	before := p.generation
	p.generation = generation
	p.mu.Unlock()
	if before != "" && generation != before {
		s.cfg.Logger.Error("Redis was emptied, or another one has taken its place: functions and tasks from before are gone; register the functions again")
	}
}

// saw takes note of what the reaper saw. A server that has started again may be set
// up in another way.
func (p *present) saw(ctx context.Context, s *Store, generation, word any) {
	p.note(s, generation)
	run, _ := word.(string)
	p.mu.Lock()
	before := p.run
	p.run = run
	p.mu.Unlock()
	if before == "" || before == run {
		return
	}
	_, warnings, err := inspect(ctx, s.client, s.cfg.Replicated)
	switch {
	case err != nil && core.ClassOf(err) == core.ErrConflict:
		s.cfg.Logger.Error("Redis has started again in a way in which it may lose tasks", keyError, err)
	case err == nil:
		s.cfg.Logger.Info("Redis has started again")
		for _, warning := range warnings {
			s.cfg.Logger.Warn(warning)
		}
	}
}
