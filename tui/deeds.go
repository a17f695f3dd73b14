package tui

import (
	"context"
	"fmt"

	"faasctl/core"
)

var cancelDeed = &deed{
	verb: "cancel", noun: "task", dangerous: true,
	effect: func(t target) (string, bool) {
		switch s := core.State(t.state); {
		case s.Terminal():
			return "ended before: nothing happens", false
		case t.asked:
			return "end already: asked before", false
		case s == core.Running:
			return "running: told to stop, then killed", true
		case s == "":
			return "in a state not known here", true
		}
		return "waiting: end at once", true
	},
	do: func(ctx context.Context, b Backend, ids []string) (out outcome) {
		verdicts, err := b.Cancel(ctx, taskIDs(ids))
		counts := map[core.CancelVerdict]int{}
		for i, v := range verdicts {
			switch counts[v]++; v {
			case core.CancelTooLate:
				out.fail(ids[i], "had ended before")
			case core.CancelUnknown:
				out.fail(ids[i], "there is no such task")
			}
		}
		out.rest(ids[len(verdicts):], err)
		out.add(counts[core.CancelDone], "cancelled")
		out.add(counts[core.CancelRequested], "told to stop")
		return out
	},
}

var retryDeed = &deed{
	verb: "run again", noun: "task",
	effect: func(t target) (string, bool) {
		if s := core.State(t.state); s != "" && !s.Terminal() {
			return "not ended yet: left alone", false
		}
		return "ended: a new task, same arguments", true
	},
	do: func(ctx context.Context, b Backend, ids []string) (out outcome) {
		answers, err := b.Retry(ctx, taskIDs(ids))
		again := 0
		for i, a := range answers {
			if a.Err != nil {
				out.fail(ids[i], a.Err.Error())
				continue
			}
			again, out.fresh = again+1, a.ID
		}
		out.rest(ids[len(answers):], err)
		if again == 1 {
			out.did = []string{"runs again as " + string(out.fresh) + ": 8 opens it"}
		} else {
			out.add(again, "run again as new tasks")
		}
		return out
	},
}

var drainDeed = &deed{
	verb: "drain", noun: "worker", dangerous: true,
	effect: func(t target) (string, bool) {
		switch core.WorkerState(t.state) {
		case core.WorkerRunning, "":
			return "take no more, end what they hold, leave", true
		case core.WorkerDraining:
			return "draining already", false
		}
		return "gone already", false
	},
	caution: func(m *Model, targets []target) string {
		held, leaving := 0, map[string]bool{}
		for _, t := range targets {
			if t.state == string(core.WorkerRunning) {
				held, leaving[t.id] = held+t.held, true
			}
		}
		stay := 0
		for _, w := range m.picture().workers {
			if w.State == core.WorkerRunning && !leaving[string(w.ID)] {
				stay++
			}
		}
		text := fmt.Sprintf("%s held by them, %s left", plural(int64(held), "task"), plural(int64(stay), "running worker"))
		if stay == 0 {
			text += ": tasks will wait"
		}
		return text
	},
	do: func(ctx context.Context, b Backend, ids []string) (out outcome) {
		drained := 0
		for _, id := range ids {
			if _, err := b.DrainWorker(ctx, id); err != nil {
				out.fail(id, err.Error())
				continue
			}
			drained++
		}
		out.add(drained, "told to drain")
		return out
	},
}

var pauseDeed = queueDeed("pause", true, "hand out no more tasks: they wait, and new ones are taken", "paused already")

var resumeDeed = queueDeed("resume", false, "hand out tasks again", "not paused")

// queueDeed stops the handing out of the tasks of queues, or resumes it. It takes
// nothing away that the other does not give back.
func queueDeed(verb string, paused bool, does, not string) *deed {
	return &deed{
		verb: verb, noun: "queue",
		effect: func(t target) (string, bool) {
			if (t.state == pausedQueue) == paused {
				return not + ": left alone", false
			}
			return does, true
		},
		do: func(ctx context.Context, b Backend, ids []string) (out outcome) {
			changed := 0
			for _, id := range ids {
				if _, err := b.PauseQueue(ctx, id, paused); err != nil {
					out.fail(id, err.Error())
					continue
				}
				changed++
			}
			out.add(changed, verb+"d")
			return out
		},
	}
}

func taskIDs(ids []string) []core.TaskID {
	out := make([]core.TaskID, len(ids))
	for i, id := range ids {
		out[i] = core.TaskID(id)
	}
	return out
}

// add tells of n targets.
func (o *outcome) add(n int, what string) {
	if n > 0 {
		o.did = append(o.did, count(int64(n))+" "+what)
	}
}

func (o *outcome) fail(id, why string) { o.failed = append(o.failed, id+" "+why) }

// rest are those that the server did not answer for.
func (o *outcome) rest(ids []string, err error) {
	why := "the server did not say"
	if err != nil {
		why = err.Error()
	}
	for _, id := range ids {
		o.fail(id, why)
	}
}
