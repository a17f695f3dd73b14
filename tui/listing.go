package tui

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// panel is a screen that is one list.
type panel interface {
	ids(m *Model, pl *place) []string
	lines(m *Model, pl *place, w, h int) []line
	enter(m *Model, pl *place)
	sort(pl *place)
	parse(text string) (filter, error)
	hint() string                          // an example of a filter
	offers(m *Model, word string) []string // what a word of a filter may become
	named(m *Model, pl *place) string      // what to call the row of the cursor elsewhere; "" without one
}

// sorting is one order of a list.
type sorting[T any] struct {
	name    string
	compare func(a, b T) int // nil: as the rows come
}

// listing is a list of T: its rows, what to call them, and where each leads.
type listing[T any] struct {
	lexicon
	table table[T]
	// example of a filter.
	example string
	// rows are all there are; false while they are not known yet.
	rows func(m *Model) ([]T, bool)
	id   func(row T) string
	// field is a value to filter by, for each of keys.
	field func(row T, key string) string
	sorts []sorting[T]
	// filtered are the words of a filter that rows does not follow already.
	// Default: all.
	filtered func(m *Model, f filter) []filterWord
	// name is what to call a row elsewhere. Default: its id.
	name func(row T) string
	// open goes to where a row leads.
	open func(m *Model, row T)
	// empty is what to do or to know when there is no row at all.
	empty string
	// detail is more to say above the list. Default: nothing.
	detail func(m *Model) string
	// part says of which part of everything rows are all; "" of everything.
	// Default: everything.
	part func(m *Model) string
}

// chosen are the rows that the filter selects, in their order.
func (l *listing[T]) chosen(m *Model, pl *place) ([]T, bool) {
	rows, known := l.rows(m)
	words, compare := l.words(m, pl), l.sorts[pl.sort].compare
	if len(words) == 0 && compare == nil {
		return rows, known
	}
	out := make([]T, 0, len(rows))
	for _, row := range rows {
		field := func(key string) string { return l.field(row, key) }
		if !slices.ContainsFunc(words, func(w filterWord) bool { return !w.match(l.keys, field) }) {
			out = append(out, row)
		}
	}
	if compare != nil {
		slices.SortStableFunc(out, compare)
	}
	return out, known
}

// words are those of the filter that are looked for here.
func (l *listing[T]) words(m *Model, pl *place) []filterWord {
	if l.filtered != nil {
		return l.filtered(m, pl.filter)
	}
	return pl.filter.words
}

func (l *listing[T]) ids(m *Model, pl *place) []string {
	rows, _ := l.chosen(m, pl)
	return l.idsOf(rows)
}

func (l *listing[T]) idsOf(rows []T) []string {
	ids := make([]string, len(rows))
	for i, row := range rows {
		ids[i] = l.id(row)
	}
	return ids
}

func (l *listing[T]) enter(m *Model, pl *place) {
	rows, _ := l.chosen(m, pl)
	if len(rows) == 0 {
		return
	}
	ids := l.idsOf(rows)
	at := pl.row(ids)
	pl.cursor, pl.index = ids[at], at // to be found again when one comes back
	l.open(m, rows[at])
}

func (l *listing[T]) sort(pl *place) { pl.sort = (pl.sort + 1) % len(l.sorts) }

func (l *listing[T]) hint() string { return l.example }

func (l *listing[T]) named(m *Model, pl *place) string {
	rows, _ := l.chosen(m, pl)
	if len(rows) == 0 {
		return ""
	}
	row := rows[pl.row(l.idsOf(rows))]
	if l.name != nil {
		return l.name(row)
	}
	return l.id(row)
}

// offers completes a word: a key, or after one the values that rows have.
func (l *listing[T]) offers(m *Model, word string) []string {
	sign := ""
	if rest, not := strings.CutPrefix(word, "!"); not {
		sign, word = "!", rest
	}
	var out []string
	key, _, keyed := strings.Cut(word, "=")
	if !keyed {
		for _, k := range l.keys {
			out = append(out, sign+k+"=")
		}
		for _, s := range l.states {
			out = append(out, sign+s)
		}
		return out
	}
	values := map[string]bool{}
	if key = strings.ToLower(key); key == "state" {
		for _, s := range l.states {
			values[s] = true
		}
	} else if slices.Contains(l.keys, key) {
		rows, _ := l.rows(m)
		for _, row := range rows {
			if v := clean(l.field(row, key)); v != "" && !strings.Contains(v, " ") {
				values[v] = true
			}
		}
	}
	for _, v := range slices.Sorted(maps.Keys(values)) {
		out = append(out, sign+key+"="+v)
	}
	return out
}

// lines draws the list with its heading, the row of the cursor always in sight.
func (l *listing[T]) lines(m *Model, pl *place, w, h int) []line {
	t := l.table.theme
	rows, known := l.chosen(m, pl)
	ids := l.idsOf(rows)
	at := pl.row(ids)
	head := strings.Join(l.heading(m, pl, at, len(rows)), " "+t.dot+" ")
	out := []line{t.ruled(l.title, clip(head, max(w-len(l.title)-6, 1), t.cut), w)}
	if h < 2 {
		return out
	}
	if note := l.note(m, pl); note != "" && known {
		out = append(out, line{{" ! ", warn}, {note, warn}})
	}
	if len(rows) == 0 {
		return append(out, l.nothing(m, pl, known))
	}
	h -= len(out) - 1
	room := max(0, h-2)
	first := max(0, min(at-room/2, len(rows)-room))
	last := min(len(rows), first+room)
	table := l.table
	table.indent = 3
	body := table.lines(rows[first:last], w, h-1)
	for i := range last - first {
		_, marked := pl.marks[ids[first+i]]
		body[i+1] = append(m.pointer(first+i == at, marked), body[i+1][1:]...)
	}
	return append(out, body...)
}

// heading is what stands beside the title.
func (l *listing[T]) heading(m *Model, pl *place, at, rows int) (words []string) {
	if rows > 0 {
		words = append(words, fmt.Sprintf("%d of %d", at+1, rows))
	}
	if n := len(pl.marks); n > 0 {
		words = append(words, fmt.Sprintf("%d marked", n))
	}
	if pl.filter.text != "" {
		words = append(words, "/"+pl.filter.text)
	}
	words = append(words, l.sorts[pl.sort].name)
	if pl.follow {
		words = append(words, "following")
	}
	if l.detail != nil {
		if more := l.detail(m); more != "" {
			words = append(words, more)
		}
	}
	return words
}

// note says what was filtered or sorted here, among a part of everything only.
func (l *listing[T]) note(m *Model, pl *place) string {
	if l.part == nil {
		return ""
	}
	part := l.part(m)
	var what []string
	for _, w := range l.words(m, pl) {
		what = append(what, w.String())
	}
	if len(what) == 0 && l.sorts[pl.sort].compare != nil {
		what = []string{l.sorts[pl.sort].name}
	}
	if part == "" || len(what) == 0 {
		return ""
	}
	return strings.Join(what, " ") + " only among " + part
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
		return line{{" nothing matches ", dim}, {pl.filter.text, plain}, {" " + t.dot + " / changes it, Esc goes back", dim}}
	}
	return line{{" " + l.empty, dim}}
}
