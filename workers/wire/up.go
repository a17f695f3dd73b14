package wire

import (
	"encoding/json"
	"time"

	"faasctl/core"
)

// Said is what a worker said.
type Said struct {
	Worker core.WorkerID
	Word   any // Join, Work, NeedBody, or a core.Up other than core.UpJoin
}

// Join introduces a worker.
type Join struct {
	core.UpJoin
	// Number rises with each registration of a worker; the answer repeats it.
	Number uint64
	// Single says that a pull worker has one socket.
	Single bool
}

// Work asks for what a dispatcher has to say to a pull worker.
type Work struct {
	// Seen is the number of the last answer that arrived; an answer with the next
	// number that got lost is sent again.
	Seen uint64
	// Counts says whether the worker counts at all.
	Counts bool
}

// NeedBody asks for bodies of functions.
type NeedBody struct{ Hashes []string }

// card is how a worker introduces itself: the part of core.Worker that it knows.
type card struct {
	Slots        int                `json:"slots"`
	Single       bool               `json:"single,omitempty"`
	Host         string             `json:"host,omitempty"`
	PID          int                `json:"pid,omitempty"`
	Version      string             `json:"version,omitempty"`
	Interpreters []core.Interpreter `json:"interpreters,omitempty"`
	Labels       map[string]string  `json:"labels,omitempty"`
}

const (
	maxSlots  = 1 << 14
	maxBusy   = MaxLeases
	maxCard   = 64 << 10
	maxRepr   = 16 << 10
	maxMicros = int64(1) << 52
)

func header(worker core.WorkerID) *writer {
	w := &writer{buf: make([]byte, 0, 256)}
	w.open()
	w.string(string(worker))
	return w
}

func (w *writer) message(kind Kind, payload []byte) Message {
	w.close()
	return Message{Kind: kind, Header: w.buf, Payload: payload}
}

// Up encodes what a worker says; large batches become several messages.
func Up(worker core.WorkerID, word core.Up) []Message {
	w := header(worker)
	switch word := word.(type) {
	case core.UpJoin:
		return []Message{JoinMessage(Join{UpJoin: word})}
	case core.UpWindow:
		w.int(int64(word.Seq))
		w.int(int64(word.Size))
		return []Message{w.message(KindWindow, nil)}
	case core.UpBeat:
		w.int(int64(word.Busy))
		w.open()
		for _, s := range word.Started {
			w.open()
			w.string(string(s.Task))
			w.int(s.Ago.Microseconds())
			w.close()
		}
		w.close()
		return []Message{w.message(KindBeat, nil)}
	case core.UpFinish:
		return finish(worker, word.Outcomes)
	case core.UpReturn:
		w.leases(word.Leases)
		return []Message{w.message(KindReturn, nil)}
	case core.UpDrain:
		return []Message{w.message(KindDrain, nil)}
	case core.UpLeave:
		return []Message{w.message(KindLeave, nil)}
	}
	return nil
}

// JoinMessage encodes a registration.
func JoinMessage(j Join) Message {
	w := header(j.Worker.ID)
	w.int(int64(j.Number))
	k := j.Worker
	w.value(card{k.Slots, j.Single, k.Host, k.PID, k.Version, k.Interpreters, k.Labels})
	w.open()
	for _, h := range j.Holds {
		w.open()
		w.lease(h.Lease)
		w.int(int64(h.Attempt))
		w.int(int64(h.Retries))
		w.bool(h.Started)
		w.int(h.Ago.Microseconds())
		w.close()
	}
	w.close()
	return w.message(KindJoin, nil)
}

// WorkMessage encodes a request for work.
func WorkMessage(worker core.WorkerID, seen uint64) Message {
	w := header(worker)
	w.int(int64(seen))
	return w.message(KindWork, nil)
}

// NeedBodyMessage asks for bodies.
func NeedBodyMessage(worker core.WorkerID, hashes []string) Message {
	w := header(worker)
	w.open()
	for _, h := range hashes {
		w.string(h)
	}
	w.close()
	return w.message(KindNeedBody, nil)
}

func (w *writer) lease(l core.Lease) {
	w.string(string(l.Task))
	w.int(l.Epoch)
	w.string(l.Claim)
}

