package core

import (
	"context"
	"slices"
)

// readPrepared reads the functions whose environments are to be made, so that a slow
// store does not freeze the loop.
func (d *Dispatcher) readPrepared(ctx context.Context) error {
	for {
		select {
		case id := <-d.prepares:
			f, err := d.claimer.functions.get(ctx, id)
			if err != nil {
				d.cfg.Logger.Debug("a function whose environment is to be made cannot be read", "function", id, "error", err)
				continue
			}
			select {
			case d.prepared <- f:
			case <-ctx.Done():
				return nil
			}
		case <-ctx.Done():
			return nil
		}
	}
}

// prepare has the workers that can run a function make its environment.
func (d *Dispatcher) prepare(f *Function) {
	bare := *f
	bare.Body = nil
	for _, p := range d.peers {
		if p.info.State == WorkerRunning && p.kind.can(f.Needs()) {
			d.deliver(p, DownPrepare{Function: &bare})
		}
	}
}

// notePreparation keeps what a worker says of an environment; the roster tells those
// who wait for it. What is being done is told with the beats, its end at once.
func (d *Dispatcher) notePreparation(p *peer, news Preparation) {
	all := slices.DeleteFunc(slices.Clone(p.info.Preparations), func(old Preparation) bool { return old.Function == news.Function })
	p.info.Preparations = append(all, news)
	if extra := len(p.info.Preparations) - KeepPreparations; extra > 0 {
		p.info.Preparations = p.info.Preparations[extra:]
	}
	if news.State != Preparing {
		d.announce(false)
	}
}
