package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"unicode/utf8"

	"faasctl/core"
)

// callArgs reads --args and --kwargs of one call: an array is positional, an
// object is keywords. Numbers stay as they are written. kwargs is nil when
// there are none.
func (e *environment) callArgs(argsText, kwargsText string) (args, kwargs json.RawMessage, err error) {
	if argsText == "-" && kwargsText == "-" {
		return nil, nil, usage("--args and --kwargs cannot both read stdin").WithHint("put one of them into a file: --kwargs @file")
	}
	first, err := e.jsonValue("--args", argsText)
	if err != nil {
		return nil, nil, err
	}
	second, err := e.jsonValue("--kwargs", kwargsText)
	if err != nil {
		return nil, nil, err
	}
	switch {
	case len(first) > 0 && first[0] == '{':
		if len(second) > 0 {
			return nil, nil, usage("--args is an object, so its keywords and those of --kwargs are at odds").
				WithHint("give one object, or an array to --args and an object to --kwargs")
		}
		second, first = first, nil
	case len(first) > 0 && first[0] != '[':
		return nil, nil, usage("--args is %s, neither an array nor an object", clip(string(first), 48)).
			WithHint("put it in brackets: --args '[%s]'", clip(string(first), 48))
	}
	if len(second) > 0 && second[0] != '{' {
		return nil, nil, usage("--kwargs is %s, not an object", clip(string(second), 48)).
			WithHint("keywords are an object: --kwargs '{\"name\": %s}'", clip(string(second), 48))
	}
	return first, second, nil
}

// jsonValue reads the JSON that a flag's text is or names: @file, or - for
// stdin. An empty text is no value.
func (e *environment) jsonValue(flag, text string) (json.RawMessage, error) {
	data, from := []byte(text), flag
	var err error
	switch {
	case text == "":
		return nil, nil
	case text == "-":
		from = flag + " from stdin"
		if e.stdinTTY {
			e.note("reading %s from the terminal; Ctrl-D ends it", flag)
		}
		if data, err = io.ReadAll(e.stdin); err != nil {
			return nil, usage("%s: %s", from, err)
		}
	case text[0] == '@':
		from = flag + " from " + text[1:]
		if data, err = os.ReadFile(text[1:]); err != nil {
			return nil, fileError(err).WithHint("%s @FILE reads the JSON from a file", flag)
		}
	}
	data = bytes.TrimSpace(bytes.TrimPrefix(data, []byte("\xef\xbb\xbf")))
	if err := checkJSON(data); err != nil {
		return nil, explainJSON(from, data, err)
	}
	return data, nil
}

// checkJSON accepts exactly one JSON value, in UTF-8.
func checkJSON(data []byte) error {
	if !utf8.Valid(data) {
		return errors.New("it is not UTF-8 text")
	}
	var value json.RawMessage
	return json.Unmarshal(data, &value)
}

// explainJSON shows the text around what cannot be read, with a caret below.
func explainJSON(from string, data []byte, err error) error {
	if len(data) == 0 {
		return usage("%s is empty", from).WithHint(`write JSON such as [3, 4] or {"a": 3}`)
	}
	var syntax *json.SyntaxError
	if !errors.As(err, &syntax) {
		return usage("%s is not JSON: %s", from, err)
	}
	at := int(syntax.Offset) - 1
	if strings.HasPrefix(err.Error(), "unexpected end") {
		at = len(data)
	}
	at = min(max(at, 0), len(data))
	line, column, number := around(data, at)
	place := ""
	if number > 1 {
		place = fmt.Sprintf(" in line %d", number)
	}
	return usage("%s is not JSON: %s%s\n    %s\n    %s^", from, err, place, line, strings.Repeat(" ", column)).
		WithHint("%s", jsonHint(string(data)))
}

// around returns the line of data that offset at is in, cut to what fits a
// terminal, the column of at in it, and the line's number.
func around(data []byte, at int) (line string, column, number int) {
	const before, after = 44, 28
	start := bytes.LastIndexByte(data[:at], '\n') + 1
	end := len(data)
	if i := bytes.IndexByte(data[at:], '\n'); i >= 0 {
		end = at + i
	}
	left := []rune(string(data[start:at]))
	right := []rune(string(data[at:end]))
	if len(left) > before {
		left = append([]rune("…"), left[len(left)-before+1:]...)
	}
	if len(right) > after {
		right = append(right[:after-1:after-1], '…')
	}
	// Cleaning first keeps the caret below its letter.
	head, tail := cleanLine(string(left)), cleanLine(string(right))
	return head + tail, utf8.RuneCountInString(head), 1 + bytes.Count(data[:at], []byte("\n"))
}

// jsonHint guesses what went wrong: mostly a shell that took the quotes.
func jsonHint(text string) string {
	switch {
	case strings.Contains(text, "'"):
		return `JSON wants double quotes: --args '["text"]'`
	case !strings.Contains(text, `"`) && strings.ContainsFunc(text, isLetter) && !hasWord(text, "True", "False", "None"):
		return `text needs double quotes, and single quotes around the whole keep the shell off: --args '["text", 3]'`
	case hasWord(text, "True", "False", "None"):
		return "JSON writes true, false and null"
	}
	return `positional arguments are an array, '[3, 4]', and keywords an object, '{"a": 3}'; @file and - (stdin) need no quoting`
}

func isLetter(r rune) bool { return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r > 0x7f }

func hasWord(text string, words ...string) bool {
	for _, field := range strings.FieldsFunc(text, func(r rune) bool { return !isLetter(r) }) {
		for _, word := range words {
			if field == word {
				return true
			}
		}
	}
	return false
}

// fileError is an error in reading a file that the command line names.
func fileError(err error) *core.Error {
	var path *os.PathError
	if errors.As(err, &path) {
		return usage("cannot read %s: %s", path.Path, path.Err)
	}
	return usage("%s", err)
}

// taskIDs reads the ids of a verb: its arguments, with "-" standing for the
// words on stdin.
func (e *environment) taskIDs(words []string) ([]core.TaskID, error) {
	var ids []core.TaskID
	add := func(word string) error {
		id, err := core.ParseTaskID(word)
		if err == nil {
			ids = append(ids, id)
		}
		return err
	}
	for _, word := range words {
		if word != "-" {
			if err := add(word); err != nil {
				return nil, err
			}
			continue
		}
		text, err := io.ReadAll(e.stdin)
		if err != nil {
			return nil, usage("cannot read ids from stdin: %s", err)
		}
		for _, word := range strings.Fields(string(text)) {
			if err := add(word); err != nil {
				return nil, err
			}
		}
		if len(words) == 1 && len(ids) == 0 {
			return nil, exitCode(core.ExitOK) // an empty list of ids is done already
		}
	}
	if len(ids) == 0 {
		return nil, usage("which task?").WithHint("name one or several by id, or - to read ids from stdin; faasctl task ls lists them")
	}
	return ids, nil
}
