package core

import (
	"context"
	"sync"
	"time"
)

// answer is what the settler tells the loop: verdicts on settled or on renewed
// leases, whichever is set, and whether the store can be reached.
type answer struct {
	settled  []Settlement
	renewed  []Renewal
	verdicts []Verdict
	drain    []WorkerID // workers that somebody wants drained
	storeUp  bool
}

// settler writes to the store what the loop decides, in batches: while one
// batch is written the next one gathers. It repeats a batch until the store has
// answered, as the store's fence, not a clock, decides what is too late. Its
// queues are bounded by the credit that the loop has given out.
type settler struct {
	cfg     DispatcherConfig
	id      DispatcherID // who releases
	answers chan<- answer
	bell    chan struct{} // capacity 1
	up      bool          // owned by run: the last call succeeded

	mu       sync.Mutex
	outcomes []Settlement
	words    []Renewal // the last progress of some of the outcomes' tasks, in their order
	renewals []Renewal
	releases []giveBack
	roster   *Announcement
}

type giveBack struct {
	leases []Lease
	reason ReleaseReason
	by     DispatcherID // "" is whoever holds them
}

func newSettler(cfg DispatcherConfig, id DispatcherID, answers chan<- answer) *settler {
	return &settler{cfg: cfg, id: id, answers: answers, bell: make(chan struct{}, 1), up: true}
}

// The verbs of the loop; none of them blocks.

// settle ends leases. words are renewals with what some of these said last, of which
// the store is told first: a task that has ended takes no more.
func (s *settler) settle(batch []Settlement, words []Renewal) {
	s.add(len(batch) > 0, func() {
		s.outcomes, s.words = append(s.outcomes, batch...), append(s.words, words...)
	})
}

func (s *settler) renew(batch []Renewal) {
	// A tick that finds the last one unwritten replaces nothing: the store is
	// slow, and a second renewal of the same lease says no more than the first.
	s.add(len(batch) > 0, func() {
		if len(s.renewals) < 2*len(batch)+MaxBatch {
			s.renewals = append(s.renewals, batch...)
		}
	})
}

// release gives leases back. Of a worker that vanished from here only what is
// still held here: it may have gone on with another dispatcher. One that says that
// it gives something back knows.
func (s *settler) release(leases []Lease, reason ReleaseReason) {
	var by DispatcherID
	if reason == ReleaseVanished {
		by = s.id
	}
	s.add(len(leases) > 0, func() { s.releases = append(s.releases, giveBack{leases, reason, by}) })
}

func (s *settler) announce(a Announcement) {
	s.add(true, func() {
		if s.roster != nil { // keep the events of the one not yet written
			a.Events = append(s.roster.Events, a.Events...)
			a.Workers = append(a.Workers, departed(s.roster.Workers, a.Workers)...)
		}
		s.roster = &a
	})
}

// departed returns those of old that now does not name: their last word is kept.
func departed(old, now []Worker) []Worker {
	var gone []Worker
	for _, w := range old {
		named := false
		for _, n := range now {
			named = named || n.ID == w.ID
		}
		if !named {
			gone = append(gone, w)
		}
	}
	return gone
}

func (s *settler) add(something bool, queue func()) {
	if !something {
		return
	}
	s.mu.Lock()
	queue()
	s.mu.Unlock()
	select {
	case s.bell <- struct{}{}:
	default:
	}
}

// run writes until ctx is done, and then what is left, for at most one Renew
// interval: somebody is waiting for us to end, and leases lapse by themselves.
func (s *settler) run(ctx context.Context) {
	writing, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(s.cfg.Renew, stop) })()
	for {
		select {
		case <-s.bell:
			s.write(writing)
		case <-ctx.Done():
			s.write(writing)
			return
		}
	}
}

// write empties the queues in the order that keeps the record true: starts before
// releases that charge by them, results before both.
func (s *settler) write(ctx context.Context) {
	announced := false // once a round: one that failed waits for the next beat
	for ctx.Err() == nil {
		s.mu.Lock()
		outcomes, renewals, releases := take(&s.outcomes), take(&s.renewals), s.releases
		words := take(&s.words) // no fewer than the outcomes taken have: those are in the same order
		s.releases = nil
		var roster *Announcement
		if !announced {
			roster, s.roster = s.roster, nil
		}
		s.mu.Unlock()
		if len(outcomes)+len(renewals)+len(releases) == 0 && roster == nil {
			return
		}
		if len(words) > 0 {
			s.writeWords(ctx, words)
		}
		if len(outcomes) > 0 {
			s.writeOutcomes(ctx, outcomes)
		}
		if len(renewals) > 0 {
			s.writeRenewals(ctx, renewals)
		}
		for _, r := range releases {
			s.writeReleases(ctx, r)
		}
		if roster != nil {
			announced = true
			s.writeRoster(ctx, *roster)
		}
	}
}

