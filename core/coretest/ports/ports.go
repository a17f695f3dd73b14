// Package ports reserves ports of the loopback for tests, so that none of them
// hopes that a port which was free a moment ago is free still.
//
// A reserved port is bound and not listened on. The kernel gives it to nobody who
// asks for a free one or connects from a free one, whoever connects to it is refused,
// and who asks for exactly this port and reuses addresses, as Go's listeners, libzmq
// and redis-server do, may listen on it, as often as it likes.
package ports

import (
	"errors"
	"fmt"
	"net"
	"strconv"
	"sync"
	"syscall"
	"testing"
)

// tries bounds how often a row of ports is looked for.
const tries = 1000

// Reserve holds n ports in a row until the test has ended, and returns the first.
func Reserve(t testing.TB, n int) int {
	t.Helper()
	first, release, err := Hold(n)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(release)
	return first
}

// Hold is Reserve for as long as release is not called.
func Hold(n int) (first int, release func(), err error) {
	for range tries {
		if first, release, err = row(n); err == nil || !errors.Is(err, syscall.EADDRINUSE) {
			break
		}
	}
	if err != nil {
		return 0, nil, fmt.Errorf("ports: no %d ports in a row: %w", n, err)
	}
	if !shared() {
		release()
	}
	return first, release, nil
}

// At is the address of a port.
func At(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }

// row takes any free port and those that follow it.
func row(n int) (first int, release func(), err error) {
	var held []int
	release = sync.OnceFunc(func() {
		for _, fd := range held {
			_ = syscall.Close(fd)
		}
	})
	for i := range n {
		port := 0
		if i > 0 {
			port = first + i
		}
		fd, got, err := hold(port)
		if err != nil {
			release()
			return 0, nil, err
		}
		if held = append(held, fd); i == 0 {
			first = got
		}
	}
	return first, release, nil
}

// hold binds a port, or any for 0, that nobody else has bound. Only then does it
// allow others to listen there.
func hold(port int) (fd, got int, err error) {
	if port > 65535 {
		return 0, 0, syscall.EADDRINUSE
	}
	syscall.ForkLock.RLock() // a child that inherits it would hold it on
	if fd, err = syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0); err == nil {
		syscall.CloseOnExec(fd)
	}
	syscall.ForkLock.RUnlock()
	if err != nil {
		return 0, 0, err
	}
	err = syscall.Bind(fd, &syscall.SockaddrInet4{Port: port, Addr: [4]byte{127, 0, 0, 1}})
	if err == nil {
		err = syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1)
	}
	var at syscall.Sockaddr
	if err == nil {
		at, err = syscall.Getsockname(fd)
	}
	if err != nil {
		_ = syscall.Close(fd)
		return 0, 0, err
	}
	return fd, at.(*syscall.SockaddrInet4).Port, nil
}

// shared reports whether this system lets a listener have a port that is reserved, as
// Linux does. Elsewhere a port is let go of at once, and is likely to stay free.
var shared = sync.OnceValue(func() bool {
	port, release, err := row(1)
	if err != nil {
		return false
	}
	defer release()
	listener, err := net.Listen("tcp", At(port))
	if err != nil {
		return false
	}
	_ = listener.Close()
	return true
})
