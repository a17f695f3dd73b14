package core

import (
	"fmt"
	"strings"
)

// Hands is who could run a task.
type Hands struct {
	Dispatchers int `json:"dispatchers"`        // seen lately
	Workers     int `json:"workers"`            // that take tasks and can run the function
	Slots       int `json:"slots"`              // of these workers
	Free        int `json:"free"`               // of their slots
	Unfit       int `json:"unfit,omitempty"`    // workers that take tasks but cannot run the function
	Draining    int `json:"draining,omitempty"` // workers that end what they have
	Lost        int `json:"lost,omitempty"`     // workers that nothing is heard of
}

// startWorkers is the command that adds hands where there are none.
const startWorkers = "faasctl dispatcher -m local -w 2"

// handsFor counts who could run a function, and says what the first worker that
// takes tasks but cannot run it lacks.
func handsFor(r Roster, f *Function) (h Hands, lacks string) {
	for _, d := range r.Dispatchers {
		if r.Now.Sub(d.Seen) <= seenLately {
			h.Dispatchers++
		}
	}
	for _, w := range r.Workers {
		switch {
		case w.State == WorkerDraining:
			h.Draining++
		case w.State == WorkerLost || w.State == WorkerRunning && r.Now.Sub(w.Seen) > seenLately:
			h.Lost++
		case w.State != WorkerRunning || w.Slots == 0:
		default:
			if lack := unfit(w, f); lack != "" {
				if h.Unfit++; lacks == "" {
					lacks = fmt.Sprintf("worker %s %s", w.ID, lack)
				}
				continue
			}
			h.Workers++
			h.Slots += w.Slots
			h.Free += max(0, w.Slots-w.Busy)
		}
	}
	return h, lacks
}

// unfit says what a worker has that cannot run a function, such as "has Python
// 3.9.18 without dill"; "" when it can. It is the one place that explanations ask.
func unfit(w Worker, f *Function) string {
	if f == nil || f.Needs().Choose(w.Interpreters) >= 0 {
		return ""
	}
	return "has " + interpretersText(w.Interpreters)
}

// interpretersText lists what a worker has, such as "Python 3.9.18 without dill and
// 3.11.2 with dill 0.4.1".
func interpretersText(list []Interpreter) string {
	const most = 6
	var parts []string
	for _, i := range list[:min(len(list), most)] {
		text := i.Version + " without dill"
		if i.Dill != "" {
			text = i.Version + " with dill " + i.Dill
		}
		parts = append(parts, text)
	}
	if more := len(list) - most; more > 0 {
		parts = append(parts, fmt.Sprintf("%d more", more))
	}
	last := len(parts) - 1
	if last > 0 {
		return "Python " + strings.Join(parts[:last], ", ") + " and " + parts[last]
	}
	return "Python " + parts[0]
}

// needsText says what a function needs, such as "Python 3.11 with dill (assumed, as
// its client did not say)".
func needsText(f *Function) string {
	text := f.Needs().String()
	if f.Assumed {
		text += " (assumed, as its client did not say)"
	}
	return text
}

// Unfit says that a function waits for a worker that can run it, although there are
// workers, and names both sides; "" when there is one, or no worker at all.
func (r Roster) Unfit(f *Function) string {
	if h, lacks := handsFor(r, f); h.Workers == 0 && h.Unfit > 0 {
		return noFitText(f.Ref(), f, h.Unfit, lacks)
	}
	return ""
}

func noFitText(name string, f *Function, workers int, lacks string) string {
	who := "the only worker cannot run " + name
	if workers > 1 {
		who = fmt.Sprintf("none of %d workers can run %s", workers, name)
	}
	return fmt.Sprintf("%s, which needs %s: %s", who, needsText(f), lacks)
}

// lookForHands adds what is missing of dispatchers and workers. cause says whether
// the task could go if they were there.
func (w *whyBook) lookForHands(cause bool) {
	h, lacks := handsFor(w.in.roster, w.in.function)
	w.hands = &h
	say := w.fact
	if cause {
		say = w.cause
	}
	switch {
	case h.Dispatchers == 0:
		say(WhyNoDispatcher, startWorkers, "no dispatcher is connected to the store: nobody hands out tasks")
	case h.Workers == 0 && h.Unfit > 0:
		say(WhyNoFit, "faasctl workers ls", "%s", noFitText(w.name(), w.in.function, h.Unfit, lacks))
	case h.Workers == 0 && h.Draining > 0:
		say(WhyNoWorker, startWorkers, "no worker takes tasks: %s, and none is left", drains(h.Draining))
	case h.Workers == 0 && h.Lost > 0:
		say(WhyNoWorker, startWorkers, "no worker takes tasks: nothing is heard of %s", counted(h.Lost, "worker"))
	case h.Workers == 0:
		say(WhyNoWorker, startWorkers, "no worker is connected that takes tasks")
	case h.Free == 0:
		say(WhyBusy, "faasctl task ls --state running", "%s of %s that could run it %s busy", allOf(h.Slots), counted(h.Workers, "worker"), are(h.Slots))
	default:
		w.fact(WhyHands, "", "%s could run it, with %d of %s free%s", counted(h.Workers, "worker"), h.Free, counted(h.Slots, "slot"), h.others())
	}
}

// others says how many more workers there are, and why they do not count.
func (h Hands) others() (text string) {
	if h.Unfit > 0 {
		text += fmt.Sprintf("; %s cannot", counted(h.Unfit, "worker"))
	}
	if h.Draining > 0 {
		text += "; " + drains(h.Draining)
	}
	if h.Lost > 0 {
		text += fmt.Sprintf("; nothing is heard of %s", counted(h.Lost, "worker"))
	}
	return text
}

func drains(n int) string {
	if n == 1 {
		return "1 worker drains"
	}
	return fmt.Sprintf("%d workers drain", n)
}

func allOf(slots int) string {
	if slots == 1 {
		return "the one slot"
	}
	return fmt.Sprintf("all %d slots", slots)
}

func are(n int) string {
	if n == 1 {
		return "is"
	}
	return "are"
}
