package core

import (
	"context"
	"slices"
	"sync"
	"time"
)

// keepFollowed bounds the followed tasks that a dispatcher remembers; those
// beyond it are heard of again within FollowAgain.
const keepFollowed = 4096

// follow notes that tasks are followed and tells the workers that have them. Those
// that are not here yet are remembered, as they may come.
func (d *Dispatcher) follow(ids []TaskID) {
	until := time.Now().Add(FollowFor)
	fresh := map[*peer][]TaskID{}
	for _, id := range ids {
		_, known := d.followed[id]
		if !known && len(d.followed) >= keepFollowed {
			continue
		}
		d.followed[id] = until
		if h := d.holds[id]; !known && h != nil && h.peer != nil && !h.ended {
			fresh[h.peer] = append(fresh[h.peer], id)
		}
	}
	for p, ids := range fresh {
		d.deliver(p, DownFollow{Tasks: ids, On: true})
	}
}

// followHeld tells a worker which of the tasks that it has just been given, or
// has brought along, are followed.
func (d *Dispatcher) followHeld(p *peer, holds []*hold) {
	if len(d.followed) == 0 {
		return
	}
	var ids []TaskID
	for _, h := range holds {
		if _, ok := d.followed[h.Task]; ok {
			ids = append(ids, h.Task)
		}
	}
	if len(ids) > 0 {
		d.deliver(p, DownFollow{Tasks: ids, On: true})
	}
}

// unfollow forgets tasks that nobody follows any more and tells their workers.
func (d *Dispatcher) unfollow(now time.Time) {
	over := map[*peer][]TaskID{}
	for id, until := range d.followed {
		if now.Before(until) {
			continue
		}
		delete(d.followed, id)
		if h := d.holds[id]; h != nil && h.peer != nil && !h.ended {
			over[h.peer] = append(over[h.peer], id)
		}
	}
	for p, ids := range over {
		d.deliver(p, DownFollow{Tasks: ids})
	}
}

// printed passes on what followed tasks of a worker print. The first of it also
// tells that a task has been started, before the next beat does.
func (d *Dispatcher) printed(p *peer, batch []Printed) {
	var ours []Printed
	var starts []Renewal
	var off []TaskID
	for _, one := range batch {
		h := p.holds[one.Task]
		if h == nil || h.Lease != one.Lease {
			continue
		}
		if h.started.IsZero() {
			h.started = p.seen.Add(-one.Ran)
			starts = append(starts, d.renewal(h, p.seen))
		}
		if _, ok := d.followed[one.Task]; ok {
			ours = append(ours, one)
		} else if !slices.Contains(off, one.Task) { // another dispatcher had asked for it
			off = append(off, one.Task)
		}
	}
	if len(off) > 0 {
		d.deliver(p, DownFollow{Tasks: off})
	}
	d.settler.renew(starts)
	d.printer.add(ours)
}

// progressed notes how far tasks of a worker have come. The store is told with
// the next beat, and at once of those that somebody follows.
func (d *Dispatcher) progressed(p *peer, all []TaskProgress) {
	var now []Renewal
	for _, one := range all {
		h := p.holds[one.Task]
		if h == nil {
			continue
		}
		h.progress, h.word = &one.Progress, &one.Progress
		if _, ok := d.followed[one.Task]; ok {
			now = append(now, d.renewal(h, p.seen))
		}
	}
	d.settler.renew(now)
}

// printerRoom is how many bytes of output may wait for the store. What comes
// while there is no room is dropped: followers see what is missing, and have the
// rest when the task has ended.
const printerRoom = 4 << 20

// printer writes what followed tasks print to the store, in batches and without
// ever holding up the loop.
type printer struct {
	store LiveStore
	log   func(error)
	bell  chan struct{} // capacity 1

	mu    sync.Mutex
	queue []Printed
	bytes int
}

func newPrinter(cfg DispatcherConfig) *printer {
	return &printer{
		store: cfg.Store, bell: make(chan struct{}, 1),
		log: func(err error) { cfg.Logger.Debug("live output was not stored", "error", err) },
	}
}

func (p *printer) add(batch []Printed) {
	if len(batch) == 0 {
		return
	}
	p.mu.Lock()
	for _, one := range batch {
		if p.bytes+len(one.Data) <= printerRoom {
			p.queue = append(p.queue, one)
			p.bytes += len(one.Data)
		}
	}
	p.mu.Unlock()
	select {
	case p.bell <- struct{}{}:
	default:
	}
}

func (p *printer) run(ctx context.Context) error {
	for {
		select {
		case <-p.bell:
		case <-ctx.Done():
			return nil
		}
		for {
			p.mu.Lock()
			batch := take(&p.queue)
			for _, one := range batch {
				p.bytes -= len(one.Data)
			}
			p.mu.Unlock()
			if len(batch) == 0 {
				break
			}
			if err := p.store.Print(ctx, batch); err != nil && ctx.Err() == nil {
				p.log(err)
			}
		}
	}
}
