package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	urfave "github.com/urfave/cli/v2"

	"faasctl/core"
	"faasctl/httpapi/client"
)

var bulkFormats = []string{"table", "json", "id"}

// fnFlag and what follows are the flags of verbs that act on many tasks.
func fnFlag() urfave.Flag {
	return &urfave.StringFlag{Name: "fn", Usage: "only calls of this `FUNCTION`: a name is all its versions"}
}

func queueFlag() urfave.Flag {
	return &urfave.StringFlag{Name: "queue", Usage: "only tasks of this `QUEUE`"}
}

func errorFlag() urfave.Flag {
	return &urfave.StringFlag{Name: "error", Usage: "only what died of this `ERROR`: its class, such as ValueError, or the kind of the failure, such as timeout"}
}

func yesFlag() urfave.Flag {
	return &urfave.BoolFlag{Name: "yes", Aliases: []string{"y"}, Usage: "do not ask"}
}

func nowFlag() urfave.Flag {
	return &urfave.BoolFlag{Name: "now", Usage: "take effect at once; then it cannot be undone"}
}

// bulkFilter reads those flags; a verb that lacks one selects all of it.
func bulkFilter(c *urfave.Context) (core.BulkFilter, error) {
	filter := core.BulkFilter{Function: c.String("fn"), Queue: c.String("queue"), Error: c.String("error"), State: core.State(strings.ToUpper(c.String("state")))}
	if s := filter.State; s != "" && (!s.Valid() || s.Terminal()) {
		return filter, usage("tasks that are %q cannot be cancelled", clip(c.String("state"), 32)).WithHint("choose one of queued, delayed, running")
	}
	return filter, nil
}

// verbWords are the words of an operation: what is to do, and what was done.
var verbWords = map[core.OperationKind]struct{ do, done string }{
	core.OperationCancel: {"cancel", "cancelled"},
	core.OperationRetry:  {"retry", "retried"},
	core.OperationPurge:  {"purge", "purged"},
}

// bulk shows the plan of an operation, asks, and starts it.
func (e *environment) bulk(c *urfave.Context, kind core.OperationKind) error {
	as, err := format(c, bulkFormats...)
	if err != nil {
		return err
	}
	filter, err := bulkFilter(c)
	if err != nil {
		return err
	}
	grace, err := readGrace(c)
	if err != nil {
		return err
	}
	api, err := e.client(c)
	if err != nil {
		return err
	}
	defer api.Close()
	plan, err := api.Plan(c.Context, kind, filter)
	if err != nil {
		return err
	}
	if plan.Tasks == 0 {
		e.note("nothing to %s: no such tasks", verbWords[kind].do)
		return nil
	}
	e.showPlan(plan)
	if !c.Bool("yes") {
		if err := e.ask(plan); err != nil {
			return err
		}
	}
	op, err := api.ApplyWithin(c.Context, kind, filter, c.Bool("now"), grace)
	if err != nil {
		return err
	}
	if op.State != core.OperationPending {
		if op, err = e.awaitOperation(c.Context, api, op); err != nil {
			return err
		}
	}
	if err := e.showOperation(as, op); err != nil {
		return err
	}
	switch {
	case op.State == core.OperationPending:
		e.note("  → faasctl undo %s stops it until then", op.ID)
	case kind == core.OperationRetry && op.Applied > 0:
		e.note("  → faasctl undo %s cancels those that have not begun", op.ID)
	}
	return nil
}

// showPlan says on stderr what an operation would do.
func (e *environment) showPlan(plan core.Plan) {
	e.note("%s %s, the oldest submitted %s", verbWords[plan.Kind].do, planned(plan.Tasks, plan.More), ago(plan.Oldest, time.Now()))
	shown := 0
	for _, g := range plan.Groups {
		what := []string{string(g.State)}
		if g.Error != "" {
			what = append(what, g.Error)
		}
		name := g.Name
		if name == "" {
			name = string(g.Function)
		}
		e.note("  %8s  %s  %s", thousands(g.Count), cleanLine(name), cleanLine(strings.Join(what, " ")))
		shown += g.Count
	}
	if rest := plan.Tasks - shown; rest > 0 {
		e.note("  %8s  others", thousands(rest))
	}
}

// planned is such as "1,234 tasks".
func planned(n int, more bool) string {
	switch {
	case more:
		return "more than " + thousands(n) + " tasks"
	case n == 1:
		return "1 task"
	}
	return thousands(n) + " tasks"
}

// thousands writes a number with commas between thousands.
func thousands(n int) string {
	text := fmt.Sprint(n)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}

// ask returns nil when somebody says yes.
func (e *environment) ask(plan core.Plan) error {
	if !e.stdinTTY || !e.stderrTTY {
		return usage("this would %s %s, and there is nobody to ask", verbWords[plan.Kind].do, planned(plan.Tasks, plan.More)).
			WithHint("add --yes to do it")
	}
	_, _ = io.WriteString(e.stderr, "do it? [y/N] ")
	line, err := bufio.NewReader(io.LimitReader(e.stdin, 1024)).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return usage("cannot read the answer: %s", err)
	}
	switch strings.ToLower(strings.TrimSpace(line)) {
	case "y", "yes":
		return nil
	}
	e.note("nothing was done")
	return exitCode(core.ExitRefused)
}

// awaitOperation waits for the end of an operation; it goes on without us when
// somebody presses Ctrl-C.
func (e *environment) awaitOperation(parent context.Context, api *client.Client, op core.Operation) (core.Operation, error) {
	ctx, stop := e.interruptible(parent)
	defer stop()
	for !op.State.Ended() {
		next, err := api.Operation(ctx, op.ID, 30*time.Second)
		if ctx.Err() != nil {
			e.note("%sdetached; %s goes on\n  → faasctl undo lists how far it is", e.afterCtrlC(), op.ID)
			return op, exitCode(core.ExitPending)
		}
		if err != nil {
			return op, err
		}
		op = next
	}
	return op, nil
}

// showOperation prints what became of one operation.
func (e *environment) showOperation(as string, op core.Operation) error {
	switch as {
	case "json":
		return e.jsonLine(op)
	case "id":
		return e.data([]byte(string(op.ID) + "\n"))
	}
	return e.data([]byte(string(op.ID) + "  " + operationLine(op) + "\n"))
}

// operationLine says in a few words how far an operation is.
func operationLine(op core.Operation) string {
	word := verbWords[op.Kind]
	line := ""
	switch op.State {
	case core.OperationPending:
		return fmt.Sprintf("%s of %s takes effect at %s", word.do, planned(op.Planned, op.More), op.Due.Local().Format("15:04:05"))
	case core.OperationUndone, core.OperationUndoing:
		if op.Kind != core.OperationRetry || op.Applied == 0 {
			return word.do + " undone: nothing had happened"
		}
		line = fmt.Sprintf("retry undone: %s cancelled before they began, %s had begun", thousands(op.Undone), thousands(op.Started))
		if op.State == core.OperationUndoing {
			line += ", and it goes on"
		}
		return line
	}
	line = word.done + " " + planned(op.Applied, false)
	if op.State == core.OperationApplying {
		line += " so far"
	}
	if op.Skipped > 0 {
		line += fmt.Sprintf("; %s skipped, as their function was removed", thousands(op.Skipped))
	}
	return line
}
