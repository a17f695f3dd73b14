package core

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// ended tells of a task that has ended.
func (w *whyBook) ended() {
	in, t := w.in, w.in.Task
	id := string(t.ID)
	w.fallback = command("result", id)
	switch {
	case t.State == Completed:
		w.completed()
		return
	case t.State == Cancelled:
		w.cause(WhyCancelled, "", "somebody asked for its end, %s", w.whenCancelled())
	case t.Failure == KindExpired:
		w.cause(WhyExpired, "", "it waited %s and was not run: it may wait %s", roughly(t.Finished.Sub(w.queuedAt())), w.patience())
	case t.Failure == KindLost:
		w.cause(WhyLost, "", "its worker or dispatcher vanished %s, which is as often as is borne", counted(t.Deliveries, "time"))
	default:
		w.cause(WhyFailed, w.remedy(), "%s", w.death())
		w.noRetry()
	}
	if t.RetriedAs != "" {
		w.fact(WhyAgain, command("why", string(t.RetriedAs)), "it was run again as %s", t.RetriedAs)
		w.causes[0].Command = "" // whoever looks for help wants the newer one
		return
	}
	if t.Dead() {
		w.fact(WhyDead, "", "it is a dead letter: nothing runs it again by itself, but faasctl retry does")
	}
	if in.function != nil {
		w.fallback = command("retry", id)
	}
}

// queuedAt is when it could first have been handed out.
func (w *whyBook) queuedAt() time.Time {
	if w.in.Due.After(w.in.Task.Submitted) {
		return w.in.Due
	}
	return w.in.Task.Submitted
}

func (w *whyBook) patience() string {
	if d := w.in.Spec.Expires; d > 0 {
		return roughly(d) + " (--expires)"
	}
	return "only so long"
}

func (w *whyBook) whenCancelled() string {
	switch t := w.in.Task; {
	case !t.Started.IsZero():
		return roughly(t.Finished.Sub(t.Started)) + " after it began on " + w.holder()
	case t.Attempt > 0:
		return "while it waited for its next attempt"
	case !t.Claimed.IsZero():
		return "before it began"
	}
	return "before it was handed out"
}

// completed says where the time went.
func (w *whyBook) completed() {
	in, t := w.in, w.in.Task
	var parts []string
	if in.Due.After(t.Submitted) && t.Attempt <= 1 {
		parts = append(parts, "was delayed for "+roughly(in.Due.Sub(t.Submitted)))
	} else if t.Attempt > 1 {
		parts = append(parts, "spent "+roughly(max(0, w.queuedAt().Sub(t.Submitted)))+" on earlier attempts")
	}
	if !t.Claimed.IsZero() {
		parts = append(parts, "was queued for "+roughly(max(0, t.Claimed.Sub(w.queuedAt()))))
	}
	ran := t.Finished.Sub(t.Started)
	if !t.Started.IsZero() {
		parts = append(parts, "waited for "+roughly(max(0, t.Started.Sub(t.Claimed)))+" at "+w.holder(), "ran for "+roughly(ran))
	}
	text := "it completed"
	if n := len(parts); n > 0 {
		text += ": it " + strings.Join(parts, ", ")
	}
	w.cause(WhyCompleted, "", "%s", text)
	if !t.Started.IsZero() && w.slow(ran) {
		w.cause(WhySlow, "", "it was slow: 95 of 100 calls of %s ran no longer than %s", w.name(), roughly(in.Function.Run.Quantile(0.95)))
	}
}

// death is what the last attempt died of.
func (w *whyBook) death() string {
	in, t := w.in, w.in.Task
	f := AttemptFailure{Kind: t.Failure, Type: t.Type}
	if in.failure != nil {
		f = *ShortFailure(in.failure)
	}
	what := "it failed before it began"
	if t.Attempt > 0 && !t.Started.IsZero() {
		what = fmt.Sprintf("attempt %d of %d failed after %s on %s", t.Attempt, max(t.Attempt, in.Spec.Retries+1), roughly(t.Finished.Sub(t.Started)), w.holder())
	}
	return what + ": " + f.line()
}

