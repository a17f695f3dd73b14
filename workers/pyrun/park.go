package pyrun

import (
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// park waits for descriptors without keeping a thread: a thread that blocks in a
// system call keeps one of the runtime's processors until the runtime takes it
// away, for which it looks every 20 µs. It is an epoll descriptor that itself is
// waited for by the runtime's own poller. Owned by one slot.
type park struct {
	file *os.File
	raw  syscall.RawConn
	fd   int
	set  []unix.PollFd // what is registered
}

func newPark() (*park, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, err
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		closeAll(fd)
		return nil, err
	}
	p := &park{file: os.NewFile(uintptr(fd), "park"), fd: fd}
	if p.raw, err = p.file.SyscallConn(); err == nil {
		err = p.file.SetReadDeadline(time.Time{}) // fails when the runtime cannot wait for it
	}
	if err != nil {
		p.file.Close()
		return nil, err
	}
	return p, nil
}

// wait returns when one of fds may be ready, or the time has come; zero is never.
// An error means that this is no way to wait for them.
func (p *park) wait(fds []unix.PollFd, until time.Time) error {
	if err := p.register(fds); err != nil {
		return err
	}
	if err := p.file.SetReadDeadline(until); err != nil {
		return err
	}
	var events [1]unix.EpollEvent
	err := p.raw.Read(func(uintptr) bool {
		n, err := unix.EpollWait(p.fd, events[:], 0)
		return n != 0 || err != nil && err != unix.EINTR
	})
	if os.IsTimeout(err) {
		return nil
	}
	return err
}

// register makes the epoll descriptor wait for just these. A descriptor that was
// closed has left by itself, and its number may be another's by now.
func (p *park) register(fds []unix.PollFd) error {
	for _, old := range p.set {
		if !among(fds, old) {
			_ = unix.EpollCtl(p.fd, unix.EPOLL_CTL_DEL, int(old.Fd), nil)
		}
	}
	p.set = p.set[:0]
	for _, f := range fds {
		if f.Fd < 0 {
			continue
		}
		event := unix.EpollEvent{Events: uint32(f.Events), Fd: f.Fd} // POLLIN and POLLOUT have the numbers of EPOLLIN and EPOLLOUT
		err := unix.EpollCtl(p.fd, unix.EPOLL_CTL_MOD, int(f.Fd), &event)
		if err == unix.ENOENT {
			err = unix.EpollCtl(p.fd, unix.EPOLL_CTL_ADD, int(f.Fd), &event)
		}
		if err != nil {
			return err
		}
		p.set = append(p.set, f)
	}
	return nil
}

func among(fds []unix.PollFd, one unix.PollFd) bool {
	for _, f := range fds {
		if f.Fd == one.Fd {
			return true
		}
	}
	return false
}
