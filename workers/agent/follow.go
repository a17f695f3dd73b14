package agent

import "faasctl/core"

// follow begins or ends the sending of what tasks print. Those that wait are
// remembered until they run.
func (a *Agent) follow(msg core.DownFollow) {
	var ours []core.TaskID
	for _, id := range msg.Tasks {
		_, runs := a.active[id]
		switch {
		case runs:
			ours = append(ours, id)
		case !a.waits(id):
			continue
		}
		if msg.On {
			a.followed[id] = true
		} else {
			delete(a.followed, id)
		}
	}
	if len(ours) > 0 {
		a.cfg.Runner.Follow(ours, msg.On)
	}
}

func (a *Agent) waits(id core.TaskID) bool {
	for _, w := range a.waiting {
		if w.Task == id {
			return true
		}
	}
	return false
}

// followStarted tells the runner which of a batch that it is about to be given
// are followed.
func (a *Agent) followStarted(batch []core.Assignment) {
	if len(a.followed) == 0 {
		return
	}
	var ids []core.TaskID
	for _, w := range batch {
		if a.followed[w.Task] {
			ids = append(ids, w.Task)
		}
	}
	if len(ids) > 0 {
		a.cfg.Runner.Follow(ids, true)
	}
}

// forgetFollowed forgets followed tasks that were given back before they ran.
func (a *Agent) forgetFollowed() {
	for id := range a.followed {
		if _, runs := a.active[id]; !runs && !a.waits(id) {
			delete(a.followed, id)
		}
	}
}

// printed hands on what followed tasks print.
func (a *Agent) printed(all []core.Printed) {
	ours := all[:0]
	for _, p := range all {
		if c := a.active[p.Task]; c != nil && c.lease == p.Lease {
			p.Attempt = c.attempt
			ours = append(ours, p)
		}
	}
	if len(ours) > 0 {
		a.up(core.UpOutput{Printed: ours})
	}
}

// progressed notes how far calls have come, for the next beat; of followed tasks it
// is told at once.
func (a *Agent) progressed(all map[core.Lease]core.Progress) {
	var now []core.TaskProgress
	for lease, p := range all {
		c := a.active[lease.Task]
		switch {
		case c == nil || c.lease != lease:
		case a.followed[lease.Task]:
			now = append(now, core.TaskProgress{Task: lease.Task, Progress: p})
		default:
			c.progress = &p
		}
	}
	if len(now) > 0 {
		a.up(core.UpBeat{Busy: a.busy, Progress: now})
	}
}
