package wire

import (
	"encoding/json"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Headers are JSON so that a worker can be written in any language, and are
// written and read by hand because a batch of 256 tasks passes here in each
// direction.

// writer appends one JSON array.
type writer struct{ buf []byte }

func (w *writer) comma() {
	if n := len(w.buf); n > 0 && w.buf[n-1] != '[' {
		w.buf = append(w.buf, ',')
	}
}

func (w *writer) open()  { w.comma(); w.buf = append(w.buf, '[') }
func (w *writer) close() { w.buf = append(w.buf, ']') }
func (w *writer) null()  { w.comma(); w.buf = append(w.buf, "null"...) }

func (w *writer) int(n int64) {
	w.comma()
	w.buf = strconv.AppendInt(w.buf, n, 10)
}

// float writes what is not finite as 0: JSON has no word for it.
func (w *writer) float(f float64) {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		f = 0
	}
	w.comma()
	w.buf = strconv.AppendFloat(w.buf, f, 'g', -1, 64)
}

func (w *writer) bool(b bool) {
	w.comma()
	w.buf = strconv.AppendBool(w.buf, b)
}

func (w *writer) string(s string) {
	w.comma()
	for i := range len(s) {
		if c := s[i]; c < 0x20 || c >= utf8.RuneSelf || c == '"' || c == '\\' {
			quoted, _ := json.Marshal(s) // a string cannot fail
			w.buf = append(w.buf, quoted...)
			return
		}
	}
	w.buf = append(append(append(w.buf, '"'), s...), '"')
}

// value appends anything that encoding/json can write.
func (w *writer) value(v any) {
	w.comma()
	text, err := json.Marshal(v)
	if err != nil {
		text = []byte("null")
	}
	w.buf = append(w.buf, text...)
}

// reader takes a JSON array apart. After the first fault it answers zero values
// and keeps the fault in err.
type reader struct {
	buf []byte
	pos int
	err *Problem
}

func (r *reader) fail(format string, args ...any) {
	if r.err == nil {
		r.err = problem(Malformed, format, args...)
	}
}

func (r *reader) space() {
	for r.pos < len(r.buf) {
		switch r.buf[r.pos] {
		case ' ', '\t', '\n', '\r':
			r.pos++
		default:
			return
		}
	}
}

func (r *reader) peek() byte {
	r.space()
	if r.err != nil || r.pos >= len(r.buf) {
		return 0
	}
	return r.buf[r.pos]
}

// open enters an array and says whether there was one.
func (r *reader) open() bool {
	if r.peek() != '[' {
		r.fail("byte %d of the header: an array was expected", r.pos)
		return false
	}
	r.pos++
	return true
}

// more goes to the next element of an array, the i-th, or leaves the array.
func (r *reader) more(i int) bool {
	c := r.peek()
	if c == ']' {
		r.pos++
		return false
	}
	if i > 0 {
		if c != ',' {
			r.fail("byte %d of the header: a comma or the array's end was expected", r.pos)
			return false
		}
		r.pos++
		if r.peek() == ']' {
			r.fail("byte %d of the header: nothing stands after the comma", r.pos)
			return false
		}
	}
	return r.err == nil
}

// each calls read for every element of an array, at most limit.
func (r *reader) each(limit int, what string, read func()) {
	if !r.open() {
		return
	}
	for i := 0; r.more(i); i++ {
		if i == limit {
			r.err = problem(TooLarge, "more than %d %s", limit, what)
			return
		}
		read()
		if r.err != nil {
			return
		}
	}
}

// field goes to the i-th element of an array that must have it.
func (r *reader) field(i int) {
	if r.err == nil && !r.more(i) {
		r.fail("byte %d of the header: element %d is missing", r.pos, i)
	}
}

// end leaves an array after n elements. Further ones are skipped: a newer peer
// of the same version may say more.
func (r *reader) end(n int) {
	for i := n; r.more(i); i++ {
		if i > n+16 {
			r.fail("byte %d of the header: too many elements", r.pos)
			return
		}
		r.raw()
	}
}

// done reports whether all was read.
func (r *reader) done() error {
	if r.err == nil && r.peek() != 0 {
		r.fail("byte %d of the header: something stands after the end", r.pos)
	}
	if r.err == nil && r.pos < len(r.buf) {
		r.fail("byte %d of the header: something stands after the end", r.pos)
	}
	if r.err != nil {
		return r.err
	}
	return nil
}

