package tui

import (
	"slices"
	"strings"
)

// areas says how many lines each part of the screen gets, from top to bottom.
type areas struct {
	header, problem, numbers, workers, tasks, footer int
	gap                                              bool // a blank line above each list
}

// share divides h lines. The header stays longest, then the numbers, then the
// keys, then the tasks; workers get what tasks can spare.
func share(h, workers int) areas {
	var a areas
	take := func(n int) int {
		n = max(0, min(n, h))
		h -= n
		return n
	}
	full := h
	a.header = take(1)
	switch {
	case full >= 20:
		a.numbers = take(6)
	case full >= 8:
		a.numbers = take(3)
	default:
		a.numbers = take(1)
	}
	if full >= 4 {
		a.footer = take(1)
	}
	if full >= 6 {
		a.problem = take(1)
	}
	a.gap = full >= 30
	if h >= 8 {
		want := listLines(workers, a.gap)
		a.workers = take(min(want, h/2))
	}
	a.tasks = take(h)
	return a
}

// listLines is how many lines a list of n rows needs: its rule, its heading,
// and one line to say that it is empty.
func listLines(n int, gap bool) int {
	lines := 2 + max(n, 1)
	if gap {
		lines++
	}
	return lines
}

// item is a part of a line that is shown whole or not at all.
type item struct {
	line line
	rank int // 1 stays longest
}

// pack joins the items that fit in w cells, in the order given, gap cells
// apart.
func pack(items []item, w, gap int) line {
	order := make([]int, len(items))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return items[a].rank - items[b].rank })
	keep := make([]bool, len(items))
	left := w + gap
	for _, i := range order {
		need := items[i].line.width() + gap
		if need == gap {
			continue
		}
		if need > left {
			break
		}
		keep[i], left = true, left-need
	}
	var out line
	for i, it := range items {
		if !keep[i] {
			continue
		}
		if len(out) > 0 {
			out = out.add(plain, strings.Repeat(" ", gap))
		}
		out = append(out, it.line...)
	}
	return out
}

// rule is the line above a section: its name, and what to know about it.
func (t *theme) ruled(name, detail string, w int) line {
	l := line{{strings.Repeat(t.rule, 2) + " ", dim}, {name, title}}
	if detail != "" {
		l = l.add(plain, " "+t.dot+" "+detail)
	}
	return l.add(plain, " ").add(dim, strings.Repeat(t.rule, max(0, w-l.width()-1)))
}
