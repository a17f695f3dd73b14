package tui

import (
	"context"
	"math/rand/v2"
	"slices"

	"faasctl/core"
)

// heardKept bounds what a listener holds for the next batch, in bytes of output.
const heardKept = 256 << 10

// heard is what was heard of a task since the last batch.
type heard struct {
	round int
	news  []core.News
	bytes int
	lost  int64 // bytes that were dropped, as nobody looked
	err   error
	fresh bool
}

// wanted says which task to listen to.
type wanted struct {
	round int
	task  core.TaskID // "" for none
}

// listen follows the output of one task, until it is told another. It never
// blocks.
func (p *pump) listen(round int, task core.TaskID) {
	p.mu.Lock()
	p.want = wanted{round, task}
	p.heard = heard{}
	p.mu.Unlock()
	select {
	case p.turn <- struct{}{}:
	default: // told already
	}
}

// hear runs the listener: one stream at a time.
func (p *pump) hear(ctx context.Context) {
	for {
		select {
		case <-p.turn:
		case <-ctx.Done():
			return
		}
		for again := true; again && ctx.Err() == nil; {
			p.mu.Lock()
			want := p.want
			p.mu.Unlock()
			again = want.task != "" && p.follow(ctx, want)
		}
	}
}

// follow listens to one task until it has ended, or another one is wanted, which
// it reports as true.
func (p *pump) follow(parent context.Context, want wanted) (another bool) {
	ctx, cancel := context.WithCancel(parent)
	defer cancel()
	watching := make(chan struct{})
	go func() { // ends the stream when another task is wanted
		defer close(watching)
		select {
		case <-p.turn:
			another = true
			cancel()
		case <-ctx.Done():
		}
	}()
	defer func() { cancel(); <-watching }()
	var from core.Position
	for pause := retryMin; ctx.Err() == nil; pause = min(2*pause, retryMax) {
		err := p.feed.Follow(ctx, want.task, from, func(n core.News) error {
			from, pause = n.Position, retryMin
			p.keep(want.round, n)
			return ctx.Err()
		})
		if ctx.Err() != nil {
			break
		}
		if err == nil {
			<-ctx.Done() // all is said; until something else is wanted
			break
		}
		p.note(func() {
			if p.want.round == want.round {
				p.heard.round, p.heard.err, p.heard.fresh = want.round, err, true
			}
		})
		if !sleep(ctx, pause/2+rand.N(pause), nil) {
			break
		}
	}
	cancel()
	<-watching
	return another
}

// keep holds news for the next batch. Of a flood the newest stays.
func (p *pump) keep(round int, n core.News) {
	p.note(func() {
		if p.want.round != round {
			return
		}
		h := &p.heard
		h.round, h.err, h.fresh = round, nil, true
		h.news = append(h.news, n)
		if n.Heard == nil {
			return
		}
		h.bytes += len(n.Heard.Data)
		for i := 0; h.bytes > heardKept && i < len(h.news)-1; {
			old := h.news[i].Heard
			if old == nil {
				i++
				continue
			}
			h.bytes, h.lost = h.bytes-len(old.Data), h.lost+int64(len(old.Data))
			h.news = slices.Delete(h.news, i, i+1)
		}
	})
}