func (w *writer) leases(all []core.Lease) {
	w.open()
	for _, l := range all {
		w.open()
		w.lease(l)
		w.close()
	}
	w.close()
}

func finish(worker core.WorkerID, outcomes []core.Outcome) []Message {
	var messages []Message
	for len(outcomes) > 0 {
		n, size := 0, 0
		for n < min(len(outcomes), MaxItems) {
			s := outcomeSize(outcomes[n])
			if n > 0 && size+s > MaxTogether {
				break
			}
			size += s
			n++
		}
		w := header(worker)
		w.open()
		payload := make([]byte, 0, size)
		for _, o := range outcomes[:n] {
			payload = w.outcome(o, payload)
		}
		w.close()
		messages = append(messages, w.message(KindFinish, payload))
		outcomes = outcomes[n:]
	}
	return messages
}

func outcomeSize(o core.Outcome) int {
	return len(o.Result.JSON) + len(o.Result.Pickle) + len(o.Output.Stdout.Head) + len(o.Output.Stdout.Tail) +
		len(o.Output.Stderr.Head) + len(o.Output.Stderr.Tail)
}

func (w *writer) outcome(o core.Outcome, payload []byte) []byte {
	w.open()
	w.lease(o.Lease)
	w.string(string(o.State))
	w.bool(o.Started)
	w.int(o.Elapsed.Microseconds())
	w.int(int64(len(o.Result.JSON)))
	w.int(int64(len(o.Result.Pickle)))
	w.string(o.Result.Repr)
	if o.Result.Failure == nil {
		w.null()
	} else {
		w.value(o.Result.Failure)
	}
	payload = append(append(payload, o.Result.JSON...), o.Result.Pickle...)
	if o.Output.Empty() {
		w.null()
	} else {
		w.open()
		for _, s := range []core.Stream{o.Output.Stdout, o.Output.Stderr} {
			w.int(int64(len(s.Head)))
			w.int(int64(len(s.Tail)))
			w.int(s.Cut)
			payload = append(append(payload, s.Head...), s.Tail...)
		}
		w.close()
	}
	w.close()
	return payload
}

// ReadUp decodes what a worker says. What it returns shares memory with m.
func ReadUp(m Message, limits Limits) (Said, error) {
	r := &reader{buf: m.Header}
	rest := payload{bytes: m.Payload, limit: limits.payload()}
	var said Said
	if !r.open() {
		return said, r.done()
	}
	r.field(0)
	said.Worker = core.WorkerID(r.id())
	if r.err == nil && said.Worker == "" {
		r.fail("the worker's id is empty")
	}
	n := 1
	switch m.Kind {
	case KindJoin:
		said.Word, n = r.join(said.Worker), 4
	case KindWindow:
		r.field(1)
		seq := r.int(0, 1<<62)
		r.field(2)
		said.Word, n = core.UpWindow{Seq: uint64(seq), Size: int(r.int(0, MaxLeases))}, 3
	case KindBeat:
		said.Word, n = r.beat(), 3
	case KindFinish:
		r.field(1)
		var outcomes []core.Outcome
		r.each(MaxItems, "outcomes", func() { outcomes = append(outcomes, r.outcome(&rest)) })
		said.Word, n = core.UpFinish{Outcomes: outcomes}, 2
	case KindReturn:
		r.field(1)
		said.Word, n = core.UpReturn{Leases: r.leases()}, 2
	case KindDrain:
		said.Word = core.UpDrain{}
	case KindLeave:
		said.Word = core.UpLeave{}
	case KindNeedBody:
		r.field(1)
		var hashes []string
		r.each(MaxItems, "hashes", func() { hashes = append(hashes, r.id()) })
		said.Word, n = NeedBody{hashes}, 2
	case KindWork:
		said.Word, n = r.work()
	default:
		return said, problem(UnknownKind, "kind %#02x is nothing that a worker says", byte(m.Kind))
	}
	r.end(n)
	rest.end(r)
	return said, r.done()
}

func (r *reader) work() (Work, int) {
	if r.peek() != ',' {
		return Work{}, 1
	}
	r.field(1)
	return Work{Seen: uint64(r.int(0, 1<<62)), Counts: true}, 2
}

