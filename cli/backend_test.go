package cli

import (
	"testing"
	"time"

	"faasctl/core"
	"faasctl/core/memstore"
	"faasctl/core/redisstore"
)

// An up may come long after the roster forgot the dispatcher that was killed:
// the data directory remembers it. Of one that had workers which may have survived,
// only what its own had is released.
func TestBuryDeadNeedsNoRoster(t *testing.T) {
	for shared, want := range map[bool][]core.State{
		false: {core.Queued, core.Queued},
		true:  {core.Queued, core.Running},
	} {
		lock, err := redisstore.LockDir(t.TempDir() + "/data")
		if err != nil {
			t.Fatal(err)
		}
		b := &backend{store: memstore.New(memstore.Config{}), lock: lock, principal: lock.ID}
		defer b.close()
		ctx := t.Context()
		dead := core.NewDispatcherID()
		if err := b.remember(dead); err != nil {
			t.Fatal(err)
		}
		if shared {
			if err := b.share(); err != nil {
				t.Fatal(err)
			}
		}
		ids := claimTwo(t, b, dead)
		said := 0
		if err := b.buryDead(ctx, func(string, ...any) { said++ }); err != nil || said != 1 {
			t.Fatalf("%v, said %d times", err, said)
		}
		tasks, err := b.store.Tasks(ctx, ids)
		if err != nil || tasks[0].State != want[0] || tasks[1].State != want[1] {
			t.Errorf("shared is %v: the tasks are %v, %v", shared, tasks, err)
		}
	}
}

// claimTwo has a dispatcher claim two tasks, of which a local worker has the first.
func claimTwo(t *testing.T, b *backend, dispatcher core.DispatcherID) []core.TaskID {
	t.Helper()
	ctx := t.Context()
	f, _, err := b.store.PutFunction(ctx, core.Function{Name: "add", Codec: core.Source, Body: []byte("x"), Entry: "add"})
	if err != nil {
		t.Fatal(err)
	}
	spec := core.Spec{Function: f.ID, Codec: core.JSON, Args: []byte("[[],{}]"), Queue: core.DefaultQueue}
	ids := []core.TaskID{core.NewTaskID(), core.NewTaskID()}
	if _, err := b.store.Submit(ctx, []core.Submission{{ID: ids[0], Spec: spec}, {ID: ids[1], Spec: spec}}); err != nil {
		t.Fatal(err)
	}
	got, err := b.store.Claim(ctx, core.ClaimRequest{ID: "c", Dispatcher: dispatcher, Max: 2, Lease: time.Hour})
	if err != nil || len(got) != 2 {
		t.Fatal(got, err)
	}
	if _, err := b.store.Renew(ctx, []core.Renewal{{Lease: got[0].Lease, Worker: "w-1", Principal: b.principal}}, time.Hour); err != nil {
		t.Fatal(err)
	}
	return ids
}

func TestParseSize(t *testing.T) {
	for text, want := range map[string]int{"1": 1, "8388608": 8 << 20, "8MiB": 8 << 20, "8M": 8 << 20, "8mb": 8 << 20, "512k": 512 << 10, "1GiB": 1 << 30} {
		if got, err := parseSize(text); err != nil || got != want {
			t.Errorf("%q is %d, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "0", "-1", "2GiB", "8 parsecs", "MiB", "1.5M"} {
		if got, err := parseSize(text); err == nil {
			t.Errorf("%q is %d", text, got)
		}
	}
}

func TestDataDir(t *testing.T) {
	tests := []struct{ flag, state, home, want string }{
		{"/there", "/state", "/home/me", "/there"},
		{"", "/state", "/home/me", "/state/faasctl"},
		{"", "", "/home/me", "/home/me/.local/state/faasctl"},
		{"", "relative", "/home/me", "/home/me/.local/state/faasctl"},
	}
	for _, test := range tests {
		f := newFake("")
		f.vars["XDG_STATE_HOME"], f.vars["HOME"] = test.state, test.home
		if got, err := f.dataDir(test.flag); err != nil || got != test.want {
			t.Errorf("%+v: %q, %v", test, got, err)
		}
	}
	if _, err := newFake("").dataDir(""); exitOf(err) != core.ExitUsage {
		t.Errorf("without a home: %v", err)
	}
}