func (r *reader) int(low, high int64) int64 {
	r.space()
	start := r.pos
	if r.pos < len(r.buf) && r.buf[r.pos] == '-' {
		r.pos++
	}
	for r.pos < len(r.buf) && r.buf[r.pos] >= '0' && r.buf[r.pos] <= '9' {
		r.pos++
	}
	if r.err != nil {
		return 0
	}
	n, err := strconv.ParseInt(string(r.buf[start:r.pos]), 10, 64)
	if err != nil {
		r.fail("byte %d of the header: a whole number was expected", start)
		return 0
	}
	if n < low || n > high {
		r.fail("byte %d of the header: %d is not between %d and %d", start, n, low, high)
		return 0
	}
	return n
}

// float reads a number of any form that is finite.
func (r *reader) float() float64 {
	r.space()
	start := r.pos
	for r.pos < len(r.buf) && strings.IndexByte("+-.eE0123456789", r.buf[r.pos]) >= 0 {
		r.pos++
	}
	if r.err != nil {
		return 0
	}
	n, err := strconv.ParseFloat(string(r.buf[start:r.pos]), 64)
	if err != nil {
		r.fail("byte %d of the header: a number was expected", start)
		return 0
	}
	return n
}

func (r *reader) bool() bool {
	r.space()
	for _, word := range []string{"true", "false"} {
		if r.err == nil && len(r.buf)-r.pos >= len(word) && string(r.buf[r.pos:r.pos+len(word)]) == word {
			r.pos += len(word)
			return word == "true"
		}
	}
	r.fail("byte %d of the header: true or false was expected", r.pos)
	return false
}

func (r *reader) null() bool {
	if r.peek() == 'n' && len(r.buf)-r.pos >= 4 && string(r.buf[r.pos:r.pos+4]) == "null" {
		r.pos += 4
		return true
	}
	return false
}

// string reads a string of at most limit bytes.
func (r *reader) string(limit int) string {
	if r.peek() != '"' {
		r.fail("byte %d of the header: a string was expected", r.pos)
		return ""
	}
	start := r.pos
	plain := true
	for r.pos++; r.pos < len(r.buf); r.pos++ {
		switch c := r.buf[r.pos]; {
		case c == '"':
			r.pos++
			return r.text(r.buf[start:r.pos], plain, limit)
		case c == '\\':
			plain = false
			r.pos++
		case c < 0x20 || c >= utf8.RuneSelf:
			plain = false
		}
	}
	r.fail("byte %d of the header: a string without an end", start)
	return ""
}

func (r *reader) text(quoted []byte, plain bool, limit int) string {
	if len(quoted) > 6*limit+2 {
		r.fail("a string of more than %d bytes", limit)
		return ""
	}
	if plain && len(quoted) <= limit+2 {
		return string(quoted[1 : len(quoted)-1])
	}
	var s string
	if err := json.Unmarshal(quoted, &s); err != nil || len(s) > limit {
		r.fail("a string of more than %d bytes, or not one at all", limit)
		return ""
	}
	return s
}

// id reads a name of up to 64 bytes that may stand in a log: visible ASCII.
func (r *reader) id() string {
	s := r.string(64)
	for i := range len(s) {
		if s[i] <= 0x20 || s[i] >= 0x7f {
			r.fail("%q is no id", s)
			return ""
		}
	}
	return s
}

// raw skips one value of any kind and returns its text.
func (r *reader) raw() []byte {
	r.space()
	start, depth := r.pos, 0
	for r.err == nil && r.pos < len(r.buf) {
		switch c := r.buf[r.pos]; c {
		case '"':
			r.string(maxHeader)
			if depth == 0 {
				return r.buf[start:r.pos]
			}
			continue
		case '[', '{':
			depth++
		case ']', '}':
			if depth == 0 {
				return r.buf[start:r.pos]
			}
			if depth--; depth == 0 {
				r.pos++
				return r.buf[start:r.pos]
			}
		case ',':
			if depth == 0 {
				return r.buf[start:r.pos]
			}
		}
		r.pos++
	}
	return nil
}

// value reads one value the way encoding/json does.
func (r *reader) value(into any) {
	text := r.raw()
	if r.err == nil && (len(text) == 0 || json.Unmarshal(text, into) != nil) {
		r.fail("byte %d of the header: not the object that was expected", r.pos)
	}
}
