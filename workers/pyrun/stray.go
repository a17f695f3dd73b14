package pyrun

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"faasctl/core"
)

// What a call leaves running goes on printing when the call has ended. That is
// no other call's output: it goes to the log. Processes have the pipes of their
// call, so the next call gets others. Threads of a child share its descriptors
// with the next call; the runner tells them apart and sends what they print
// through the control socket.

// stray is a pipe that a child's calls do not print to any more.
type stray struct {
	fd     int
	stderr bool
	task   core.TaskID // the last call that printed to it
}

const (
	maxStrays  = 32                    // pipes; the oldest is closed for one more
	strayPause = 20 * time.Millisecond // between two looks: a flood is nobody's concern
	strayEvery = time.Second           // between two lines of the log
	strayText  = 1 << 10               // bytes of output in such a line
)

// openControl makes the socket that a child gets its new pipes through.
func openControl() (ours, theirs int, err error) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, -1, fmt.Errorf("make a socket: %w", err)
	}
	return pair[0], pair[1], unix.SetNonblock(pair[0], true)
}

// renew gives the child, which waits for them, new pipes for its output.
func (ch *child) renew(task core.TaskID) error {
	var out, err [2]int
	if e := unix.Pipe2(out[:], unix.O_CLOEXEC); e != nil {
		return fmt.Errorf("no new pipe for its output: %w", e)
	}
	if e := unix.Pipe2(err[:], unix.O_CLOEXEC); e != nil {
		closeAll(out[:]...)
		return fmt.Errorf("no new pipe for its output: %w", e)
	}
	for _, fd := range []int{out[1], err[1]} {
		if ch.cell.uid >= 0 { // /dev/stdout is opened anew, by that user
			_ = unix.Fchown(fd, ch.cell.uid, ch.cell.uid)
		}
	}
	_ = unix.SetNonblock(out[0], true)
	_ = unix.SetNonblock(err[0], true)
	e := unix.Sendmsg(ch.control, []byte{1}, unix.UnixRights(out[1], err[1], out[0], err[0]), nil, unix.MSG_NOSIGNAL)
	closeAll(out[1], err[1])
	if e != nil {
		closeAll(out[0], err[0])
		return fmt.Errorf("it does not take new pipes for its output: %w", e)
	}
	ch.strays = append(ch.strays, stray{ch.stdout, false, task}, stray{ch.stderr, true, task})
	for len(ch.strays) > maxStrays {
		closeAll(ch.strays[0].fd)
		ch.strays = ch.strays[1:]
	}
	ch.stdout, ch.stderr = out[0], err[0]
	return nil
}

// strayFDs appends what is to be polled for output of what was left running.
func (s *slot) strayFDs(fds []unix.PollFd, until time.Time) ([]unix.PollFd, time.Time) {
	ch := s.ch
	if !ch.strayAt.IsZero() && time.Now().Before(ch.strayAt) {
		return fds, earlier(until, ch.strayAt)
	}
	ch.strayAt = time.Time{}
	fds = append(fds, unix.PollFd{Fd: int32(ch.control), Events: unix.POLLIN})
	for _, one := range ch.strays {
		fds = append(fds, unix.PollFd{Fd: int32(one.fd), Events: unix.POLLIN})
	}
	return fds, until
}

// handleStrays reads what was left running has printed.
func (s *slot) handleStrays(fds []unix.PollFd) {
	heard := false
	for i, fd := range fds {
		if fd.Revents == 0 {
			continue
		}
		heard = true
		n, err := unix.Read(int(fd.Fd), s.scratch)
		data := s.scratch[:max(0, n)]
		switch {
		case err == unix.EAGAIN || err == unix.EINTR:
		case i == 0 && n > 1:
			s.overhear("", data[0] == '2', data[1:])
		case i == 0:
			closeAll(s.ch.control)
			s.ch.control = -1
		case n > 0:
			s.overhear(s.ch.strays[i-1].task, s.ch.strays[i-1].stderr, data)
		default: // nobody holds the other end any more
			closeAll(int(fd.Fd))
			s.ch.strays[i-1].fd = -1
		}
	}
	if heard {
		s.ch.strayAt = time.Now().Add(strayPause)
		kept := s.ch.strays[:0]
		for _, one := range s.ch.strays {
			if one.fd >= 0 {
				kept = append(kept, one)
			}
		}
		s.ch.strays = kept
	}
}

// overhear logs output that is no call's, a little of it.
func (s *slot) overhear(task core.TaskID, stderr bool, data []byte) {
	ch, now := s.ch, time.Now()
	if now.Before(ch.strayLog) {
		ch.strayOut += len(data)
		return
	}
	stream := core.Stdout
	if stderr {
		stream = core.Stderr
	}
	attributes := []any{"pid", ch.pid, "stream", stream, "text", toText(data[:min(len(data), strayText)], strayText)}
	if task != "" {
		attributes = append(attributes, "left_by", task)
	}
	if out := ch.strayOut + max(0, len(data)-strayText); out > 0 {
		attributes = append(attributes, "bytes_left_out", out)
	}
	ch.strayLog, ch.strayOut = now.Add(strayEvery), 0
	s.log.Info("something that a call has left running prints", attributes...)
}
