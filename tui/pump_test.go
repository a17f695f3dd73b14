package tui

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"faasctl/core"
)

// fakeFeed is a server: its fields may be changed between two waits.
type fakeFeed struct {
	mu        sync.Mutex
	down      error // answer to everything
	snapshots int
	listings  int
	streams   []string // the after of each call of Events
	events    chan core.Event
	breakOff  chan error // ends the current stream
}

func newFakeFeed() *fakeFeed {
	return &fakeFeed{events: make(chan core.Event), breakOff: make(chan error)}
}

func (f *fakeFeed) set(down error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.down = down
}

func (f *fakeFeed) counts() (snapshots, listings int, streams []string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.snapshots, f.listings, f.streams
}

func (f *fakeFeed) Snapshot(context.Context) (core.Stats, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.down != nil {
		return core.Stats{}, f.down
	}
	f.snapshots++
	return core.Stats{Through: fmt.Sprintf("%d-0", f.snapshots), Totals: core.Totals{Submitted: int64(10 * f.snapshots)}}, nil
}

func (f *fakeFeed) Tasks(context.Context, core.TaskFilter) (core.TaskPage, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.listings++
	return core.TaskPage{}, f.down
}

func (f *fakeFeed) Events(ctx context.Context, after string, each func(core.Event) error) error {
	f.mu.Lock()
	f.streams = append(f.streams, after)
	down := f.down
	f.mu.Unlock()
	if down != nil {
		return down
	}
	for {
		select {
		case e := <-f.events:
			if err := each(e); err != nil {
				return err
			}
		case err := <-f.breakOff:
			return err
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// pumping runs a pump over the feed inside a bubble of synctest and folds its
// batches into a model; stop waits for its end.
type pumping struct {
	mu      sync.Mutex
	batches []Batch
	stop    func()
}

func startPump(t *testing.T, feed Feed) *pumping {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	p := &pumping{}
	ended := make(chan error)
	pump := newPump(feed, time.Now, func(b Batch) {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.batches = append(p.batches, b)
	})
	go func() { ended <- pump.run(ctx) }()
	p.stop = func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
	return p
}

// pass lets time go by and returns what was delivered meanwhile.
func (p *pumping) pass(d time.Duration) []Batch {
	time.Sleep(d)
	synctest.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	batches := p.batches
	p.batches = nil
	return batches
}

// of picks the news of one type.
func of[N News](batches []Batch) []N {
	var out []N
	for _, b := range batches {
		for _, news := range b.News {
			if n, ok := news.(N); ok {
				out = append(out, n)
			}
		}
	}
	return out
}

// TestPumpPace bounds how often the model is bothered.
func TestPumpPace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		feed := newFakeFeed()
		p := startPump(t, feed)
		defer p.stop()
		first := p.pass(50 * time.Millisecond)
		if len(first) == 0 || len(of[NewsStats](first)) != 1 {
			t.Fatalf("no snapshot within 50 ms: %v", first)
		}
		p.pass(10 * time.Second)
		go func() {
			for i := range 1000 {
				feed.events <- core.Event{ID: fmt.Sprintf("7-0.%d", i), Kind: core.TaskSubmitted, Task: "t"}
				time.Sleep(time.Millisecond)
			}
		}()
		busy := p.pass(time.Second)
		if len(busy) > 11 || len(busy) < 9 {
			t.Errorf("%d batches in a busy second, want 10", len(busy))
		}
		p.pass(time.Second)
		if quiet := p.pass(10 * time.Second); len(quiet) > 21 || len(quiet) < 10 {
			t.Errorf("%d batches in ten quiet seconds", len(quiet))
		}
		snapshots, listings, streams := feed.counts()
		if snapshots < 22 || snapshots > 23 || listings != 1 || len(streams) != 1 || streams[0] != "1-0" {
			t.Errorf("%d snapshots, %d listings, streams %q", snapshots, listings, streams)
		}
	})
}

// TestPumpBounded drops the oldest events when the screen is stuck, says how
// many, and fetches the list again.
func TestPumpBounded(t *testing.T) {
	p := newPump(newFakeFeed(), time.Now, nil)
	p.listing = false
	for i := range keepNews + 10 {
		p.add(NewsEvent{core.Event{Attempt: i}})
	}
	b := p.take()
	events, dropped := of[NewsEvent]([]Batch{b}), of[NewsDropped]([]Batch{b})
	if len(events) != keepNews || events[0].Event.Attempt != 10 {
		t.Errorf("%d events from %d on", len(events), events[0].Event.Attempt)
	}
	if len(dropped) != 1 || dropped[0].Events != 10 || !p.listing {
		t.Errorf("dropped %v, listing %v", dropped, p.listing)
	}
}

// TestPumpRecovers loses the server and finds it again.
func TestPumpRecovers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		feed := newFakeFeed()
		feed.set(unreachable)
		p := startPump(t, feed)
		defer p.stop()
		if down := of[NewsDown](p.pass(1500 * time.Millisecond)); len(down) != 2 {
			t.Errorf("told %d times that the server is down, want 2", len(down))
		}
		feed.set(nil)
		if up := p.pass(time.Second); len(of[NewsStats](up)) != 1 || len(of[NewsTasks](up)) != 1 {
			t.Errorf("not found again within a second: %v", up)
		}
		feed.events <- core.Event{ID: "1-0.4", Kind: core.TaskSubmitted, Task: "t"}
		feed.set(unreachable) // the stream hangs, and must not be waited for
		p.pass(3 * time.Second)
		feed.set(nil)
		p.pass(1100 * time.Millisecond)
		if _, listings, streams := feed.counts(); listings != 2 || len(streams) != 2 || streams[1] != "1-0.4" {
			t.Errorf("%d listings, streams %q", listings, streams)
		}
	})
}

// TestPumpStream tells when events stop and when they flow again.
func TestPumpStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		feed := newFakeFeed()
		p := startPump(t, feed)
		defer p.stop()
		p.pass(time.Second)
		feed.breakOff <- core.Errorf(core.ErrGone, "", "trimmed")
		news := of[NewsStream](p.pass(900 * time.Millisecond))
		if len(news) != 1 || !errors.Is(news[0].Err, core.ErrGone) {
			t.Errorf("a broken stream is told of as %v", news)
		}
		news = of[NewsStream](p.pass(3 * time.Second))
		if len(news) != 1 || news[0].Err != nil {
			t.Errorf("a mended stream is told of as %v", news)
		}
		if _, listings, streams := feed.counts(); listings < 2 || len(streams) != 2 || streams[1] == "1-0" {
			t.Errorf("%d listings, streams %q", listings, streams)
		}
		before, _, _ := feed.counts()
		p.pass(300 * time.Millisecond)
		feed.events <- core.Event{Kind: core.WorkerJoined, Worker: "w-1"}
		p.pass(250 * time.Millisecond)
		if after, _, _ := feed.counts(); after == before {
			t.Error("a new worker did not bring a snapshot forward")
		}
	})
}
