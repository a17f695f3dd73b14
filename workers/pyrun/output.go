package pyrun

import (
	"time"

	"faasctl/core"
)

// How much of each stream of a call is kept, in bytes.
const (
	keepHead = 32 << 10
	keepTail = 32 << 10
	keepLast = 4 << 10 // of both streams together, for a crash
)

// capture keeps the first and the last bytes of a stream, however long it is.
type capture struct {
	head []byte
	ring []byte // the last bytes after head; full when its length is keepTail
	at   int    // where the next byte goes once ring is full
	cut  int64
	when ticks
}

// total is how many bytes the stream has had.
func (c *capture) total() int64 { return int64(len(c.head)) + c.cut + int64(len(c.ring)) }

// write takes what was printed so many milliseconds after the call was started.
func (c *capture) write(data []byte, ms int64) {
	c.when.add(core.Tick{c.total(), ms}, int64(len(c.head)), int64(len(c.head))+c.cut)
	if room := keepHead - len(c.head); room > 0 {
		n := min(room, len(data))
		c.head = append(c.head, data[:n]...)
		data = data[n:]
	}
	if len(data) == 0 {
		return
	}
	if over := len(data) - keepTail; over > 0 {
		c.cut += int64(over)
		data = data[over:]
	}
	if room := keepTail - len(c.ring); room > 0 {
		n := min(room, len(data))
		c.ring = append(c.ring, data[:n]...)
		data = data[n:]
	}
	c.cut += int64(len(data))
	for len(data) > 0 {
		n := copy(c.ring[c.at:], data)
		c.at = (c.at + n) % keepTail
		data = data[n:]
	}
}

func (c *capture) stream() core.Stream {
	return core.Stream{Head: c.head, Tail: c.tail(), Cut: c.cut, Times: c.when.list}
}

// tail is ring in order.
func (c *capture) tail() []byte {
	if c.at == 0 {
		return c.ring
	}
	return append(append(make([]byte, 0, len(c.ring)), c.ring[c.at:]...), c.ring[:c.at]...)
}

// since returns what is kept of the stream after its first pos bytes.
func (c *capture) since(pos int64, name core.StreamName) (pieces []core.Piece) {
	add := func(data []byte, offset int64) {
		for len(data) > 0 {
			n := min(len(data), core.PieceSize)
			pieces = append(pieces, core.Piece{
				Stream: name, Offset: offset, Times: c.when.within(offset, offset+int64(n)), Data: append([]byte(nil), data[:n]...),
			})
			data, offset = data[n:], offset+int64(n)
		}
	}
	if pos < int64(len(c.head)) {
		add(c.head[pos:], pos)
	}
	begin := int64(len(c.head)) + c.cut
	if from := max(pos, begin); from < c.total() {
		add(c.tail()[from-begin:], from)
	}
	return pieces
}

// maxTicks bounds the times that a stream's capture notes.
const maxTicks = 256

// ticks notes when which part of a stream was printed. When there are too many,
// it forgets those of what is cut out, and then rounds ever more coarsely.
type ticks struct {
	list []core.Tick
	gap  int64 // between two ticks, in ms
}

// add notes a tick; what lies between the two offsets from and to is cut out.
func (t *ticks) add(tick core.Tick, from, to int64) {
	last := int64(0) // what comes before the first tick came in the first millisecond
	if n := len(t.list); n > 0 {
		last = t.list[n-1][1]
	}
	if tick[1]-last <= t.gap {
		return
	}
	if len(t.list) == maxTicks {
		t.thin(from, to)
	}
	t.list = append(t.list, tick)
}

func (t *ticks) thin(from, to int64) {
	kept := t.list[:0:0]
	for i, tick := range t.list {
		if tick[0] >= from && i+1 < len(t.list) && t.list[i+1][0] <= to {
			continue
		}
		kept = append(kept, tick)
	}
	for len(kept) > maxTicks/2 {
		t.gap = max(1, 2*t.gap)
		all, last := kept, int64(0)
		kept = kept[:0:0]
		for _, tick := range all {
			if tick[1]-last > t.gap {
				kept, last = append(kept, tick), tick[1]
			}
		}
	}
	t.list = kept
}

// within returns the ticks of a part of the stream; the first holds for its
// beginning.
func (t *ticks) within(from, to int64) []core.Tick {
	first, end := 0, len(t.list)
	for i, tick := range t.list {
		if tick[0] <= from {
			first = i
		}
		if tick[0] >= to {
			end = i
			break
		}
	}
	return t.list[min(first, end):end:end]
}

// recorder keeps what one call printed.
type recorder struct {
	stdout, stderr capture
	last           []byte // up to 2 × keepLast, in the order of arrival
}

func (r *recorder) write(stderr bool, data []byte, ms int64) {
	if stderr {
		r.stderr.write(data, ms)
	} else {
		r.stdout.write(data, ms)
	}
	r.last = append(r.last, data[max(0, len(data)-keepLast):]...)
	if len(r.last) > 2*keepLast {
		r.last = append(r.last[:0], r.last[len(r.last)-keepLast:]...)
	}
}

func (r *recorder) output() core.Output {
	return core.Output{Stdout: r.stdout.stream(), Stderr: r.stderr.stream()}
}

// lines returns the last lines printed: whole ones where that leaves any.
func (r *recorder) lines() string {
	last := r.last
	if len(last) > keepLast {
		last = last[len(last)-keepLast:]
		for i, b := range last[:len(last)-1] {
			if b == '\n' {
				last = last[i+1:]
				break
			}
		}
	}
	return toText(last, keepLast)
}

// A call that prints more than floodBytes in floodSpan is not read any more until
// that is over: about 250 MiB/s. Reading it faster would take a core from others,
// for bytes that are thrown away; its pipe fills, and it waits.
const (
	floodBytes = 5 << 20
	floodSpan  = 20 * time.Millisecond
)

// tide measures how fast a call prints.
type tide struct {
	since time.Time
	bytes int
	ebb   time.Time // nothing is read before; zero for no flood
}

func (t *tide) rise(now time.Time, n int) {
	if now.Sub(t.since) >= floodSpan {
		*t = tide{since: now}
	}
	if t.bytes += n; t.bytes > floodBytes {
		t.ebb = t.since.Add(floodSpan)
	}
}
