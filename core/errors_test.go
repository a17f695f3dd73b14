package core

import (
	"errors"
	"fmt"
	"io"
	"testing"
)

func TestAnErrorKeepsItsClassHintAndCauseThroughWrapping(t *testing.T) {
	inner := &Error{Class: ErrUnavailable, Op: "claim", Detail: "no answer", Err: io.ErrUnexpectedEOF}
	err := fmt.Errorf("dispatch: %w", inner.WithHint("start it: %s", "faasctl up"))
	if ClassOf(err) != ErrUnavailable || !errors.Is(err, io.ErrUnexpectedEOF) || HintOf(err) != "start it: faasctl up" {
		t.Fatalf("class %v, hint %q", ClassOf(err), HintOf(err))
	}
	if want := "dispatch: claim: no answer: unexpected EOF"; err.Error() != want {
		t.Fatalf("text %q, want %q", err, want)
	}
	if inner.Hint != "" {
		t.Fatal("WithHint changed its receiver")
	}
}

func TestAnUnclassedErrorIsInternal(t *testing.T) {
	if ClassOf(io.EOF) != ErrInternal || HintOf(io.EOF) != "" {
		t.Fatal("a plain error found a class")
	}
}

// A class must survive the way over HTTP: its name comes back, and a status of a
// newer server finds the nearest.
func TestClassesComeBackByName(t *testing.T) {
	for _, c := range Classes {
		if got := ClassNamed(c.Name, c.Status); got != c {
			t.Errorf("%s came back as %s", c.Name, got.Name)
		}
	}
	for status, want := range map[int]*Class{404: ErrNotFound, 429: ErrFull, 418: ErrMalformed, 502: ErrInternal, 503: ErrUnavailable} {
		if got := ClassNamed("something-new", status); got != want {
			t.Errorf("status %d became %s", status, got.Name)
		}
	}
}

// The documented exit codes, each by the classes and kinds that lead to it.
func TestExitCodes(t *testing.T) {
	for class, want := range map[*Class]int{
		ErrMalformed: 2, ErrInvalid: 2, ErrNotFound: 4, ErrConflict: 9, ErrStale: 9, ErrFull: 9, ErrTooLarge: 9,
		ErrMediaType: 9, ErrNoToken: 9, ErrForbidden: 9, ErrUnavailable: 8, ErrInternal: 70, ErrGone: 4,
	} {
		if class.Exit != want {
			t.Errorf("%s exits %d, want %d", class.Name, class.Exit, want)
		}
	}
	for kind, want := range map[FailureKind]int{
		"": 0, KindException: 1, KindUnserializable: 1, KindUnloadable: 1, KindResultTooLarge: 1, KindTimeout: 3,
		KindCancelled: 5, KindCrash: 6, KindMemory: 6, KindLost: 6, KindExpired: 7,
	} {
		if got := kind.Exit(); got != want {
			t.Errorf("%q exits %d, want %d", kind, got, want)
		}
	}
}
