package wire

import (
	"encoding/json"
	"time"

	"faasctl/core"
)

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
		said.Word, n = r.beat()
	case KindOutput:
		r.field(1)
		var printed []core.Printed
		r.each(MaxItems, "pieces", func() { printed = append(printed, r.printed(&rest)) })
		said.Word, n = core.UpOutput{Printed: printed}, 2
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
	case KindPrepared:
		r.field(1)
		said.Word, n = core.UpPrepared{Preparation: r.preparation()}, 2
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

func (r *reader) preparation() (p core.Preparation) {
	start := r.pos
	r.value(&p)
	if r.err == nil && (r.pos-start > maxCard || (p.Function == "") == (p.Interpreter == "") || p.State != core.Preparing && p.State != core.Prepared && p.State != core.Unprepared) {
		r.fail("this says nothing of an environment")
	}
	return p
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
	j.Single, j.Token = c.Single, c.Token
	j.Worker = core.Worker{
		ID: id, Host: c.Host, PID: c.PID, Version: c.Version, Interpreters: c.Interpreters, Labels: c.Labels, Enforces: c.Enforces, Slots: c.Slots,
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
		h.Started = r.bool()
		r.field(5)
		h.Ago = time.Duration(r.int(0, maxMicros)) * time.Microsecond
		r.end(6)
		j.Holds = append(j.Holds, h)
	})
	return j
}

func (r *reader) beat() (core.UpBeat, int) {
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
	if r.peek() != ',' {
		return b, 3
	}
	r.field(3)
	if r.peek() != '[' { // what stands here is of another version
		r.raw()
		return b, 4
	}
	r.each(MaxLeases, "progress", func() {
		if !r.open() {
			return
		}
		var p core.TaskProgress
		r.field(0)
		p.Task = core.TaskID(r.id())
		r.field(1)
		p.Done = r.float()
		r.field(2)
		p.Total = r.float()
		r.field(3)
		p.Note = r.string(4 * core.MaxProgressNote)
		r.end(4)
		b.Progress = append(b.Progress, p)
	})
	return b, 4
}

// printed reads one piece of output.
func (r *reader) printed(rest *payload) core.Printed {
	var p core.Printed
	if !r.open() {
		return p
	}
	p.Lease = r.lease()
	r.field(3)
	p.Attempt = int(r.int(0, 1<<31))
	r.field(4)
	p.Stream = core.StreamName(r.id())
	if r.err == nil && p.Stream != core.Stdout && p.Stream != core.Stderr {
		r.fail("%q is no stream", p.Stream)
	}
	r.field(5)
	p.Ran = time.Duration(r.int(0, maxMicros)) * time.Microsecond
	r.field(6)
	p.Offset = r.int(0, 1<<62)
	r.field(7)
	p.Times = r.times()
	r.field(8)
	p.Data = rest.take(r)
	if len(p.Data) > core.PieceSize {
		r.err = problem(TooLarge, "a piece of %d bytes; at most %d may be", len(p.Data), core.PieceSize)
	}
	r.end(9)
	return p
}

// times reads pairs of numbers: an offset and milliseconds each.
func (r *reader) times() (all []core.Tick) {
	var pair []int64
	r.each(2*maxTicks, "times", func() {
		if pair = append(pair, r.int(0, 1<<62)); len(pair) == 2 {
			all, pair = append(all, core.Tick(pair)), pair[:0]
		}
	})
	return all
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
		n := 6
		for _, s := range []*core.Stream{&o.Output.Stdout, &o.Output.Stderr} {
			if r.peek() == ',' {
				r.field(n)
				s.Times = r.times()
				n++
			}
		}
		r.end(n)
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
