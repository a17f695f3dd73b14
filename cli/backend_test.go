package cli

import (
	"testing"
	"time"

	"faasctl/core"
	"faasctl/core/memstore"
	"faasctl/core/redisstore"
)

// An up may come long after the roster forgot the dispatcher that was killed:
// the data directory remembers it.
func TestBuryDeadNeedsNoRoster(t *testing.T) {
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
	f, _, err := b.store.PutFunction(ctx, core.Function{Name: "add", Codec: core.Source, Body: []byte("x"), Entry: "add"})
	if err != nil {
		t.Fatal(err)
	}
	id := core.NewTaskID()
	if _, err := b.store.Submit(ctx, []core.Submission{{ID: id, Spec: core.Spec{Function: f.ID, Codec: core.JSON, Args: []byte("[[],{}]"), Queue: core.DefaultQueue}}}); err != nil {
		t.Fatal(err)
	}
	if got, err := b.store.Claim(ctx, core.ClaimRequest{ID: "c", Dispatcher: dead, Max: 1, Lease: time.Hour}); err != nil || len(got) != 1 {
		t.Fatal(got, err)
	}
	said := 0
	if err := b.buryDead(ctx, func(string, ...any) { said++ }); err != nil || said != 1 {
		t.Fatalf("%v, said %d times", err, said)
	}
	tasks, err := b.store.Tasks(ctx, []core.TaskID{id})
	if err != nil || tasks[0].State != core.Queued {
		t.Errorf("the task is %v, %v", tasks, err)
	}
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
