package httpapi

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

const strangerUID = 65534

func needRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("SKIPPED: only root can connect as another user; run this as root once")
	}
}

// dialAs connects with a socket that belongs to uid: the thread borrows that
// identity for the moment in which the socket is made.
func dialAs(t *testing.T, uid int, domain int, to netip.AddrPort) *os.File {
	t.Helper()
	type made struct {
		fd  int
		err error
	}
	result := make(chan made)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread dies with the goroutine
		if err := unix.Setfsuid(uid); err != nil {
			result <- made{0, err}
			return
		}
		fd, err := unix.Socket(domain, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		result <- made{fd, err}
	}()
	m := <-result
	must(t, m.err)
	var address unix.Sockaddr = &unix.SockaddrInet6{Port: int(to.Port()), Addr: to.Addr().As16()}
	if domain == unix.AF_INET {
		address = &unix.SockaddrInet4{Port: int(to.Port()), Addr: to.Addr().As4()}
	}
	must(t, unix.Connect(m.fd, address))
	f := os.NewFile(uintptr(m.fd), "peer")
	t.Cleanup(func() { f.Close() })
	return f
}

func TestPeerUIDFamilies(t *testing.T) {
	needRoot(t)
	for _, c := range []struct {
		listen, dial string
		domain       int
	}{
		{"127.0.0.1:0", "127.0.0.1", unix.AF_INET},
		{"127.0.0.1:0", "::ffff:127.0.0.1", unix.AF_INET6},
		{"[::1]:0", "::1", unix.AF_INET6},
		{"[::]:0", "::1", unix.AF_INET6},
		{"[::]:0", "127.0.0.1", unix.AF_INET},
		{"[::]:0", "::ffff:127.0.0.1", unix.AF_INET6},
	} {
		t.Run(fmt.Sprintf("%s from %s", c.listen, c.dial), func(t *testing.T) {
			listener, err := net.Listen("tcp", c.listen)
			must(t, err)
			defer listener.Close()
			port := addrPort(listener.Addr()).Port()
			for _, uid := range []int{0, strangerUID, 12345} {
				far := dialAs(t, uid, c.domain, netip.AddrPortFrom(netip.MustParseAddr(c.dial), port))
				conn, err := listener.Accept()
				must(t, err)
				defer conn.Close()
				p := &peer{remote: addrPort(conn.RemoteAddr()), local: addrPort(conn.LocalAddr())}
				if !p.loopback() {
					t.Fatalf("%v is not taken for loopback", p.remote)
				}
				got, err := peerUID(p.remote, p.local)
				if err != nil || got != uint32(uid) {
					t.Fatalf("uid %d, %v, want %d", got, err, uid)
				}
				far.Close()
				// The kernel needs a moment to turn the socket into one that
				// is closing; from then on nobody owns it.
				for end := time.Now().Add(5 * time.Second); err == nil && time.Now().Before(end); runtime.Gosched() {
					_, err = peerUID(p.remote, p.local)
				}
				if !errors.Is(err, errNotEstablished) {
					t.Fatalf("after its close: %v", err)
				}
			}
		})
	}
}

func TestPeerUIDKnowsNoStrangers(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer listener.Close()
	// The kernel offers the listening socket when nothing else fits.
	if uid, err := peerUID(addrPort(listener.Addr()), netip.MustParseAddrPort("127.0.0.1:1")); !errors.Is(err, errNotEstablished) {
		t.Fatalf("a listening socket passes as %d, %v", uid, err)
	}
	if uid, err := peerUID(netip.MustParseAddrPort("127.0.0.1:1"), netip.MustParseAddrPort("127.0.0.1:2")); !errors.Is(err, errNotEstablished) {
		t.Fatalf("nobody passes as %d, %v", uid, err)
	}
}

const plainRequest = "GET /version HTTP/1.1\r\nHost: localhost\r\n\r\n"

