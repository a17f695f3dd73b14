package core

import "fmt"

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

// unfit says why a worker cannot run a function, such as "cannot import dill"; ""
// when it can. It is the one place that explanations ask.
func unfit(w Worker, f *Function) string {
	if f == nil || f.Codec != Dill || len(w.Interpreters) == 0 {
		return ""
	}
	for _, i := range w.Interpreters {
		if i.Dill != "" {
			return ""
		}
	}
	return "has no Python that can import dill"
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
		say(WhyNoFit, "faasctl workers ls", "none of %s that take tasks can run %s: %s", counted(h.Unfit, "worker"), w.name(), lacks)
	case h.Workers == 0 && h.Draining > 0:
		say(WhyNoWorker, startWorkers, "no worker takes tasks: %s, and none is left", drains(h.Draining))
	case h.Workers == 0 && h.Lost > 0:
		say(WhyNoWorker, startWorkers, "no worker takes tasks: nothing is heard of %s", counted(h.Lost, "worker"))
	case h.Workers == 0:
		say(WhyNoWorker, startWorkers, "no worker is connected that takes tasks")
	case h.Free == 0:
		say(WhyBusy, "faasctl task ls --state running", "%s of %s that could run it %s busy", allOf(h.Slots), counted(h.Workers, "worker"), are(h.Slots))
	default:
		w.fact(WhyHands, "", "%s could run it, with %d of %s free", counted(h.Workers, "worker"), h.Free, counted(h.Slots, "slot"))
	}
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
