package core

import (
	"fmt"
	"slices"
	"time"
)

// running tells of a task that a dispatcher has claimed.
func (w *whyBook) running() {
	in, t := w.in, w.in.Task
	w.fallback = command("result", string(t.ID), "--wait", "1m")
	if t.Cancelling {
		w.cause(WhyCancelling, "", "its cancel was asked for: %s is told, and its process is killed when it does not end", w.holder())
	}
	silent := w.silent()
	if t.Started.IsZero() {
		w.handedOut(silent)
		return
	}
	ran := in.Now.Sub(t.Started)
	text := fmt.Sprintf("it runs for %s on %s, as attempt %d of %d", roughly(ran), w.holder(), t.Attempt, max(t.Attempt, in.Spec.Retries+1))
	if left := in.Spec.Timeout - ran; in.Spec.Timeout > 0 {
		text += fmt.Sprintf(", and may for %s more", roughly(max(0, left)))
	}
	if w.slow(ran) {
		w.cause(WhySlow, "", "%s, although 95 of 100 calls of %s ran no longer than %s", text, w.name(), roughly(in.Function.Run.Quantile(0.95)))
		return
	}
	say := w.fact
	if len(w.causes) == 0 {
		say = w.cause
	}
	say(WhyRuns, "", "%s", text)
}

// holder is who has a running task.
func (w *whyBook) holder() string {
	if id := w.in.Task.Worker; id != "" {
		return "worker " + string(id)
	}
	return "its worker"
}

// handedOut tells of a task that somebody holds and has not begun.
func (w *whyBook) handedOut(silent bool) {
	in, t := w.in, w.in.Task
	since := roughly(in.Now.Sub(t.Claimed))
	worker, known := in.worker()
	prepares := slices.IndexFunc(worker.Preparations, func(p Preparation) bool { return p.Function == t.Function && p.State == Preparing })
	switch {
	case silent:
	case prepares >= 0:
		text := fmt.Sprintf("worker %s makes the environment with what %s depends on", t.Worker, w.name())
		if line := worker.Preparations[prepares].Text; line != "" {
			text += ": " + line
		}
		w.cause(WhyPrepares, "", "%s", text)
	case t.Worker == "":
		w.cause(WhyHeld, "", "dispatcher %s took it %s ago and its start is not known yet, which takes up to 3 s", in.Holder, since)
	// A beat younger than the claim counts this task too.
	case known && worker.Seen.After(t.Claimed) && worker.Held > 0 && worker.Held <= worker.Busy:
		w.cause(WhyRuns, "", "worker %s executes it, and has had it for %s", t.Worker, since)
	case known && worker.Busy >= worker.Slots:
		w.cause(WhyHeld, command("workers", "show", string(t.Worker)), "worker %s holds it for %s, behind what it executes: %d of %s busy, %s held",
			t.Worker, since, worker.Busy, counted(worker.Slots, "slot"), counted(worker.Held, "task"))
	default:
		w.cause(WhyHeld, "", "worker %s holds it for %s, and its start is not known yet, which takes up to 3 s", t.Worker, since)
	}
}

// worker is what the roster says of the worker that has the task.
func (in *whyInput) worker() (Worker, bool) {
	at := slices.IndexFunc(in.roster.Workers, func(o Worker) bool { return in.Task.Worker != "" && o.ID == in.Task.Worker })
	if at < 0 {
		return Worker{}, false
	}
	return in.roster.Workers[at], true
}

// heardWithin is how long a worker may be silent before that is a finding: beats
// come once a second.
const heardWithin = 5 * time.Second

// silent says so when nothing is heard of who holds the task.
func (w *whyBook) silent() bool {
	in, t := w.in, w.in.Task
	worker, known := in.worker()
	var who string
	switch {
	case t.Worker == "":
		return false
	case !known:
		who = fmt.Sprintf("worker %s, which had it, is not there any more", t.Worker)
	case worker.State == WorkerGone:
		who = fmt.Sprintf("worker %s, which had it, has left", t.Worker)
	case in.Now.Sub(worker.Seen) > heardWithin:
		who = fmt.Sprintf("nothing was heard for %s of worker %s, which has it", roughly(in.Now.Sub(worker.Seen)), t.Worker)
	default:
		return false
	}
	if left := in.Lease.Sub(in.Now); left > 0 {
		who += fmt.Sprintf(": unless somebody answers for it, it is queued again in %s", roughly(left))
	} else {
		who += ": it is queued again with the next look at lapsed leases"
	}
	w.cause(WhySilent, "faasctl workers ls", "%s", who)
	return true
}
