package redisstore

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"maps"
	"slices"
	"strconv"

	"faasctl/core"
)

// sealer makes the envelopes of a batch. The calls of a batch mostly differ in their
// arguments alone, and so do their results in what they are: a header like the one
// before is not written again, and the envelopes stand in a few large buffers.
type sealer struct {
	room []byte // the end of what has been sealed; its capacity is what is free
	spec specHeader
	head []byte // of spec; nil before the first
}

// sealRoom is how many bytes a sealer takes at once at most; the first envelope gets what
// it needs.
const sealRoom = 64 << 10

// seal is seal of one whose header has been written.
func (s *sealer) seal(head []byte, parts ...[]byte) []byte {
	size := 1 + binary.MaxVarintLen32 + len(head)
	for _, part := range parts {
		size += len(part)
	}
	if cap(s.room)-len(s.room) < size {
		s.room = make([]byte, 0, max(size, min(2*cap(s.room), sealRoom)))
	}
	from := len(s.room)
	s.room = append(s.room, envelopeVersion)
	s.room = binary.AppendUvarint(s.room, uint64(len(head)))
	s.room = append(s.room, head...)
	for _, part := range parts {
		s.room = append(s.room, part...)
	}
	return s.room[from:len(s.room):len(s.room)]
}

// sealSpec is sealSpec.
func (s *sealer) sealSpec(spec core.Spec) (envelope, apart []byte, err error) {
	h, inline := headerOf(spec), spec.Args
	if len(spec.Args) > outOfLine {
		h.Apart, inline, apart = len(spec.Args), nil, spec.Args
	}
	if s.head == nil || !h.equal(&s.spec) {
		if s.head, err = json.Marshal(h); err != nil {
			return nil, nil, err
		}
		s.spec = h
	}
	return s.seal(s.head, inline), apart, nil
}

// equal reports whether two headers are written alike.
func (h *specHeader) equal(other *specHeader) bool {
	return h.Function == other.Function && h.Codec == other.Codec && h.Timeout == other.Timeout && h.Retries == other.Retries &&
		h.Backoff == other.Backoff && slices.Equal(h.RetryOn, other.RetryOn) && h.Expires == other.Expires && h.Queue == other.Queue &&
		h.Priority == other.Priority && maps.Equal(h.Labels, other.Labels) && h.Group == other.Group && h.RetryOf == other.RetryOf &&
		h.Limits == other.Limits && slices.Equal(h.Env, other.Env) && h.Apart == other.Apart
}

// sealResult is sealResult.
func (s *sealer) sealResult(r core.Result) ([]byte, error) {
	var room [2*maxPlain + 64]byte
	if head, ok := appendPlain(room[:0], resultHeader{len(r.JSON), len(r.Pickle), r.Repr, r.Failure}); ok {
		return s.seal(head, r.JSON, r.Pickle), nil
	}
	return sealResult(r)
}

// opener opens the envelopes of a batch: a header like the one before is not read again.
// Specs whose headers are alike share labels, variables and names of failures.
type opener struct {
	head []byte
	spec specHeader
}

// openSpec is openSpec.
func (o *opener) openSpec(envelope []byte) (core.Spec, int, error) {
	head, raw, err := unseal("task", envelope)
	if err != nil {
		return core.Spec{}, 0, err
	}
	if o.head == nil || !bytes.Equal(head, o.head) {
		var h specHeader
		if err := readHead("task", head, &h); err != nil {
			return core.Spec{}, 0, err
		}
		o.head, o.spec = head, h
	}
	return o.spec.with(raw)
}

// maxPlain is the longest repr of a header that is written and read without
// encoding/json.
const maxPlain = 64

// appendPlain writes the header of a result as encoding/json does, if it is of the kind
// that most calls have: no failure, and a short repr in ASCII.
func appendPlain(to []byte, h resultHeader) ([]byte, bool) {
	if h.Failure != nil || len(h.Repr) > maxPlain || !plainText(h.Repr) {
		return to, false
	}
	begin := len(to)
	if h.JSON > 0 {
		to = strconv.AppendInt(append(to, `,"j":`...), int64(h.JSON), 10)
	}
	if h.Pickle > 0 {
		to = strconv.AppendInt(append(to, `,"p":`...), int64(h.Pickle), 10)
	}
	if h.Repr != "" {
		to = append(append(append(to, `,"r":"`...), h.Repr...), '"')
	}
	if len(to) == begin {
		to = append(to, '{')
	}
	to[begin] = '{' // for the comma
	return append(to, '}'), true
}

// plainText reports whether encoding/json writes text as it is.
func plainText(text string) bool {
	for i := range len(text) {
		if c := text[i]; c < ' ' || c > '~' || c == '"' || c == '\\' || c == '<' || c == '>' || c == '&' {
			return false
		}
	}
	return true
}

// readPlain reads what appendPlain writes, and nothing else.
func readPlain(head []byte) (h resultHeader, ok bool) {
	if len(head) > 2*maxPlain {
		return h, false
	}
	rest := head
	number := func(name string, into *int) {
		if tail, found := bytes.CutPrefix(rest[min(1, len(rest)):], []byte(name)); found {
			for rest = tail; len(rest) > 0 && rest[0] >= '0' && rest[0] <= '9' && *into < 1<<32; rest = rest[1:] {
				*into = *into*10 + int(rest[0]-'0')
			}
		}
	}
	number(`"j":`, &h.JSON)
	number(`"p":`, &h.Pickle)
	if tail, found := bytes.CutPrefix(rest[min(1, len(rest)):], []byte(`"r":"`)); found && len(tail) > 2 {
		h.Repr = string(tail[:len(tail)-2])
	}
	var again [2*maxPlain + 64]byte
	written, ok := appendPlain(again[:0], h)
	return h, ok && bytes.Equal(written, head)
}
