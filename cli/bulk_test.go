package cli

import (
	"encoding/json"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"faasctl/core"
	"faasctl/httpapi/wire"
)

// TestBulkAsksOnATerminal: only a yes does it.
func TestBulkAsksOnATerminal(t *testing.T) {
	for _, test := range []struct {
		typed string
		code  int
		done  bool
	}{{"y\n", 0, true}, {"YES\n", 0, true}, {"\n", core.ExitRefused, false}, {"n\n", core.ExitRefused, false}, {"yesterday\n", core.ExitRefused, false}} {
		s := newStub(t)
		var started atomic.Bool
		s.says("POST /v1/operations:plan", 200, core.Plan{Kind: core.OperationPurge, Tasks: 1234567, Oldest: time.Now().Add(-time.Hour),
			Groups: []core.PlanGroup{{Name: "add@1\x1b[31m", State: core.Failed, Error: "ValueError", Count: 1000}}})
		s.on("POST /v1/operations", func(w http.ResponseWriter, r *http.Request) {
			var body wire.Operate
			_ = json.NewDecoder(r.Body).Decode(&body)
			started.Store(body.Kind == core.OperationPurge && body.Filter.Function == "add" && body.ID != "" && !body.Now)
			w.WriteHeader(202)
			_ = json.NewEncoder(w).Encode(core.Operation{ID: "op-0m2u226mqj422", Kind: core.OperationPurge, State: core.OperationPending, Planned: 1234567, Due: time.Now()})
		})
		home := t.TempDir()
		m := onTerminal(t, cleanEnv(t, home, "FAASCTL_URL="+s.URL), home, "dead", "purge", "--fn", "add")
		m.await(t, "do it? [y/N] ")
		_, _ = m.pty.Write([]byte(test.typed))
		if code := m.end(t, 10*time.Second); code != test.code || started.Load() != test.done {
			t.Errorf("%q: exit code %d, done %v", test.typed, code, started.Load())
		}
		shown := colours.ReplaceAllString(m.text(), "")
		wants := []string{"purge 1,234,567 tasks, the oldest submitted 1h00m ago", "   1,000  add@1  FAILED ValueError", "1,233,567  others"}
		if test.done {
			wants = append(wants, "op-0m2u226mqj422  purge of 1,234,567 tasks takes effect at ", "  → faasctl undo op-0m2u226mqj422 stops it until then")
		} else {
			wants = append(wants, "nothing was done")
		}
		for _, want := range wants {
			if !strings.Contains(shown, want) {
				t.Errorf("%q: it did not show %q but:\n%s", test.typed, want, shown)
			}
		}
		if strings.Contains(m.text(), "\x1b[31m") {
			t.Errorf("a name reached the terminal as it is: %q", m.text())
		}
	}
}

func TestOperationLine(t *testing.T) {
	for want, op := range map[string]core.Operation{
		"retried 12 tasks; 3 skipped, as their function was removed":               {Kind: core.OperationRetry, State: core.OperationDone, Applied: 12, Skipped: 3},
		"cancelled 1,000 tasks so far":                                             {Kind: core.OperationCancel, State: core.OperationApplying, Applied: 1000},
		"purged 1 task":                                                            {Kind: core.OperationPurge, State: core.OperationDone, Applied: 1},
		"cancel undone: nothing had happened":                                      {Kind: core.OperationCancel, State: core.OperationUndone},
		"retry undone: 5 cancelled before they began, 2 had begun":                 {Kind: core.OperationRetry, State: core.OperationUndone, Applied: 7, Undone: 5, Started: 2},
		"retry undone: 5 cancelled before they began, 2 had begun, and it goes on": {Kind: core.OperationRetry, State: core.OperationUndoing, Applied: 9, Undone: 5, Started: 2},
		"retry undone: nothing had happened":                                       {Kind: core.OperationRetry, State: core.OperationUndone},
	} {
		if got := operationLine(op); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
