package core

import "container/heap"

// seat is what assign needs to know of a worker.
type seat struct {
	slots  int    // what it may execute at once
	held   int    // what it has already
	credit int    // what it can be given
	order  string // breaks ties, so that equal input gives equal output
}

// assign deals n tasks to seats: the next task goes to the one with the least
// load, held ÷ slots, that has credit left. So a batch spreads over all workers
// before any gets deep. It returns the index of a seat for each task, in order;
// fewer than n when the credit is spent.
func assign(n int, seats []seat) []int {
	table := make(dealing, 0, len(seats))
	for i, s := range seats {
		if s.credit > 0 {
			table = append(table, place{seat: s, index: i})
		}
	}
	heap.Init(&table)
	shares := make([]int, 0, n)
	for len(shares) < n && len(table) > 0 {
		first := &table[0]
		shares = append(shares, first.index)
		first.held++
		if first.credit--; first.credit == 0 {
			heap.Pop(&table)
		} else {
			heap.Fix(&table, 0)
		}
	}
	return shares
}

// place is a seat at the table while cards are dealt.
type place struct {
	seat
	index int // in the input of assign
}

// dealing is a heap with the least loaded place on top.
type dealing []place

func (t dealing) Len() int { return len(t) }
func (t dealing) Less(i, j int) bool {
	// held/slots compared without division; a worker without slots counts as one.
	a, b := t[i].held*max(1, t[j].slots), t[j].held*max(1, t[i].slots)
	if a != b {
		return a < b
	}
	if t[i].slots != t[j].slots {
		return t[i].slots > t[j].slots
	}
	return t[i].order < t[j].order
}
func (t dealing) Swap(i, j int) { t[i], t[j] = t[j], t[i] }
func (t *dealing) Push(x any)   { *t = append(*t, x.(place)) }
func (t *dealing) Pop() any {
	old := *t
	last := old[len(old)-1]
	*t = old[:len(old)-1]
	return last
}
