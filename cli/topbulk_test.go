package cli

import (
	"strings"
	"testing"

	"faasctl/core"
	"faasctl/httpapi/client"
)

// TestTopOperates is a person who finds out what fails, runs it again, forgets the
// rest, regrets it, and cancels a flood: all from the dashboard, with the journal
// telling the same.
func TestTopOperates(t *testing.T) {
	s := watchStack(t, 120, 40, "-w", "1", "-m", "local")
	s.register()
	for range 3 {
		if _, err := s.api.Submit(s.ctx, client.Call{Function: "fails"}); err != nil {
			t.Fatal(err)
		}
	}
	s.types("faasctl top failures")
	s.shows(`▸ +3 +3 KeyError +fails@1 +'no such key'`)

	// Run again: three new tasks that fail as well, so that six have failed and
	// three are dead letters.
	s.press("r")
	s.shows(`▸ 3 dead letters, the oldest submitted`)
	s.shows(`Run again 3 dead letters\? y does it`)
	s.press("y")
	s.shows(`✓ 3 dead letters run again · fn=fails@1 error=KeyError .*u undoes it`)
	s.shows(`▸ +6 +3 KeyError`)

	// Forget, and regret it.
	s.press("x")
	s.shows(`Forget 3 dead letters\? y does it`)
	s.press("y")
	s.shows(`↻ forget 3 dead letters in [1-5]s · .*u undoes it`)
	s.press("u")
	s.shows(`forget undone: nothing had happened`)
	if n := s.dead(t); n != 3 {
		t.Errorf("%d dead letters after the undo", n)
	}

	// Forget for good: the group has only the three that were run again.
	s.press("x")
	s.shows(`Forget 3 dead letters\?`)
	s.press("y")
	s.shows(`✓ 3 dead letters forgotten`)
	s.shows(`▸ +3 +0 KeyError`)
	if n := s.dead(t); n != 0 {
		t.Errorf("%d dead letters after the purge", n)
	}

	// Cancel a flood by its filter, far more than are in sight.
	ids := s.gates(300, "never")
	s.press(":")
	s.press("-l", "tasks fn=gate")
	s.press("Enter")
	s.shows(`tasks · 1 of [0-9]+ · /fn=gate`)
	s.press("C")
	s.shows(`Cancel 300 tasks\? y does it`)
	s.press("y")
	s.shows(`↻ cancel 300 tasks in [1-5]s · fn=gate`)
	s.shows(`✓ 300 tasks cancelled`)
	if poll(s.ctx, func() bool {
		page, err := s.api.List(s.ctx, core.TaskFilter{State: core.Cancelled, Limit: core.MaxBatch})
		return err == nil && len(page.Tasks) == len(ids)
	}) != nil {
		t.Error("not all of them are cancelled")
	}
	s.press("q")
	s.shows("^shell>$")
}

// dead is how many dead letters the command line tells of.
func (s *watchedStack) dead(t *testing.T) int {
	t.Helper()
	out, stderr, code := command(t, s.env, s.home, "", "dead", "ls", "-o", "id")
	if code != core.ExitOK {
		t.Fatalf("exit %d: %s", code, stderr)
	}
	return len(strings.Fields(out))
}
