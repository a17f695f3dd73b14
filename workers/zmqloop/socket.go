package zmqloop

import (
	"errors"
	"fmt"
	"slices"
	"syscall"
	"time"

	"github.com/pebbe/zmq4"

	"faasctl/core"
)

// Socket is one socket of a Loop. Only the Owner's methods may use it.
type Socket struct {
	loop    *Loop
	zmq     *zmq4.Socket
	routed  bool // it is a ROUTER
	asked   bool // it is a REQ that awaits an answer
	req     bool
	stage   Stage
	watcher *watcher // nil if nothing is told of it
}

// Outgoing messages that one peer may have waiting in libzmq; what is beyond
// stays with the owner, who bounds it too.
const highWater = 256

// Router opens a ROUTER that is bound to an address. A message to a peer that is
// gone fails at once instead of vanishing.
func (l *Loop) Router(address string) (*Socket, error) {
	s, err := l.socket(zmq4.ROUTER, address)
	if err != nil {
		return nil, err
	}
	s.routed = true
	errs := []error{s.zmq.SetRouterMandatory(1), l.countRefusals(s)}
	if l.gate != nil {
		errs = append(errs, l.gate.guard(s.zmq))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, s.abandon("prepare", address, err)
	}
	if err := s.zmq.Bind(address); err != nil {
		return nil, s.abandon("listen on", address, err)
	}
	l.add(s)
	return s, nil
}

// Dealer opens a DEALER that connects, and connects again, to an address.
func (l *Loop) Dealer(address string) (*Socket, error) { return l.connect(zmq4.DEALER, address) }

// Req opens a REQ that connects to an address. It may ask again without having
// been answered; the answer to what it had asked before is dropped.
func (l *Loop) Req(address string) (*Socket, error) { return l.connect(zmq4.REQ, address) }

func (l *Loop) connect(kind zmq4.Type, address string) (*Socket, error) {
	s, err := l.socket(kind, address)
	if err != nil {
		return nil, err
	}
	errs := []error{s.zmq.SetReconnectIvl(100 * time.Millisecond), s.zmq.SetReconnectIvlMax(time.Second), l.follow(s)}
	if kind == zmq4.REQ {
		s.req = true
		errs = append(errs, s.zmq.SetReqRelaxed(1), s.zmq.SetReqCorrelate(1))
	}
	if l.cfg.Client != nil {
		errs = append(errs, l.cfg.Client.apply(s.zmq))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, s.abandon("prepare", address, err)
	}
	if err := s.zmq.Connect(address); err != nil {
		return nil, s.abandon("connect to", address, err)
	}
	l.add(s)
	return s, nil
}

func (l *Loop) socket(kind zmq4.Type, address string) (*Socket, error) {
	zmq, err := l.ctx.NewSocket(kind)
	if err != nil {
		return nil, fmt.Errorf("make a socket: %w", err)
	}
	s := &Socket{loop: l, zmq: zmq}
	err = errors.Join(
		zmq.SetLinger(l.cfg.Linger), zmq.SetSndhwm(highWater), zmq.SetRcvhwm(highWater), zmq.SetMaxmsgsize(int64(l.cfg.MaxFrame)),
		zmq.SetIpv6(isIPv6(address)),
		// A host that has lost its power sends nothing, not even a farewell.
		zmq.SetTcpKeepalive(1), zmq.SetTcpKeepaliveIdle(15), zmq.SetTcpKeepaliveIntvl(5), zmq.SetTcpKeepaliveCnt(3),
	)
	if err != nil {
		return nil, s.abandon("prepare", address, err)
	}
	return s, nil
}

func (s *Socket) abandon(verb, address string, err error) error {
	if s.watcher != nil {
		_ = s.watcher.close(s.zmq)
	}
	_ = s.zmq.Close()
	failed := core.Errorf(core.ErrUnavailable, "", "cannot %s %s", verb, address)
	failed.Err = err
	if errors.Is(err, zmq4.Errno(syscall.EADDRINUSE)) || errors.Is(err, zmq4.EADDRINUSE) {
		return failed.WithHint("another program has the port; choose one with -p, or 0 for any")
	}
	return failed
}

