package core

import (
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"unicode"
)

// Bounds of what a function may depend on.
const (
	maxDependencies = 256
	maxDependency   = 512       // bytes, without hashes
	maxHashBytes    = 256 << 10 // of all hashes together
)

// hashSizes are the digests that pip checks files by, in bytes.
var hashSizes = map[string]int{"sha256": 32, "sha384": 48, "sha512": 64}

// CleanDependencies checks a list of packages, each as pip takes it in a requirements
// file, such as numpy>=2, and returns it in order, each once. A package may be followed
// by --hash=sha256:… of each file that it may come as; then all must be, as pip demands.
// What would be another option of pip is refused: a dependency says what is needed, not
// where it comes from.
func CleanDependencies(list []string) ([]string, error) {
	var clean []string
	hashed, size := 0, 0
	for _, one := range list {
		one, hashes, err := cleanDependency(one)
		if err != nil {
			return nil, err
		}
		if one == "" {
			continue
		}
		if len(hashes) > 0 {
			hashed++
			one += " " + strings.Join(hashes, " ")
			size += len(one)
		}
		clean = append(clean, one)
	}
	switch {
	case size > maxHashBytes:
		return nil, Errorf(ErrInvalid, "", "the packages and their hashes take %d bytes, more than %d", size, maxHashBytes)
	case hashed > 0 && hashed < len(clean):
		bare := clean[slices.IndexFunc(clean, func(one string) bool { return !Hashed(one) })]
		return nil, Errorf(ErrInvalid, "", "%q has no hash, though other packages have", clip(bare, 64)).
			WithHint("with hashes each package needs its own: pip-compile --generate-hashes writes them all; leave it out where the file's header says it, too")
	}
	slices.Sort(clean)
	if clean = slices.Compact(clean); len(clean) > maxDependencies {
		return nil, Errorf(ErrInvalid, "", "%d dependencies are more than %d", len(clean), maxDependencies)
	}
	return clean, nil
}

// cleanDependency takes a package apart from its hashes, which it puts in order.
func cleanDependency(text string) (one string, hashes []string, err error) {
	fields := strings.Fields(text)
	options := slices.IndexFunc(fields, func(field string) bool { return strings.HasPrefix(field, "-") })
	one = strings.TrimSpace(text)
	if options > 0 {
		if hashes, err = cleanHashes(fields[options:]); err != nil {
			return "", nil, err
		}
		one = strings.Join(fields[:options], " ")
	}
	first := strings.IndexFunc(one, func(r rune) bool { return r > unicode.MaxASCII || !unicode.IsLetter(r) && !unicode.IsDigit(r) })
	switch {
	case len(one) > maxDependency || strings.ContainsFunc(one, unicode.IsControl):
		return "", nil, Errorf(ErrInvalid, "", "%q names no package", clip(one, 64))
	case first == 0:
		return "", nil, Errorf(ErrInvalid, "", "%q names no package", clip(one, 64)).
			WithHint("write a package, such as numpy or numpy>=2; where packages come from is said where workers are started")
	case len(hashes) > 0 && (strings.ContainsAny(one, "\\") || strings.Contains(one, "${") || strings.Contains(one, " #") ||
		strings.ContainsFunc(one, func(r rune) bool { return r > unicode.MaxASCII })):
		// It is written into a file, where pip would read more than a package in these.
		return "", nil, Errorf(ErrInvalid, "", "%q cannot have hashes: it holds a backslash, ${, a comment or what is not ASCII", clip(one, 64))
	}
	return one, slices.Compact(hashes), nil
}

// cleanHashes checks what follows a package in a requirements file.
func cleanHashes(fields []string) ([]string, error) {
	hashes := make([]string, 0, len(fields))
	for _, field := range fields {
		digest, is := strings.CutPrefix(field, "--hash=")
		if !is {
			return nil, Errorf(ErrInvalid, "", "%q is an option of pip, and only packages and --hash=sha256:… can stand here", clip(field, 64)).
				WithHint("where packages come from is said where workers are started: --wheels DIR, or pip's own settings there")
		}
		algorithm, digits, _ := strings.Cut(digest, ":")
		raw, err := hex.DecodeString(digits)
		if err != nil || len(raw) == 0 || len(raw) != hashSizes[algorithm] {
			return nil, Errorf(ErrInvalid, "", "%q is no hash", clip(field, 64)).
				WithHint("write --hash=sha256: and its 64 hexadecimal digits; sha384 and sha512 are taken, too")
		}
		hashes = append(hashes, strings.ToLower(field))
	}
	slices.Sort(hashes)
	return hashes, nil
}

// Hashed reports whether a dependency says by which hashes its files are checked.
func Hashed(dependency string) bool { return strings.Contains(dependency, " --hash=") }

// SayDependencies lists dependencies for people: without their hashes.
func SayDependencies(list []string) string {
	names := make([]string, len(list))
	hashed := false
	for i, one := range list {
		name, _, has := strings.Cut(one, " --hash=")
		names[i], hashed = name, hashed || has
	}
	text := strings.Join(names, ", ")
	if hashed {
		text += " (checked by hash)"
	}
	return text
}

// ParseRequirements reads a requirements file: a package per line with its hashes,
// comments, empty lines and lines that go on after a backslash. Other options and other
// files are refused.
func ParseRequirements(data []byte) ([]string, error) {
	var list []string
	begun, first := "", 0 // a line that goes on, and where it began
	lines := strings.Split(strings.ReplaceAll(string(data), "\r\n", "\n"), "\n")
	for i, line := range lines {
		if begun == "" {
			first = i + 1
		}
		more := strings.HasSuffix(line, "\\") && i+1 < len(lines) && !strings.HasPrefix(strings.TrimSpace(line), "#")
		begun += strings.TrimSuffix(line, "\\")
		if more {
			begun += " "
			continue
		}
		line, begun = begun, ""
		if at := commentAt(line); at >= 0 {
			line = line[:at]
		}
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "-") {
			return nil, Errorf(ErrInvalid, "", "line %d: %q is an option of pip, and only packages can stand here", first, clip(line, 64)).
				WithHint("where packages come from is said where workers are started: --wheels DIR, or pip's own settings there")
		}
		if _, _, err := cleanDependency(line); err != nil {
			return nil, fmt.Errorf("line %d: %w", first, err)
		}
		list = append(list, line)
	}
	return CleanDependencies(list)
}

// commentAt is where a line's comment begins: at a # that stands first or after a blank; -1
// without one.
func commentAt(line string) int {
	for at, r := range line {
		if r == '#' && (at == 0 || line[at-1] == ' ' || line[at-1] == '\t') {
			return at
		}
	}
	return -1
}
