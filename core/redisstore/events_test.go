package redisstore

import (
	"context"
	"errors"
	"testing"
	"time"

	"faasctl/core"
)

func (b *bench) events(after string, max int, wait time.Duration) []core.Event {
	b.Helper()
	events, err := b.Events(b.ctx, after, max, wait)
	b.must(err)
	return events
}

func TestEventsResumeInsideABatch(t *testing.T) {
	b := newBench(t)
	last, err := b.LastEvent(b.ctx)
	b.must(err)
	ids := b.submit(500)
	b.submit(300)
	var got []core.Event
	for after := last; ; after = got[len(got)-1].ID {
		some := b.events(after, 7, 0)
		if len(some) == 0 {
			break
		}
		got = append(got, some...)
	}
	if len(got) != 800 || got[0].Task != ids[0] || got[499].Task != ids[499] {
		t.Fatalf("%d events", len(got))
	}
	if all := b.events("", 10_000, 0); len(all) != 801 || all[0].Kind != core.FunctionRegistered {
		t.Fatalf("%d events in all", len(all))
	}
	// An id without an index stands for the whole entry.
	if last, err = b.LastEvent(b.ctx); err != nil || len(b.events(last, 10, 0)) != 0 {
		t.Fatal("events after the last")
	}
}

func TestEventsTellWhatHappened(t *testing.T) {
	b := newBench(t)
	b.submit(1)
	c := b.claim(1)[0]
	b.settle(outcome(c.Lease, core.Completed))
	events := b.events("", 100, 0)
	kinds := []core.EventKind{core.FunctionRegistered, core.TaskSubmitted, core.TaskClaimed, core.TaskStarted, core.TaskCompleted}
	if len(events) != len(kinds) {
		t.Fatalf("events: %+v", events)
	}
	for i, e := range events {
		if e.Kind != kinds[i] || e.Function != b.fn || i > 0 && e.Task != c.Task || time.Since(e.At) > time.Minute {
			t.Errorf("event %d: %+v", i, e)
		}
	}
	if e := events[4]; e.RunMS != 1.5 || e.Worker != "w-1" || e.Dispatcher != "d-1" || e.Attempt != 1 {
		t.Errorf("the end: %+v", e)
	}
}

func TestWaitingForEvents(t *testing.T) {
	b := newBench(t)
	last, err := b.LastEvent(b.ctx)
	b.must(err)
	const waiters = 8
	got := make(chan core.Event, waiters)
	for range waiters {
		go func() {
			events, err := b.Events(b.ctx, last, 10, time.Minute)
			if err != nil || len(events) != 1 {
				got <- core.Event{Detail: "wrong"}
				return
			}
			got <- events[0]
		}()
	}
	ctx, cancel := context.WithCancel(b.ctx)
	ended := make(chan error, 1)
	go func() {
		_, err := b.Events(ctx, "$", 10, time.Minute)
		ended <- err
	}()
	eventually(t, "nine waiters", func() bool {
		b.tail.mu.Lock()
		defer b.tail.mu.Unlock()
		return b.tail.waiters == waiters+1
	})
	cancel()
	began := time.Now()
	if err := <-ended; !errors.Is(err, context.Canceled) || time.Since(began) > 30*time.Second {
		t.Fatalf("a cancelled waiter: %v after %v", err, time.Since(began))
	}
	id := b.submit(1)[0]
	for range waiters {
		if e := <-got; e.Task != id {
			t.Fatalf("a waiter got %+v", e)
		}
	}
	began = time.Now()
	if events := b.events("$", 10, 50*time.Millisecond); len(events) != 0 || time.Since(began) < 50*time.Millisecond {
		t.Fatalf("%d events after %v", len(events), time.Since(began))
	}
}

func TestWaitEndsWithTheStore(t *testing.T) {
	b := newBench(t)
	ended := make(chan error, 1)
	go func() {
		_, err := b.Events(b.ctx, "$", 10, time.Minute)
		ended <- err
	}()
	eventually(t, "a waiter", func() bool {
		b.tail.mu.Lock()
		defer b.tail.mu.Unlock()
		return b.tail.waiters == 1
	})
	b.Close()
	if err := <-ended; !errors.Is(err, core.ErrUnavailable) {
		t.Fatal(err)
	}
}

func TestTrimmedEventsAreGone(t *testing.T) {
	b := newBench(t, func(c *Config) { c.KeepEvents = 160 })
	first, err := b.LastEvent(b.ctx)
	b.must(err)
	b.submit(5)
	for range 60 {
		b.submit(10)
	}
	length := b.raw().XLen(b.ctx, b.keys.events()).Val()
	kept := b.events("", 10_000, 0)
	if len(kept) < 150 || len(kept) > 200 || length > 20 {
		t.Fatalf("%d events in %d entries are kept of 160", len(kept), length)
	}
	for _, id := range []string{first, core.EventID(first, 0)} {
		if _, err := b.Events(b.ctx, id, 10, time.Minute); !errors.Is(err, core.ErrGone) || core.HintOf(err) == "" {
			t.Errorf("after %s: %v", id, err)
		}
	}
	// Nothing is missing after the oldest that is kept, nor after the last one
	// that was dropped when all of it had been seen.
	if got := b.events(kept[0].ID, 10_000, 0); len(got) != len(kept)-1 {
		t.Fatalf("%d of %d", len(got), len(kept))
	}
	dropped := b.raw().HGet(b.ctx, b.keys.counters(), "trimmed").Val()
	if got := b.events(dropped, 10_000, 0); len(got) != len(kept) {
		t.Fatalf("%d of %d", len(got), len(kept))
	}
}

func TestEventsOfAnotherHistoryAreGone(t *testing.T) {
	b := newBench(t)
	if _, err := b.Events(b.ctx, "99999999999999-0", 10, 0); !errors.Is(err, core.ErrGone) {
		t.Fatalf("an id of the future: %v", err)
	}
	last, err := b.LastEvent(b.ctx)
	b.must(err)
	forgetKeys(b.Store)
	if _, err := b.Events(b.ctx, last, 10, 0); !errors.Is(err, core.ErrGone) {
		t.Fatalf("an emptied store: %v", err)
	}
	for _, bad := range []string{"x", "1", "1-2-3", "1-2.x", "99999999999999999999-1"} {
		if _, err := b.Events(b.ctx, bad, 10, 0); !errors.Is(err, core.ErrMalformed) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

// TestCountersAreTheFoldOfTheEvents is idea 3 of the design.
func TestCountersAreTheFoldOfTheEvents(t *testing.T) {
	b := newBench(t)
	w := newWalk(b, 1)
	w.run(300)
	var fold core.Totals
	for after := ""; ; {
		events := b.events(after, 1000, 0)
		if len(events) == 0 {
			break
		}
		after = events[len(events)-1].ID
		for _, e := range events {
			switch e.Kind {
			case core.TaskSubmitted:
				fold.Submitted++
			case core.TaskStarted:
				fold.Started++
			case core.TaskCompleted:
				fold.Completed++
			case core.TaskFailed:
				fold.Failed++
			case core.TaskCancelled:
				fold.Cancelled++
			case core.TaskRetried:
				fold.Retried++
			case core.TaskReleased:
				fold.Released++
			case core.TaskLost:
				fold.Lost++
			}
		}
	}
	stats, err := b.Stats(b.ctx)
	b.must(err)
	if stats.Totals != fold || fold.Lost == 0 || fold.Retried == 0 || fold.Cancelled == 0 {
		t.Fatalf("counters %+v\nfold     %+v", stats.Totals, fold)
	}
}
