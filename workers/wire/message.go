package wire

import (
	"fmt"

	"faasctl/core"
)

// Version is of the protocol; it stands in every message. A side that meets
// another one answers with a Problem that names both.
const Version = 1

// Kind says what a message is.
type Kind byte

// The kinds of a worker have the first digit 0, those of a dispatcher 2.
const (
	KindJoin     Kind = 0x01
	KindWindow   Kind = 0x02
	KindBeat     Kind = 0x03
	KindFinish   Kind = 0x04
	KindReturn   Kind = 0x05
	KindDrain    Kind = 0x06
	KindLeave    Kind = 0x07
	KindNeedBody Kind = 0x08
	KindWork     Kind = 0x09 // pull: answer when there is something to say
	KindOutput   Kind = 0x0a
	KindPrepared Kind = 0x0b

	KindTasks    Kind = 0x21
	KindSettled  Kind = 0x22
	KindCancel   Kind = 0x23
	KindLost     Kind = 0x24
	KindDrainNow Kind = 0x25
	KindStore    Kind = 0x26
	KindRegister Kind = 0x27
	KindWelcome  Kind = 0x28
	KindAlive    Kind = 0x29
	KindNothing  Kind = 0x2a // pull: an answer that says nothing
	KindBody     Kind = 0x2b
	KindProbe    Kind = 0x2c // pull: to be skipped
	KindError    Kind = 0x2d
	KindReply    Kind = 0x2e // pull: numbers an answer to KindWork
	KindFollow   Kind = 0x2f
	KindPrepare  Kind = 0x30
)

// Message is one message: three frames. Several travel in one multipart.
type Message struct {
	Kind    Kind
	Header  []byte // a JSON array
	Payload []byte // raw bytes that the header measures; mostly empty
}

// Size is what the message adds to a multipart, in bytes.
func (m Message) Size() int { return 2 + len(m.Header) + len(m.Payload) }

// Bounds of what travels together. They keep one message from standing in the
// way of others for long; only a big payload exceeds them, and travels alone.
const (
	MaxMessages  = 64       // in one multipart
	MaxItems     = 256      // tasks or outcomes in one message
	MaxLeases    = 1 << 16  // in one message: all that a worker may hold
	MaxTogether  = 64 << 10 // bytes: a payload above it travels alone
	maxMultipart = 256 << 10
	maxHeader    = 8 << 20 // a worker with 65,536 leases fits
)

// Limits bounds what is accepted.
type Limits struct {
	// Payload is the most bytes that one payload may have. Default:
	// core.MaxPayload.
	Payload int
}

func (l Limits) payload() int {
	if l.Payload <= 0 {
		return core.MaxPayload
	}
	return l.Payload
}

// Frame is the longest frame that a peer within the limits sends: a result has a
// JSON form, a pickle and captured output.
func (l Limits) Frame() int { return max(2*l.payload()+(1<<20), maxHeader) }

// Problem is a message that could not be understood or was refused, and its
// error frame.
type Problem struct {
	Code string // one of the constants below
	Text string
}

func (p *Problem) Error() string { return p.Code + ": " + p.Text }

// Codes of problems.
const (
	BadVersion  = "version"   // the peer speaks another version
	UnknownKind = "kind"      // no such message, or not in this direction
	Malformed   = "malformed" // not what PROTOCOL.md says
	TooLarge    = "too-large" // beyond the limits
	Forbidden   = "forbidden" // the worker belongs to another key
	WrongMode   = "mode"      // a push worker at the port of pull, or the other way round
	NoBody      = "no-body"   // the function's body is not at hand any more
)

func problem(code, format string, args ...any) *Problem {
	return &Problem{Code: code, Text: fmt.Sprintf(format, args...)}
}

// Frames lays messages out as the frames of one multipart.
func Frames(messages []Message) [][]byte {
	frames := make([][]byte, 0, 3*len(messages))
	for _, m := range messages {
		frames = append(frames, []byte{byte(m.Kind), Version}, m.Header, m.Payload)
	}
	return frames
}

// Split says how many messages from the head of a queue go into the next
// multipart: as many as fit, at least one, and a big one alone.
func Split(queue []Message) int {
	size := 0
	for i, m := range queue {
		size += m.Size()
		if i > 0 && (size > maxMultipart || i == MaxMessages || len(m.Payload) > MaxTogether) {
			return i
		}
		if len(m.Payload) > MaxTogether {
			return i + 1
		}
	}
	return len(queue)
}

// Unpack reads the frames of one multipart.
func Unpack(frames [][]byte, limits Limits) ([]Message, error) {
	if len(frames) == 0 || len(frames)%3 != 0 {
		return nil, problem(Malformed, "%d frames; a message has three", len(frames))
	}
	if len(frames) > 3*MaxMessages {
		return nil, problem(TooLarge, "more than %d messages in one", MaxMessages)
	}
	messages := make([]Message, 0, len(frames)/3)
	for ; len(frames) > 0; frames = frames[3:] {
		first := frames[0]
		if len(first) != 2 {
			return nil, problem(Malformed, "the first frame has %d bytes, not 2", len(first))
		}
		if first[1] != Version {
			return nil, problem(BadVersion, "you speak version %d, this side speaks version %d", first[1], Version)
		}
		if len(frames[1]) > maxHeader || len(frames[2]) > limits.Frame() {
			return nil, problem(TooLarge, "a header of %d and a payload of %d bytes", len(frames[1]), len(frames[2]))
		}
		messages = append(messages, Message{Kind: Kind(first[0]), Header: frames[1], Payload: frames[2]})
	}
	return messages, nil
}
