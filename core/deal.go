package core

import (
	"cmp"
	"slices"
)

// kind is what all peers have in common that list the same interpreters. Owned by
// the loop.
type kind struct {
	interpreters []Interpreter
	credit       int            // of its peers, as last summed up
	fits         map[Needs]bool // remembered answers
}

// maxKindFits bounds the answers that a kind remembers.
const maxKindFits = 1024

func (k *kind) can(n Needs) bool {
	if n.None() {
		return true
	}
	fit, known := k.fits[n]
	if !known {
		if len(k.fits) >= maxKindFits {
			clear(k.fits)
		}
		fit = n.Choose(k.interpreters) >= 0
		k.fits[n] = fit
	}
	return fit
}

// kindOf finds or makes the kind of a worker that lists these interpreters, and
// forgets kinds that nobody is of any more. What can run least stands first, so that
// tasks without needs are left to it.
func (d *Dispatcher) kindOf(interpreters []Interpreter) *kind {
	used := map[*kind]bool{}
	for _, p := range d.peers {
		used[p.kind] = true
	}
	var found *kind
	d.kinds = slices.DeleteFunc(d.kinds, func(k *kind) bool {
		if slices.Equal(k.interpreters, interpreters) {
			found = k
			return false
		}
		return !used[k]
	})
	if found != nil {
		return found
	}
	found = &kind{interpreters: interpreters, fits: map[Needs]bool{}}
	d.kinds = append(d.kinds, found)
	rank := func(k *kind) int {
		if len(k.interpreters) == 0 {
			return 1 << 20 // fits all
		}
		return len(k.interpreters)
	}
	slices.SortStableFunc(d.kinds, func(a, b *kind) int { return cmp.Compare(rank(a), rank(b)) })
	return found
}

// deal hands pending tasks to workers with credit and tells the claimer how
// much credit is left.
func (d *Dispatcher) deal() {
	if len(d.pending) > 0 {
		d.handOut()
	}
	for _, k := range d.kinds {
		k.credit = 0
	}
	for _, p := range d.peers {
		p.kind.credit += p.credit()
	}
	for _, h := range d.pending { // they will have the credit of whom they fit
		for _, k := range d.kinds {
			if k.credit > 0 && k.can(h.needs()) {
				k.credit--
				break
			}
		}
	}
	classes := make([]ClaimClass, 0, len(d.kinds))
	for _, k := range d.kinds {
		if k.credit > 0 && len(classes) < MaxClaimClasses {
			classes = append(classes, ClaimClass{Interpreters: k.interpreters, N: k.credit})
		}
	}
	d.claimer.ask(classes)
}

// needs is what the task's function asks of a worker; an adopted one has it already.
func (h *hold) needs() Needs {
	if h.Function == nil {
		return Needs{}
	}
	return h.Function.Needs()
}

// handOut gives each pending task to a worker that it fits. Those that fit fewest
// kinds of workers choose first.
func (d *Dispatcher) handOut() {
	groups := map[Needs][]*hold{}
	var order []Needs
	for _, h := range d.pending {
		n := h.needs()
		if groups[n] == nil {
			order = append(order, n)
		}
		groups[n] = append(groups[n], h)
	}
	if len(order) > 1 {
		choice := map[Needs]int{}
		for _, n := range order {
			for _, k := range d.kinds {
				if k.can(n) {
					choice[n]++
				}
			}
		}
		slices.SortStableFunc(order, func(a, b Needs) int { return cmp.Compare(choice[a], choice[b]) })
	}
	given := map[*peer][]*hold{}
	for _, n := range order {
		d.share(n, groups[n], given)
	}
	d.pending = slices.DeleteFunc(d.pending, func(h *hold) bool { return h.peer != nil })
	for p, hand := range given {
		d.give(p, hand)
	}
}

// share deals tasks of the same needs to those whom they fit; given says who has
// been dealt what so far.
func (d *Dispatcher) share(n Needs, tasks []*hold, given map[*peer][]*hold) {
	var open []*peer
	var seats []seat
	for _, p := range d.peers {
		if credit := p.credit() - len(given[p]); credit > 0 && p.kind.can(n) {
			open = append(open, p)
			seats = append(seats, seat{slots: p.info.Slots, held: len(p.holds) + len(given[p]), credit: credit, order: string(p.info.ID)})
		}
	}
	for i, place := range assign(len(tasks), seats) {
		p := open[place]
		tasks[i].peer = p
		given[p] = append(given[p], tasks[i])
	}
}
