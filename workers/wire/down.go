package wire

import (
	"math"
	"time"

	"faasctl/core"
)

const maxName = 64 << 10 // of a function, its entry and its file; the service is stricter

// Welcome answers a registration and tells the dispatcher's terms.
type Welcome struct {
	Number     uint64 // of the Join that it answers
	Dispatcher string // fresh per start of a dispatcher
	MaxPayload int    // bytes that one result may have
	Beat       time.Duration
	Park       time.Duration // how long a request for work may go unanswered
}

// Alive proves that the dispatcher lives.
type Alive struct{}

// Nothing is an answer without news.
type Nothing struct{}

// Reply numbers an answer to Work.
type Reply struct{ Number uint64 }

// Body is a function's body.
type Body struct {
	Hash  string
	Bytes []byte
}

// Down encodes what a dispatcher says; large batches become several messages.
// fresh says of a function's hash whether its body must go along: it is asked
// once for each message that names the function. The body of one that is bigger
// than MaxTogether goes first, in a message of its own.
func Down(word core.Down, fresh func(f *core.Function) bool) []Message {
	w := &writer{}
	w.open()
	switch word := word.(type) {
	case core.DownTasks:
		return tasks(word.Tasks, fresh)
	case core.DownSettled:
		w.leases(word.Leases)
		return []Message{w.message(KindSettled, nil)}
	case core.DownCancel:
		w.int(word.Grace.Milliseconds())
		w.open()
		for _, id := range word.Tasks {
			w.string(string(id))
		}
		w.close()
		return []Message{w.message(KindCancel, nil)}
	case core.DownLost:
		w.leases(word.Leases)
		return []Message{w.message(KindLost, nil)}
	case core.DownDrain:
		return []Message{w.message(KindDrainNow, nil)}
	case core.DownStore:
		w.bool(word.Up)
		return []Message{w.message(KindStore, nil)}
	case core.DownFollow:
		w.bool(word.On)
		w.open()
		for _, id := range word.Tasks {
			w.string(string(id))
		}
		w.close()
		return []Message{w.message(KindFollow, nil)}
	case core.DownPrepare:
		w.function(word.Function, false)
		if word.Imports != nil {
			w.value(word.Imports)
		}
		return []Message{w.message(KindPrepare, nil)}
	case core.DownRegister:
		return []Message{w.message(KindRegister, nil)}
	}
	return nil
}

// Note encodes what only the transport says: a Welcome, Alive, Nothing, Reply,
// Body or *Problem.
func Note(note any) Message {
	w := &writer{}
	w.open()
	switch note := note.(type) {
	case Welcome:
		w.int(int64(note.Number))
		w.string(note.Dispatcher)
		w.int(int64(note.MaxPayload))
		w.int(note.Beat.Milliseconds())
		w.int(note.Park.Milliseconds())
		return w.message(KindWelcome, nil)
	case Alive:
		return w.message(KindAlive, nil)
	case Reply:
		w.int(int64(note.Number))
		return w.message(KindReply, nil)
	case Body:
		w.string(note.Hash)
		w.int(int64(len(note.Bytes)))
		return w.message(KindBody, note.Bytes)
	case *Problem:
		w.string(note.Code)
		w.string(note.Text)
		return w.message(KindError, nil)
	}
	return w.message(KindNothing, nil)
}

// ProbeMessage is skipped by every worker; sending it shows whether its peer is
// still there.
func ProbeMessage() Message { return Message{Kind: KindProbe, Header: []byte("[]")} }

func tasks(all []core.Assignment, fresh func(*core.Function) bool) []Message {
	var messages []Message
	for len(all) > 0 {
		n, size := 0, 0
		for n < min(len(all), MaxItems) {
			if n > 0 && size+len(all[n].Args) > MaxTogether {
				break
			}
			size += len(all[n].Args)
			n++
		}
		bodies, message := taskMessage(all[:n], fresh)
		messages = append(append(messages, bodies...), message)
		all = all[n:]
	}
	return messages
}

