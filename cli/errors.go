package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/signal"
	"strings"

	urfave "github.com/urfave/cli/v2"

	"faasctl/core"
)

// exitCode ends the program with a code when everything has been said already.
type exitCode int

func (c exitCode) Error() string { return fmt.Sprintf("exit code %d", int(c)) }

// exitOf is the one place that turns an error into an exit code.
func exitOf(err error) int {
	var code exitCode
	var waits *pending
	switch {
	case err == nil:
		return core.ExitOK
	case errors.As(err, &code):
		return int(code)
	case errors.As(err, &waits):
		return core.ExitPending
	case errors.Is(err, context.Canceled) && core.ClassOf(err) == core.ErrInternal:
		return core.ExitPending // somebody pressed Ctrl-C
	case unwritten(err):
		return core.ExitUnwritten
	}
	return core.ClassOf(err).Exit
}

// unwritten reports whether stdout did not take what was to be printed. A closed
// pipe is none of these: SIGPIPE ends the process.
func unwritten(err error) bool {
	var path *fs.PathError
	return errors.As(err, &path) && path.Op == "write" && path.Path == os.Stdout.Name()
}

// explain tells stderr about err, unless that happened already, and returns
// the exit code for it.
func (e *environment) explain(err error) int {
	var code exitCode
	if err != nil && !errors.As(err, &code) {
		e.complain(err)
	}
	return exitOf(err)
}

// complain prints one error and what to do about it. Its text may hold what a
// server sent, and several lines of it.
func (e *environment) complain(err error) {
	text, hint := "faasctl: "+err.Error(), core.HintOf(err)
	var waits *pending
	if errors.As(err, &waits) {
		hint = waits.again
	}
	if unwritten(err) {
		hint = "tasks go on; faasctl task ls lists them, faasctl result ID has a result"
	}
	if hint != "" {
		text += "\n  → " + hint
	}
	_, _ = io.WriteString(e.stderr, clean(text)+"\n")
}

// warn prints a line on stderr that is no failure.
func (e *environment) warn(format string, args ...any) {
	_, _ = io.WriteString(e.stderr, clean("faasctl: "+fmt.Sprintf(format, args...))+"\n")
}

// note prints a line on stderr for whoever reads along.
func (e *environment) note(format string, args ...any) {
	_, _ = io.WriteString(e.stderr, clean(fmt.Sprintf(format, args...))+"\n")
}

// withOp names the verb in an error that does not say what was being done.
func withOp(op string, err error) error {
	var code exitCode
	if err == nil || errors.As(err, &code) {
		return err
	}
	if known, ok := err.(*core.Error); ok {
		if known.Op == "" {
			named := *known
			named.Op = op
			return &named
		}
		return known
	}
	return &core.Error{Class: core.ClassOf(err), Op: op, Err: err}
}

// pending says that a task has not ended, which is no failure.
type pending struct {
	task  core.Task
	again string // what to type
}

func (p *pending) Error() string {
	if p.task.Cancelling {
		return fmt.Sprintf("task %s is %s, and about to be cancelled", p.task.ID, p.task.State)
	}
	return fmt.Sprintf("task %s is %s", p.task.ID, p.task.State)
}

// usage is an error in the command line.
func usage(format string, args ...any) *core.Error {
	return core.Errorf(core.ErrMalformed, "", format, args...)
}

// usageError rewords what the flag library says of a value it cannot read.
func usageError(c *urfave.Context, err error, _ bool) error {
	op, text := "", err.Error()
	if c.Command != nil && c.Command.Name != c.App.Name {
		op = c.Command.FullName()
	}
	see := strings.TrimSpace("faasctl " + op)
	hint := see + " --help lists the flags"
	if value, rest, ok := strings.Cut(strings.TrimPrefix(text, "invalid value "), " for flag -"); ok {
		name, _, _ := strings.Cut(rest, ":")
		text = fmt.Sprintf("--%s cannot be %s", name, value)
		switch flagNamed(c.Command, name).(type) {
		case *urfave.DurationFlag:
			hint = fmt.Sprintf("write a time with its unit, such as --%s 30s, 500ms or 1m30s", name)
		case *urfave.IntFlag, *urfave.Int64Flag, *urfave.UintFlag:
			hint = fmt.Sprintf("write a whole number, such as --%s 4", name)
		}
	}
	return core.Errorf(core.ErrMalformed, op, "%s", text).WithHint("%s", hint)
}

// interruptible is done when somebody presses Ctrl-C. A second one ends the
// program as if nobody listened.
func (e *environment) interruptible(parent context.Context) (context.Context, context.CancelFunc) {
	ctx, stop := signal.NotifyContext(parent, os.Interrupt)
	context.AfterFunc(ctx, stop)
	return ctx, stop
}

// afterCtrlC begins a new line where the terminal has shown ^C.
func (e *environment) afterCtrlC() string {
	if e.stderrTTY && e.stdinTTY {
		return "\n"
	}
	return ""
}

// firstCode keeps the first code that is not zero: the outcome of a verb that
// took several ids.
func firstCode(codes []int) error {
	for _, code := range codes {
		if code != core.ExitOK {
			return exitCode(code)
		}
	}
	return nil
}
