package zmqloop

import (
	"errors"
	"fmt"

	"github.com/pebbe/zmq4"
)

// Stage is how far a socket that connects has got with the other end. It only
// rises, until an open connection breaks.
type Stage int

// The stages. libzmq tries again after those up to BrokenOff, and leaves it at
// Mismatch and Refused: only a new socket tries again.
const (
	Unknown   Stage = iota // this libzmq does not tell
	Unreached              // nobody has accepted the connection
	Mute                   // somebody has, and does not shake hands
	BrokenOff              // it hung up during the handshake: other keys, or another protocol
	Mismatch               // of the two ends one has keys and the other has none
	Refused                // the other end does not know our key
	Open                   // messages pass
)

// Final reports whether libzmq has given up.
func (s Stage) Final() bool { return s == Mismatch || s == Refused }

// What libzmq tells of handshakes since 4.3, as it numbers them.
const (
	handshakes       = zmq4.EVENT_HANDSHAKE_SUCCEEDED | zmq4.EVENT_HANDSHAKE_FAILED_NO_DETAIL | zmq4.EVENT_HANDSHAKE_FAILED_PROTOCOL | zmq4.EVENT_HANDSHAKE_FAILED_AUTH
	errCryptographic = 0x11000001 // what came is not encrypted for this key
	errMechanism     = 0x11000002 // one end has keys, the other has none
)

// tellsHandshakes says whether libzmq tells them.
func tellsHandshakes() bool {
	major, minor, _ := zmq4.Version()
	return major > 4 || major == 4 && minor >= 3
}

// watcher hears from libzmq what becomes of the connections of one socket.
// Nobody waits for it: what it has not read yet is kept, however much that is,
// since libzmq's own thread would stand still otherwise.
type watcher struct {
	pair *zmq4.Socket
	hear func(event zmq4.Event, value int)
}

// watch begins to tell hear of events of a socket that is neither connected nor
// bound yet.
func (l *Loop) watch(s *Socket, events zmq4.Event, hear func(zmq4.Event, int)) error {
	l.watched++
	address := fmt.Sprintf("inproc://watch-%d", l.watched)
	pair, err := l.ctx.NewSocket(zmq4.PAIR)
	if err != nil {
		return fmt.Errorf("make a socket: %w", err)
	}
	err = errors.Join(pair.SetLinger(0), pair.SetRcvhwm(0), s.zmq.Monitor(address, events))
	if err == nil {
		err = pair.Connect(address)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("watch a socket: %w", err), pair.Close())
	}
	s.watcher = &watcher{pair, hear}
	return nil
}

// read takes in what was told since.
func (w *watcher) read() {
	for {
		event, _, value, err := w.pair.RecvEvent(zmq4.DONTWAIT)
		if err != nil {
			return
		}
		w.hear(event, value)
	}
}

// close ends the watch before the socket is closed: libzmq would wait for a
// listener that is gone.
func (w *watcher) close(watched *zmq4.Socket) error {
	return errors.Join(watched.Monitor("", 0), w.pair.Close())
}

// follow has the stage of a socket that connects follow what becomes of its
// connections.
func (l *Loop) follow(s *Socket) error {
	if !tellsHandshakes() {
		return nil
	}
	s.stage = Unreached
	return l.watch(s, zmq4.EVENT_CONNECTED|zmq4.EVENT_DISCONNECTED|handshakes, func(event zmq4.Event, value int) {
		switch {
		case event == zmq4.EVENT_HANDSHAKE_SUCCEEDED:
			s.stage = Open
		case event == zmq4.EVENT_DISCONNECTED && s.stage == Open:
			s.stage = Unreached
		case event == zmq4.EVENT_CONNECTED:
			s.stage = max(s.stage, Mute)
		case event == zmq4.EVENT_HANDSHAKE_FAILED_AUTH:
			s.stage = max(s.stage, Refused)
		case event == zmq4.EVENT_HANDSHAKE_FAILED_PROTOCOL && value == errMechanism:
			s.stage = max(s.stage, Mismatch)
		case event != zmq4.EVENT_DISCONNECTED:
			s.stage = max(s.stage, BrokenOff)
		}
	})
}

// Stage is how far the connection has got. Of a ROUTER it is Unknown.
func (s *Socket) Stage() Stage { return s.stage }
