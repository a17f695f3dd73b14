package cli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"faasctl/core"
)

func TestCallArgs(t *testing.T) {
	file := filepath.Join(t.TempDir(), "args.json")
	if err := os.WriteFile(file, []byte("\xef\xbb\xbf[\"from a file\"]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	tests := []struct{ args, kwargs, stdin, positional, keywords string }{
		{"", "", "", "", ""},
		{"[3, 4]", "", "", "[3, 4]", ""},
		{`{"a": 3}`, "", "", "", `{"a": 3}`},
		{"[1]", `{"b": 2}`, "", "[1]", `{"b": 2}`},
		{"", `{"b": 2}`, "", "", `{"b": 2}`},
		{"-", "", "  [5]\n", "[5]", ""},
		{"[1]", "-", `{"x": null}`, "[1]", `{"x": null}`},
		{"@" + file, "", "", `["from a file"]`, ""},
		{"[12345678901234567890123, 1.50]", "", "", "[12345678901234567890123, 1.50]", ""},
	}
	for _, test := range tests {
		args, kwargs, err := newFake(test.stdin).callArgs(test.args, test.kwargs)
		if err != nil || string(args) != test.positional || string(kwargs) != test.keywords {
			t.Errorf("%q %q: %q %q %v", test.args, test.kwargs, args, kwargs, err)
		}
	}
}

func TestCallArgsRefuses(t *testing.T) {
	tests := []struct{ name, args, kwargs, stdin, message, hint string }{
		{"quotes lost", "[hello]", "", "",
			"--args is not JSON: invalid character 'h' looking for beginning of value\n    [hello]\n     ^",
			`text needs double quotes, and single quotes around the whole keep the shell off: --args '["text", 3]'`},
		{"single quotes", "['a']", "", "",
			"--args is not JSON: invalid character '\\'' looking for beginning of value\n    ['a']\n     ^",
			`JSON wants double quotes: --args '["text"]'`},
		{"Python words", "[True]", "", "",
			"--args is not JSON: invalid character 'T' looking for beginning of value\n    [True]\n     ^",
			"JSON writes true, false and null"},
		{"unfinished", "[1, 2", "", "",
			"--args is not JSON: unexpected end of JSON input\n    [1, 2\n         ^", "positional arguments"},
		{"trailing", "[1] 2", "", "",
			"--args is not JSON: invalid character '2' after top-level value\n    [1] 2\n        ^", "positional arguments"},
		{"second line", "-", "", "[1,\n 2,,\n3]",
			"--args from stdin is not JSON: invalid character ',' looking for beginning of value in line 2\n     2,,\n       ^", "positional"},
		{"empty stdin", "-", "", "", "--args from stdin is empty", "write JSON"},
		{"scalar", "-1", "", "", "--args is -1, neither an array nor an object", "put it in brackets: --args '[-1]'"},
		{"two objects", "{}", "{}", "", "--args is an object, so its keywords and those of --kwargs are at odds", "give one object"},
		{"array keywords", "", "[1]", "", "--kwargs is [1], not an object", "keywords are an object"},
		{"twice stdin", "-", "-", "", "--args and --kwargs cannot both read stdin", "@file"},
		{"no file", "@/nowhere/x.json", "", "", "cannot read /nowhere/x.json: no such file or directory", "--args @FILE"},
		{"not text", "-", "", "[\"\xff\"]", "--args from stdin is not JSON: it is not UTF-8 text", ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, _, err := newFake(test.stdin).callArgs(test.args, test.kwargs)
			if err == nil {
				t.Fatal("accepted")
			}
			if err.Error() != test.message || !strings.Contains(core.HintOf(err), test.hint) {
				t.Errorf("got %q → %q\nwant %q → %q", err, core.HintOf(err), test.message, test.hint)
			}
			if exitOf(err) != core.ExitUsage {
				t.Errorf("exit code %d", exitOf(err))
			}
		})
	}
}

func TestAroundKeepsTheCaretBelow(t *testing.T) {
	data := []byte(`["` + strings.Repeat("é", 100) + `", oops, "` + strings.Repeat("x", 100) + `"]`)
	at := strings.Index(string(data), "oops")
	line, column, number := around(data, at)
	if number != 1 || !strings.HasPrefix(string([]rune(line)[column:]), "oops") {
		t.Errorf("line %q column %d", line, column)
	}
	if len([]rune(line)) > 74 {
		t.Errorf("%d columns", len([]rune(line)))
	}
}

func TestTaskIDs(t *testing.T) {
	one, two := core.NewTaskID(), core.NewTaskID()
	ids, err := newFake(string(two) + "\n\n").taskIDs([]string{strings.ToUpper(string(one)), "-"})
	if err != nil || len(ids) != 2 || ids[0] != one || ids[1] != two {
		t.Errorf("%v %v", ids, err)
	}
	if _, err := newFake("").taskIDs([]string{"-"}); exitOf(err) != core.ExitOK || err == nil {
		t.Errorf("an empty list: %v", err)
	}
	for _, words := range [][]string{nil, {"x"}, {string(one), "nonsense"}} {
		if _, err := newFake("").taskIDs(words); exitOf(err) != core.ExitUsage {
			t.Errorf("%q: %v", words, err)
		}
	}
}