func taskMessage(batch []core.Assignment, fresh func(*core.Function) bool) (bodies []Message, m Message) {
	var payload []byte
	index := map[core.FunctionID]int{}
	w := &writer{buf: make([]byte, 0, 64+160*len(batch))}
	w.open()
	w.open()
	for _, a := range batch {
		f := a.Function
		if _, known := index[f.ID]; known {
			continue
		}
		index[f.ID] = len(index)
		along := fresh(f)
		if along && len(f.Body)+len(payload) > MaxTogether {
			bodies = append(bodies, Note(Body{f.BodyHash, f.Body}))
			along = false
		}
		if along {
			payload = append(payload, f.Body...)
		}
		w.function(f, along)
	}
	w.close()
	w.open()
	for _, a := range batch {
		w.open()
		w.lease(a.Lease)
		w.int(int64(a.Attempt))
		w.int(int64(index[a.Function.ID]))
		w.string(string(a.Codec))
		w.int(a.Timeout.Microseconds())
		w.int(int64(len(a.Args)))
		w.limits(a.Limits, a.Env)
		w.close()
		payload = append(payload, a.Args...)
	}
	w.close()
	return bodies, w.message(KindTasks, payload)
}

// ReadDown decodes what a dispatcher says: a core.Down, Welcome, Alive, Nothing,
// Reply, Body, *Problem, or nil for what is to be skipped. A function whose body
// did not come along has a nil Body. What it returns shares memory with m.
func ReadDown(m Message, limits Limits) (any, error) {
	r := &reader{buf: m.Header}
	rest := payload{bytes: m.Payload, limit: limits.payload()}
	if !r.open() {
		return nil, r.done()
	}
	var word any
	n := 0
	switch m.Kind {
	case KindTasks:
		word, n = r.tasks(&rest), 2
	case KindSettled:
		r.field(0)
		word, n = core.DownSettled{Leases: r.leases()}, 1
	case KindCancel:
		word, n = r.cancel(), 2
	case KindLost:
		r.field(0)
		word, n = core.DownLost{Leases: r.leases()}, 1
	case KindDrainNow:
		word = core.DownDrain{}
	case KindStore:
		r.field(0)
		word, n = core.DownStore{Up: r.bool()}, 1
	case KindFollow:
		word, n = r.follow(), 2
	case KindPrepare:
		r.field(0)
		p := core.DownPrepare{Function: r.function(&rest)}
		if n = 1; r.peek() == ',' {
			r.field(1)
			r.value(&p.Imports)
			n = 2
		}
		word = p
	case KindRegister:
		word = core.DownRegister{}
	case KindWelcome:
		word, n = r.welcome(), 5
	case KindAlive:
		word = Alive{}
	case KindNothing:
		word = Nothing{}
	case KindReply:
		r.field(0)
		word, n = Reply{uint64(r.int(0, 1<<62))}, 1
	case KindBody:
		r.field(0)
		b := Body{Hash: r.id()}
		r.field(1)
		b.Bytes = rest.take(r)
		word, n = b, 2
	case KindProbe:
	case KindError:
		r.field(0)
		p := &Problem{Code: r.id()}
		r.field(1)
		p.Text = r.string(4096)
		word, n = p, 2
	default:
		return nil, problem(UnknownKind, "kind %#02x is nothing that a dispatcher says", byte(m.Kind))
	}
	r.end(n)
	rest.end(r)
	if err := r.done(); err != nil {
		return nil, err
	}
	return word, nil
}

func (r *reader) cancel() core.DownCancel {
	var c core.DownCancel
	r.field(0)
	c.Grace = time.Duration(r.int(0, 1<<40)) * time.Millisecond
	r.field(1)
	r.each(MaxLeases, "tasks", func() { c.Tasks = append(c.Tasks, core.TaskID(r.id())) })
	return c
}

func (r *reader) follow() core.DownFollow {
	var f core.DownFollow
	r.field(0)
	f.On = r.bool()
	r.field(1)
	r.each(MaxLeases, "tasks", func() { f.Tasks = append(f.Tasks, core.TaskID(r.id())) })
	return f
}

func (r *reader) welcome() Welcome {
	var w Welcome
	r.field(0)
	w.Number = uint64(r.int(0, 1<<62))
	r.field(1)
	w.Dispatcher = r.id()
	r.field(2)
	w.MaxPayload = int(r.int(1, 1<<40))
	r.field(3)
	w.Beat = time.Duration(r.int(1, 1<<32)) * time.Millisecond
	r.field(4)
	w.Park = time.Duration(r.int(0, 1<<32)) * time.Millisecond
	return w
}