func (s *settler) writeReleases(ctx context.Context, r giveBack) {
	for len(r.leases) > 0 {
		batch := take(&r.leases)
		_ = s.repeat(ctx, "release", func() error { // logged; the leases lapse
			_, err := s.cfg.Store.Release(ctx, batch, r.reason, r.by)
			return err
		})
	}
}

func (s *settler) writeRoster(ctx context.Context, a Announcement) {
	var drain []WorkerID
	err := s.once(ctx, "announce", func() (err error) {
		drain, err = s.cfg.Store.Announce(ctx, a)
		return err
	})
	switch {
	case err != nil:
		s.keepRoster(a)
	case len(drain) > 0:
		s.answers <- answer{drain: drain, storeUp: true}
	}
}

// keptEvents bounds the events that wait for a store that is out of reach.
const keptEvents = 1000

// keepRoster puts an announcement that could not be written back, so that the
// next one carries its events.
func (s *settler) keepRoster(old Announcement) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.roster == nil {
		s.roster = &old
	} else {
		s.roster.Events = append(old.Events, s.roster.Events...)
	}
	if extra := len(s.roster.Events) - keptEvents; extra > 0 {
		s.roster.Events = s.roster.Events[extra:]
	}
}

// take cuts one batch off a queue.
func take[T any](queue *[]T) []T {
	n := min(len(*queue), MaxBatch)
	batch := (*queue)[:n:n]
	if *queue = (*queue)[n:]; len(*queue) == 0 {
		*queue = nil
	}
	return batch
}

// writeOutcomes settles a batch. When the store finds fault with it, it is
// halved until the one result at fault stands alone; that one is given up, and its
// task runs again when the lease lapses.
func (s *settler) writeOutcomes(ctx context.Context, batch []Settlement) {
	var verdicts []Verdict
	err := s.repeat(ctx, "settle", func() (err error) {
		verdicts, err = s.cfg.Store.Settle(ctx, batch)
		return err
	})
	switch {
	case err == nil:
		s.answers <- answer{settled: batch, verdicts: verdicts, storeUp: true}
	case ctx.Err() != nil:
	case len(batch) > 1:
		half := len(batch) / 2
		s.writeOutcomes(ctx, batch[:half])
		s.writeOutcomes(ctx, batch[half:])
	default:
		s.answers <- answer{settled: batch, verdicts: []Verdict{VerdictStale}, storeUp: true}
	}
}

// writeWords tries once, as progress is a courtesy; what the store says of these leases
// is heard when they are settled.
func (s *settler) writeWords(ctx context.Context, batch []Renewal) {
	_ = s.once(ctx, "renew", func() error {
		_, err := s.cfg.Store.Renew(ctx, batch, s.cfg.Lease)
		return err
	})
}

// writeRenewals tries once: the next tick brings newer ones.
func (s *settler) writeRenewals(ctx context.Context, batch []Renewal) {
	var verdicts []Verdict
	err := s.once(ctx, "renew", func() (err error) {
		verdicts, err = s.cfg.Store.Renew(ctx, batch, s.cfg.Lease)
		return err
	})
	if err == nil {
		s.answers <- answer{renewed: batch, verdicts: verdicts, storeUp: true}
	}
}

// Pauses between tries, doubling from the first to the last.
const (
	firstPause = 10 * time.Millisecond
	lastPause  = time.Second
)

// repeat calls until it succeeds, ctx is done, or the store answers that the
// call itself is at fault.
func (s *settler) repeat(ctx context.Context, op string, call func() error) error {
	for pause := firstPause; ; pause = min(2*pause, lastPause) {
		err := s.once(ctx, op, call)
		if err == nil || ctx.Err() != nil {
			return err
		}
		if ClassOf(err) != ErrUnavailable {
			s.cfg.Logger.Error("the store found fault with a batch", "op", op, "error", err)
			return err
		}
		timer := time.NewTimer(jitter(pause))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		}
	}
}

// once calls, and tells log and loop when the store goes or comes back.
func (s *settler) once(ctx context.Context, op string, call func() error) error {
	err := call()
	if ctx.Err() != nil {
		return err
	}
	if up := err == nil || ClassOf(err) != ErrUnavailable; up != s.up {
		s.up = up
		if up {
			s.cfg.Logger.Info("the store is back", "op", op)
		} else {
			s.cfg.Logger.Warn("the store is out of reach; work goes on and is written later", "op", op, "error", err)
		}
		s.answers <- answer{storeUp: up}
	}
	return err
}
