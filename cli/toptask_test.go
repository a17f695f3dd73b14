package cli

import (
	"fmt"
	"testing"

	"faasctl/core"
	"faasctl/httpapi/client"
)

const talkative = `
import os, sys, time
import faasctl_task
def talks(home):
    faasctl_task.progress(30, 60, "half\x1b[31m way")
    print("\x1b[31mhello\x1b[2J", flush=True)
    print("careful", file=sys.stderr, flush=True)
    while not os.path.exists(os.path.join(home, "more")): time.sleep(0.01)
    for n in range(60): print("line", n, flush=True)
    while not os.path.exists(os.path.join(home, "end")): time.sleep(0.01)
    return "done"
`

// TestTopTask is a person who looks at one task: what it prints as it comes, why
// it waits while it does, and its end.
func TestTopTask(t *testing.T) {
	s := watchStack(t, 110, 40, "-w", "1", "-m", "local")
	if _, err := s.api.Register(s.ctx, core.RegisterRequest{Name: "talks", Codec: core.Source, Entry: "talks", File: "talks.py", Body: []byte(talkative)}); err != nil {
		t.Fatal(err)
	}
	args := fmt.Appendf(nil, "[%q]", s.home)
	first, err := s.api.Submit(s.ctx, client.Call{Function: "talks", Args: args})
	if err != nil {
		t.Fatal(err)
	}
	second, err := s.api.Submit(s.ctx, client.Call{Function: "talks", Args: args})
	if err != nil {
		t.Fatal(err)
	}

	// Why the second waits, and what would help.
	s.types("faasctl top why/" + string(second.ID))
	s.shows(`why · ` + string(second.ID))
	s.shows(`○ queued +talks@1`)
	s.shows(`^ why +.*(slot|busy)`)

	// What the first prints, and its end.
	s.press(":")
	s.press("-l", "task "+string(first.ID))
	s.press("Enter")
	s.shows(`● running +talks@1`)
	s.shows(`^ [0-9:]{8} out hello$`)
	s.shows(`^ [0-9:]{8} err careful$`)
	s.shows(`output · UTC, as it comes · f follows`)
	s.shows(`^ progress +●{10}○{10} 30/60 50%  half way`)
	write(t, s.home, "more", "")
	s.shows(`more lines?: j, PgDn, G`)
	s.press("f")
	s.shows(`^ [0-9:]{8} out line 59$`)
	s.press("w")
	s.shows(`why · ` + string(first.ID))
	s.press("2")
	s.shows(string(first.ID)[28:] + `.*talks@1 +running 50%`)
	s.press(":")
	s.press("-l", "task "+string(first.ID))
	s.press("Enter")
	s.press("f")
	s.shows(`out line 59$`)
	s.open("end")
	s.press("g")
	s.shows(`✓ completed +talks@1`)
	s.press("q")
	s.shows("^shell>$")
}
