package cli

import (
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"
)

func TestLogLines(t *testing.T) {
	var out strings.Builder
	log := slog.New(&logHandler{to: &out, level: slog.LevelInfo})
	tests := []struct {
		say  func()
		want string
	}{
		{func() { log.Info("registered", "worker", "w-1", "slots", 2) }, "registered  worker=w-1 slots=2"},
		{func() { log.Warn("silent", "after", 3*time.Second, "error", errors.New("no route")) }, `warning: silent  after=3s error="no route"`},
		{func() { log.Error("broken") }, "error: broken"},
		{func() { log.Debug("never said") }, ""},
		{func() { log.Info("nothing to add", "error", nil) }, "nothing to add"},
		{func() { log.With("mode", "push").WithGroup("g").Info("deep", "a", 1, slog.Group("h", "b", "")) }, `deep  mode=push g.a=1 g.h.b=""`},
		{func() { log.Info("two\nlines", "forged", "x\n2026 error: y", "quote", `"`) }, `two lines  forged="x\n2026 error: y" quote="\""`},
	}
	for _, test := range tests {
		out.Reset()
		test.say()
		got := out.String()
		if test.want == "" {
			if got != "" {
				t.Errorf("%q was said", got)
			}
			continue
		}
		stamp, rest, _ := strings.Cut(got, " ")
		clock, text, _ := strings.Cut(rest, " ")
		if _, err := time.Parse("2006-01-02 15:04:05", stamp+" "+clock); err != nil || text != test.want+"\n" {
			t.Errorf("got %q, want %q (%v)", got, test.want, err)
		}
	}
}