func (l *Loop) add(s *Socket) {
	l.poller.Add(s.zmq, zmq4.POLLIN)
	if s.watcher != nil {
		l.poller.Add(s.watcher.pair, zmq4.POLLIN)
	}
	l.sockets = append(l.sockets, s)
}

// Address is where a bound socket listens, with the real port.
func (s *Socket) Address() (string, error) { return s.zmq.GetLastEndpoint() }

// Close closes the socket; what it has not sent yet lingers as configured, or is
// dropped.
func (s *Socket) Close(linger bool) error {
	i := slices.Index(s.loop.sockets, s)
	if i < 0 {
		return nil
	}
	s.loop.sockets = slices.Delete(s.loop.sockets, i, i+1)
	var errs []error
	if !linger {
		errs = append(errs, s.zmq.SetLinger(0))
	}
	if s.watcher != nil {
		errs = append(errs, s.loop.poller.RemoveBySocket(s.watcher.pair), s.watcher.close(s.zmq))
	}
	return errors.Join(append(errs, s.loop.poller.RemoveBySocket(s.zmq), s.zmq.Close())...)
}

// Send sends frames in one piece, through a ROUTER to the peer at the end of
// route. It never blocks: ErrGone when that peer is not connected any more,
// ErrFull when it has taken in too little of what it was sent, ErrTooLarge for a
// frame that the other side would drop without a word.
func (s *Socket) Send(route string, frames [][]byte) error {
	for _, f := range frames {
		if len(f) > s.loop.cfg.MaxFrame {
			return core.Errorf(core.ErrTooLarge, "", "a frame of %d bytes; at most %d may be", len(f), s.loop.cfg.MaxFrame)
		}
	}
	if s.routed {
		if _, err := s.zmq.SendBytes([]byte(route), zmq4.DONTWAIT|zmq4.SNDMORE); err != nil {
			return sendError(err)
		}
	}
	for i, f := range frames {
		flags := zmq4.DONTWAIT
		if i < len(frames)-1 {
			flags |= zmq4.SNDMORE
		}
		if _, err := s.zmq.SendBytes(f, flags); err != nil {
			return sendError(err)
		}
	}
	s.asked = true
	return nil
}

func sendError(err error) error {
	switch {
	case errors.Is(err, zmq4.EHOSTUNREACH):
		return core.ErrGone
	case errors.Is(err, zmq4.Errno(syscall.EAGAIN)):
		return core.ErrFull
	}
	return fmt.Errorf("send: %w", err)
}

// maxMessage bounds what one message may have in all its frames together.
const maxMessage = 64 << 20

// receive reads one message, if there is one.
func (s *Socket) receive() (Message, bool) {
	if s.req && !s.asked {
		return Message{}, false // a REQ hears nothing before it has asked
	}
	var m Message
	first, err := s.zmq.RecvBytes(zmq4.DONTWAIT)
	if err != nil {
		return m, false
	}
	s.asked = !s.req
	frame, more := first, s.more()
	if s.routed {
		if m.Route = string(first); !more {
			return m, true
		}
		if frame, m.User, err = s.body(); err != nil {
			return m, false
		}
		more = s.more()
	}
	size := len(frame)
	frames := append(make([][]byte, 0, 4), frame)
	for more {
		if frame, err = s.zmq.RecvBytes(zmq4.DONTWAIT); err != nil {
			return m, false
		}
		more = s.more()
		if size += len(frame); size > maxMessage || len(frames) >= s.loop.cfg.MaxFrames {
			frames = nil // read to the end, but kept no more
			size = maxMessage
			continue
		}
		frames = append(frames, frame)
	}
	m.Frames = frames
	if size > maxMessage {
		m.Frames = nil
	}
	return m, true
}

// body reads the frame after the route, which carries the sender's name.
func (s *Socket) body() ([]byte, string, error) {
	if s.loop.gate == nil {
		frame, err := s.zmq.RecvBytes(zmq4.DONTWAIT)
		return frame, "", err
	}
	frame, properties, err := s.zmq.RecvBytesWithMetadata(zmq4.DONTWAIT, "User-Id")
	return frame, properties["User-Id"], err
}

func (s *Socket) more() bool {
	more, err := s.zmq.GetRcvmore()
	return err == nil && more
}
