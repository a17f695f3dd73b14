package core

import (
	"fmt"
	"math"
	"strconv"
	"time"
)

// queued tells of a task that waits for a worker.
func (w *whyBook) queued() {
	in := w.in
	w.fallback = command("result", string(in.Task.ID), "--wait", "1m")
	w.lookForHands(true)
	w.held(true)
	if len(w.causes) == 0 {
		w.cause(WhyNext, "", "nothing holds it back: it goes as soon as it is its turn")
	}
	place := in.Place
	w.place = &place
	w.fact(WhyPlace, "", "%s", w.placeText())
	w.expires()
}

// held adds what keeps the store from handing the task out.
func (w *whyBook) held(cause bool) {
	in := w.in
	say := w.fact
	if cause {
		say = w.cause
	}
	if !in.Paused.IsZero() {
		say(WhyPaused, command("queue", "resume", in.Task.Queue), "queue %s is paused, for %s by now: it takes tasks and hands out none",
			in.Task.Queue, roughly(in.Now.Sub(in.Paused)))
	}
	if in.function == nil {
		return
	}
	policy := in.function.Policy
	if most := policy.Concurrency; most > 0 && in.Running >= most {
		say(WhyCapped, command("fn", "set", w.name(), "--concurrency", strconv.Itoa(2*most)), "%s runs %s at once, and may run no more than %d",
			w.name(), counted(in.Running, "call"), most)
	}
	if free, next := policy.Rate.room(in.Now, in.Full); policy.Rate.Limited() && free == 0 {
		say(WhyThrottled, command("fn", "set", w.name(), "--rate", policy.Rate.doubled().String()), "%s is handed out no more often than %s: the next call can go in %s",
			w.name(), policy.Rate, roughly(next))
	}
}

// placeText says where a queued task stands.
func (w *whyBook) placeText() string {
	t, p := w.in.Task, w.in.Place
	text := fmt.Sprintf("of %s at priority %d in queue %s ", w.name(), t.Priority, t.Queue)
	switch {
	case p.More:
		text += "more than " + counted(p.Ahead, "call") + " go first"
	case p.Ahead == 0:
		text += "it is the next"
	case p.Ahead == 1:
		text += "1 call goes first"
	default:
		text += counted(p.Ahead, "call") + " go first"
	}
	switch {
	case p.Rivals == 1:
		text += "; 1 other function or priority takes turns with it"
	case p.Rivals > 1:
		text += fmt.Sprintf("; %s other functions and priorities take turns with it", grouped(int64(p.Rivals)))
	}
	if p.Queued > 1 {
		text += fmt.Sprintf("; %s wait there in all", counted(p.Queued, "task"))
	}
	return text
}

// expires says until when it may wait.
func (w *whyBook) expires() {
	t := w.in.Task
	switch left := t.Expires.Sub(w.in.Now); {
	case t.Expires.IsZero():
	case left <= 0:
		w.fact(WhyExpires, "", "it waited longer than it may, and is ended as expired now")
	default:
		w.fact(WhyExpires, "", "if it still waits in %s, it is not run any more", roughly(left))
	}
}

// delayed tells of a task that waits for its time.
func (w *whyBook) delayed() {
	in := w.in
	w.fallback = command("result", string(in.Task.ID), "--wait", "1m")
	left := in.Task.Due.Sub(in.Now)
	late := left <= 0
	again := in.Task.Attempt > 0 || len(in.attempts) > 0
	switch {
	case late:
		w.lookForHands(true)
		w.cause(WhyDue, "", "its time has come %s ago: a dispatcher will queue it", roughly(-left))
	case again:
		w.cause(WhyBackoff, "", "attempt %d of %d failed, and the next can begin in %s, as its back-off %s says",
			in.Task.Attempt, in.Spec.Retries+1, roughly(left), in.Spec.Backoff)
	default:
		w.cause(WhyLater, "", "its client wants it no earlier than at %s, which is in %s", in.Task.Due.UTC().Format("2006-01-02 15:04:05 UTC"), roughly(left))
	}
	if !late {
		w.lookForHands(false)
	}
	w.held(false)
	w.expires()
}

// room says how many calls a bucket has that will be full at that time, and how
// long it is until it has one more. scripts/claim.lua says the same in Lua.
func (r Rate) room(now, full time.Time) (free int, next time.Duration) {
	if !r.Limited() {
		return 0, 0
	}
	gain, missing := float64(r.Per)/float64(r.N), math.Max(0, float64(full.Sub(now)))
	if full.IsZero() {
		missing = 0
	}
	free = max(0, int(math.Floor(float64(r.Burst())-missing/gain+1e-6)))
	return free, time.Duration(math.Max(0, missing-float64(r.Burst()-free-1)*gain))
}

// doubled is twice the rate, or the rate when there is no higher one.
func (r Rate) doubled() Rate {
	if 2*r.N > maxRate {
		return r
	}
	return Rate{2 * r.N, r.Per}
}