func (r *reader) tasks(rest *payload) core.DownTasks {
	var functions []*core.Function
	r.field(0)
	r.each(MaxItems, "functions", func() { functions = append(functions, r.function(rest)) })
	var d core.DownTasks
	r.field(1)
	r.each(MaxItems, "tasks", func() {
		if !r.open() {
			return
		}
		a := core.Assignment{Lease: r.lease()}
		r.field(3)
		a.Attempt = int(r.int(0, 1<<31))
		r.field(4)
		f := r.int(0, MaxItems)
		r.field(5)
		a.Codec = core.Codec(r.id())
		r.field(6)
		a.Timeout = time.Duration(r.int(0, maxMicros)) * time.Microsecond
		r.field(7)
		a.Args = rest.take(r)
		a.Limits, a.Env = r.limits(8)
		if r.err == nil && f >= int64(len(functions)) {
			r.fail("a task names function %d of %d", f, len(functions))
		}
		if r.err == nil {
			a.Function = functions[f]
			d.Tasks = append(d.Tasks, a)
		}
	})
	return d
}

// limits says what a call may use, and the variables that it finds, where there is
// anything to say.
func (w *writer) limits(l core.Limits, env core.Env) {
	if l == (core.Limits{}) && len(env) == 0 {
		return
	}
	w.open()
	w.int(l.Memory)
	w.int(int64(math.Ceil(l.CPUSeconds * 1000)))
	w.int(int64(l.Processes))
	w.string(string(l.Isolation))
	w.close()
	if len(env) == 0 {
		return
	}
	w.open()
	for _, variable := range env {
		w.string(variable)
	}
	w.close()
}

// limits reads the i-th element of a task and the one after, which are the last and
// may be missing.
func (r *reader) limits(i int) (l core.Limits, env core.Env) {
	if r.peek() != ',' {
		r.end(i)
		return l, nil
	}
	r.field(i)
	if !r.open() {
		return l, nil
	}
	r.field(0)
	l.Memory = r.int(0, core.MaxMemory)
	r.field(1)
	l.CPUSeconds = float64(r.int(0, core.MaxCPUSeconds*1000)) / 1000
	r.field(2)
	l.Processes = int(r.int(0, core.MaxProcesses))
	r.field(3)
	l.Isolation = core.Isolation(r.string(16))
	r.end(4)
	if r.peek() != ',' {
		r.end(i + 1)
		return l, nil
	}
	r.field(i + 1)
	r.each(MaxItems, "variables", func() { env = append(env, r.string(4<<10)) })
	r.end(i + 2)
	return l, env
}

func (r *reader) function(rest *payload) *core.Function {
	f := &core.Function{}
	if !r.open() {
		return f
	}
	r.field(0)
	f.ID = core.FunctionID(r.id())
	r.field(1)
	f.Name = r.string(maxName)
	r.field(2)
	f.Version = int(r.int(0, 1<<31))
	r.field(3)
	f.Codec = core.Codec(r.id())
	r.field(4)
	f.Entry = r.string(maxName)
	r.field(5)
	f.File = r.string(maxName)
	r.field(6)
	f.BodyHash = r.id()
	r.field(7)
	before := *rest
	at := r.pos
	f.BodySize = int(r.int(0, 1<<40))
	r.field(8)
	if r.bool() && r.err == nil {
		*rest = before
		measure := &reader{buf: r.buf, pos: at}
		if f.Body = rest.take(measure); measure.err != nil {
			r.err = measure.err
		} else if f.Body == nil {
			f.Body = []byte{}
		}
	}
	r.needs(9, f)
	return f
}

// function says what a function is, and whether its body is in the payload.
func (w *writer) function(f *core.Function, along bool) {
	w.open()
	w.string(string(f.ID))
	w.string(f.Name)
	w.int(int64(f.Version))
	w.string(string(f.Codec))
	w.string(f.Entry)
	w.string(f.File)
	w.string(f.BodyHash)
	w.int(int64(len(f.Body)))
	w.bool(along)
	w.needs(f)
	w.close()
}

// needed is what a function needs of the Python that runs it.
type needed struct {
	Python       string   `json:"python,omitempty"`
	Assumed      bool     `json:"assumed,omitempty"`
	Dependencies []string `json:"dependencies,omitempty"`
}

// needs says so, where it needs anything.
func (w *writer) needs(f *core.Function) {
	if f.Python != "" || len(f.Dependencies) > 0 {
		w.value(needed{f.Python, f.Assumed, f.Dependencies})
	}
}

// needs reads the i-th element of a function, which is the last and may be missing.
func (r *reader) needs(i int, f *core.Function) {
	if r.peek() == ',' {
		var n needed
		r.field(i)
		r.value(&n)
		f.Python, f.Assumed, f.Dependencies = n.Python, n.Assumed, n.Dependencies
		i++
	}
	r.end(i)
}
