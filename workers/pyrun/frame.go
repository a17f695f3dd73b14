package pyrun

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"hash/crc32"

	"faasctl/core"
)

// A frame is a header and a payload. The header is: magic (2 bytes), kind,
// flags, length and CRC-32 of the payload (4 bytes each, little endian).
// runner/protocol.py holds the other half of these definitions.
const (
	headerSize   = 12
	magic        = 'f' | 'x'<<8
	flagComplete = 1
)

// The kinds of frames, first those that the parent sends.
const (
	kindSetup = 'I' // JSON: limits of the child
	kindBody  = 'B' // number, length of description, description (JSON), body
	kindCalls = 'C' // count, then count × (call header, arguments)
	kindAck   = 'A' // the parent has read all that the last call printed
	kindLimit = 'Q' // bytes of memory, processes (8 bytes each): soft limits for what runs from now on
	kindEnv   = 'E' // JSON object: variables that calls find from now on, beside the process' own
	kindSkip  = 'K' // tag of a call that is not to be started

	kindHello  = 'H' // JSON: who the child is; it is ready
	kindResult = 'R' // result header, JSON, pickle, repr, failure (JSON)
	kindMiss   = 'M' // number of a body that the child does not have
	kindLoad   = 'L' // tag, 1: a setup() begins, 0: it has ended
)

// Sizes of the fixed parts of payloads.
const (
	callHeader   = 36 // tag, body number, codec, flags, 2 unused bytes, length of the arguments, attempt, task id
	resultHeader = 32 // tag, status, flags, 2 unused bytes, ns, four lengths
)

// appendFrame appends one frame to dst.
func appendFrame(dst []byte, kind byte, payload ...[]byte) []byte {
	at := len(dst)
	dst = append(dst, make([]byte, headerSize)...)
	for _, part := range payload {
		dst = append(dst, part...)
	}
	header, body := dst[at:at+headerSize], dst[at+headerSize:]
	binary.LittleEndian.PutUint16(header, magic)
	header[2], header[3] = kind, flagComplete
	binary.LittleEndian.PutUint32(header[4:], uint32(len(body)))
	binary.LittleEndian.PutUint32(header[8:], crc32.ChecksumIEEE(body))
	return dst
}

// nextFrame takes one frame off the front of data. ok is false while data
// holds only a part of it; need says how many bytes the whole will have, or 0
// when that is not known yet. An error means that the writer is not our
// runner, or no longer in its right mind: nothing after it can be trusted.
// The payload is a part of data.
func nextFrame(data []byte, limit int) (kind byte, payload, rest []byte, need int, ok bool, err error) {
	if len(data) < headerSize {
		return 0, nil, data, 0, false, nil
	}
	if binary.LittleEndian.Uint16(data) != magic {
		return 0, nil, data, 0, false, fmt.Errorf("bytes on the result pipe that are no frame")
	}
	if data[3] != flagComplete {
		return 0, nil, data, 0, false, fmt.Errorf("an incomplete frame on the result pipe")
	}
	length := int64(binary.LittleEndian.Uint32(data[4:]))
	if length > int64(limit) {
		return 0, nil, data, 0, false, fmt.Errorf("a frame of %d bytes on the result pipe", length)
	}
	need = headerSize + int(length)
	if len(data) < need {
		return 0, nil, data, need, false, nil
	}
	payload = data[headerSize:need:need]
	if crc32.ChecksumIEEE(payload) != binary.LittleEndian.Uint32(data[8:]) {
		return 0, nil, data, 0, false, fmt.Errorf("a frame with a wrong checksum on the result pipe")
	}
	return data[2], payload, data[need:], need, true, nil
}

// status is how a call ended, as the runner tells it.
type status byte

const (
	statusOK status = iota
	statusException
	statusUnserializable
	statusUnloadable
	statusTooLarge
	statusSkipped
	statusDied // the fork that ran the call ended without a result
	statusEnd  // the first value that is none
)

// reply is a decoded result frame. Its byte slices are parts of the frame.
type reply struct {
	tag     uint32
	status  status
	left    bool // the call may have left processes running: the child waits for new pipes
	threads bool // the call has left threads that go on: the child does nothing any more
	pending bool // the call printed something that may still be in the pipes
	ns      uint64
	json    []byte
	pickle  []byte
	repr    []byte
	failure []byte
}

// parseReply decodes the payload of a result frame.
func parseReply(data []byte) (reply, error) {
	if len(data) < resultHeader {
		return reply{}, fmt.Errorf("a result of %d bytes", len(data))
	}
	r := reply{
		tag:     binary.LittleEndian.Uint32(data),
		status:  status(data[4]),
		pending: data[5]&1 != 0,
		left:    data[5]&2 != 0,
		threads: data[5]&4 != 0,
		ns:      binary.LittleEndian.Uint64(data[8:]),
	}
	if r.status >= statusEnd {
		return reply{}, fmt.Errorf("a result with the unknown status %d", r.status)
	}
	rest := data[resultHeader:]
	for i, part := range []*[]byte{&r.json, &r.pickle, &r.repr, &r.failure} {
		length := int64(binary.LittleEndian.Uint32(data[16+4*i:]))
		if length > int64(len(rest)) {
			return reply{}, fmt.Errorf("a result whose parts are longer than itself")
		}
		*part, rest = rest[:length:length], rest[length:]
	}
	if len(rest) != 0 {
		return reply{}, fmt.Errorf("a result with %d bytes too many", len(rest))
	}
	return r, nil
}

// flagForked of a call has it run in a fork of the child.
const flagForked = 1

// appendCall appends one call to the payload of a calls frame. Task and attempt
// are for the function to read; nothing that comes back is told by them.
func appendCall(dst []byte, tag, body uint32, codec, flags byte, a core.Assignment) []byte {
	dst = binary.LittleEndian.AppendUint32(dst, tag)
	dst = binary.LittleEndian.AppendUint32(dst, body)
	dst = append(dst, codec, flags, 0, 0)
	dst = binary.LittleEndian.AppendUint32(dst, uint32(len(a.Args)))
	dst = binary.LittleEndian.AppendUint32(dst, uint32(a.Attempt))
	dst = appendUUID(dst, string(a.Task))
	return append(dst, a.Args...)
}

// appendUUID appends the 16 bytes of a UUID; zeros for what is none.
func appendUUID(dst []byte, text string) []byte {
	var id [16]byte
	if len(text) == 36 {
		plain := text[:8] + text[9:13] + text[14:18] + text[19:23] + text[24:]
		if _, err := hex.Decode(id[:], []byte(plain)); err != nil {
			id = [16]byte{}
		}
	}
	return append(dst, id[:]...)
}

func number(n uint32) []byte { return binary.LittleEndian.AppendUint32(nil, n) }
