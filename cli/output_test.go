package cli

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

func TestClean(t *testing.T) {
	tests := []struct{ name, in, want string }{
		{"plain", "a\tb\nc", "a\tb\nc"},
		{"colour", "\x1b[31mred\x1b[0m", "red"},
		{"title", "\x1b]0;owned\x07text", "text"},
		{"link", "\x1b]8;;http://x\x1b\\name\x1b]8;;\x1b\\", "name"},
		{"c1", "a\u009b31mb", "a31mb"},
		{"raw c1", "a\x9bb", "a\uFFFDb"},
		{"carriage return", "good\rbad", "goodbad"},
		{"bell and backspace", "a\a\bb", "ab"},
		{"delete", "a\x7fb", "ab"},
		{"bidi", "a\u202eb\u2066c\u200fd", "abcd"},
		{"letters stay", "Grüße, 世界 🎉", "Grüße, 世界 🎉"},
		{"half a sequence", "end\x1b[", "end"},
		{"not UTF-8", "a\xff\xfeb", "a\uFFFDb"},
	}
	for _, test := range tests {
		if got := clean(test.in); got != test.want {
			t.Errorf("%s: %q became %q, want %q", test.name, test.in, got, test.want)
		}
	}
}

func FuzzClean(f *testing.F) {
	f.Add("\x1b[31mred\x1b[0m \u009b1m \u202e")
	f.Add("\x1b]0;t\x07\x90q\x9c")
	f.Fuzz(func(t *testing.T, text string) {
		got := clean(text)
		if !utf8.ValidString(got) || strings.IndexFunc(got, controls) >= 0 {
			t.Fatalf("%q became %q", text, got)
		}
		if clean(got) != got {
			t.Fatalf("%q is not clean after one time", text)
		}
	})
}

func TestDataGoesRawIntoPipes(t *testing.T) {
	const text = "\x1b[31mred\x1b[0m\xff"
	f := newFake("")
	if err := f.data([]byte(text)); err != nil || f.out.String() != text {
		t.Errorf("a pipe got %q", f.out.String())
	}
	f = newFake("")
	f.stdoutTTY = true
	if err := f.data([]byte(text)); err != nil || f.out.String() != "red\uFFFD" {
		t.Errorf("a terminal got %q", f.out.String())
	}
}

func TestRawJSONIsOneSafeLine(t *testing.T) {
	raw := []byte("{ \"a\":\n\"x\u009b\u202e<\",\"big\":12345678901234567890123}")
	f := newFake("")
	f.stdoutTTY = true
	if err := f.rawJSON(raw); err != nil {
		t.Fatal(err)
	}
	want := `{"a":"x\u009b\u202e<","big":12345678901234567890123}` + "\n"
	if f.out.String() != want {
		t.Errorf("got %q, want %q", f.out.String(), want)
	}
	var before, after any
	if json.Unmarshal(raw, &before) != nil || json.Unmarshal(f.out.Bytes(), &after) != nil {
		t.Error("not JSON any more")
	}
}

func TestTable(t *testing.T) {
	list := &table{head: []string{"NAME", "N", "WHAT"}, right: []int{1}}
	list.add(plain("add@1"), plain("7"), plain("first\nline \x1b[1mbold\x1b[0m"))
	list.add(plain("世界"), plain("1200"), cell{"failed", paintRed})
	f := newFake("")
	if err := f.printTable(list); err != nil {
		t.Fatal(err)
	}
	want := "NAME      N  WHAT\nadd@1     7  first line bold\n世界   1200  failed\n"
	if f.out.String() != want {
		t.Errorf("got\n%swant\n%s", f.out.String(), want)
	}
}

func TestTableOnATerminal(t *testing.T) {
	f := newFake("")
	f.stdoutTTY, f.width = true, func() int { return 20 }
	f.vars["TERM"] = "xterm"
	list := &table{head: []string{"A", "B"}}
	list.add(cell{"ok", paintGreen}, plain("%s", strings.Repeat("x", 40)))
	if err := f.printTable(list); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(f.out.String(), "\x1b[32mok\x1b[0m  xxxxxxxxxxxxxxx…\n") {
		t.Errorf("got %q", f.out.String())
	}
	f.out.Reset()
	f.vars["NO_COLOR"] = "1"
	if err := f.printTable(list); err != nil || strings.Contains(f.out.String(), "\x1b") {
		t.Errorf("NO_COLOR got %q", f.out.String())
	}
}

func TestSpan(t *testing.T) {
	for d, want := range map[time.Duration]string{
		300 * time.Microsecond: "<1ms", 12 * time.Millisecond: "12ms", 1500 * time.Millisecond: "1.5s",
		42 * time.Second: "42s", 62 * time.Second: "1m02s", 3*time.Hour + 4*time.Minute: "3h04m", 50 * time.Hour: "2d",
	} {
		if got := span(d); got != want {
			t.Errorf("%v is %q, want %q", d, got, want)
		}
	}
}
