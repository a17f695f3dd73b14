package tui

import (
	"fmt"
	"slices"
	"strings"
)

// panel is a screen that is one list.
type panel interface {
	ids(m *Model, pl *place) []string
	lines(m *Model, pl *place, w, h int) []line
	enter(m *Model, pl *place)
	sort(pl *place) string
}

// sorting is one order of a list.
type sorting[T any] struct {
	name    string
	compare func(a, b T) int // nil: as the rows come
}

// listing is a list of T: its rows, what to call them, and where each leads.
type listing[T any] struct {
	title string
	table table[T]
	// rows are all there are; false while they are not known yet.
	rows func(m *Model) ([]T, bool)
	id   func(row T) string
	// field is a value to filter by, for each of keys.
	field func(row T, key string) string
	keys  []string
	sorts []sorting[T]
	// open goes to where a row leads.
	open func(m *Model, row T)
	// empty is what to do or to know when there is no row at all.
	empty string
	// detail is more to say above the list. Default: nothing.
	detail func(m *Model) string
}

// chosen are the rows that the filter selects, in their order.
func (l *listing[T]) chosen(m *Model, pl *place) ([]T, bool) {
	rows, known := l.rows(m)
	out := make([]T, 0, len(rows))
	for _, row := range rows {
		if pl.filter.match(l.keys, func(key string) string { return l.field(row, key) }) {
			out = append(out, row)
		}
	}
	if s := l.sorts[pl.sort%len(l.sorts)]; s.compare != nil {
		slices.SortStableFunc(out, s.compare)
	}
	return out, known
}

func (l *listing[T]) ids(m *Model, pl *place) []string {
	rows, _ := l.chosen(m, pl)
	return l.name(rows)
}

func (l *listing[T]) name(rows []T) []string {
	ids := make([]string, len(rows))
	for i, row := range rows {
		ids[i] = l.id(row)
	}
	return ids
}

func (l *listing[T]) enter(m *Model, pl *place) {
	if rows, _ := l.chosen(m, pl); len(rows) > 0 {
		l.open(m, rows[pl.row(l.name(rows))])
	}
}

func (l *listing[T]) sort(pl *place) string {
	pl.sort = (pl.sort + 1) % len(l.sorts)
	return l.sorts[pl.sort].name
}

// lines draws the list with its heading, the row of the cursor always in sight.
func (l *listing[T]) lines(m *Model, pl *place, w, h int) []line {
	t := l.table.theme
	rows, known := l.chosen(m, pl)
	ids := l.name(rows)
	at := pl.row(ids)
	detail := []string{}
	if len(rows) > 0 {
		detail = append(detail, fmt.Sprintf("%d of %d", at+1, len(rows)))
	}
	if n := len(pl.marks); n > 0 {
		detail = append(detail, fmt.Sprintf("%d marked", n))
	}
	if pl.filter.text != "" {
		detail = append(detail, "/"+pl.filter.text)
	}
	detail = append(detail, l.sorts[pl.sort%len(l.sorts)].name)
	if pl.follow {
		detail = append(detail, "following")
	}
	if l.detail != nil {
		if more := l.detail(m); more != "" {
			detail = append(detail, more)
		}
	}
	out := []line{t.ruled(l.title, clip(strings.Join(detail, " "+t.dot+" "), max(w-len(l.title)-6, 1), t.cut), w)}
	if h < 2 {
		return out
	}
	if len(rows) == 0 {
		return append(out, l.nothing(m, pl, known))
	}
	room := max(0, h-2)
	first := max(0, min(at-room/2, len(rows)-room))
	last := min(len(rows), first+room)
	table := l.table
	table.indent = 3
	body := table.lines(rows[first:last], w, h-1)
	for i := range last - first {
		body[i+1] = append(m.pointer(first+i == at, pl.marks[ids[first+i]]), body[i+1][1:]...)
	}
	return append(out, body...)
}

// pointer is what stands before a row.
func (m *Model) pointer(at, marked bool) line {
	t := m.theme
	l := line{{" ", plain}, {" ", plain}, {" ", plain}}
	if at {
		l[0] = piece{t.cursor, accent}
	}
	if marked {
		l[1] = piece{t.mark, warn}
	}
	return l
}

// nothing says why the list is empty.
func (l *listing[T]) nothing(m *Model, pl *place, known bool) line {
	t := l.table.theme
	switch {
	case !known && m.desk.now.err != nil && m.desk.now.key == m.question().key:
		return line{{" " + t.failed + " ", bad}, {clean(m.desk.now.err.Error()), plain}}
	case !known:
		return line{{" asking" + t.cut, dim}}
	case pl.filter.text != "":
		return line{{" nothing matches ", dim}, {pl.filter.text, plain}, {" " + t.dot + " Esc goes back", dim}}
	}
	return line{{" " + l.empty, dim}}
}