func (r *reader) join(id core.WorkerID) Join {
	var j Join
	r.field(1)
	j.Number = uint64(r.int(0, 1<<62))
	r.field(2)
	var c card
	start := r.pos
	r.value(&c)
	if r.pos-start > maxCard || c.Slots < 1 || c.Slots > maxSlots {
		r.fail("a worker has 1 to %d slots, and %d bytes to describe itself", maxSlots, maxCard)
	}
	j.Single = c.Single
	j.Worker = core.Worker{
		ID: id, Host: c.Host, PID: c.PID, Version: c.Version, Interpreters: c.Interpreters, Labels: c.Labels, Slots: c.Slots,
	}
	r.field(3)
	r.each(MaxLeases, "held tasks", func() {
		if !r.open() {
			return
		}
		h := core.Held{Lease: r.lease()}
		r.field(3)
		h.Attempt = int(r.int(0, 1<<31))
		r.field(4)
		h.Retries = int(r.int(0, 1<<31))
		r.field(5)
		h.Started = r.bool()
		r.field(6)
		h.Ago = time.Duration(r.int(0, maxMicros)) * time.Microsecond
		r.end(7)
		j.Holds = append(j.Holds, h)
	})
	return j
}

func (r *reader) beat() core.UpBeat {
	var b core.UpBeat
	r.field(1)
	b.Busy = int(r.int(0, maxBusy))
	r.field(2)
	r.each(MaxLeases, "starts", func() {
		if !r.open() {
			return
		}
		var s core.Start
		r.field(0)
		s.Task = core.TaskID(r.id())
		r.field(1)
		s.Ago = time.Duration(r.int(0, maxMicros)) * time.Microsecond
		r.end(2)
		b.Started = append(b.Started, s)
	})
	return b
}

func (r *reader) lease() core.Lease {
	var l core.Lease
	r.field(0)
	l.Task = core.TaskID(r.id())
	r.field(1)
	l.Epoch = r.int(0, 1<<62)
	r.field(2)
	l.Claim = r.id()
	return l
}

func (r *reader) leases() []core.Lease {
	var all []core.Lease
	r.each(MaxLeases, "leases", func() {
		if !r.open() {
			return
		}
		all = append(all, r.lease())
		r.end(3)
	})
	return all
}

func (r *reader) outcome(rest *payload) core.Outcome {
	var o core.Outcome
	if !r.open() {
		return o
	}
	o.Lease = r.lease()
	r.field(3)
	o.State = core.State(r.id())
	if r.err == nil && !o.State.Terminal() {
		r.fail("%q is not how a task ends", o.State)
	}
	r.field(4)
	o.Started = r.bool()
	r.field(5)
	o.Elapsed = time.Duration(r.int(0, maxMicros)) * time.Microsecond
	r.field(6)
	o.Result.JSON = json.RawMessage(rest.take(r))
	r.field(7)
	o.Result.Pickle = rest.take(r)
	r.field(8)
	o.Result.Repr = r.string(maxRepr)
	r.field(9)
	if !r.null() {
		o.Result.Failure = &core.Failure{}
		r.value(o.Result.Failure)
	}
	r.field(10)
	if !r.null() && r.open() {
		for i, s := range []*core.Stream{&o.Output.Stdout, &o.Output.Stderr} {
			r.field(3 * i)
			s.Head = rest.take(r)
			r.field(3*i + 1)
			s.Tail = rest.take(r)
			r.field(3*i + 2)
			s.Cut = r.int(0, 1<<62)
		}
		r.end(6)
	}
	r.end(11)
	return o
}

// payload is the last frame while it is handed out piece by piece.
type payload struct {
	bytes []byte
	limit int
}

// take reads a length from the header and cuts so much off; nil for none.
func (p *payload) take(r *reader) []byte {
	n := int(r.int(0, 1<<40))
	if r.err != nil || n == 0 {
		return nil
	}
	if n > p.limit {
		r.err = problem(TooLarge, "a payload of %d bytes; at most %d may be", n, p.limit)
		return nil
	}
	if n > len(p.bytes) {
		r.fail("the header measures %d bytes more than the payload frame has", n-len(p.bytes))
		return nil
	}
	cut := p.bytes[:n:n]
	p.bytes = p.bytes[n:]
	return cut
}

func (p *payload) end(r *reader) {
	if len(p.bytes) > 0 {
		r.fail("the payload frame has %d bytes more than the header measures", len(p.bytes))
	}
}
