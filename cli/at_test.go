package cli

import (
	"testing"
	"time"
)

func TestTimesOfDayAndWholeTimes(t *testing.T) {
	now := time.Date(2026, 3, 29, 12, 30, 0, 0, time.FixedZone("", 3600))
	for text, want := range map[string]string{
		"15:04": "2026-03-29T15:04:00+01:00", "00:00": "2026-03-29T00:00:00+01:00", "23:59:58": "2026-03-29T23:59:58+01:00",
		"2026-03-30T01:02:03Z": "2026-03-30T01:02:03Z", "2026-03-30T01:02:03.5+02:00": "2026-03-30T01:02:03.5+02:00",
	} {
		if at, err := parseTime(text, now); err != nil || at.Format(time.RFC3339Nano) != want {
			t.Errorf("%s is %s, %v", text, at.Format(time.RFC3339Nano), err)
		}
	}
	for _, text := range []string{"tomorrow", "24:00", "3pm", "2026-03-30", "12", "2026-03-30 12:00"} {
		if at, err := parseTime(text, now); err == nil {
			t.Errorf("%s is %s", text, at)
		}
	}
}
