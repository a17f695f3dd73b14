package core

import (
	"maps"
	"slices"
	"strings"
	"testing"
)

func TestEnv(t *testing.T) {
	env, err := ParseEnv([]string{"B=2=3", "A", "C="})
	if err != nil || !slices.Equal(env, Env{"A", "B=2=3", "C="}) {
		t.Fatalf("%q %v", env, err)
	}
	values, missing := env.Resolve(func(name string) (string, bool) { return "own " + name, name == "A" })
	if missing != "" || !maps.Equal(values, map[string]string{"A": "own A", "B": "2=3", "C": ""}) {
		t.Errorf("%q, missing %q", values, missing)
	}
	if _, missing := env.Resolve(func(string) (string, bool) { return "", false }); missing != "A" {
		t.Errorf("missing %q", missing)
	}
	for _, words := range [][]string{
		{"=x"}, {""}, {"A B=1"}, {"1A=1"}, {"A-B"}, {"A=1\x00"}, {"FAASCTL_TOKEN"}, {"FAASCTL_X=1"}, {"A", "A=1"}, {"A=1", "A=2"},
		{"A=" + strings.Repeat("x", maxEnvSize)}, strings.Split(strings.Repeat("A,", maxEnv+1), ","),
	} {
		if _, err := ParseEnv(words); ClassOf(err) != ErrInvalid {
			t.Errorf("%.60q: %v", words, err)
		}
	}
}