func TestStrangersNeedTheToken(t *testing.T) {
	needRoot(t)
	st := start(t)
	address := netip.MustParseAddrPort(st.server.Addr())
	for uid, want := range map[int]string{0: "200 OK", strangerUID: "401 Unauthorized", 12345: "401 Unauthorized"} {
		far := dialAs(t, uid, unix.AF_INET, address)
		if _, err := far.WriteString(plainRequest); err != nil {
			t.Fatal(err)
		}
		head := make([]byte, 512)
		n, err := far.Read(head)
		must(t, err)
		if !strings.HasPrefix(string(head[:n]), "HTTP/1.1 "+want) {
			t.Errorf("uid %d: %q, want %s", uid, head[:n], want)
		}
		if want != "200 OK" && !strings.Contains(string(head[:n]), "Www-Authenticate: Bearer") {
			t.Errorf("no WWW-Authenticate: %q", head[:n])
		}
	}
}

// A peer that has sent and closed, or closed its half, before the server looks
// must not pass: its socket shows uid 0 by then.
func TestSendAndCloseDoesNotPass(t *testing.T) {
	needRoot(t)
	for _, half := range []bool{false, true} {
		t.Run(fmt.Sprintf("half=%v", half), func(t *testing.T) {
			closed := make(chan struct{})
			seen := make(chan error, 1)
			st := start(t, func(c *Config) {
				c.peerUID = func(remote, local netip.AddrPort) (uint32, error) {
					<-closed
					for {
						uid, err := peerUID(remote, local)
						if err == nil && uid == strangerUID {
							continue // the close is not through yet
						}
						seen <- err
						return uid, err
					}
				}
			})
			far := dialAs(t, strangerUID, unix.AF_INET, netip.MustParseAddrPort(st.server.Addr()))
			_, err := far.WriteString("POST /v1/tasks:cancel HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n")
			must(t, err)
			if half {
				must(t, unix.Shutdown(int(far.Fd()), unix.SHUT_WR))
			} else {
				far.Close()
			}
			close(closed)
			if err := <-seen; err == nil {
				t.Fatal("it passed")
			}
			if half {
				answer, err := io.ReadAll(far)
				must(t, err)
				if !strings.HasPrefix(string(answer), "HTTP/1.1 401 ") {
					t.Fatalf("%q", answer)
				}
			}
			st.stop()
			if !strings.Contains(st.log.String(), "status=401") {
				t.Fatalf("no refusal in the log: %s", st.log)
			}
		})
	}
}

// The same with a process that is really another user's.
func TestAnotherUsersProcess(t *testing.T) {
	needRoot(t)
	st := start(t)
	script := `import sys, urllib.request, urllib.error
try:
    print(urllib.request.urlopen(sys.argv[1] + "/version").status)
except urllib.error.HTTPError as e:
    print(e.code)`
	for uid, want := range map[uint32]string{0: "200\n", strangerUID: "401\n"} {
		command := exec.Command("/usr/bin/python3", "-c", script, st.server.URL())
		command.Dir = "/"
		command.Env = []string{"PATH=/usr/bin:/bin"}
		command.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
		out, err := command.CombinedOutput()
		if err != nil {
			t.Skipf("SKIPPED: cannot run python3 as uid %d: %v: %s", uid, err, out)
		}
		if string(out) != want {
			t.Errorf("uid %d got %q, want %q", uid, out, want)
		}
	}
}

// One question per connection, asked by its first request.
func TestOwnerIsLookedUpOncePerConnection(t *testing.T) {
	asked := make(chan struct{}, 100)
	st := start(t, func(c *Config) {
		c.peerUID = func(netip.AddrPort, netip.AddrPort) (uint32, error) {
			asked <- struct{}{}
			return uint32(os.Geteuid()), nil
		}
	})
	st.http.Transport.(*http.Transport).MaxConnsPerHost = 1
	for range 5 {
		st.want(200, "GET", "/version", "")
	}
	if len(asked) != 1 {
		t.Fatalf("%d questions for one connection", len(asked))
	}
}

func BenchmarkPeerUID(b *testing.B) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(b, err)
	defer listener.Close()
	far, err := net.Dial("tcp", listener.Addr().String())
	must(b, err)
	defer far.Close()
	conn, err := listener.Accept()
	must(b, err)
	defer conn.Close()
	remote, local := addrPort(conn.RemoteAddr()), addrPort(conn.LocalAddr())
	for b.Loop() {
		if _, err := peerUID(remote, local); err != nil {
			b.Fatal(err)
		}
	}
}
