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
	batchEvery = 100 * time.Millisecond // at most one Batch in so long
	beatEvery  = time.Second            // at least one Batch in so long: time goes on
	retryMin   = 200 * time.Millisecond // before the feed is asked again
	retryMax   = 2 * time.Second
)

// pump reads the feed and hands the picture on in batches. It owns three
// goroutines, and run waits for them.
type pump struct {
	feed Feed
	now  func() time.Time
	send func(Batch) // blocks while the screen is busy; run's goroutine only

	bell chan struct{} // there is news
	turn chan struct{} // another task is to be listened to

	mu     sync.Mutex
	latest *NewsTop // since the last batch; older ones are part of it
	down   error    // since the last batch
	want   wanted
	heard  heard
}

func newPump(feed Feed, now func() time.Time, send func(Batch)) *pump {
	return &pump{feed: feed, now: now, send: send, bell: make(chan struct{}, 1), turn: make(chan struct{}, 1)}
}

// run works until ctx is done. It fails only when the feed's code panics.
func (p *pump) run(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var all sync.WaitGroup
	for _, work := range []func(context.Context){p.read, p.hear, p.deliver} {
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

// read keeps the picture up to date and asks again when the feed gives up.
func (p *pump) read(ctx context.Context) {
	pause := retryMin
	for ctx.Err() == nil {
		var picture core.Top
		known := false
		err := p.feed.Top(ctx, func(t core.Top, whole bool) error {
			if whole {
				picture, known = t, true
			} else if known {
				picture = picture.Merge(t)
			}
			if known {
				pause = retryMin
				p.note(func() { p.latest, p.down = &NewsTop{At: p.now(), Top: picture}, nil })
			}
			return ctx.Err()
		})
		if ctx.Err() != nil {
			return
		}
		if err == nil {
			err = errors.New("the server closed the stream")
		}
		p.note(func() { p.down = err })
		if !sleep(ctx, pause/2+rand.N(pause), nil) {
			return
		}
		pause = min(2*pause, retryMax)
	}
}

// note changes what is pending.
func (p *pump) note(change func()) {
	p.mu.Lock()
	change()
	p.mu.Unlock()
	select {
	case p.bell <- struct{}{}:
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
	batch := Batch{At: p.now()}
	if p.latest != nil {
		batch.News = append(batch.News, *p.latest)
	}
	if p.down != nil {
		batch.News = append(batch.News, NewsDown{p.down})
	}
	if h := p.heard; h.fresh {
		batch.News = append(batch.News, NewsOutput{h.round, h.news, h.lost, h.err})
	}
	p.latest, p.down, p.heard = nil, nil, heard{}
	return batch
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
