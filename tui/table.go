package tui

import (
	"math"
	"slices"
	"strings"
)

// column is one column of a table of T.
type column[T any] struct {
	head string
	// min and max bound its width, in cells. Default of max: min.
	min, max int
	// rank says who stays when there is little room: 1 stays longest.
	rank int
	// grow says who gets spare room first, from 1. Default: 0, last.
	grow int
	// from leaves it out on screens narrower than so many cells.
	from int
	// step makes it grow to max at once or not at all.
	step bool
	// right aligns it to the right, as numbers are.
	right bool
	// cell shows one row in w cells; what is longer is cut.
	cell func(row T, w int) line
}

// table draws rows of fixed-width columns. Widths depend on the width of the
// screen alone, so that nothing moves when data change.
type table[T any] struct {
	theme   *theme
	columns []column[T]
	// indent is put before each line. Default: 0 cells.
	indent int
}

// widths shares w cells out; 0 is a column that is left out.
func (t *table[T]) widths(w int) []int {
	widths := make([]int, len(t.columns))
	left := w - t.indent + 1 // each column brings the gap before it, the first has none
	for _, i := range t.order(func(c column[T]) int { return c.rank }) {
		need := t.columns[i].min + 1
		if w < t.columns[i].from {
			continue
		}
		if need > left {
			break
		}
		widths[i], left = t.columns[i].min, left-need
	}
	for _, i := range t.order(growth) {
		c := t.columns[i]
		more := min(c.max-widths[i], left)
		if widths[i] == 0 || more <= 0 || c.step && widths[i]+more < c.max {
			continue
		}
		widths[i], left = widths[i]+more, left-more
	}
	return widths
}

// growth is the order in which columns get spare room.
func growth[T any](c column[T]) int {
	if c.grow == 0 {
		return math.MaxInt32
	}
	return c.grow
}

// order returns the indexes of the columns, smallest key first.
func (t *table[T]) order(key func(column[T]) int) []int {
	order := make([]int, len(t.columns))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return key(t.columns[a]) - key(t.columns[b]) })
	return order
}

// lines draws the heading and as many rows as fit, h lines at most.
func (t *table[T]) lines(rows []T, w, h int) []line {
	if h <= 0 {
		return nil
	}
	widths := t.widths(w)
	out := make([]line, 0, min(h, len(rows)+1))
	out = append(out, t.line(widths, func(c column[T], _ int) line { return line{{c.head, dim}} }))
	for _, row := range rows[:min(len(rows), h-1)] {
		out = append(out, t.line(widths, func(c column[T], w int) line { return c.cell(row, w) }))
	}
	return out
}

func (t *table[T]) line(widths []int, cell func(column[T], int) line) line {
	out := line{{strings.Repeat(" ", t.indent), plain}}
	first := true
	for i, c := range t.columns {
		w := widths[i]
		if w == 0 {
			continue
		}
		if !first {
			out = out.add(plain, " ")
		}
		first = false
		content := cell(c, w).clip(w, t.theme)
		blank := strings.Repeat(" ", max(0, w-content.width()))
		if c.right {
			out = append(out.add(plain, blank), content...)
		} else {
			out = append(out, content...).add(plain, blank)
		}
	}
	return out
}