// line is such as "crash: the process ended with status 3 (exit 3)".
func (f *AttemptFailure) line() string {
	message, _, _ := strings.Cut(strings.TrimSpace(f.Message), "\n")
	what := string(f.Kind)
	switch {
	case f.Type != "" && message != "":
		what = f.Type + ": " + message
	case f.Type != "":
		what = f.Type
	case message != "":
		what += ": " + message
	}
	if f.Kind != KindException && f.Type != "" {
		what = string(f.Kind) + ", " + what
	}
	if f.Exit != nil && !strings.Contains(what, fmt.Sprint(*f.Exit)) {
		what += fmt.Sprintf(" (exit status %d)", *f.Exit)
	}
	if f.Signal != "" && !strings.Contains(what, f.Signal) {
		what += fmt.Sprintf(" (%s)", f.Signal)
	}
	return what
}

// remedy is the command for a kind of failure: where a limit of the function was
// reached, twice that.
func (w *whyBook) remedy() string {
	id, spec := string(w.in.Task.ID), w.in.Spec
	raise := func(flag, value string) string { return command("fn", "set", w.name(), flag, value) }
	switch kind := w.in.Task.Failure; {
	case w.in.function == nil:
	case kind == KindTimeout && spec.Timeout > 0 && w.in.Task.Finished.Sub(w.in.Task.Started) >= spec.Timeout:
		return raise("--timeout", (2 * spec.Timeout).String())
	case kind == KindTimeout && spec.CPUSeconds > 0:
		return raise("--cpu-seconds", strconv.FormatFloat(2*spec.CPUSeconds, 'g', -1, 64))
	case kind == KindMemory && spec.Memory > 0:
		return raise("--memory", fmt.Sprintf("%dMiB", (2*spec.Memory+1<<20-1)>>20))
	}
	switch w.in.Task.Failure {
	case KindCrash, KindMemory:
		return command("logs", id)
	}
	return command("result", id)
}

// noRetry says why the last failure was not tried again.
func (w *whyBook) noRetry() {
	t, spec := w.in.Task, w.in.Spec
	switch {
	case spec.Retries == 0:
		w.fact(WhySpent, "", "it was not tried again: its function and its call ask for no retries")
	case t.Attempt > spec.Retries:
		w.fact(WhySpent, "", "it was not tried again: %s of it are spent", counted(t.Attempt, "attempt"))
	case w.in.failure != nil && !spec.RetryOn.Match(w.in.failure):
		w.fact(WhySpent, "", "it was not tried again: only %s are (--retry-on)", spec.RetryOn)
	default:
		w.fact(WhySpent, "", "it was not tried again: it failed before it began")
	}
}

// history tells what earlier attempts died of, and how often a holder vanished.
func (w *whyBook) history() {
	t := w.in.Task
	for _, a := range w.in.attempts {
		switch a.End {
		case AttemptRetried, AttemptLost, AttemptReleased:
			w.fact(WhyAttempt, "", "%s", a.text())
		}
	}
	if t.Deliveries > 0 && t.Failure != KindLost {
		w.fact(WhyVanished, "", "its worker or dispatcher vanished %s; at %d it fails as lost", counted(t.Deliveries, "time"), MaxDeliveries)
	}
}

// text says what became of an attempt that did not end its task.
func (a Attempt) text() string {
	text := fmt.Sprintf("attempt %d", a.Number)
	if a.Number == 0 {
		text = "an attempt that did not begin"
	}
	if a.Worker != "" {
		text += " on " + string(a.Worker)
	}
	after := ""
	if !a.Started.IsZero() && !a.Ended.IsZero() {
		after = " after " + roughly(max(0, a.Ended.Sub(a.Started)))
	}
	switch {
	case a.End == AttemptLost:
		return text + " was lost with its worker" + after
	case a.End == AttemptReleased:
		return text + " was given back" + after
	case a.Failure != nil:
		return text + " failed" + after + ": " + a.Failure.line()
	}
	return text + " failed" + after
}
