package redisstore

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"faasctl/core"
)

const (
	// hearingTest is how long a subscription may be silent before it is asked
	// whether it still lives.
	hearingTest = 10 * time.Second
	minRedial   = 50 * time.Millisecond
	maxRedial   = 2 * time.Second
)

// Listen implements core.HintStore. It returns nil when ctx is done, and an
// error only when the store was closed.
func (s *Store) Listen(ctx context.Context, hear func(core.Hint), kinds ...core.HintKind) error {
	wait := minRedial
	for {
		began := time.Now()
		err := s.listen(ctx, hear, kinds)
		if ctx.Err() != nil {
			return nil
		}
		if s.ending.Err() != nil {
			return core.Errorf(core.ErrUnavailable, "listen", "the store was closed")
		}
		if time.Since(began) > 2*maxRedial {
			wait = minRedial
		}
		s.cfg.Logger.Warn("hints are not heard, subscribing again", keyError, err, keyWait, wait)
		// Jitter, so that not all processes come back at the same moment.
		select {
		case <-time.After(wait/2 + rand.N(wait)):
		case <-s.ending.Done():
		case <-ctx.Done():
			return nil
		}
		wait = min(2*wait, maxRedial)
	}
}

// listen hears until the connection fails. A PubSub of go-redis subscribes
// again on its own and tells so only by its Subscription messages; each time
// the last channel is confirmed, what was said before may have been lost.
func (s *Store) listen(ctx context.Context, hear func(core.Hint), kinds []core.HintKind) error {
	channels := map[string]core.HintKind{
		s.keys.channelWork(): core.HintWork, s.keys.channelEnded(): core.HintEnded, s.keys.channelCancel(): core.HintCancel,
		s.keys.channelFollow(): core.HintFollow, s.keys.channelPrinted(): core.HintPrinted,
		s.keys.channelPrepare(): core.HintPrepare,
	}
	if len(kinds) > 0 {
		maps.DeleteFunc(channels, func(_ string, kind core.HintKind) bool { return !slices.Contains(kinds, kind) })
	}
	sub := s.client.Subscribe(ctx, slices.Collect(maps.Keys(channels))...)
	defer sub.Close()
	// A context does not interrupt a blocked read, closing the connection does.
	stop := context.AfterFunc(ctx, func() { _ = sub.Close() })
	defer stop()
	stopToo := context.AfterFunc(s.ending, func() { _ = sub.Close() })
	defer stopToo()
	asked := false // a hearing test is under way
	for {
		message, err := sub.ReceiveTimeout(ctx, hearingTest)
		var timeout net.Error
		if errors.As(err, &timeout) && timeout.Timeout() && !asked && ctx.Err() == nil {
			asked = true
			if err = sub.Ping(ctx); err == nil {
				continue
			}
		}
		if err != nil {
			return err
		}
		asked = false
		switch m := message.(type) {
		case *redis.Subscription:
			if m.Kind == "subscribe" && m.Count == len(channels) {
				hear(core.Hint{Kind: core.HintReset})
			}
		case *redis.Message:
			switch kind, ok := channels[m.Channel]; {
			case kind == core.HintPrepare:
				hint := core.Hint{Kind: kind}
				if json.Unmarshal([]byte(m.Payload), &hint.Prepare) == nil {
					hear(hint)
				}
			case kind == core.HintCancel:
				hear(cancelHint(m.Payload))
			case ok:
				hear(core.Hint{Kind: kind, Tasks: hinted(m.Payload)})
			}
		}
	}
}

// cancelHint reads what cancelone.lua says: ids, after their grace in ms and a
// colon where they have one of their own.
func cancelHint(payload string) core.Hint {
	hint := core.Hint{Kind: core.HintCancel}
	if ms, ids, own := strings.Cut(payload, ":"); own {
		hint.Grace, payload = time.Duration(asNumber(ms))*time.Millisecond, ids
	}
	hint.Tasks = hinted(payload)
	return hint
}

// hinted reads the ids of a hint.
func hinted(payload string) []core.TaskID {
	if payload == "" {
		return nil
	}
	return taskIDs(strings.Split(payload, ","))
}
