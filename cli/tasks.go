package cli

import (
	"context"
	"fmt"
	"strings"
	"time"

	urfave "github.com/urfave/cli/v2"

	"faasctl/core"
	"faasctl/httpapi/client"
)

// eachTask calls do for every id of the command line, tells of each error, and
// ends with the first exit code that is not 0, in argument order.
func (e *environment) eachTask(c *urfave.Context, do func(ctx context.Context, api *client.Client, id core.TaskID) error) error {
	return e.eachAndRest(c, func(ctx context.Context, api *client.Client, ids []core.TaskID) error { return do(ctx, api, ids[0]) })
}

// eachAndRest is eachTask for who also wants to know which ids are still to come.
func (e *environment) eachAndRest(c *urfave.Context, do func(ctx context.Context, api *client.Client, ids []core.TaskID) error) error {
	ids, err := e.taskIDs(c.Args().Slice())
	if err != nil {
		return err
	}
	api, err := e.client(c)
	if err != nil {
		return err
	}
	defer api.Close()
	ctx, stop := e.interruptible(c.Context)
	defer stop()
	codes := make([]int, len(ids))
	for i := range ids {
		err := do(ctx, api, ids[i:])
		if ctx.Err() != nil {
			return exitCode(core.ExitPending)
		}
		codes[i] = e.explain(withOp(c.Command.Name, err))
		if codes[i] == core.ExitUnavailable {
			return exitCode(codes[i]) // it would fail for the others in the same way
		}
	}
	return firstCode(codes)
}

// outcome tells stderr how a task failed and returns the exit code for it.
func (e *environment) outcome(op string, task core.Task, failure *core.Failure, hint string) error {
	kind := task.Failure
	if failure != nil && failure.Kind != "" {
		kind = failure.Kind
	}
	switch {
	case task.State == core.Completed:
		return nil
	case task.State == core.Cancelled:
		kind = core.KindCancelled
	}
	var text strings.Builder
	why := ": " + failureLine(kind, failure)
	if failure != nil && failure.Traceback != "" {
		text.WriteString(strings.TrimRight(failure.Traceback, "\n") + "\n")
		if kind == core.KindException {
			why = " (exception)" // the traceback ends with the rest
		}
	} else if failure != nil && failure.Last != "" && kind == core.KindUnloadable {
		text.WriteString("the last that the installer said:\n" + strings.TrimRight(failure.Last, "\n") + "\n")
	} else if failure != nil && (kind == core.KindCrash || kind == core.KindMemory) {
		text.WriteString(crashReport(failure))
	}
	fmt.Fprintf(&text, "faasctl: %s: task %s failed%s", op, task.ID, why)
	if hint != "" {
		text.WriteString("\n  → " + hint)
	}
	e.note("%s", text.String())
	return exitCode(kind.Exit())
}

// crashReport is what is known of a process that ended: what it printed last, and
// where it was.
func crashReport(failure *core.Failure) string {
	text := ""
	if failure.Last != "" {
		text += "the last it printed:\n" + strings.TrimRight(failure.Last, "\n") + "\n"
	}
	if failure.Fault != "" {
		text += "where it was:\n" + strings.TrimRight(failure.Fault, "\n") + "\n"
	}
	if failure.Peak > 0 {
		text += "the most memory it had: " + mib(failure.Peak) + "\n"
	}
	return text
}

// mib is an amount of memory for people.
func mib(bytes int64) string { return fmt.Sprintf("%.1f MiB", float64(bytes)/(1<<20)) }

// failureLine says in one line why a task has no result.
func failureLine(kind core.FailureKind, failure *core.Failure) string {
	line := string(kind)
	if failure == nil {
		return line
	}
	what := cleanLine(failure.Message)
	if failure.Type != "" && what != "" {
		what = failure.Type + ": " + what
	} else if failure.Type != "" {
		what = failure.Type
	}
	switch {
	case kind == core.KindException && what != "":
		line = what
	case what != "":
		line += ": " + what
	}
	if failure.Signal != "" && !strings.Contains(line, failure.Signal) {
		line += " (" + failure.Signal + ")"
	}
	return clip(line, 500)
}

// paintState is the look of a state's word.
func paintState(state core.State) string {
	switch state {
	case core.Completed:
		return paintGreen
	case core.Failed:
		return paintRed
	case core.Running:
		return paintCyan
	case core.Cancelled:
		return paintYellow
	}
	return ""
}

// ranFor is how long a task ran, or runs.
func ranFor(task core.Task, now time.Time) string {
	switch {
	case task.Started.IsZero():
		return "-"
	case task.Finished.IsZero():
		return span(max(now.Sub(task.Started), 0))
	}
	return span(max(task.Finished.Sub(task.Started), 0))
}

// listTasks prints tasks as a table.
func (e *environment) listTasks(tasks []core.Task) error {
	now := time.Now()
	list := &table{head: []string{"ID", "STATE", "FUNCTION", "SUBMITTED", "RAN", "NOTE"}, right: []int{4}}
	for _, task := range tasks {
		list.add(plain("%s", task.ID), cell{string(task.State), paintState(task.State)}, plain("%s", nameOf(task)),
			plain("%s", ago(task.Submitted, now)), plain("%s", ranFor(task, now)), plain("%s", noteOn(task)))
	}
	return e.printTable(list)
}

// nameOf is name@version, or the id where the function is not known any more.
func nameOf(task core.Task) string {
	if task.Name != "" {
		return task.Name
	}
	return string(task.Function)
}

// noteOn is what else is worth a word.
func noteOn(task core.Task) string {
	var notes []string
	if task.Failure != "" {
		notes = append(notes, string(task.Failure))
	}
	if task.Cancelling && !task.State.Terminal() {
		notes = append(notes, "cancelling")
	}
	if task.State == core.Delayed {
		notes = append(notes, "due "+task.Due.Local().Format("15:04:05"))
	}
	if task.Attempt > 1 {
		notes = append(notes, fmt.Sprintf("attempt %d", task.Attempt))
	}
	return strings.Join(notes, ", ")
}
