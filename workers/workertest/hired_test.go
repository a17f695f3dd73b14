package workertest_test

import (
	"errors"
	"sync/atomic"
	"testing"

	"faasctl/core"
	"faasctl/workers/workertest"
	"faasctl/workers/zmqloop"
)

// A worker that shows the token has the owner's principal; one that shows another,
// or none, is foreign, and takes part only after that was noted.
func TestHiredWorkers(t *testing.T) {
	for _, mode := range []workertest.Mode{pushing, pulling} {
		t.Run(string(mode.Name), func(t *testing.T) {
			b := workertest.NewBench(t, mode)
			var noted, refused atomic.Int32
			refused.Store(1)
			b.Hub.Hired, b.Hub.Owner = "secret", "owner"
			b.Hub.Foreign = func() error {
				if refused.Add(-1) >= 0 {
					return errors.New("the disk is full")
				}
				noted.Add(1)
				return nil
			}
			b.Start()
			b.Conn.Token = "secret"
			hired := b.Add(1)
			b.Joined(1)
			if n := noted.Load(); n != 0 {
				t.Errorf("a hired worker was noted as foreign %d times", n)
			}
			b.Conn.Token = "secret?"
			b.Add(1)
			b.Conn.Token = ""
			b.Add(1)
			b.Joined(3)
			if noted.Load() != 1 || refused.Load() > 0 {
				t.Errorf("foreign workers were noted %d times after %d refusals", noted.Load(), -refused.Load())
			}
			for _, w := range b.Workers(core.WorkerRunning) {
				want := ""
				if w.ID == hired.ID {
					want = "owner"
				}
				if w.Principal != want {
					t.Errorf("principal %q, want %q", w.Principal, want)
				}
			}
		})
	}
}

// With keys the key's name wins, and a key that is still allowed is not taken for
// revoked when the directory is read again.
func TestHiredWorkersWithKeys(t *testing.T) {
	for _, mode := range []workertest.Mode{pushing, pulling} {
		t.Run(string(mode.Name), func(t *testing.T) {
			ring := newKeyring(t)
			mine := ring.pair()
			ring.admit("mine", mine)
			b := workertest.NewBench(t, mode)
			b.Hub.Curve = &zmqloop.ServerCurve{Secret: ring.server.Secret, Allow: ring.allow}
			b.Hub.Hired, b.Hub.Owner = "secret", "owner"
			b.Hub.Foreign = func() error { t.Error("a hired worker was noted as foreign"); return nil }
			b.Start()
			b.Conn.Curve, b.Conn.Token = &zmqloop.ClientCurve{Key: mine, Server: ring.server.Public}, "secret"
			b.Add(1)
			b.Joined(1)
			if w := b.Workers(core.WorkerRunning)[0]; w.Principal != "mine" {
				t.Errorf("its principal is %q", w.Principal)
			}
			ring.admit("other", ring.pair())
			b.Function("t1ms")
			b.Await(b.Calls("t1ms", 20), core.Completed)
		})
	}
}
