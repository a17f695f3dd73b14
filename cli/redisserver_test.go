package cli

import (
	"bufio"
	"fmt"
	"net"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// redisServer is a redis-server as somebody else runs it: not a child of faasctl.
type redisServer struct {
	t      testing.TB
	dir    string
	socket string
	words  []string
	cmd    *exec.Cmd
}

// redisServerFor starts one that writes each change at once, and ends it with the test.
func redisServerFor(t testing.TB, words ...string) *redisServer {
	t.Helper()
	dir := t.TempDir()
	r := &redisServer{t: t, dir: dir, socket: filepath.Join(dir, "r.sock"), words: words}
	r.start()
	t.Cleanup(func() { r.end(syscall.SIGKILL) })
	return r
}

func (r *redisServer) url() string { return "unix://" + r.socket }

// start starts it and waits until it answers.
func (r *redisServer) start() {
	r.t.Helper()
	r.cmd = exec.Command("redis-server", append([]string{"--port", "0", "--unixsocket", r.socket, "--dir", r.dir, "--save", "",
		"--appendonly", "yes", "--appendfsync", "always", "--maxmemory-policy", "noeviction"}, r.words...)...)
	if err := r.cmd.Start(); err != nil {
		r.t.Fatalf("this test needs a redis-server: %v", err)
	}
	deadline := time.Now().Add(20 * time.Second)
	for tick := time.NewTicker(10 * time.Millisecond); ; <-tick.C {
		if answer, err := r.ask("PING"); err == nil && strings.HasPrefix(answer, "+PONG") {
			return
		}
		if time.Now().After(deadline) {
			r.t.Fatal("redis-server does not answer")
		}
	}
}

// end ends it with a signal and waits.
func (r *redisServer) end(sig syscall.Signal) {
	_ = r.cmd.Process.Signal(sig)
	_ = r.cmd.Wait()
}

// ask sends a command and returns the first line of the answer.
func (r *redisServer) ask(command string) (string, error) {
	conn, err := net.DialTimeout("unix", r.socket, time.Second)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(time.Minute))
	if _, err := fmt.Fprintf(conn, "%s\r\n", command); err != nil {
		return "", err
	}
	return bufio.NewReader(conn).ReadString('\n')
}

func (r *redisServer) must(command string) {
	r.t.Helper()
	if answer, err := r.ask(command); err != nil || strings.HasPrefix(answer, "-") {
		r.t.Fatalf("%s: %q %v", command, answer, err)
	}
}
