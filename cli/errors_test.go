package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"faasctl/core"
)

func TestExitCodes(t *testing.T) {
	tests := []struct {
		err  error
		want int
	}{
		{nil, 0},
		{exitCode(0), 0},
		{exitCode(6), 6},
		{core.ErrMalformed, 2},
		{core.ErrInvalid, 2},
		{core.ErrNotFound, 4},
		{core.ErrGone, 4},
		{core.ErrUnavailable, 8},
		{core.ErrNoToken, 9},
		{core.ErrForbidden, 9},
		{core.ErrConflict, 9},
		{core.ErrTooLarge, 9},
		{core.ErrMediaType, 9},
		{core.ErrFull, 9},
		{core.ErrInternal, 70},
		{errors.New("anything else"), 70},
		{fmt.Errorf("with an operation: %w", core.ErrNotFound), 4},
		{withOp("run", core.Errorf(core.ErrUnavailable, "", "x")), 8},
		{context.Canceled, 10},
		{&core.Error{Class: core.ErrUnavailable, Err: context.Canceled}, 8},
	}
	for _, test := range tests {
		if got := exitOf(test.err); got != test.want {
			t.Errorf("%v exits %d, want %d", test.err, got, test.want)
		}
	}
}

func TestExitCodesOfOutcomes(t *testing.T) {
	for kind, want := range map[core.FailureKind]int{
		"": 0, core.KindException: 1, core.KindUnserializable: 1, core.KindUnloadable: 1, core.KindResultTooLarge: 1,
		core.KindTimeout: 3, core.KindCancelled: 5, core.KindCrash: 6, core.KindMemory: 6, core.KindLost: 6, core.KindExpired: 7,
	} {
		if got := kind.Exit(); got != want {
			t.Errorf("%q exits %d, want %d", kind, got, want)
		}
	}
}

// Every code that the program can end with is in the table that help prints.
func TestHelpListsEveryExitCode(t *testing.T) {
	codes := map[int]bool{core.ExitOK: true, core.ExitPending: true, core.ExitUnwritten: true}
	for _, class := range core.Classes {
		codes[class.Exit] = true
	}
	for _, kind := range []core.FailureKind{core.KindException, core.KindTimeout, core.KindCancelled, core.KindCrash, core.KindExpired} {
		codes[kind.Exit()] = true
	}
	for code := range codes {
		if !strings.Contains(exitCodesHelp, fmt.Sprintf("%d  ", code)) {
			t.Errorf("exit code %d is not documented", code)
		}
	}
}

func TestComplainStripsAndHints(t *testing.T) {
	f := newFake("")
	code := f.explain(core.Errorf(core.ErrNotFound, "run", "there is no \x1b[31mfunction\x1b[0m").WithHint("faasctl fn ls"))
	if want := "faasctl: run: there is no function\n  → faasctl fn ls\n"; f.err.String() != want || code != 4 {
		t.Errorf("%q, exit code %d", f.err.String(), code)
	}
	if f.out.Len() > 0 {
		t.Errorf("stdout got %q", f.out.String())
	}
}

func TestFirstCode(t *testing.T) {
	for _, test := range []struct {
		codes []int
		want  int
	}{{nil, 0}, {[]int{0, 0}, 0}, {[]int{0, 4, 1}, 4}, {[]int{10, 4}, 10}} {
		if got := exitOf(firstCode(test.codes)); got != test.want {
			t.Errorf("%v: %d, want %d", test.codes, got, test.want)
		}
	}
}

func TestUsageErrors(t *testing.T) {
	tests := []struct {
		line []string
		want string
	}{
		{[]string{"version", "x"}, "faasctl: version: takes no arguments, but got \"x\"\n"},
		{[]string{"version", "-o", "xml"}, "faasctl: version: -o cannot be \"xml\"\n  → choose one of table, json\n"},
		{[]string{"verison"}, "faasctl: there is no verb \"verison\"\n  → did you mean version?\n"},
	}
	for _, test := range tests {
		f := newFake("")
		if code := f.run(t, test.line...); code != core.ExitUsage || f.err.String() != test.want || f.out.Len() > 0 {
			t.Errorf("%q: exit code %d, %q", test.line, code, f.err.String())
		}
	}
}
