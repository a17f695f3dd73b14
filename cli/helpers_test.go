package cli

import (
	"bytes"
	"context"
	"strings"
	"testing"
)

// fake is an environment that a test can read.
type fake struct {
	*environment
	out, err bytes.Buffer
	vars     map[string]string
}

func newFake(stdin string) *fake {
	f := &fake{vars: map[string]string{}}
	f.environment = &environment{
		stdin: strings.NewReader(stdin), stdout: &f.out, stderr: &f.err,
		width:   func() int { return 80 },
		lookup:  func(name string) (string, bool) { value, ok := f.vars[name]; return value, ok },
		version: "v0-test",
	}
	return f
}

// run runs one command line and returns its exit code.
func (f *fake) run(t *testing.T, words ...string) int {
	t.Helper()
	return f.main(context.Background(), append([]string{"faasctl"}, words...))
}
