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
		case r := <-d.prepares:
			word, err := d.preparation(ctx, r)
			if err != nil {
				d.cfg.Logger.Debug("a function whose environment is to be made cannot be read", "function", r.Function, "error", err)
				continue
			}
			select {
			case d.prepared <- word:
			case <-ctx.Done():
				return nil
			}
		case <-ctx.Done():
			return nil
		}
	}
}

// preparation is what workers are told.
func (d *Dispatcher) preparation(ctx context.Context, r PrepareRequest) (DownPrepare, error) {
	if r.Check != nil {
		imports := r.Check.Imports
		if imports == nil {
			imports = []string{}
		}
		return DownPrepare{Function: r.Check.function(), Imports: imports}, nil
	}
	f, err := d.claimer.functions.get(ctx, r.Function)
	if err != nil {
		return DownPrepare{}, err
	}
	bare := *f
	bare.Body = nil
	return DownPrepare{Function: &bare}, nil
}

// prepare tells the workers that can run the function.
func (d *Dispatcher) prepare(word DownPrepare) {
	for _, p := range d.peers {
		if p.info.State == WorkerRunning && p.kind.can(word.Function.Needs()) {
			d.deliver(p, word)
		}
	}
}

// notePreparation keeps what a worker says of an environment; the roster tells those
// who wait for it. What is being done is told with the beats, its begin and its end at once.
func (d *Dispatcher) notePreparation(p *peer, news Preparation) {
	known := false
	all := slices.DeleteFunc(slices.Clone(p.info.Preparations), func(old Preparation) bool {
		known = known || old.Same(news) && old.State == news.State
		return old.Same(news)
	})
	if news.Interpreter == "" || news.State != Prepared { // one that starts is nothing to tell of
		all = append(all, news)
	}
	p.info.Preparations = all
	if extra := len(p.info.Preparations) - KeepPreparations; extra > 0 {
		p.info.Preparations = p.info.Preparations[extra:]
	}
	if news.State != Preparing || !known {
		d.announce(false)
	}
}
