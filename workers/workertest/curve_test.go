package workertest_test

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/pebbe/zmq4"

	"faasctl/core"
	"faasctl/workers/link"
	"faasctl/workers/workertest"
	"faasctl/workers/zmqloop"
)

// keyring is a directory of allowed keys, and a server's key.
type keyring struct {
	*testing.T
	allow  string
	server zmqloop.KeyPair
}

func newKeyring(t *testing.T) *keyring {
	t.Helper()
	if _, curve := zmqloop.Library(); !curve {
		t.Skip("libzmq was built without CURVE")
	}
	k := &keyring{T: t, allow: t.TempDir()}
	k.server = k.pair()
	return k
}

func (k *keyring) pair() zmqloop.KeyPair {
	k.Helper()
	pair, err := zmqloop.NewKeyPair()
	if err != nil {
		k.Fatal(err)
	}
	return pair
}

func (k *keyring) admit(name string, pair zmqloop.KeyPair) {
	k.Helper()
	if err := os.WriteFile(filepath.Join(k.allow, name+".pub"), []byte(pair.Public), 0o644); err != nil {
		k.Fatal(err)
	}
}

func TestWorkersWithKeys(t *testing.T) {
	for _, mode := range []workertest.Mode{pushing, pulling} {
		t.Run(string(mode.Name), func(t *testing.T) { withKeys(t, mode) })
	}
}

func withKeys(t *testing.T, mode workertest.Mode) {
	ring := newKeyring(t)
	first, second, stranger := ring.pair(), ring.pair(), ring.pair()
	ring.admit("first", first)
	ring.admit("second", second)
	b := workertest.NewBench(t, mode)
	b.Hub.Curve = &zmqloop.ServerCurve{Secret: ring.server.Secret, Allow: ring.allow}
	b.Start()
	add := func(pair zmqloop.KeyPair) *workertest.Worker {
		b.Conn.Curve = &zmqloop.ClientCurve{Key: pair, Server: ring.server.Public}
		return b.Add(1)
	}
	one := add(first)
	b.Joined(1)
	if w := b.Workers(core.WorkerRunning)[0]; w.Principal != "first" {
		t.Fatalf("its principal is %q", w.Principal)
	}
	b.Function("t1h")
	b.Function("t1ms")
	held := b.Calls("t1h", 1)
	b.Until("it runs", func() bool { return one.Runner.Running() == 1 })

	// Strangers, and one that keeps silent about its key, get nothing while there
	// is work.
	waiting := b.Calls("t1ms", 1)
	nobody := add(stranger)
	b.Conn.Curve = nil
	bare := b.Add(1)
	two := add(second)
	b.Await(waiting, core.Completed)
	b.Joined(2)
	if len(nobody.Runner.Begun())+len(bare.Runner.Begun()) > 0 || len(two.Runner.Begun()) != 1 {
		t.Error("a stranger was given work")
	}
	if mode.Name == core.Push {
		impersonate(t, b, ring, second, one.ID)
	}

	// A revoked key's tasks are others', and it gets no more.
	if err := os.Remove(filepath.Join(ring.allow, "first.pub")); err != nil {
		t.Fatal(err)
	}
	b.Until("the other runs it", func() bool { return two.Runner.Times(held[0]) == 1 })
	b.Joined(1)
	before := len(one.Runner.Begun())
	if _, err := b.Service.Cancel(b.Ctx, held, 0); err != nil {
		t.Fatal(err)
	}
	b.Await(b.Calls("t1ms", 20), core.Completed)
	if n := len(one.Runner.Begun()); n != before {
		t.Errorf("the revoked worker was given %d more", n-before)
	}
}

// impersonate says a word for another's worker, with a good key of its own.
func impersonate(t *testing.T, b *workertest.Bench, ring *keyring, pair zmqloop.KeyPair, victim core.WorkerID) {
	t.Helper()
	s, err := zmq4.NewSocket(zmq4.DEALER)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	err = errors.Join(s.SetLinger(0), s.SetCurveServerkey(ring.server.Public), s.SetCurvePublickey(pair.Public), s.SetCurveSecretkey(pair.Secret), s.Connect(b.URL()))
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range [][][]byte{
		message(1, []any{victim, 99, map[string]int{"slots": 1}, []any{}}, nil),
		message(7, []any{victim}, nil),
	} {
		if _, err := s.SendMessage(m); err != nil {
			t.Fatal(err)
		}
		answer, err := s.RecvMessageBytes(0)
		if err != nil {
			t.Fatal(err)
		}
		var header []string
		if answer[0][0] != 0x2d || json.Unmarshal(answer[1], &header) != nil || header[0] != "forbidden" {
			t.Errorf("it is answered %x %s", answer[0], answer[1])
		}
	}
	if n := len(b.Workers(core.WorkerRunning)); n != 2 {
		t.Errorf("%d workers run", n)
	}
}

func TestBeyondTheLoopbackOnlyWithKeys(t *testing.T) {
	for _, mode := range []workertest.Mode{pushing, pulling} {
		if _, err := mode.Hub(link.HubConfig{Bind: "0.0.0.0"}); core.ClassOf(err) != core.ErrForbidden || core.HintOf(err) == "" {
			t.Errorf("%s listens to all: %v", mode.Name, err)
		}
		if _, err := mode.Hub(link.HubConfig{Bind: "0.0.0.0", Insecure: true}); err != nil {
			t.Errorf("%s: %v", mode.Name, err)
		}
		if _, err := mode.Hub(link.HubConfig{Port: -1}); core.ClassOf(err) != core.ErrInvalid {
			t.Errorf("%s: %v", mode.Name, err)
		}
		if _, err := mode.Dial(link.DialConfig{URLs: []string{"10.1.2.3:5555"}}, nil); core.ClassOf(err) != core.ErrForbidden {
			t.Errorf("%s connects to all: %v", mode.Name, err)
		}
		if _, err := mode.Dial(link.DialConfig{}, nil); core.ClassOf(err) != core.ErrInvalid {
			t.Errorf("%s without an address: %v", mode.Name, err)
		}
	}
}
