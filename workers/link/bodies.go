package link

// bodies remembers function bodies by their hash, within bounds.
type bodies struct {
	known map[string][]byte
	bytes int
}

const (
	keptBodies    = 1024
	keptBodyBytes = 64 << 20
)

func newBodies() bodies { return bodies{known: map[string][]byte{}} }

func (b *bodies) get(hash string) ([]byte, bool) {
	body, ok := b.known[hash]
	return body, ok
}

// put makes room at random, which map iteration gives for nothing: a working set
// that fits is never evicted.
func (b *bodies) put(hash string, body []byte) {
	if _, ok := b.known[hash]; ok {
		return
	}
	for other, old := range b.known {
		if len(b.known) < keptBodies && b.bytes+len(body) <= keptBodyBytes {
			break
		}
		delete(b.known, other)
		b.bytes -= len(old)
	}
	b.known[hash] = body
	b.bytes += len(body)
}
