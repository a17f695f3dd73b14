package core

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Needs is what a function asks of the Python that runs it. The zero value asks
// for nothing.
type Needs struct {
	Python string // versions, as CheckPython reads them; "" = any
	Dill   bool   // it is a pickle, which only dill loads
}

// Needs is what the function asks of an interpreter.
func (f *Function) Needs() Needs { return Needs{Python: f.Python, Dill: f.Codec == Dill} }

// None reports whether every interpreter will do.
func (n Needs) None() bool { return n == Needs{} }

// Key is a text that tells needs apart; "" for none. ParseNeeds reads it back.
func (n Needs) Key() string {
	switch {
	case n.None():
		return ""
	case n.Dill:
		return "dill " + n.Python
	}
	return "any " + n.Python
}

// ParseNeeds reads what Key wrote.
func ParseNeeds(key string) Needs {
	codec, python, _ := strings.Cut(key, " ")
	return Needs{Python: python, Dill: codec == "dill"}
}

// String tells people, such as "Python 3.11 with dill".
func (n Needs) String() string {
	switch {
	case n.None():
		return "any Python"
	case n.Python == "":
		return "a Python with dill"
	case n.Dill:
		return "Python " + n.Python + " with dill"
	}
	return "Python " + n.Python
}

// Fit reports whether an interpreter will do.
func (n Needs) Fit(i Interpreter) bool {
	return (!n.Dill || i.Dill != "") && fitsPython(n.Python, i.Version)
}

// Choose returns the place of the first interpreter that will do, -1 for none.
// Who lists none does not say what it has, and is taken at its word: 0.
func (n Needs) Choose(list []Interpreter) int {
	if len(list) == 0 {
		return 0
	}
	return slices.IndexFunc(list, n.Fit)
}

// CheckPython reads which versions of Python a text means: a minor version such as
// 3.11, or a range as packages write it, such as >=3.10,<3.13 or ~=3.11.
func CheckPython(text string) error {
	if _, err := parseVersions(text); err != nil {
		return Errorf(ErrInvalid, "", "%q says no versions of Python: %s", clip(text, 64), err).
			WithHint("write 3.11, or a range such as >=3.10,<3.13")
	}
	return nil
}

// CleanPython is text in its shortest form.
func CleanPython(text string) string {
	var clauses []string
	for _, clause := range strings.Split(text, ",") {
		if clause = strings.Join(strings.Fields(clause), ""); clause != "" && !slices.Contains(clauses, clause) {
			clauses = append(clauses, clause)
		}
	}
	return strings.Join(clauses, ",")
}

// fitsPython reports whether a version is among those that text means; a text that
// cannot be read means none, an unknown version is among all.
func fitsPython(text, version string) bool {
	clauses, err := parseVersions(text)
	have, wild, bad := parseRelease(version)
	if text == "" || version == "" {
		return true
	}
	if err != nil || bad != nil || wild {
		return false
	}
	for _, c := range clauses {
		if !c.holds(have) {
			return false
		}
	}
	return true
}

// versionClause is one of the conditions of a range, in the words of PEP 440.
type versionClause struct {
	op      string
	release []int
	wild    bool // it ends in .*
}

const maxVersionClauses = 16

func parseVersions(text string) ([]versionClause, error) {
	var clauses []versionClause
	for _, part := range strings.Split(text, ",") {
		if part = strings.TrimSpace(part); part == "" {
			continue
		}
		c := versionClause{}
		for _, op := range []string{"===", "==", "!=", ">=", "<=", "~=", ">", "<"} {
			if rest, ok := strings.CutPrefix(part, op); ok {
				c.op, part = op, strings.TrimSpace(rest)
				break
			}
		}
		var err error
		if c.release, c.wild, err = parseRelease(part); err != nil {
			return nil, err
		}
		switch {
		case c.op == "": // a bare 3.11 means every 3.11
			c.op, c.wild = "==", c.wild || len(c.release) < 3
		case c.wild && c.op != "==" && c.op != "!=":
			return nil, fmt.Errorf("%s cannot stand before %s", c.op, part)
		case c.op == "~=" && len(c.release) < 2:
			return nil, fmt.Errorf("~= needs at least two numbers, such as ~=3.10")
		}
		if clauses = append(clauses, c); len(clauses) > maxVersionClauses {
			return nil, fmt.Errorf("more than %d conditions", maxVersionClauses)
		}
	}
	return clauses, nil
}

var preRelease = regexp.MustCompile(`^(a|b|rc|dev|\+)[0-9a-z]*$`)

// parseRelease reads 3, 3.11, 3.11.7 or 3.11.*; what follows the numbers of a
// release (3.13.0rc1) is left away.
func parseRelease(text string) (release []int, wild bool, err error) {
	text, wild = strings.CutSuffix(text, ".*")
	for i, part := range strings.Split(text, ".") {
		end := strings.IndexFunc(part, func(r rune) bool { return r < '0' || r > '9' })
		number, rest := part, ""
		if end >= 0 {
			number, rest = part[:end], part[end:]
		}
		n, err := strconv.Atoi(number)
		if err != nil || n > 9999 || i > 5 || rest != "" && (i == 0 || wild || !preRelease.MatchString(rest)) {
			return nil, false, fmt.Errorf("%q is not a version", clip(text, 32))
		}
		release = append(release, n)
		if rest != "" {
			break
		}
	}
	return release, wild, nil
}

func (c versionClause) holds(have []int) bool {
	order := compareReleases(have, c.release)
	prefix := func(n int) bool {
		return compareReleases(have[:min(n, len(have))], c.release[:n]) == 0
	}
	switch c.op {
	case "==", "===":
		return c.wild && prefix(len(c.release)) || !c.wild && order == 0
	case "!=":
		return c.wild && !prefix(len(c.release)) || !c.wild && order != 0
	case ">=":
		return order >= 0
	case "<=":
		return order <= 0
	case ">":
		return order > 0
	case "<":
		return order < 0
	}
	return order >= 0 && prefix(len(c.release)-1) // ~=
}

// compareReleases compares numbers; missing ones are 0.
func compareReleases(a, b []int) int {
	for i := range max(len(a), len(b)) {
		var x, y int
		if i < len(a) {
			x = a[i]
		}
		if i < len(b) {
			y = b[i]
		}
		if x != y {
			return x - y
		}
	}
	return 0
}
