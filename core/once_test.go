package core

import (
	"strings"
	"testing"
	"time"
)

func TestAKeyStandsForTheWholeCall(t *testing.T) {
	call := func(change func(*SubmitRequest)) Key {
		r := SubmitRequest{Function: "charge", Codec: JSON, Args: []byte(`[[42],{"to": "me"}]`), Key: "order-42"}
		change(&r)
		return r.key("charge")
	}
	base := call(func(*SubmitRequest) {})
	priority := 7
	for name, c := range map[string]struct {
		change    func(*SubmitRequest)
		key, body bool // are as in base
	}{
		"another spelling of the arguments": {func(r *SubmitRequest) { r.Args = []byte(`[[42],{"to":"me"}]`) }, true, true},
		"another reference":                 {func(r *SubmitRequest) { r.Function = "charge@1" }, true, true},
		"other arguments":                   {func(r *SubmitRequest) { r.Args = []byte(`[[43],{"to":"me"}]`) }, true, false},
		"another priority":                  {func(r *SubmitRequest) { r.Priority = &priority }, true, false},
		"another time-out":                  {func(r *SubmitRequest) { r.Timeout = time.Second }, true, false},
		"labels":                            {func(r *SubmitRequest) { r.Labels = map[string]string{"a": "b"} }, true, false},
		"another key":                       {func(r *SubmitRequest) { r.Key = "order-43" }, false, true},
	} {
		got := call(c.change)
		if (got.Name == base.Name) != c.key || (got.Body == base.Body) != c.body {
			t.Errorf("%s: %+v, base %+v", name, got, base)
		}
	}
	r := SubmitRequest{Codec: JSON, Args: []byte(`[[],{}]`), Key: "b\x00"}
	if a, b := r.key("a"), (SubmitRequest{Codec: JSON, Args: r.Args, Key: "\x00b"}).key("a"); a.Name == b.Name {
		t.Error("name and key run into each other")
	}
	if got := (SubmitRequest{Args: []byte("x")}).key("charge"); got != (Key{}) {
		t.Errorf("no key became %+v", got)
	}
}

func TestKeysAreChecked(t *testing.T) {
	for _, good := range []string{"", "order-42", "Bestellung № 7 / grün", strings.Repeat("x", MaxKey)} {
		if err := CheckKey(good); err != nil {
			t.Errorf("%q: %v", good, err)
		}
	}
	for _, bad := range []string{" order", "a\nb", "\x1b[2J", strings.Repeat("x", MaxKey+1), "\xff"} {
		if err := CheckKey(bad); ClassOf(err) != ErrInvalid || HintOf(err) == "" {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func TestIDsOfARequestSortAndDiffer(t *testing.T) {
	base := NewTaskID()
	last := base
	for i := 1; i < 10_000; i++ {
		id := nthTaskID(base, i)
		if id <= last || id != nthTaskID(base, i) || !strings.HasSuffix(string(id), "0") || id[14] != '7' {
			t.Fatalf("id %d is %s after %s", i, id, last)
		}
		if parsed, err := ParseTaskID(string(id)); err != nil || parsed != id {
			t.Fatalf("%s: %v", id, err)
		}
		last = id
	}
	if nthTaskID(base, 0) != base || nthTaskID(NewTaskID(), 7) == nthTaskID(base, 7) {
		t.Fatal("two requests share an id")
	}
}
