package tui

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime/debug"
	"sync"
	"time"

	"faasctl/core"
)

// How the pump paces itself.
const (
	batchEvery    = 100 * time.Millisecond // at most one Batch in so long
	beatEvery     = time.Second            // at least one Batch in so long: time goes on
	snapshotEvery = time.Second
	snapshotSoon  = 200 * time.Millisecond // after a worker came or went
	askTimeout    = 5 * time.Second        // for one answer of the server
	retryMin      = 200 * time.Millisecond // before the event stream is opened again
	retryMax      = 2 * time.Second
	streamSettled = time.Second // a stream that lasts so long is up
	keepNews      = 4096        // items between two batches
)

// pump asks the feed and hands the answers on in batches. It owns three
// goroutines, and run waits for them.
type pump struct {
	feed Feed
	now  func() time.Time
	send func(Batch) // blocks while the screen is busy; run's goroutine only

	bell  chan struct{} // there is news
	soon  chan struct{} // a snapshot is wanted now
	ready chan struct{} // closed when the first snapshot is there

	mu       sync.Mutex
	pending  []News     // oldest first, keepNews at most
	dropped  int        // events that pending had no room for
	last     core.Stats // the last snapshot
	answered bool       // there was one
	listing  bool       // a listing of tasks is wanted
	broken   bool       // the model was told that the stream broke off
	failing  bool       // the last snapshot could not be had
	reopen   func()     // breaks the stream off, to open it again at once
	opened   time.Time  // when the stream was opened; zero while it is not
}

func newPump(feed Feed, now func() time.Time, send func(Batch)) *pump {
	return &pump{
		feed: feed, now: now, send: send, listing: true,
		bell: make(chan struct{}, 1), soon: make(chan struct{}, 1), ready: make(chan struct{}),
	}
}

// run works until ctx is done. It fails only when the feed's code panics.
func (p *pump) run(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var all sync.WaitGroup
	for _, work := range []func(context.Context){p.snapshots, p.events, p.deliver} {
		all.Go(func() {
			defer func() {
				if r := recover(); r != nil {
					cancel(fmt.Errorf("%w: %v\n%s", errPanic, r, debug.Stack()))
				}
			}()
			work(ctx)
		})
	}
	all.Wait()
	if cause := context.Cause(ctx); errors.Is(cause, errPanic) {
		return cause
	}
	return nil
}

var errPanic = errors.New("the feed panicked")

// add puts news in line for the next batch. When there is no more room the
// oldest goes; a lost event makes the list of tasks be fetched again.
func (p *pump) add(news News) {
	p.mu.Lock()
	if len(p.pending) >= keepNews {
		if _, event := p.pending[0].(NewsEvent); event {
			p.dropped++
			p.listing = true
		}
		p.pending = p.pending[1:]
	}
	p.pending = append(p.pending, news)
	p.mu.Unlock()
	ring(p.bell)
}

func ring(bell chan struct{}) {
	select {
	case bell <- struct{}{}:
	default: // rung already
	}
}

// deliver hands batches on: at once when there is news and the last batch is
// batchEvery ago, and once a beat in any case.
func (p *pump) deliver(ctx context.Context) {
	for {
		if !sleep(ctx, beatEvery-batchEvery, p.bell) {
			return
		}
		p.send(p.take())
		if !sleep(ctx, batchEvery, nil) {
			return
		}
	}
}

// take makes a batch of all that is pending.
func (p *pump) take() Batch {
	p.mu.Lock()
	defer p.mu.Unlock()
	batch := Batch{At: p.now(), News: p.pending}
	if p.dropped > 0 {
		batch.News = append(batch.News, NewsDropped{p.dropped})
	}
	if p.broken && !p.opened.IsZero() && batch.At.Sub(p.opened) >= streamSettled {
		batch.News, p.broken = append(batch.News, NewsStream{}), false
	}
	p.pending, p.dropped = nil, 0
	return batch
}

