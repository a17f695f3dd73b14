package core_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"faasctl/core"
)

var (
	hashA = "--hash=sha256:" + strings.Repeat("a", 64)
	hashB = "--hash=sha512:" + strings.Repeat("b", 128)
)

func TestRequirementsAreRead(t *testing.T) {
	for text, want := range map[string][]string{
		"# a comment\nb>=2  # and here\r\n\na\nb>=2\n": {"a", "b>=2"},
		"a>=1,\\\n<2\n":                  {"a>=1, <2"},
		"b @ https://host/b.whl#egg=b\n": {"b @ https://host/b.whl#egg=b"},
		"b==1 \\\n    " + hashB + " \\\r\n    " + hashA + "\n    # via a\na==2 ; x > '3'\t" + hashA: {"a==2 ; x > '3' " + hashA, "b==1 " + hashA + " " + hashB},
		"a==1 --hash=sha256:" + strings.Repeat("A", 64):                                             {"a==1 " + hashA},
	} {
		if got, err := core.ParseRequirements([]byte(text)); err != nil || !slices.Equal(got, want) {
			t.Errorf("%q: %q %v", text, got, err)
		}
	}
}

func TestRequirementsThatAreRefused(t *testing.T) {
	for text, want := range map[string]string{
		"a\n--index-url x\n":                         `line 2: "--index-url x" is an option of pip`,
		"a\n-r other.txt\n":                          "line 2: ",
		"a \\\n  --hash=sha256:aa\nb":                `line 1: "--hash=sha256:aa" is no hash`,
		"a\n\nb \\\n " + hashA + " \\\n --pre\n":     `line 3: "--pre" is an option of pip`,
		"a --config-settings=x":                      "line 1: ",
		"a --hash=md5:" + strings.Repeat("a", 32):    "is no hash",
		"a --hash=sha256:" + strings.Repeat("x", 64): "is no hash",
		"a==1 " + hashA + "\nb==2\n":                 `"b==2" has no hash`,
		"a @ https://h/${PIP_INDEX_URL} " + hashA:    "cannot have hashes",
		"a==1\u00e9 " + hashA:                        "cannot have hashes",
	} {
		_, err := core.ParseRequirements([]byte(text))
		if !errors.Is(err, core.ErrInvalid) || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
	var many []string
	for i := range 200 {
		many = append(many, fmt.Sprintf("a%d==1 ", i)+strings.Repeat(hashA+" "+hashB+" ", 20))
	}
	if list, err := core.CleanDependencies(many); err != nil || len(list[0]) > 300 {
		t.Errorf("hashes that are said again: %v", err)
	}
	for i := range many {
		for j := range 20 {
			many[i] += fmt.Sprintf(" --hash=sha256:%064x", j)
		}
	}
	if _, err := core.CleanDependencies(many); !errors.Is(err, core.ErrInvalid) || !strings.Contains(err.Error(), "bytes, more than") {
		t.Errorf("too many hashes: %v", err)
	}
}

func TestDependenciesAreSaidWithoutHashes(t *testing.T) {
	if got := core.SayDependencies([]string{"a>=1", "b"}); got != "a>=1, b" {
		t.Error(got)
	}
	if got := core.SayDependencies([]string{"a==1 " + hashA + " " + hashB, "b==2 " + hashA}); got != "a==1, b==2 (checked by hash)" {
		t.Error(got)
	}
}
