package tui

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"faasctl/core"
)

// fakeFeed is a server: while it is not down, it sends what is told.
type fakeFeed struct {
	mu     sync.Mutex
	down   error
	opens  int
	deltas chan core.Top
	end    chan error
}

func newFakeFeed() *fakeFeed {
	return &fakeFeed{deltas: make(chan core.Top), end: make(chan error)}
}

func (f *fakeFeed) set(down error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.down = down
}

func (f *fakeFeed) Follow(ctx context.Context, _ core.TaskID, _ core.Position, _ func(core.News) error) error {
	<-ctx.Done()
	return ctx.Err()
}

func (f *fakeFeed) Top(ctx context.Context, each func(core.Top, bool) error) error {
	f.mu.Lock()
	down := f.down
	f.opens++
	f.mu.Unlock()
	if down != nil {
		return down
	}
	if err := each(submittedTop(1), true); err != nil {
		return err
	}
	for {
		select {
		case t := <-f.deltas:
			if err := each(t, false); err != nil {
				return err
			}
		case err := <-f.end:
			return err
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// pumping runs a pump over the feed inside a bubble of synctest; stop waits for
// its end.
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

// TestPumpPace bounds how often the model is bothered, and loses nothing of what
// it merges.
func TestPumpPace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		feed := newFakeFeed()
		p := startPump(t, feed)
		defer p.stop()
		if first := of[NewsTop](p.pass(50 * time.Millisecond)); len(first) != 1 {
			t.Fatalf("no picture within 50 ms: %v", first)
		}
		p.pass(10 * time.Second)
		go func() {
			for i := range 1000 {
				delta := submittedTop(int64(i + 2))
				delta.Functions = []core.FunctionStats{{Function: core.FunctionID(rune('a' + i%20))}}
				feed.deltas <- delta
				time.Sleep(time.Millisecond)
			}
		}()
		busy := p.pass(time.Second)
		if len(busy) > 11 || len(busy) < 9 {
			t.Errorf("%d batches in a busy second, want 10", len(busy))
		}
		tops := of[NewsTop](append(busy, p.pass(time.Second)...))
		last := tops[len(tops)-1].Top
		if last.Numbers.Totals.Submitted != 1001 || len(last.Functions) != 20 {
			t.Errorf("the last picture has %d tasks, %d functions", last.Numbers.Totals.Submitted, len(last.Functions))
		}
		if quiet := p.pass(10 * time.Second); len(quiet) > 11 || len(quiet) < 9 {
			t.Errorf("%d batches in ten quiet seconds", len(quiet))
		}
	})
}

// TestPumpRecovers loses the server and finds it again.
func TestPumpRecovers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		feed := newFakeFeed()
		feed.set(unreachable)
		p := startPump(t, feed)
		defer p.stop()
		if down := of[NewsDown](p.pass(5 * time.Second)); len(down) < 3 || len(down) > 15 {
			t.Errorf("told %d times that the server is down", len(down))
		}
		feed.set(nil)
		if up := of[NewsTop](p.pass(3 * time.Second)); len(up) != 1 {
			t.Errorf("not found again: %v", up)
		}
		feed.end <- nil
		again := p.pass(time.Second)
		if len(of[NewsDown](again)) != 1 || len(of[NewsTop](again)) != 1 {
			t.Errorf("a stream that is closed is told of as %v", again)
		}
	})
}