// snapshots asks for the state of the system once a second, and sooner when a
// worker or dispatcher came or went.
func (p *pump) snapshots(ctx context.Context) {
	for {
		began := p.now()
		p.snapshot(ctx)
		if !sleep(ctx, snapshotSoon, nil) || !sleep(ctx, snapshotEvery-p.now().Sub(began), p.soon) {
			return
		}
	}
}

func (p *pump) snapshot(ctx context.Context) {
	ask, done := context.WithTimeout(ctx, askTimeout)
	defer done()
	stats, err := p.feed.Snapshot(ask)
	if ctx.Err() != nil {
		return
	}
	p.mu.Lock()
	recovered := p.failing && err == nil
	p.failing = err != nil
	reopen := p.reopen
	if err != nil {
		p.listing = true // what changed meanwhile may not be in the stream
	} else {
		if p.answered && another(p.last, stats) {
			recovered, p.listing = true, true
		}
		p.last = stats
		if !p.answered {
			p.answered = true
			close(p.ready)
		}
	}
	list := (p.listing || p.broken) && err == nil
	p.listing = p.listing && !list
	p.mu.Unlock()
	if err != nil {
		p.add(NewsDown{err})
		return
	}
	p.add(NewsStats{At: p.now(), Stats: stats})
	if recovered && reopen != nil {
		reopen()
	}
	if !list {
		return
	}
	page, err := p.feed.Tasks(ask, core.TaskFilter{Limit: keepTasks})
	if err == nil {
		p.add(NewsTasks{page.Tasks})
		return
	}
	p.mu.Lock()
	p.listing = true
	p.mu.Unlock()
}

// events reads the stream from the first snapshot on and opens it again when
// it breaks off. A feed that mends its stream by itself may take its time for
// that: when the server is back, the stream is opened afresh.
func (p *pump) events(ctx context.Context) {
	select {
	case <-p.ready:
	case <-ctx.Done():
		return
	}
	after, pause := p.through(), retryMin
	for {
		stream, leave := context.WithCancel(ctx)
		began := p.now()
		p.streams(leave, began, false)
		err := p.feed.Events(stream, after, func(e core.Event) error {
			if e.ID != "" {
				after = e.ID
			}
			p.hear(e)
			return stream.Err()
		})
		again := stream.Err() != nil
		leave()
		if ctx.Err() != nil {
			return
		}
		if again {
			pause = retryMin
			continue
		}
		if err == nil {
			err = errors.New("the server closed it")
		}
		p.add(NewsStream{err})
		p.streams(nil, time.Time{}, true)
		if errors.Is(err, core.ErrGone) {
			after = p.through()
		}
		if p.now().Sub(began) > streamSettled {
			pause = retryMin
		}
		if !sleep(ctx, pause/2+rand.N(pause), nil) {
			return
		}
		pause = min(2*pause, retryMax)
	}
}

// streams notes whether the event stream is open. While it is broken, the list
// of tasks is fetched with each snapshot instead.
func (p *pump) streams(reopen func(), opened time.Time, broken bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.reopen, p.opened = reopen, opened
	p.broken = p.broken || broken
}

// hear takes in one event.
func (p *pump) hear(e core.Event) {
	if e.Task == "" {
		switch e.Kind {
		case core.WorkerJoined, core.WorkerDrains, core.WorkerLeft, core.WorkerVanished, core.DispatcherUp, core.DispatcherDown:
			ring(p.soon)
		}
		return
	}
	p.add(NewsEvent{e})
}

// through is the stream entry that the last snapshot includes.
func (p *pump) through() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.last.Through
}

// sleep waits for d, for the bell, or for the end of ctx, which it reports as
// false.
func sleep(ctx context.Context, d time.Duration, bell <-chan struct{}) bool {
	timer := time.NewTimer(max(d, 0))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-bell:
	case <-ctx.Done():
		return false
	}
	return ctx.Err() == nil
}
