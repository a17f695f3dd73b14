package wire

import "faasctl/core"

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
	// Token is what the process that started the worker gave it to show to its own
	// dispatcher; "" for all others.
	Token string
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
	Token        string             `json:"token,omitempty"`
	Host         string             `json:"host,omitempty"`
	PID          int                `json:"pid,omitempty"`
	Version      string             `json:"version,omitempty"`
	Interpreters []core.Interpreter `json:"interpreters,omitempty"`
	Labels       map[string]string  `json:"labels,omitempty"`
	Enforces     *core.Enforcement  `json:"enforces,omitempty"`
}

const (
	maxSlots  = 1 << 14
	maxBusy   = MaxLeases
	maxCard   = 64 << 10
	maxRepr   = 16 << 10
	maxTicks  = 1024 // of one stream
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
		w.int(int64(min(word.Size, MaxLeases))) // what it holds has to fit in one registration
		return []Message{w.message(KindWindow, nil)}
	case core.UpBeat:
		w.int(int64(word.Busy))
		w.open()
		for _, s := range word.Started {
			w.open()
			w.string(string(s.Task))
			w.int(max(0, s.Ago.Microseconds()))
			w.close()
		}
		w.close()
		if len(word.Progress) > 0 {
			w.open()
			for _, p := range word.Progress {
				w.open()
				w.string(string(p.Task))
				w.float(p.Done)
				w.float(p.Total)
				w.string(p.Note)
				w.close()
			}
			w.close()
		}
		return []Message{w.message(KindBeat, nil)}
	case core.UpOutput:
		return output(worker, word.Printed)
	case core.UpFinish:
		return finish(worker, word.Outcomes)
	case core.UpReturn:
		w.leases(word.Leases)
		return []Message{w.message(KindReturn, nil)}
	case core.UpDrain:
		return []Message{w.message(KindDrain, nil)}
	case core.UpPrepared:
		w.value(word.Preparation)
		return []Message{w.message(KindPrepared, nil)}
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
	w.value(card{k.Slots, j.Single, j.Token, k.Host, k.PID, k.Version, k.Interpreters, k.Labels, k.Enforces})
	w.open()
	for _, h := range j.Holds[:min(len(j.Holds), MaxLeases)] {
		w.open()
		w.lease(h.Lease)
		w.int(int64(h.Attempt))
		w.bool(h.Started)
		w.int(max(0, h.Ago.Microseconds()))
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

// output encodes pieces of output, as many to a message as travel together.
func output(worker core.WorkerID, printed []core.Printed) []Message {
	var messages []Message
	for len(printed) > 0 {
		n, size := 0, 0
		for n < min(len(printed), MaxItems) && (n == 0 || size+len(printed[n].Data) <= MaxTogether) {
			size += len(printed[n].Data)
			n++
		}
		w := header(worker)
		w.open()
		payload := make([]byte, 0, size)
		for _, p := range printed[:n] {
			w.open()
			w.lease(p.Lease)
			w.int(int64(p.Attempt))
			w.string(string(p.Stream))
			w.int(max(0, p.Ran.Microseconds()))
			w.int(p.Offset)
			w.times(p.Times)
			w.int(int64(len(p.Data)))
			w.close()
			payload = append(payload, p.Data...)
		}
		w.close()
		messages = append(messages, w.message(KindOutput, payload))
		printed = printed[n:]
	}
	return messages
}

func (w *writer) times(all []core.Tick) {
	w.open()
	for _, tick := range all {
		w.int(tick[0])
		w.int(tick[1])
	}
	w.close()
}

// outcomeSize is what an outcome adds to a message, header and payload, or nearly.
func outcomeSize(o core.Outcome) int {
	text := len(o.Result.Repr)
	if f := o.Result.Failure; f != nil {
		text += len(f.Message) + len(f.Traceback) + len(f.Last) + len(f.Fault) + f.Exception.Size()
	}
	return text + len(o.Result.JSON) + len(o.Result.Pickle) + len(o.Output.Stdout.Head) + len(o.Output.Stdout.Tail) +
		len(o.Output.Stderr.Head) + len(o.Output.Stderr.Tail)
}

func (w *writer) outcome(o core.Outcome, payload []byte) []byte {
	w.open()
	w.lease(o.Lease)
	w.string(string(o.State))
	w.bool(o.Started)
	w.int(max(0, o.Elapsed.Microseconds()))
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
		if len(o.Output.Stdout.Times)+len(o.Output.Stderr.Times) > 0 {
			w.times(o.Output.Stdout.Times)
			w.times(o.Output.Stderr.Times)
		}
		w.close()
	}
	w.close()
	return payload
}
