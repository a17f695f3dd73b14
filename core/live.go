package core

import (
	"context"
	"fmt"
	"time"
)

// Times of following.
const (
	// FollowFor is how long a task counts as followed after somebody said so.
	FollowFor = 10 * time.Second
	// FollowAgain is how often who follows says so again.
	FollowAgain = 3 * time.Second
)

// KeepPieces is how many pieces of what a followed task prints are kept for
// those who follow it, at most PieceSize bytes each.
const (
	KeepPieces = 64
	PieceSize  = 32 << 10
)

// StreamName is stdout or stderr.
type StreamName string

const (
	Stdout StreamName = "stdout"
	Stderr StreamName = "stderr"
)

// Tick says when a part of a stream was printed: what begins at the first
// number, an offset in bytes, came so many milliseconds after the attempt had
// started as the second says. It holds up to the next tick.
type Tick [2]int64

// Piece is a part of what an attempt prints. As its place in the stream is
// known, pieces may be lost, repeated or joined with the output that is kept.
type Piece struct {
	Attempt int        `json:"attempt"`
	Stream  StreamName `json:"stream"`
	Offset  int64      `json:"offset"` // of Data in the stream, in bytes
	Times   []Tick     `json:"times,omitempty"`
	Data    []byte     `json:"data"`
}

// Printed is a piece on its way from a worker.
type Printed struct {
	Lease
	Piece
	Ran time.Duration // how long the call had run when the piece was sent
}

// LiveStore carries what running tasks print to those who follow them. What it
// holds is bounded and expires; that of a task that nobody follows is not held.
type LiveStore interface {
	// Follow says that somebody follows tasks, for FollowFor from now, and hints
	// it (HintFollow).
	Follow(ctx context.Context, ids []TaskID) error
	// Print adds pieces of followed tasks and hints it (HintPrinted); pieces of
	// other tasks, or under a lease that does not hold, are dropped.
	Print(ctx context.Context, batch []Printed) error
	// Pieces returns those of a task that were added after an entry ("" = all that
	// are kept), oldest first, and the entry to go on from.
	Pieces(ctx context.Context, id TaskID, after string) (pieces []Piece, last string, err error)
}

// Progress is how far a function says that it has come: the last word counts.
type Progress struct {
	Done  float64 `json:"done"`
	Total float64 `json:"total,omitempty"` // 0 = nobody knows
	Note  string  `json:"note,omitempty"`  // at most MaxProgressNote bytes
}

// MaxProgressNote bounds the note of a Progress, in bytes.
const MaxProgressNote = 160

// TaskProgress is the progress of one task on its way from a worker.
type TaskProgress struct {
	Task TaskID
	Progress
}

// Heard is a part of a task's output as a follower hears it: in order within
// its stream, and nothing twice.
type Heard struct {
	Piece
	Started time.Time `json:"started,omitzero"` // of the attempt
	Cut     int64     `json:"cut,omitempty"`    // bytes of the stream before Data that nobody kept
}

// News is what a follower is told: a part of the output, or what has changed
// about the task. The last news of a task is that it has ended.
type News struct {
	Heard    *Heard
	Task     *Task
	Position Position // to go on from, after this news
}

// Position says how much of a task's output a follower has heard.
type Position struct {
	Attempt int
	Stdout  int64 // bytes of that attempt's stream
	Stderr  int64
}

// String is how a position travels: "2.100.0".
func (p Position) String() string { return fmt.Sprintf("%d.%d.%d", p.Attempt, p.Stdout, p.Stderr) }

// ParsePosition reads a position; "" is the beginning.
func ParsePosition(text string) (Position, error) {
	var p Position
	if text == "" {
		return p, nil
	}
	var rest string
	if n, _ := fmt.Sscanf(text+" .", "%d.%d.%d %s", &p.Attempt, &p.Stdout, &p.Stderr, &rest); n != 4 || rest != "." ||
		p.Attempt < 0 || p.Stdout < 0 || p.Stderr < 0 || p.String() != text {
		return Position{}, Errorf(ErrMalformed, "", "%q is no place in a task's output", clip(text, 64)).
			WithHint("it is what a message of the stream has as its id, such as 1.2048.0")
	}
	return p, nil
}

// at is how far one stream was heard.
func (p *Position) at(name StreamName) *int64 {
	if name == Stderr {
		return &p.Stderr
	}
	return &p.Stdout
}

// Listener puts pieces and kept output together: what it returns comes in order
// within each stream, says what is missing, and repeats nothing.
type Listener struct {
	Position
	// Started is when attempts began, where that is known.
	Started map[int]time.Time
}

// Piece takes a piece of the present attempt, or of a later one.
func (l *Listener) Piece(p Piece) (h Heard, fresh bool) {
	if p.Attempt < l.Attempt {
		return h, false
	}
	if p.Attempt > l.Attempt {
		l.Position = Position{Attempt: p.Attempt}
	}
	at := l.at(p.Stream)
	end := p.Offset + int64(len(p.Data))
	if end <= *at {
		return h, false
	}
	if skip := *at - p.Offset; skip > 0 {
		p.Data, p.Offset = p.Data[skip:], *at
	}
	h = Heard{Piece: p, Started: l.Started[p.Attempt], Cut: p.Offset - *at}
	*at = end
	return h, true
}

// Rest takes the whole output of an attempt that has ended and calls each with what
// was not heard of it.
func (l *Listener) Rest(attempt int, o Output, each func(Heard) error) error {
	for _, s := range []struct {
		name StreamName
		Stream
	}{{Stdout, o.Stdout}, {Stderr, o.Stderr}} {
		tail := int64(len(s.Head)) + s.Cut
		for _, p := range []Piece{{Data: s.Head}, {Data: s.Tail, Offset: tail}} {
			p.Attempt, p.Stream, p.Times = attempt, s.name, s.Times
			if h, fresh := l.Piece(p); fresh {
				if err := each(h); err != nil {
					return err
				}
			}
		}
	}
	return nil
}
