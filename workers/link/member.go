package link

import (
	"cmp"
	"crypto/subtle"
	"fmt"
	"slices"
	"time"

	"faasctl/core"
	"faasctl/workers/wire"
)

// Member is a worker that a Hub knows. Owned by the hub's loop.
type Member struct {
	ID     core.WorkerID
	Route  string         // along which it registered
	Single bool           // it has one socket
	Out    []wire.Message // encoded and not sent, in order
	Notes  []wire.Message // the same, for words that may overtake others
	Holds  map[core.TaskID]struct{}
	State  any // of the Talk

	user   string // the key it came with
	key    string // its name
	number uint64 // of its registration
	joined bool   // the dispatcher's loop knows it, or will
	known  map[string]bool
	heard  time.Time
	lostAt time.Time // when its connection broke; zero while it holds
}

// Taken is what Take made of a message.
type Taken struct {
	Member *Member       // nil for a stranger, or one who has just left
	Joined bool          // it registered
	Work   *wire.Work    // it asks for work
	Reply  *wire.Message // what to tell it at once: an error, or to register
}

// Take hears everything that one message says.
func (h *Hub) Take(route, user string, frames [][]byte) Taken {
	var t Taken
	messages, err := wire.Unpack(frames, h.limits)
	for _, m := range messages {
		var said wire.Said
		if said, err = wire.ReadUp(m, h.limits); err != nil {
			break
		}
		if t.Member, err = h.hear(route, user, said); err != nil {
			break
		}
		switch word := said.Word.(type) {
		case wire.Join:
			t.Joined = true
		case wire.Work:
			t.Work = &word
		}
	}
	switch problem, refused := err.(*wire.Problem); {
	case refused:
		note := wire.Note(problem)
		t.Reply = &note
	case err != nil:
		note := wire.Down(core.DownRegister{}, nil)[0]
		t.Reply = &note
	}
	if t.Reply != nil {
		t.Member, t.Work = nil, nil
	}
	return t
}

// errStranger says that a worker has to register before it can be heard.
var errStranger = core.Errorf(core.ErrNotFound, "", "the worker is not registered")

func (h *Hub) hear(route, user string, said wire.Said) (*Member, error) {
	m := h.members[said.Worker]
	if m != nil && m.user != user {
		return nil, &wire.Problem{Code: wire.Forbidden, Text: "the worker " + string(said.Worker) + " belongs to another key"}
	}
	join, joins := said.Word.(wire.Join)
	if joins {
		return h.join(m, route, user, join)
	}
	if m == nil || !m.joined || m.Route != route && !h.talk.Moves() {
		return nil, errStranger
	}
	h.found(m)
	switch word := said.Word.(type) {
	case wire.Work:
		return m, nil
	case wire.NeedBody:
		h.sendBodies(m, word.Hashes)
		return m, nil
	case core.UpFinish:
		for _, o := range word.Outcomes {
			delete(m.Holds, o.Task)
		}
	case core.UpReturn:
		for _, l := range word.Leases {
			delete(m.Holds, l.Task)
		}
	case core.UpLeave:
		h.forward(m, word)
		h.remove(m)
		return nil, nil
	}
	h.forward(m, said.Word.(core.Up))
	return m, nil
}

// found notes that a worker was heard.
func (h *Hub) found(m *Member) {
	m.heard = time.Now()
	if !m.lostAt.IsZero() {
		m.lostAt = time.Time{}
		h.setLost(m, false)
	}
}

// join registers a worker, or registers it again.
func (h *Hub) join(m *Member, route, user string, j wire.Join) (*Member, error) {
	if m != nil && m.joined && m.number == j.Number && (m.Route == route || h.talk.Moves()) {
		h.found(m)
		return m, nil // the same request once more
	}
	if m != nil && j.Number < m.number {
		return m, nil // it had waited in a connection that was given up since
	}
	name, _ := h.loop.Principal(user)
	principal, err := h.introduce(j, name)
	if err != nil {
		return nil, err
	}
	if m == nil {
		m = &Member{ID: j.Worker.ID, user: user}
		h.members[m.ID] = m
	}
	m.Route, m.Single, m.key, m.number, m.joined = route, j.Single, name, j.Number, true
	m.known, m.Holds = map[string]bool{}, map[core.TaskID]struct{}{}
	for _, held := range j.Holds {
		m.Holds[held.Task] = struct{}{}
	}
	// Tasks that did not get through are not among its holds: the dispatcher
	// queues them again.
	m.Out = slices.DeleteFunc(m.Out, func(o wire.Message) bool {
		return o.Kind != wire.KindCancel && o.Kind != wire.KindLost && o.Kind != wire.KindDrainNow && o.Kind != wire.KindStore
	})
	m.Notes = nil
	h.mu.Lock()
	b := h.boxes[m.ID]
	if b == nil {
		b = &box{}
		h.boxes[m.ID] = b
	}
	b.joining++
	h.mu.Unlock()
	h.found(m)
	j.Worker.Mode, j.Worker.Principal = h.mode, principal
	h.forward(m, core.UpJoin{Worker: j.Worker, Holds: j.Holds})
	h.up <- core.Signal{Worker: m.ID + "/welcome", From: barrier{h, m.ID, j.Number}, Up: core.UpBeat{}}
	return m, nil
}

