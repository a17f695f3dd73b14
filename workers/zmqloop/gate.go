package zmqloop

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"time"

	"github.com/pebbe/zmq4"

	"faasctl/core"
)

// gate says who may connect: it answers libzmq's questions (ZAP) about keys, in
// the loop's own context, because a context in which nobody answers lets
// everybody in. The same table is asked again for every message.
type gate struct {
	server ServerCurve
	log    *slog.Logger
	zap    *zmq4.Socket

	names    map[string]string // public key → name
	refused  map[string]bool   // keys that the log has it of, since names changed
	print    string            // of the directory, when names was read
	revision int
	next     time.Time // of the next look at the directory
}

const (
	zapAddress = "inproc://zeromq.zap.01" // where libzmq asks
	zapDomain  = "faasctl"
	lookEvery  = time.Second
	maxRefused = 64 // unknown keys with a line of their own in the log
)

func newGate(server ServerCurve, log *slog.Logger) (*gate, error) {
	if err := checkKey(server.Secret); err != nil {
		return nil, core.Errorf(core.ErrInvalid, "sockets", "CURVE needs the server's secret key: %v", err)
	}
	if _, err := zmq4.AuthCurvePublic(server.Secret); err != nil {
		return nil, core.Errorf(core.ErrInvalid, "sockets", "the server's secret key is none: %v", err)
	}
	g := &gate{server: server, log: log, refused: map[string]bool{}}
	if _, err := os.ReadDir(server.Allow); err != nil {
		failed := core.Errorf(core.ErrInvalid, "sockets", "CURVE needs a directory of the keys that may connect")
		failed.Err = err
		return nil, failed.WithHint("mkdir a directory, put a NAME.pub of each worker in it and give it with --allow")
	}
	g.read()
	return g, nil
}

// open begins to answer; it must come before the first socket is guarded.
func (g *gate) open(l *Loop) (err error) {
	if g.zap, err = l.ctx.NewSocket(zmq4.REP); err != nil {
		return fmt.Errorf("make the gate: %w", err)
	}
	if err := errors.Join(g.zap.SetLinger(0), g.zap.Bind(zapAddress)); err != nil {
		return fmt.Errorf("open the gate: %w", err)
	}
	l.poller.Add(g.zap, zmq4.POLLIN)
	g.next = time.Now().Add(lookEvery)
	return nil
}

// guard makes a socket that will be bound ask the gate.
func (g *gate) guard(s *zmq4.Socket) error {
	return errors.Join(s.SetCurveServer(1), s.SetCurveSecretkey(g.server.Secret), s.SetZapDomain(zapDomain))
}

func (g *gate) close() error {
	if g.zap == nil {
		return nil
	}
	return g.zap.Close()
}

func (g *gate) name(user string) (string, bool) {
	name, ok := g.names[user]
	return name, ok
}

// work answers what was asked and looks at the directory from time to time.
func (g *gate) work(now time.Time) {
	if !now.Before(g.next) {
		g.next = now.Add(lookEvery)
		g.read()
	}
	for range fairShare {
		question, err := g.zap.RecvMessageBytes(zmq4.DONTWAIT)
		if err != nil {
			return
		}
		if _, err := g.zap.SendMessageDontwait(g.answer(question)); err != nil {
			g.log.Warn("a question about a key could not be answered", "error", err)
		}
	}
}

// answer follows ZAP 1.0: version, request, domain, address, identity, mechanism
// and the client's public key; back go version, request, status, text, user and
// metadata.
func (g *gate) answer(q [][]byte) [][]byte {
	reply := func(status, text, user string) [][]byte {
		id := []byte{}
		if len(q) > 1 {
			id = q[1]
		}
		return [][]byte{[]byte("1.0"), id, []byte(status), []byte(text), []byte(user), {}}
	}
	if len(q) != 7 || string(q[0]) != "1.0" || string(q[2]) != zapDomain || string(q[5]) != "CURVE" || len(q[6]) != 32 {
		return reply("400", "only CURVE", "")
	}
	key := zmq4.Z85encode(string(q[6]))
	if _, ok := g.names[key]; !ok {
		g.noteRefused(key, string(q[3]))
		return reply("400", "unknown key", "")
	}
	return reply("200", "OK", key)
}

// noteRefused logs an unknown key once: whoever has it goes on trying. It is
// logged again when the directory has changed and still does not have it.
func (g *gate) noteRefused(key, address string) {
	if g.refused[key] || len(g.refused) > maxRefused {
		return
	}
	g.refused[key] = true
	if len(g.refused) > maxRefused {
		g.log.Warn("more unknown keys were refused; they are not logged any more until the directory of allowed keys changes")
		return
	}
	g.log.Warn("an unknown key was refused; if it is a friend's, put its .pub into the directory of allowed keys", "key", key, "address", address)
}

// read reads the directory again if it has changed.
func (g *gate) read() {
	entries, err := os.ReadDir(g.server.Allow)
	if err != nil {
		// Nobody is let in by a directory that cannot be read.
		g.log.Error("the directory of allowed keys cannot be read; nobody may connect", "error", err)
	}
	var lines []string
	var files []string
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), ".pub") {
			continue
		}
		path := filepath.Join(g.server.Allow, e.Name())
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() {
			lines = append(lines, fmt.Sprintf("%s %d %d", e.Name(), info.Size(), info.ModTime().UnixNano()))
			files = append(files, path)
		}
	}
	sort.Strings(lines)
	print := fmt.Sprint(len(lines), " ", strings.Join(lines, "\n"))
	if print == g.print {
		return
	}
	names := map[string]string{}
	for _, path := range files {
		key, err := LoadPublic(path)
		if err != nil {
			g.log.Warn("a key is skipped", "file", filepath.Base(path), "error", err)
			continue
		}
		names[key] = strings.TrimSuffix(filepath.Base(path), ".pub")
	}
	g.print = print
	if !maps.Equal(names, g.names) {
		g.names, g.refused = names, map[string]bool{}
		g.revision++
		g.log.Info("keys that may connect", "keys", len(names))
	}
}
