package core

import (
	"bufio"
	"bytes"
	"slices"
	"strings"
	"unicode"
)

// Bounds of what a function may depend on.
const (
	maxDependencies = 256
	maxDependency   = 512 // bytes
)

// CleanDependencies checks a list of packages, each as pip takes it on its command
// line, such as numpy>=2, and returns it in order, each once. What would be an option
// of pip is refused: a dependency says what is needed, not where it comes from.
func CleanDependencies(list []string) ([]string, error) {
	var clean []string
	for _, one := range list {
		one = strings.TrimSpace(one)
		first := strings.IndexFunc(one, func(r rune) bool { return r > unicode.MaxASCII || !unicode.IsLetter(r) && !unicode.IsDigit(r) })
		switch {
		case one == "":
			continue
		case len(one) > maxDependency || strings.ContainsFunc(one, unicode.IsControl):
			return nil, Errorf(ErrInvalid, "", "%q names no package", clip(one, 64))
		case first == 0:
			return nil, Errorf(ErrInvalid, "", "%q names no package", clip(one, 64)).
				WithHint("write a package, such as numpy or numpy>=2; where packages come from is said where workers are started")
		}
		clean = append(clean, one)
	}
	slices.Sort(clean)
	if clean = slices.Compact(clean); len(clean) > maxDependencies {
		return nil, Errorf(ErrInvalid, "", "%d dependencies are more than %d", len(clean), maxDependencies)
	}
	return clean, nil
}

// ParseRequirements reads a requirements file: a package per line, comments, empty
// lines and lines that go on after a backslash. Options and other files are refused.
func ParseRequirements(data []byte) ([]string, error) {
	var list []string
	lines := bufio.NewScanner(bytes.NewReader(bytes.ReplaceAll(bytes.ReplaceAll(data, []byte("\\\r\n"), nil), []byte("\\\n"), nil)))
	for n := 1; lines.Scan(); n++ {
		line := lines.Text()
		if at := strings.Index(line, "#"); at == 0 || at > 0 && (line[at-1] == ' ' || line[at-1] == '\t') {
			line = line[:at]
		}
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "-") {
			return nil, Errorf(ErrInvalid, "", "line %d: %q is an option of pip, and only packages can stand here", n, clip(line, 64)).
				WithHint("where packages come from is said where workers are started: --wheels DIR, or pip's own settings there")
		}
		if at := strings.Index(line, " --hash="); at >= 0 {
			return nil, Errorf(ErrInvalid, "", "line %d: hashes are not checked here", n).WithHint("leave them away: pip-compile without --generate-hashes")
		}
		list = append(list, line)
	}
	if err := lines.Err(); err != nil {
		return nil, Errorf(ErrInvalid, "", "this is no requirements file: %s", err)
	}
	return CleanDependencies(list)
}
