// Package wheeltest makes Python packages for tests of what functions depend on,
// so that those need no package index.
package wheeltest

import (
	"archive/zip"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// Write writes the wheel of a package into a directory: one module of its name with
// this text, whose main is the command NAME-tool. requires are what it depends on.
func Write(dir, name, version, text string, requires ...string) error {
	file, err := os.Create(filepath.Join(dir, fmt.Sprintf("%s-%s-py3-none-any.whl", name, version)))
	if err != nil {
		return err
	}
	archive := zip.NewWriter(file)
	info := fmt.Sprintf("%s-%s.dist-info/", name, version)
	metadata := fmt.Sprintf("Metadata-Version: 2.1\nName: %s\nVersion: %s\n", name, version)
	for _, other := range requires {
		metadata += "Requires-Dist: " + other + "\n"
	}
	var record strings.Builder
	for _, part := range [][2]string{
		{name + ".py", text},
		{info + "METADATA", metadata},
		{info + "WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"},
		{info + "entry_points.txt", "[console_scripts]\n" + name + "-tool = " + name + ":main\n"},
		{info + "RECORD", ""},
	} {
		record.WriteString(part[0] + ",,\n")
		if part[0] == info+"RECORD" {
			part[1] = record.String()
		}
		w, failed := archive.Create(part[0])
		if failed == nil {
			_, failed = io.WriteString(w, part[1])
		}
		err = errors.Join(err, failed)
	}
	return errors.Join(err, archive.Close(), file.Close())
}

// Answers writes the package answers, which holds a VALUE: 41 in version 1.0 and 42 in 2.0.
func Answers(dir string) error {
	return errors.Join(Write(dir, "answers", "1.0", "VALUE = 41\n"), Write(dir, "answers", "2.0", "VALUE = 42\n"))
}
