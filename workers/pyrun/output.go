package pyrun

import "faasctl/core"

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
}

func (c *capture) write(data []byte) {
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
	s := core.Stream{Head: c.head, Cut: c.cut}
	if c.at == 0 {
		s.Tail = c.ring
	} else {
		s.Tail = append(append(make([]byte, 0, len(c.ring)), c.ring[c.at:]...), c.ring[:c.at]...)
	}
	return s
}

// recorder keeps what one call printed.
type recorder struct {
	stdout, stderr capture
	last           []byte // up to 2 × keepLast, in the order of arrival
}

func (r *recorder) write(stderr bool, data []byte) {
	if stderr {
		r.stderr.write(data)
	} else {
		r.stdout.write(data)
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
