package redisstore

import (
	"cmp"
	"context"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"faasctl/core"
)

const (
	silentAfter = 10 * time.Second // a worker not heard of for so long is shown as lost
	forgetAfter = time.Minute      // and then forgotten
)

// Announce implements core.RosterStore.
func (s *Store) Announce(ctx context.Context, a core.Announcement) ([]core.WorkerID, error) {
	const op = "announce"
	doc, err := json.Marshal(a.Dispatcher)
	if err != nil {
		return nil, &core.Error{Class: core.ErrInvalid, Op: op, Detail: "the dispatcher cannot be stored", Err: err}
	}
	args := append(make([]any, 0, 6+2*len(a.Workers)+7*len(a.Events)),
		s.cfg.KeepEvents, string(a.Dispatcher.ID), doc, flag(a.Leaving), forgetAfter.Milliseconds(), len(a.Workers))
	for _, w := range a.Workers {
		doc, err := json.Marshal(w)
		if err != nil {
			return nil, &core.Error{Class: core.ErrInvalid, Op: op, Detail: "a worker cannot be stored", Err: err}
		}
		args = append(args, string(w.ID), doc)
	}
	for _, e := range a.Events {
		args = append(args, field(string(e.Kind)), field(string(e.Task)), field(string(e.Function)), field(string(e.Worker)),
			field(string(e.Dispatcher)), e.Attempt, field(e.Detail))
	}
	answer, err := s.run(ctx, op, s.scripts.announce, args...)
	if err != nil {
		return nil, err
	}
	names, _ := answer.([]any)
	var drain []core.WorkerID
	for _, name := range names {
		if id, ok := name.(string); ok {
			drain = append(drain, core.WorkerID(id))
		}
	}
	return drain, nil
}

// DrainWorker implements core.RosterStore.
func (s *Store) DrainWorker(ctx context.Context, id core.WorkerID) error {
	const op = "drain a worker"
	there, err := s.client.HExists(ctx, s.keys.workers(), string(id)).Result()
	if err != nil {
		return s.failed(op, ctx, err)
	}
	if !there {
		return core.ErrNotFound
	}
	return s.failed(op, ctx, s.client.SAdd(ctx, s.keys.drains(), string(id)).Err())
}

// field makes text fit for a line of the event stream.
func field(text string) string {
	if text == "=" {
		return ""
	}
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, text)
}

// Roster implements core.RosterStore. Their documents stay until the next
// announcement; what was not seen for a minute is not shown even when nobody
// announces any more.
func (s *Store) Roster(ctx context.Context) (core.Roster, error) {
	const op = "read the roster"
	var clock *redis.TimeCmd
	var docs [2]*redis.MapStringStringCmd
	var seen [2]*redis.ZSliceCmd
	_, err := s.client.TxPipelined(ctx, func(p redis.Pipeliner) error {
		clock = p.Time(ctx)
		docs[0], docs[1] = p.HGetAll(ctx, s.keys.dispatchers()), p.HGetAll(ctx, s.keys.workers())
		seen[0] = p.ZRangeWithScores(ctx, s.keys.dispatchersSeen(), 0, -1)
		seen[1] = p.ZRangeWithScores(ctx, s.keys.workersSeen(), 0, -1)
		return nil
	})
	if err != nil {
		return core.Roster{}, s.failed(op, ctx, err)
	}
	answer := core.Roster{Now: clock.Val(), Dispatchers: []core.DispatcherInfo{}, Workers: []core.Worker{}}
	each := func(i int, take func(doc []byte, seen time.Time) error) {
		for _, z := range seen[i].Val() {
			at := instant(int64(z.Score))
			id, _ := z.Member.(string)
			doc, there := docs[i].Val()[id]
			if !there || answer.Now.Sub(at) > forgetAfter {
				continue
			}
			if err := take([]byte(doc), at); err != nil {
				s.cfg.Logger.Warn("a document of the roster is damaged", "id", id, keyError, err)
			}
		}
	}
	each(0, func(doc []byte, seen time.Time) error {
		d := core.DispatcherInfo{}
		if err := json.Unmarshal(doc, &d); err != nil {
			return err
		}
		d.Seen = seen
		answer.Dispatchers = append(answer.Dispatchers, d)
		return nil
	})
	each(1, func(doc []byte, seen time.Time) error {
		w := core.Worker{}
		if err := json.Unmarshal(doc, &w); err != nil {
			return err
		}
		w.Seen, w.Unheard = seen.Add(-w.Unheard), 0
		if answer.Now.Sub(seen) > silentAfter && w.State != core.WorkerGone {
			w.State = core.WorkerLost
		}
		answer.Workers = append(answer.Workers, w)
		return nil
	})
	slices.SortFunc(answer.Dispatchers, func(a, b core.DispatcherInfo) int { return cmp.Compare(a.ID, b.ID) })
	slices.SortFunc(answer.Workers, func(a, b core.Worker) int { return cmp.Compare(a.ID, b.ID) })
	return answer, nil
}
