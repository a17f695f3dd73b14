package ports

import (
	"errors"
	"net"
	"runtime"
	"syscall"
	"testing"
)

// A reserved port is nobody's until somebody listens there, again and again.
func TestReserve(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("elsewhere it is only likely")
	}
	first := Reserve(t, 2)
	for port := first; port < first+2; port++ {
		if _, _, err := hold(port); !errors.Is(err, syscall.EADDRINUSE) {
			t.Fatalf("port %d was reserved twice: %v", port, err)
		}
		for range 3 {
			if conn, err := net.Dial("tcp", At(port)); !errors.Is(err, syscall.ECONNREFUSED) {
				t.Fatalf("connecting to port %d, where nobody listens: %v %v", port, conn, err)
			}
			listener, err := net.Listen("tcp", At(port))
			if err != nil {
				t.Fatal(err)
			}
			near, err := net.Dial("tcp", At(port))
			if err != nil {
				t.Fatal(err)
			}
			far, err := listener.Accept()
			if err != nil {
				t.Fatal(err)
			}
			if _, err := net.Listen("tcp", At(port)); !errors.Is(err, syscall.EADDRINUSE) {
				t.Fatalf("two listen on port %d: %v", port, err)
			}
			_ = far.Close()
			_ = near.Close()
			_ = listener.Close()
		}
	}
}

// Whoever lets go of a port leaves it to others.
func TestRelease(t *testing.T) {
	for range tries {
		port, release, err := Hold(1)
		if err != nil {
			t.Fatal(err)
		}
		release()
		release()
		fd, _, err := hold(port)
		if err == nil {
			_ = syscall.Close(fd)
			return
		}
		t.Logf("somebody else has taken it: %v", err)
	}
	t.Fatal("it was never left")
}

// No row reaches beyond the last port.
func TestTheLastPort(t *testing.T) {
	if _, _, err := hold(65536); !errors.Is(err, syscall.EADDRINUSE) {
		t.Fatal(err)
	}
}
