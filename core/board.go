package core

import (
	"context"
	"sync"
	"time"
)

// Times of the board.
const (
	boardTick = 100 * time.Millisecond // numbers and who is there, at most so often
	boardSlow = time.Second            // functions, queues and the journal
)

// Board draws one picture of the system for all who watch it: while there is at
// least one watcher it reads the store's counters, so its cost depends neither on
// the rate of tasks nor on the number of watchers.
type Board struct {
	service *Service

	mu       sync.Mutex
	picture  Top
	drawn    bool
	watchers int
	wake     chan struct{} // capacity 1: the first watcher has come
	changed  chan struct{} // closed and replaced with each new picture
}

// NewBoard returns a board that Run draws on.
func NewBoard(s *Service) *Board {
	return &Board{service: s, wake: make(chan struct{}, 1), changed: make(chan struct{})}
}

// Run draws until ctx is done.
func (b *Board) Run(ctx context.Context) error {
	tick := time.NewTicker(boardTick)
	defer tick.Stop()
	var functions []FunctionStats
	var queues []QueueInfo
	var journal []Operation
	var slow time.Time
	for {
		if b.watched() {
			stats, err := b.service.Stats(ctx)
			if err == nil && time.Since(slow) >= boardSlow {
				slow = time.Now()
				if functions, err = b.service.FunctionStats(ctx); err == nil {
					queues, err = b.service.Queues(ctx)
				}
				if err == nil {
					journal, err = b.service.Operations(ctx, shownOperations)
				}
			}
			if ctx.Err() != nil {
				return nil
			}
			b.show(pictureOf(stats, functions, queues, journal), err)
		} else {
			select {
			case <-b.wake:
				slow = time.Time{}
				continue
			case <-ctx.Done():
				return nil
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

func (b *Board) watched() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.watchers > 0
}

// show puts up a new picture, or, while the store is out of reach, the old one
// with the reason.
func (b *Board) show(picture Top, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err != nil {
		picture = b.picture
		picture.Trouble = err.Error()
	}
	if _, news := picture.Since(b.picture); !news && b.drawn {
		b.picture = picture // who was heard from, and when, is newer
		return
	}
	b.picture, b.drawn = picture, true
	close(b.changed)
	b.changed = make(chan struct{})
}

// Watch calls each with the whole picture and then with what has changed, at most
// ten times a second, until ctx is done or each fails. A watcher that is slow gets
// fewer, larger deltas; nothing is kept for it. beat > 0 calls each with a delta
// when nothing has changed for so long. Once a beat the delta says who was heard
// from, and when, as that alone is no news.
func (b *Board) Watch(ctx context.Context, beat time.Duration, each func(t Top, whole bool) error) error {
	b.mu.Lock()
	if b.watchers++; b.watchers == 1 {
		b.drawn = false // what is up may be old
		select {
		case b.wake <- struct{}{}:
		default:
		}
	}
	b.mu.Unlock()
	defer func() {
		b.mu.Lock()
		b.watchers--
		b.mu.Unlock()
	}()
	var shown Top
	var heard time.Time // when shown last said who was heard from
	whole := true
	quiet := time.NewTimer(beat)
	defer quiet.Stop()
	for {
		b.mu.Lock()
		picture, drawn, changed := b.picture, b.drawn, b.changed
		b.mu.Unlock()
		if drawn {
			if delta, news := picture.Since(shown); whole || news {
				if whole {
					delta = picture
				} else if time.Since(heard) >= beat {
					delta.Workers, delta.Dispatchers = picture.Workers, picture.Dispatchers
				}
				if delta.Workers != nil && delta.Dispatchers != nil {
					heard = time.Now()
				}
				if err := each(delta, whole); err != nil {
					return err
				}
				shown, whole = picture, false
				quiet.Reset(beat)
			}
		}
		select {
		case <-changed:
		case <-quiet.C:
			b.mu.Lock()
			picture = b.picture
			b.mu.Unlock()
			if err := each(Top{Now: picture.Now, Trouble: picture.Trouble, Workers: picture.Workers, Dispatchers: picture.Dispatchers}, false); err != nil {
				return err
			}
			heard = time.Now()
			quiet.Reset(beat)
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}
