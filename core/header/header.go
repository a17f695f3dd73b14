// Package header reads what a Python file says of itself in a comment, in the form of
// PEP 723: the versions of Python and the packages that it needs.
//
//	# /// script
//	# requires-python = ">=3.10"
//	# dependencies = ["numpy>=2"]
//	# ///
package header

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/BurntSushi/toml"

	"faasctl/core"
)

// Header is what a file says. The zero value says nothing.
type Header struct {
	Python       string // versions, as core.CheckPython reads them; "" = any
	Dependencies []string
}

var block = regexp.MustCompile(`(?m)^# /// ([a-zA-Z0-9-]+)[ \t]*\r?\n((?:#(?: .*)?\r?\n)+?)# ///[ \t]*\r?$`)

// Read finds the header of a file. A file without one says nothing; a header that
// cannot be read is ErrInvalid and names its line in the file.
func Read(source []byte) (Header, error) {
	var found Header
	seen := false
	for _, at := range block.FindAllSubmatchIndex(source, -1) {
		if string(source[at[2]:at[3]]) != "script" {
			continue
		}
		first := 1 + strings.Count(string(source[:at[4]]), "\n")
		if seen {
			return found, core.Errorf(core.ErrInvalid, "", "line %d: a second header # /// script", first-1).WithHint("keep one of them")
		}
		seen = true
		var text strings.Builder
		for line := range strings.Lines(string(source[at[4]:at[5]])) {
			line = strings.TrimPrefix(line, "#")
			text.WriteString(strings.TrimPrefix(line, " "))
		}
		var err error
		if found, err = parse(text.String(), first); err != nil {
			return Header{}, err
		}
	}
	return found, nil
}

func parse(text string, first int) (Header, error) {
	var said struct {
		Python       string   `toml:"requires-python"`
		Dependencies []string `toml:"dependencies"`
	}
	if _, err := toml.Decode(text, &said); err != nil {
		line, message := first, err.Error()
		if wrong := (toml.ParseError{}); errors.As(err, &wrong) {
			line, message = first+wrong.Position.Line-1, wrong.Message
			if message == "" {
				message = strings.TrimPrefix(wrong.Error(), fmt.Sprintf("toml: line %d: ", wrong.Position.Line))
			}
		}
		return Header{}, core.Errorf(core.ErrInvalid, "", "line %d: the header # /// script cannot be read: %s", line, strings.TrimPrefix(message, "toml: ")).
			WithHint(`write # requires-python = ">=3.10" and # dependencies = ["numpy>=2"], in TOML`)
	}
	if err := core.CheckPython(said.Python); err != nil {
		return Header{}, fmt.Errorf("requires-python in line %d: %w", first, err)
	}
	dependencies, err := core.CleanDependencies(said.Dependencies)
	if err != nil {
		return Header{}, fmt.Errorf("dependencies in line %d: %w", first, err)
	}
	return Header{core.CleanPython(said.Python), dependencies}, nil
}
