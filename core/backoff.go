package core

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Backoff is how long a failed task waits for its next attempt: First, doubled by
// each further failure and at most Last. The two are equal for a fixed wait. The
// zero value is exp:1s:60s.
//
// Each wait is spread by up to a tenth either way (jitter), so that what failed
// together does not come back together.
type Backoff struct{ First, Last time.Duration }

// DefaultBackoff is what the zero Backoff means.
var DefaultBackoff = Backoff{First: time.Second, Last: time.Minute}

// ParseBackoff reads exp:FIRST:LAST or fixed:WAIT, such as exp:1s:60s and
// fixed:5s; "" is the default.
func ParseBackoff(text string) (Backoff, error) {
	wrong := Errorf(ErrInvalid, "", "%q is no back-off", clip(text, 64)).
		WithHint("write exp:FIRST:LAST such as exp:1s:60s, or fixed:WAIT such as fixed:5s")
	parts := strings.Split(text, ":")
	spans := make([]time.Duration, len(parts)-1)
	for i, part := range parts[1:] {
		var err error
		if spans[i], err = time.ParseDuration(part); err != nil {
			return Backoff{}, wrong
		}
	}
	var b Backoff
	switch {
	case text == "":
		return b, nil
	case parts[0] == "fixed" && len(spans) == 1:
		b = Backoff{spans[0], spans[0]}
	case parts[0] == "exp" && len(spans) == 2:
		b = Backoff{spans[0], spans[1]}
	default:
		return b, wrong
	}
	if b == (Backoff{}) {
		b = Backoff{First: 1, Last: 1} // no wait at all; the zero value is taken
	}
	return b, b.validate()
}

func (b Backoff) validate() error {
	switch {
	case b.First < 0 || b.Last < b.First || b.Last > MaxWait:
		return Errorf(ErrInvalid, "", "a back-off begins at 0 or more and ends at no less, in a hundred years at most").
			WithHint("write it as exp:1s:60s or fixed:5s")
	case b.First == 0 && b.Last > 0:
		return Errorf(ErrInvalid, "", "a back-off that begins at 0 cannot grow").WithHint("write it as exp:1s:60s or fixed:0s")
	}
	return nil
}

func (b Backoff) orDefault() Backoff {
	if b == (Backoff{}) {
		return DefaultBackoff
	}
	return b
}

// String is the reverse of ParseBackoff; the zero value reads exp:1s:60s.
func (b Backoff) String() string {
	b = b.orDefault()
	switch {
	case b.Last <= 1:
		return "fixed:0s"
	case b.First == b.Last:
		return "fixed:" + spanText(b.First)
	}
	return "exp:" + spanText(b.First) + ":" + spanText(b.Last)
}

// spanText is d.String without zeros at the end; up to 99 s it is in seconds.
func spanText(d time.Duration) string {
	if d < 100*time.Second && d%time.Second == 0 {
		return strconv.Itoa(int(d/time.Second)) + "s"
	}
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

// MarshalText writes b as String does.
func (b Backoff) MarshalText() ([]byte, error) { return []byte(b.String()), nil }

// UnmarshalText reads b as ParseBackoff does.
func (b *Backoff) UnmarshalText(text []byte) (err error) {
	*b, err = ParseBackoff(string(text))
	return err
}

// Wait is how long to wait after the attempt of this number, from 1, failed.
// jitter, from -1 to 1, says where in the spread of a tenth either way.
func (b Backoff) Wait(attempt int, jitter float64) time.Duration {
	b = b.orDefault()
	wait := b.First
	for n := 1; n < attempt && wait < b.Last; n++ {
		wait *= 2
	}
	wait = min(wait, b.Last)
	return wait + time.Duration(float64(wait)*max(-1, min(1, jitter))/10)
}

// Rate is how many calls may be handed out in a time, such as 100/s: a bucket
// that holds one second's worth, at least one, and is refilled evenly. The zero
// value is no limit.
type Rate struct {
	N   int           // calls
	Per time.Duration // one second, minute, hour or day
}

var ratePeriods = []struct {
	name string
	per  time.Duration
}{{"s", time.Second}, {"m", time.Minute}, {"h", time.Hour}, {"d", 24 * time.Hour}}

// ParseRate reads 100/s, 30/m, 5/h or 1/d; "", 0 and none are no limit.
func ParseRate(text string) (Rate, error) {
	if text == "" || text == "0" || text == "none" {
		return Rate{}, nil
	}
	count, period, _ := strings.Cut(text, "/")
	n, err := strconv.Atoi(count)
	for _, p := range ratePeriods {
		if p.name == period && err == nil {
			r := Rate{n, p.per}
			return r, r.validate()
		}
	}
	return Rate{}, Errorf(ErrInvalid, "", "%q is no rate", clip(text, 64)).WithHint("write it as 100/s, 30/m, 5/h or 1/d; 0 for no limit")
}

const maxRate = 1_000_000 // calls in a period

func (r Rate) validate() error {
	if r == (Rate{}) {
		return nil
	}
	known := false
	for _, p := range ratePeriods {
		known = known || p.per == r.Per
	}
	if !known || r.N < 1 || r.N > maxRate {
		return Errorf(ErrInvalid, "", "a rate is 1 to %d calls in a second, minute, hour or day", maxRate).
			WithHint("write it as 100/s, 30/m, 5/h or 1/d; 0 for no limit")
	}
	return nil
}

// Limited reports whether there is a limit.
func (r Rate) Limited() bool { return r.N > 0 }

// Interval is the time in which one call's worth is refilled; 0 without a limit.
func (r Rate) Interval() time.Duration {
	if !r.Limited() {
		return 0
	}
	return r.Per / time.Duration(r.N)
}

// Burst is how many calls may be handed out at once after a time of rest.
func (r Rate) Burst() int {
	if !r.Limited() {
		return 0
	}
	return max(1, int(int64(r.N)*int64(time.Second)/int64(r.Per)))
}

// String is the reverse of ParseRate; "" is no limit.
func (r Rate) String() string {
	if !r.Limited() {
		return ""
	}
	for _, p := range ratePeriods {
		if p.per == r.Per {
			return fmt.Sprintf("%d/%s", r.N, p.name)
		}
	}
	return fmt.Sprintf("%d/%s", r.N, r.Per)
}

// MarshalText writes r as String does.
func (r Rate) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// UnmarshalText reads r as ParseRate does.
func (r *Rate) UnmarshalText(text []byte) (err error) {
	*r, err = ParseRate(string(text))
	return err
}
