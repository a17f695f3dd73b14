package pyrun

import (
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func testPipe(t *testing.T) (read, write int) {
	t.Helper()
	var p [2]int
	if err := unix.Pipe2(p[:], unix.O_CLOEXEC|unix.O_NONBLOCK); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeAll(p[0], p[1]) })
	return p[0], p[1]
}

func TestPark(t *testing.T) {
	p, err := newPark()
	if err != nil {
		t.Fatal(err)
	}
	defer p.file.Close()
	in := func(fd int) unix.PollFd { return unix.PollFd{Fd: int32(fd), Events: unix.POLLIN} }
	parked := func(until time.Duration, fds ...unix.PollFd) time.Duration {
		t.Helper()
		began := time.Now()
		if err := p.wait(fds, began.Add(until)); err != nil {
			t.Fatal(err)
		}
		return time.Since(began)
	}
	const soon, long = 30 * time.Millisecond, time.Minute
	a, fillA := testPipe(t)
	b, fillB := testPipe(t)
	if took := parked(soon, in(a), in(b), unix.PollFd{Fd: -1}); took < soon {
		t.Errorf("it waited %v for nothing", took)
	}
	go unix.Write(fillB, []byte("x"))
	parked(long, in(a), in(b)) // or the test takes a minute
	parked(long, in(a), in(b)) // and as long as it has not been read
	if took := parked(soon, in(a)); took < soon {
		t.Errorf("what is not waited for any more woke it after %v", took)
	}
	parked(long, in(b), in(a))
	unix.Write(fillA, []byte("x"))
	parked(long, in(a))
	// A pipe that others will write to when ours is full.
	parked(long, unix.PollFd{Fd: int32(fillA), Events: unix.POLLOUT})

	// The number of a closed descriptor is another's by now.
	var old [2]int
	if err := unix.Pipe2(old[:], unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	if took := parked(soon, in(old[0])); took < soon {
		t.Errorf("it waited %v", took)
	}
	closeAll(old[0], old[1])
	if err := unix.Dup2(b, old[0]); err != nil { // which holds a byte
		t.Fatal(err)
	}
	defer closeAll(old[0])
	parked(long, in(old[0]))
}