// introduce returns a worker's principal: the name of its key, or the owner's if
// this process has hired it. That others may hold tasks from here is made known
// before the first of them can be given any.
func (h *Hub) introduce(j wire.Join, key string) (principal string, err error) {
	if h.cfg.Hired != "" && subtle.ConstantTimeCompare([]byte(j.Token), []byte(h.cfg.Hired)) == 1 {
		return cmp.Or(key, h.cfg.Owner), nil
	}
	if !h.foreign && h.cfg.Foreign != nil {
		if err := h.cfg.Foreign(); err != nil {
			h.cfg.Logger.Error("a worker has to wait, as its coming cannot be noted", "worker", j.Worker.ID, "error", err)
			return "", errStranger
		}
	}
	h.foreign = true
	return key, nil
}

// forward passes a word to the dispatcher, which reads until Serve has returned.
func (h *Hub) forward(m *Member, word core.Up) {
	h.up <- core.Signal{Worker: m.ID, From: h, Up: word}
}

func (h *Hub) remove(m *Member) {
	delete(h.members, m.ID)
	h.mu.Lock()
	delete(h.boxes, m.ID)
	h.mu.Unlock()
}

func (h *Hub) setLost(m *Member, lost bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if b := h.boxes[m.ID]; b != nil {
		b.lost = lost
	}
}

// Gone notes that a worker's connection is broken. Unless it is heard of again
// within LostAfter, the dispatcher is told that it is lost.
func (h *Hub) Gone(m *Member) {
	if !m.lostAt.IsZero() {
		return
	}
	m.lostAt = time.Now()
	h.setLost(m, true)
	if over := m.lostAt.Add(h.cfg.LostAfter); h.nextLook.IsZero() || over.Before(h.nextLook) {
		h.nextLook = over
	}
}

// Fill encodes what waits in the worker's box, while little waits in m.Out.
func (h *Hub) Fill(m *Member) {
	if len(m.Out) >= wire.MaxMessages {
		return
	}
	h.mu.Lock()
	b := h.boxes[m.ID]
	if b == nil {
		h.mu.Unlock()
		return
	}
	words := b.words
	b.words = nil
	h.mu.Unlock()
	for _, word := range words {
		h.encode(m, word)
	}
}

func (h *Hub) encode(m *Member, word any) {
	switch word := word.(type) {
	case welcome:
		m.Out = append(m.Out, wire.Note(wire.Welcome{
			Number: word.number, Dispatcher: string(h.id), MaxPayload: h.cfg.MaxPayload, Beat: h.cfg.Beat, Park: h.cfg.Park,
		}))
		return
	case core.DownRegister:
		m.joined = false
	case core.DownTasks:
		word.Tasks = h.sendable(m, word.Tasks)
		for _, a := range word.Tasks {
			m.Holds[a.Task] = struct{}{}
		}
		m.Out = append(m.Out, wire.Down(word, m.fresh(h))...)
		return
	case core.DownLost:
		for _, l := range word.Leases {
			delete(m.Holds, l.Task)
		}
	case core.DownSettled:
		m.Notes = append(m.Notes, wire.Down(word, nil)...)
		return
	}
	m.Out = append(m.Out, wire.Down(word.(core.Down), nil)...)
}

// sendable takes out tasks that are too large to be sent, and ends them: libzmq
// would drop them without a word, and the worker's connection with them.
func (h *Hub) sendable(m *Member, tasks []core.Assignment) []core.Assignment {
	return slices.DeleteFunc(tasks, func(a core.Assignment) bool {
		size := max(len(a.Args), len(a.Function.Body))
		if size <= h.cfg.MaxPayload {
			return false
		}
		h.forward(m, core.UpFinish{Outcomes: []core.Outcome{{Lease: a.Lease, State: core.Failed, Result: core.Result{Failure: &core.Failure{
			Kind: core.KindUnloadable, Message: fmt.Sprintf("arguments or body have %d bytes; this dispatcher sends at most %d", size, h.cfg.MaxPayload),
		}}}}})
		return true
	})
}

// fresh says whether a body has to go along, and that it has gone.
func (m *Member) fresh(h *Hub) func(*core.Function) bool {
	return func(f *core.Function) bool {
		if m.known[f.BodyHash] {
			return false
		}
		m.known[f.BodyHash] = true
		h.bodies.put(f.BodyHash, f.Body)
		return true
	}
}

// sendBodies answers a worker that has forgotten bodies.
func (h *Hub) sendBodies(m *Member, hashes []string) {
	for _, hash := range hashes {
		if body, ok := h.bodies.get(hash); ok {
			m.Out = append(m.Out, wire.Note(wire.Body{Hash: hash, Bytes: body}))
			continue
		}
		delete(m.known, hash)
		m.Out = append(m.Out, wire.Note(&wire.Problem{Code: wire.NoBody, Text: hash}))
	}
	h.talk.Flush(h, m)
}
