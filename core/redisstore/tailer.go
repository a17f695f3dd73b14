package redisstore

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"faasctl/core"
)

// tailer tells any number of waiters that the event stream has grown. It holds
// one connection that blocks in XREAD, and only while somebody waits: a blocked
// read cannot be interrupted by a context, but a waiter can walk away from a
// channel, and close ends the connection under the read.
type tailer struct {
	client   *redis.Client
	stream   string // key of the events
	counters string // key of the counters
	ended    sync.WaitGroup

	mu      sync.Mutex
	waiters int     // guarded by mu
	running bool    // guarded by mu
	closed  bool    // guarded by mu
	current *growth // guarded by mu; replaced each time it is told
}

// growth is one thing to wait for: grown is closed when the stream has grown or
// when err, set before, says why that cannot be known.
type growth struct {
	grown chan struct{}
	err   error
}

// tailBlock is how long the connection blocks before it looks whether anybody
// still waits.
const tailBlock = 5 * time.Second

func newTailer(dial func() *redis.Client, k keys) *tailer {
	return &tailer{client: dial(), stream: k.events(), counters: k.counters(), current: &growth{grown: make(chan struct{})}}
}

// watch registers a waiter, which calls leave in the end.
func (t *tailer) watch() *growth {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.waiters++
	return t.next()
}

// next is what to wait for now, with somebody reading; when nothing will come
// any more, it is one that was told already.
func (t *tailer) next() *growth {
	if t.closed {
		return t.tell(redis.ErrClosed)
	}
	if !t.running {
		t.running = true
		t.ended.Go(t.run)
	}
	return t.current
}

// again is what a waiter waits for next.
func (t *tailer) again() *growth {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.next()
}

func (t *tailer) leave() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.waiters--
}

// tell wakes all waiters; t.mu is held.
func (t *tailer) tell(err error) *growth {
	told := t.current
	t.current = &growth{grown: make(chan struct{})}
	told.err = err
	close(told.grown)
	return told
}

// run reads until nobody waits or the connection fails. Whatever was added up
// to last is told after last is known, so that nothing falls between.
func (t *tailer) run() {
	ctx := context.Background()
	for {
		last, err := t.last(ctx)
		t.mu.Lock()
		if err != nil || t.closed || t.waiters == 0 {
			t.running = false
			if t.closed {
				err = redis.ErrClosed
			}
			t.tell(err)
			t.mu.Unlock()
			return
		}
		t.tell(nil)
		t.mu.Unlock()
		// Its answer is not looked at: a failure shows in last as well.
		_ = t.client.XRead(ctx, &redis.XReadArgs{Streams: []string{t.stream, last}, Count: 1, Block: tailBlock}).Err()
	}
}

// last returns the id of the newest entry. The counters know it; the stream
// would send the whole entry along.
func (t *tailer) last(ctx context.Context) (string, error) {
	through, err := t.client.HGet(ctx, t.counters, "through").Result()
	if errors.Is(err, redis.Nil) {
		return "0-0", nil
	}
	return through, err
}

// close wakes all waiters with an error and waits for run.
func (t *tailer) close() {
	t.mu.Lock()
	t.closed = true
	t.tell(core.Errorf(core.ErrUnavailable, "wait for events", "the store was closed"))
	t.mu.Unlock()
	_ = t.client.Close() // ends a blocked read
	t.ended.Wait()
}
