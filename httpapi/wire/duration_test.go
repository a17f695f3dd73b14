package wire

import (
	"encoding/json"
	"testing"
	"time"
)

func TestDuration(t *testing.T) {
	for text, want := range map[string]time.Duration{
		`"1m30s"`: 90 * time.Second, `90`: 90 * time.Second, `0.25`: 250 * time.Millisecond, `"2"`: 2 * time.Second, `null`: 0, `0`: 0,
		`"-1s"`: -time.Second, `-3`: -3 * time.Second, `1e2`: 100 * time.Second,
	} {
		var d Duration
		if err := json.Unmarshal([]byte(text), &d); err != nil || time.Duration(d) != want {
			t.Errorf("%s: %v, %v", text, time.Duration(d), err)
		}
	}
	for _, text := range []string{`"soon"`, `""`, `"NaN"`, `1e300`, `"1e300"`, `true`, `{}`, `[1]`, `"1 s"`} {
		var d Duration
		if err := json.Unmarshal([]byte(text), &d); err == nil {
			t.Errorf("%s is %v", text, time.Duration(d))
		}
	}
	if out, err := json.Marshal(struct{ A, B Duration }{A: Duration(90 * time.Second)}); err != nil || string(out) != `{"A":"1m30s","B":"0s"}` {
		t.Errorf("%s, %v", out, err)
	}
}

func FuzzDuration(f *testing.F) {
	for _, seed := range []string{`"1m30s"`, `90`, `null`, `"x"`, `1e400`, `-0`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var d Duration
		if json.Unmarshal([]byte(text), &d) != nil {
			return
		}
		out, err := json.Marshal(d)
		if err != nil {
			t.Fatal(err)
		}
		var again Duration
		if err := json.Unmarshal(out, &again); err != nil || again != d {
			t.Fatalf("%s became %s became %v, %v", text, out, again, err)
		}
	})
}
