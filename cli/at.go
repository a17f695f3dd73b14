package cli

import (
	"time"

	urfave "github.com/urfave/cli/v2"
)

// timeOf reads --at: a time of today by this machine's clock, or a whole one. The
// zero time is none.
func timeOf(c *urfave.Context, now time.Time) (time.Time, error) {
	text := c.String("at")
	if text == "" {
		if c.IsSet("at") {
			return time.Time{}, usage("--at needs a time").WithHint("write 15:04 or 2006-01-02T15:04:05+01:00")
		}
		return time.Time{}, nil
	}
	if c.IsSet("in") {
		return time.Time{}, usage("--in and --at exclude each other")
	}
	at, err := parseTime(text, now)
	if err != nil {
		return at, err
	}
	if !at.After(now) {
		return at, usage("--at %s is in the past", clip(text, 64)).WithHint("it is %s now; name a time to come, with its date if it is not today", now.Format("15:04:05"))
	}
	return at, nil
}

func parseTime(text string, now time.Time) (time.Time, error) {
	if at, err := time.Parse(time.RFC3339, text); err == nil {
		return at, nil
	}
	for _, form := range []string{"15:04", "15:04:05"} {
		if at, err := time.Parse(form, text); err == nil {
			return time.Date(now.Year(), now.Month(), now.Day(), at.Hour(), at.Minute(), at.Second(), 0, now.Location()), nil
		}
	}
	return time.Time{}, usage("--at cannot be %q", clip(text, 64)).WithHint("write 15:04 for today, or a whole time such as %s", now.Add(time.Hour).Truncate(time.Second).Format(time.RFC3339))
}
