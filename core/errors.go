package core

import (
	"errors"
	"fmt"
	"net/http"
)

// Class is a kind of error. There are few, and each has one HTTP status and
// one exit code: the table below is the only place that says which.
type Class struct {
	Name   string // stable, lower case; the "type" of a problem document
	Status int    // HTTP status
	Exit   int    // exit code of the CLI
}

func (c *Class) Error() string { return c.Name }

// The classes. Match them with errors.Is.
var (
	ErrMalformed   = &Class{"malformed", http.StatusBadRequest, ExitUsage}                 // cannot be read at all
	ErrInvalid     = &Class{"invalid", http.StatusUnprocessableEntity, ExitUsage}          // can be read, makes no sense
	ErrNotFound    = &Class{"not-found", http.StatusNotFound, ExitNotFound}                // no such function, task or worker
	ErrConflict    = &Class{"conflict", http.StatusConflict, ExitRefused}                  // contradicts what is stored
	ErrStale       = &Class{"stale", http.StatusConflict, ExitRefused}                     // the lease is somebody else's by now
	ErrGone        = &Class{"gone", http.StatusGone, ExitNotFound}                         // was here, is not any more
	ErrFull        = &Class{"full", http.StatusTooManyRequests, ExitRefused}               // no room, try later
	ErrTooLarge    = &Class{"too-large", http.StatusRequestEntityTooLarge, ExitRefused}    // above --max-payload
	ErrMediaType   = &Class{"media-type", http.StatusUnsupportedMediaType, ExitRefused}    // body of another kind
	ErrNoToken     = &Class{"no-token", http.StatusUnauthorized, ExitRefused}              // who are you?
	ErrForbidden   = &Class{"forbidden", http.StatusForbidden, ExitRefused}                // not for you
	ErrUnavailable = &Class{"unavailable", http.StatusServiceUnavailable, ExitUnavailable} // store or server out of reach
	ErrInternal    = &Class{"internal", http.StatusInternalServerError, ExitInternal}      // our mistake
)

// Classes lists every class, for the table in the docs and for clients that
// turn a status back into an error.
var Classes = []*Class{
	ErrMalformed, ErrInvalid, ErrNotFound, ErrConflict, ErrStale, ErrGone, ErrFull,
	ErrTooLarge, ErrMediaType, ErrNoToken, ErrForbidden, ErrUnavailable, ErrInternal,
}

// Exit codes of the CLI. A task's outcome maps through FailureKind.Exit.
const (
	ExitOK          = 0
	ExitFailed      = 1  // exception, unserializable, unloadable, result too large
	ExitUsage       = 2  // the command or the request makes no sense
	ExitTimeout     = 3  // the task ran out of time
	ExitNotFound    = 4  // no such thing
	ExitCancelled   = 5  // the task was cancelled
	ExitCrashed     = 6  // crash, memory, lost
	ExitExpired     = 7  // the task waited too long
	ExitUnavailable = 8  // server or store out of reach
	ExitRefused     = 9  // the server said no
	ExitPending     = 10 // not finished yet, or detached
	ExitInternal    = 70 // our mistake
	ExitUnwritten   = 74 // stdout could not be written: a full disk
)

// Error is what faasctl tells its users: what was being done, what went wrong,
// with which id, and what to type next.
type Error struct {
	Class  *Class
	Op     string // what was being done, such as "register fn.py"; may be empty
	Detail string // what went wrong, a sentence without a full stop
	Hint   string // what to do next; may be empty
	Err    error  // the cause; may be nil
}

func (e *Error) Error() string {
	text := e.Detail
	if e.Err != nil {
		if text == "" {
			text = e.Err.Error()
		} else {
			text += ": " + e.Err.Error()
		}
	}
	if e.Op != "" {
		text = e.Op + ": " + text
	}
	return text
}

// Unwrap makes errors.Is find both the class and the cause.
func (e *Error) Unwrap() []error {
	if e.Err == nil {
		return []error{e.Class}
	}
	return []error{e.Class, e.Err}
}

// Errorf builds an Error of the given class; op may be empty.
func Errorf(class *Class, op, format string, args ...any) *Error {
	return &Error{Class: class, Op: op, Detail: fmt.Sprintf(format, args...)}
}

// WithHint returns a copy of e that tells what to do next.
func (e *Error) WithHint(format string, args ...any) *Error {
	hinted := *e
	hinted.Hint = fmt.Sprintf(format, args...)
	return &hinted
}

// ClassOf returns the class of err: ErrInternal for an error that has none.
func ClassOf(err error) *Class {
	for _, class := range Classes {
		if errors.Is(err, class) {
			return class
		}
	}
	return ErrInternal
}

// ClassNamed is the reverse of Class.Name, for clients; a name from a newer
// server falls back to the first class with the same status.
func ClassNamed(name string, status int) *Class {
	for _, class := range Classes {
		if class.Name == name {
			return class
		}
	}
	for _, class := range Classes {
		if class.Status == status {
			return class
		}
	}
	if status >= 400 && status < 500 {
		return ErrMalformed
	}
	return ErrInternal
}

// HintOf returns what err tells its reader to do next, or "".
func HintOf(err error) string {
	var e *Error
	for errors.As(err, &e) {
		if e.Hint != "" {
			return e.Hint
		}
		if err = e.Err; err == nil {
			break
		}
	}
	return ""
}
