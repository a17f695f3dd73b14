package redisstore

import (
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"faasctl/core"
)

// LastEvent implements core.EventStore.
func (s *Store) LastEvent(ctx context.Context) (string, error) {
	through, err := s.client.HGet(ctx, s.keys.counters(), "through").Result()
	if err == redis.Nil {
		return "", nil
	}
	return through, s.failed("read events", ctx, err)
}

// Events implements core.EventStore.
func (s *Store) Events(ctx context.Context, after string, max int, wait time.Duration) ([]core.Event, error) {
	if max <= 0 {
		return nil, nil
	}
	if after == "$" {
		last, err := s.LastEvent(ctx)
		if err != nil {
			return nil, err
		}
		if after = last; after == "" {
			after = "0-0" // unlike "", it is an id: the whole of that entry was seen
		}
	}
	if wait <= 0 {
		return s.eventsAfter(ctx, after, max)
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	// Watch first, then read: what is added after the read is told.
	watch := s.tail.watch()
	defer s.tail.leave()
	for {
		events, err := s.eventsAfter(ctx, after, max)
		if err != nil || len(events) > 0 {
			return events, err
		}
		select {
		case <-watch.grown:
			if watch.err != nil {
				return nil, s.failed("wait for events", ctx, watch.err)
			}
			watch = s.tail.again()
		case <-timer.C:
			return nil, nil
		case <-ctx.Done():
			return nil, s.failed("wait for events", ctx, ctx.Err())
		}
	}
}

// eventsAfter reads what is there now. An entry is a whole batch, so that the
// one that after points into is read again.
func (s *Store) eventsAfter(ctx context.Context, after string, max int) ([]core.Event, error) {
	const op = "read events"
	entry, index, err := core.SplitEventID(after)
	if err != nil {
		return nil, err
	}
	from, ok := parseStreamID(entry)
	if !ok {
		return nil, core.Errorf(core.ErrMalformed, op, "%q is not an event id", after)
	}
	var events []core.Event
	start := entry
	for {
		var state *redis.SliceCmd
		var read *redis.XMessageSliceCmd
		// Together, or entries could be trimmed between the question what was
		// trimmed and the reading.
		_, err := s.client.TxPipelined(ctx, func(p redis.Pipeliner) error {
			state = p.HMGet(ctx, s.keys.counters(), "trimmed", "through")
			read = p.XRangeN(ctx, s.keys.events(), start, "+", int64(min(max+1, 128)))
			return nil
		})
		if err != nil {
			return nil, s.failed(op, ctx, err)
		}
		if after != "" && start == entry {
			if err := gone(op, after, from, index, state.Val()); err != nil {
				return nil, err
			}
		}
		page := read.Val()
		for _, message := range page {
			batch := decodeEvents(message)
			for i, event := range batch {
				if message.ID == entry && i <= index {
					continue
				}
				if len(events) == max {
					return events, nil
				}
				events = append(events, event)
			}
		}
		if len(page) < min(max+1, 128) || len(events) == max {
			return events, nil
		}
		start = "(" + page[len(page)-1].ID
	}
}

// gone returns an error when events after an id were dropped, or when the id
// was never given: then the server has lost what its clients have seen.
func gone(op, after string, from streamID, index int, state []any) error {
	trimmed, _ := state[0].(string)
	through, _ := state[1].(string)
	last, known := parseStreamID(through)
	if known && last.less(from) || !known && from != (streamID{}) {
		return core.Errorf(core.ErrGone, op, "event %s is not known; the store was emptied or went back", after).
			WithHint("read the present state, then the events after its last one")
	}
	dropped, any := parseStreamID(trimmed)
	if any && (from.less(dropped) || from == dropped && index < 1<<30) {
		return core.Errorf(core.ErrGone, op, "events after %s are not kept any more", after).
			WithHint("read the present state, then the events after its last one")
	}
	return nil
}

// decodeEvents reads one entry: the time, and one line per event with fields
// parted by tabs; scripts/parts/events.lua writes them. What it cannot read it
// skips, but a skipped line keeps its index.
func decodeEvents(message redis.XMessage) []core.Event {
	text, _ := message.Values["e"].(string)
	stamp, _ := message.Values["t"].(string)
	ms, err := strconv.ParseInt(stamp, 10, 64)
	if err != nil {
		id, _ := parseStreamID(message.ID)
		ms = int64(id.ms)
	}
	at := time.UnixMilli(ms)
	events := make([]core.Event, 0, strings.Count(text, "\n")+1)
	var before [4]string
	for line := range strings.SplitSeq(text, "\n") {
		var fields [9]string
		n := 0
		for f := range strings.SplitSeq(line, "\t") {
			if n < len(fields) {
				fields[n] = f
			}
			n++
		}
		for i := range before {
			if fields[i+1] == "=" {
				fields[i+1] = before[i]
			}
			before[i] = fields[i+1]
		}
		attempt, _ := strconv.Atoi(fields[5])
		run, _ := strconv.ParseInt(fields[7], 10, 64)
		wait, _ := strconv.ParseInt(fields[8], 10, 64)
		events = append(events, core.Event{
			ID: core.EventID(message.ID, len(events)), At: at, Kind: core.EventKind(fields[0]), Task: core.TaskID(fields[1]),
			Function: core.FunctionID(fields[2]), Worker: core.WorkerID(fields[3]), Dispatcher: core.DispatcherID(fields[4]),
			Attempt: attempt, Detail: fields[6], RunMS: float64(run) / 1000, WaitMS: float64(wait),
		})
	}
	return events
}

// streamID is the id of a stream entry, comparable.
type streamID struct{ ms, seq uint64 }

func parseStreamID(text string) (streamID, bool) {
	ms, seq, ok := strings.Cut(text, "-")
	if !ok {
		return streamID{}, false
	}
	a, errA := strconv.ParseUint(ms, 10, 64)
	b, errB := strconv.ParseUint(seq, 10, 64)
	return streamID{a, b}, errA == nil && errB == nil
}

func (id streamID) less(other streamID) bool {
	return id.ms < other.ms || id.ms == other.ms && id.seq < other.seq
}
