package core

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestBackoffText(t *testing.T) {
	for text, want := range map[string]string{
		"": "exp:1s:60s", "exp:1s:60s": "exp:1s:60s", "exp:1s:1m": "exp:1s:60s", "fixed:5s": "fixed:5s", "fixed:0s": "fixed:0s", "exp:0s:0s": "fixed:0s",
		"exp:250ms:90m": "exp:250ms:1h30m", "exp:2s:2s": "fixed:2s", "fixed:2h": "fixed:2h", "fixed:100s": "fixed:1m40s",
	} {
		b, err := ParseBackoff(text)
		if err != nil || b.String() != want {
			t.Errorf("%q reads as %q, %v; want %q", text, b, err, want)
		}
		if again, err := ParseBackoff(b.String()); err != nil || again.orDefault() != b.orDefault() {
			t.Errorf("%q came back as %+v, %v", b, again, err)
		}
	}
	for _, text := range []string{"5s", "exp", "exp:1s", "fixed", "fixed:", "fixed:1s:2s", "exp:2s:1s", "fixed:-1s", "exp:0s:1s", "lin:1s:2s", "fixed:5", "exp:1s:1000000h"} {
		if b, err := ParseBackoff(text); err == nil || HintOf(err) == "" {
			t.Errorf("%q reads as %q, %v", text, b, err)
		}
	}
}

func TestBackoffGrowsUpToItsLast(t *testing.T) {
	b := Backoff{First: time.Second, Last: 5 * time.Second}
	for attempt, want := range map[int]time.Duration{1: time.Second, 2: 2 * time.Second, 3: 4 * time.Second, 4: 5 * time.Second, 1000: 5 * time.Second} {
		if got := b.Wait(attempt, 0); got != want {
			t.Errorf("attempt %d waits %s, want %s", attempt, got, want)
		}
		if low, high := b.Wait(attempt, -1), b.Wait(attempt, 7); low != want-want/10 || high != want+want/10 {
			t.Errorf("attempt %d waits %s to %s", attempt, low, high)
		}
	}
	if got := (Backoff{}).Wait(7, 0); got != time.Minute {
		t.Errorf("the default waits %s", got)
	}
}

func TestRateText(t *testing.T) {
	for text, want := range map[string]struct {
		rate     Rate
		interval time.Duration
		burst    int
	}{
		"100/s": {Rate{100, time.Second}, 10 * time.Millisecond, 100}, "30/m": {Rate{30, time.Minute}, 2 * time.Second, 1},
		"600/m": {Rate{600, time.Minute}, 100 * time.Millisecond, 10}, "5/h": {Rate{5, time.Hour}, 12 * time.Minute, 1},
		"1/d": {Rate{1, 24 * time.Hour}, 24 * time.Hour, 1}, "": {}, "0": {}, "none": {},
	} {
		r, err := ParseRate(text)
		if err != nil || r != want.rate || r.Interval() != want.interval || r.Burst() != want.burst {
			t.Errorf("%q: %+v, every %s, %d at once, %v", text, r, r.Interval(), r.Burst(), err)
		}
		if again, err := ParseRate(r.String()); err != nil || again != r {
			t.Errorf("%q came back as %+v, %v", r, again, err)
		}
	}
	for _, text := range []string{"100", "0/s", "-1/s", "1/w", "x/s", "1.5/s", "/s", "1000001/s", "1/s/s"} {
		if r, err := ParseRate(text); err == nil || HintOf(err) == "" {
			t.Errorf("%q reads as %q, %v", text, r, err)
		}
	}
}

func TestRetryOnText(t *testing.T) {
	got, err := ParseRetryOn(" ValueError, timeout,ValueError,requests.exceptions.Timeout,Größe ")
	if err != nil || got.String() != "ValueError,timeout,requests.exceptions.Timeout,Größe" {
		t.Fatalf("%q, %v", got, err)
	}
	if got, err := ParseRetryOn(""); err != nil || got != nil {
		t.Fatalf("%q, %v", got, err)
	}
	for _, text := range []string{"lost", "cancelled", "expired", "a b", "1x", "a..b", ".a", "a:b", "a\x1b[m", strings.Repeat("A", 600)} {
		if got, err := ParseRetryOn(text); err == nil {
			t.Errorf("%q reads as %q", text, got)
		}
	}
}

func TestPolicyComesBackFromJSON(t *testing.T) {
	whole := Policy{Timeout: 1, Retries: 2, Backoff: Backoff{3 * time.Second, 4 * time.Second}, RetryOn: RetryOn{"E"}, Concurrency: 5, Rate: Rate{6, time.Hour}, Expires: 7,
		Env: Env{"A=1"}, Limits: Limits{Memory: 8, CPUSeconds: 9.5, Processes: 10, Isolation: Fresh}}
	for _, p := range []Policy{{}, whole} {
		data, err := json.Marshal(p)
		var got Policy
		if err != nil || json.Unmarshal(data, &got) != nil || !reflect.DeepEqual(got, p) {
			t.Errorf("%s: %+v, %v", data, got, err)
		}
	}
	if names := (Policy{}).Changes(whole); len(names) != reflect.TypeFor[Policy]().NumField()-1+reflect.TypeFor[Limits]().NumField() {
		t.Errorf("changes are %v", names)
	}
	if data, _ := json.Marshal(Policy{}); string(data) != "{}" {
		t.Errorf("nothing is written as %s", data)
	}
}

func FuzzPolicyText(f *testing.F) {
	for _, seed := range []string{"exp:1s:60s", "fixed:0s", "100/s", "ValueError,timeout", "exp:-1s:9h", ""} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if b, err := ParseBackoff(text); err == nil {
			if again, err := ParseBackoff(b.String()); err != nil || again.orDefault() != b.orDefault() || b.Wait(3, 1) < 0 {
				t.Errorf("back-off %q: %+v, %+v, %v", text, b, again, err)
			}
		}
		if r, err := ParseRate(text); err == nil {
			if again, err := ParseRate(r.String()); err != nil || again != r {
				t.Errorf("rate %q: %+v, %+v, %v", text, r, again, err)
			}
		}
		if names, err := ParseRetryOn(text); err == nil {
			if again, err := ParseRetryOn(names.String()); err != nil || !reflect.DeepEqual(again, names) {
				t.Errorf("retry-on %q: %q, %q, %v", text, names, again, err)
			}
		}
	})
}
