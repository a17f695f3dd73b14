package core

import (
	"strings"
	"testing"
)

func TestTaskIDsSortByTimeAndReserveTheShard(t *testing.T) {
	last := TaskID("")
	for range 1000 {
		id := NewTaskID()
		if !strings.HasSuffix(string(id), "0") {
			t.Fatalf("the shard of %s is not 0", id)
		}
		if id[:13] < last[:min(13, len(last))] {
			t.Fatalf("%s comes after %s", id, last)
		}
		last = id
	}
}

func TestIDsHaveOneSpelling(t *testing.T) {
	id := NewTaskID()
	if got, err := ParseTaskID(strings.ToUpper(string(id))); err != nil || got != id {
		t.Fatalf("%s, %v", got, err)
	}
	for _, bad := range []string{"", "not-an-id", string(id)[:35], "{" + string(id) + "}", "urn:uuid:" + string(id), strings.ReplaceAll(string(id), "-", "")} {
		if got, err := ParseTaskID(bad); err == nil {
			t.Errorf("%q was read as %s", bad, got)
		} else if ClassOf(err) != ErrMalformed || HintOf(err) == "" {
			t.Errorf("%q: %v, hint %q", bad, err, HintOf(err))
		}
	}
}

func FuzzIDs(f *testing.F) {
	for _, seed := range []string{string(NewTaskID()), "resize", "resize@7", "0190", "1700000000000-0.3", "@", "a@0", "-", "\x00"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if id, err := ParseTaskID(text); err == nil {
			if again, err := ParseTaskID(string(id)); err != nil || again != id {
				t.Fatalf("%q → %q does not come back", text, id)
			}
		}
		if ref, err := ParseFunctionRef(text); err == nil && ref.Name == "" && ref.Prefix == "" {
			t.Fatalf("%q refers to nothing: %+v", text, ref)
		}
		if entry, index, err := SplitEventID(text); err == nil && strings.Contains(text, ".") && EventID(entry, index) != canonical(text) {
			t.Fatalf("%q came back as %q", text, EventID(entry, index))
		}
	})
}

// canonical drops the leading zeros of an event's index.
func canonical(id string) string {
	entry, index, _ := strings.Cut(id, ".")
	if index = strings.TrimLeft(index, "0"); index == "" {
		index = "0"
	}
	return entry + "." + index
}

func TestFunctionReferences(t *testing.T) {
	id := string(NewFunctionID())
	for text, want := range map[string]FunctionRef{
		"resize":   {Name: "resize"},
		"resize@7": {Name: "resize", Version: 7},
		"<lambda>": {Name: "<lambda>"},
		"deadbeef": {Name: "deadbeef", Prefix: "deadbeef"},
		"0190ab":   {Prefix: "0190ab"},
		id:         {Prefix: id},
	} {
		got, err := ParseFunctionRef(text)
		if want.Text = text; id == text {
			got.Name = "" // an id may begin with a letter and so also look like a name
		}
		if err != nil || got != want {
			t.Errorf("%q: %+v, %v; want %+v", text, got, err, want)
		}
	}
	for _, bad := range []string{"", "@", "a@", "a@0", "a@-1", "a@x", "a b", "0x", "☃", "7@1"} {
		if ref, err := ParseFunctionRef(bad); err == nil {
			t.Errorf("%q was read as %+v", bad, ref)
		}
	}
}
