package cli

import (
	"context"
	"strings"
	"sync"
	"time"

	urfave "github.com/urfave/cli/v2"

	"faasctl/core"
	"faasctl/httpapi/client"
)

func runCommand(e *environment) *urfave.Command {
	return &urfave.Command{
		Name: "run", Category: catFunctions, Usage: "call a function and wait for its result", ArgsUsage: "FUNCTION | FILE.py[::NAME]",
		Description: `  faasctl run add --args '[3, 4]'               an array is positional
  faasctl run add --args '{"a": 3, "b": 4}'     an object is keywords
  faasctl run fn.py --args @numbers.json        registers the file's function first
  echo '[3, 4]' | faasctl run add --args -      from stdin
  faasctl run add --batch calls.ndjson          a line is a call: [3, 4] or {"a": 3, "b": 4}

The result goes to stdout; the task's id and what the function printed go to stderr. A failed task's
traceback goes to stderr, and the exit code says how it failed. Ctrl-C detaches: the task goes on.`,
		Flags: append(append(urlFlags(), callFlags()...),
			&urfave.BoolFlag{Name: "quiet", Aliases: []string{"q"}, Usage: "do not show what the function prints, nor how far it has come"},
			&urfave.BoolFlag{Name: "async", Usage: "print the task's id and do not wait"},
			batchFlag(),
			&urfave.DurationFlag{Name: "wait", Usage: "wait at most so long, then detach (exit code 10); 0 = until it ends"},
			pythonVersionFlag(), requirementsFlag(),
			pythonFlag(),
			outputFlag(valueFormats...)),
		Action: e.run,
	}
}

// callFlags are the flags of a call.
func callFlags() []urfave.Flag {
	return []urfave.Flag{
		&urfave.StringFlag{Name: "args", Usage: "arguments as `JSON`, @file or - for stdin"},
		&urfave.StringFlag{Name: "kwargs", Usage: "keyword arguments as `JSON` object, @file or -"},
		&urfave.DurationFlag{Name: "timeout", Usage: "how long it may run; 0 = the function's, or the server's"},
		&urfave.IntFlag{Name: "retries", Usage: "start it again up to `N` times when it fails; default: the function's"},
		&urfave.DurationFlag{Name: "expires", Usage: "do not run it when it waited longer; 0 = it may wait for ever; default: the function's"},
		&urfave.IntFlag{Name: "priority", Value: core.DefaultPriority, Usage: "0 to 9, 9 first"},
		&urfave.StringFlag{Name: "queue", Usage: "put it into the queue `NAME`; default: " + core.DefaultQueue},
		&urfave.DurationFlag{Name: "in", Usage: "queue it only after so long"},
		&urfave.StringFlag{Name: "at", Usage: "queue it only at this `TIME`: 15:04 today, or 2006-01-02T15:04:05+01:00"},
		&urfave.StringFlag{Name: "key", Usage: "run at most once under this `KEY`, such as order-42: a second run answers with the task of the first"},
		&urfave.StringSliceFlag{Name: "label", Usage: "keep `NAME=VALUE` with the task; may be repeated"},
	}
}

// run is the verb: register if need be, submit, wait, print.
func (e *environment) run(c *urfave.Context) error {
	as, err := format(c, valueFormats...)
	if err != nil {
		return err
	}
	call, err := e.readCall(c)
	if err != nil {
		return err
	}
	if c.IsSet("batch") {
		return e.runBatch(c, call)
	}
	api, err := e.client(c)
	if err != nil {
		return err
	}
	defer api.Close()
	ctx, stop := e.interruptible(c.Context)
	defer stop()
	registration, err := e.callFile(ctx, c, api, &call)
	if err != nil {
		return err
	}
	if registration != nil && registration.Outcome != core.RegisteredSame {
		e.note("%s", registrationLine(*registration))
	}
	if registration != nil && len(registration.Function.Dependencies) > 0 && registration.Unfit == "" && !c.Bool("async") {
		if err := e.waitPrepared(ctx, api, registration.Function); err != nil {
			return err
		}
	}
	if c.IsSet("key") && call.Key == "" {
		return usage("--key is empty").WithHint("is the variable set? --key order-42")
	}
	submitted, err := api.Submit(ctx, call)
	if err == nil {
		err = submitted.Err
	}
	switch {
	case ctx.Err() != nil:
		e.note("%sfaasctl: run: stopped while the call was on its way; it may have been accepted\n  → faasctl task ls", e.afterCtrlC())
		return exitCode(core.ExitPending)
	case err != nil:
		return err
	case submitted.Repeated:
		e.note("task %s  %s has the key already; nothing new was started", submitted.ID, submitted.Name)
	case !c.Bool("async") && !c.Bool("quiet"):
		e.note("task %s  %s", submitted.ID, submitted.Name)
	}
	if c.Bool("async") {
		return e.data([]byte(string(submitted.ID) + "\n"))
	}
	return e.follow(ctx, api, submitted, c.Duration("wait"), as, c.Bool("quiet"))
}

// callFile registers what a call names where that is a file, and has it call the
// version that this made. The registration is nil where it names a function.
func (e *environment) callFile(ctx context.Context, c *urfave.Context, api *client.Client, call *client.Call) (*core.Registration, error) {
	if !isFile(call.Function) {
		return nil, nil
	}
	registration, err := e.register(ctx, c, api, call.Function, registerOptions{})
	if err != nil {
		return nil, err
	}
	call.Function = string(registration.Function.ID)
	return &registration, nil
}

// readCall reads the flags of a call.
func (e *environment) readCall(c *urfave.Context) (client.Call, error) {
	call := client.Call{Timeout: c.Duration("timeout"), Delay: c.Duration("in"), Queue: c.String("queue"), Key: c.String("key")}
	switch words := c.Args().Slice(); {
	case len(words) == 0 || words[0] == "":
		return call, usage("which function?").WithHint("faasctl run NAME --args '[3, 4]', or a file: faasctl run fn.py; faasctl fn ls lists what there is")
	case len(words) > 1:
		return call, usage("one function at a time, but got %q as well", clip(words[1], 64)).
			WithHint("arguments go into --args: faasctl run %s --args '[%s]'", words[0], clip(strings.Join(words[1:], ", "), 64))
	default:
		call.Function = words[0]
	}
	if c.IsSet("priority") {
		call.Priority = new(c.Int("priority"))
	}
	if c.IsSet("retries") {
		call.Retries = new(c.Int("retries"))
	}
	if c.IsSet("expires") {
		call.Expires = new(c.Duration("expires"))
	}
	var err error
	if call.At, err = timeOf(c, time.Now()); err != nil {
		return call, err
	}
	if call.Labels, err = labelsOf(c); err != nil {
		return call, err
	}
	call.Args, call.Kwargs, err = e.callArgs(c.String("args"), c.String("kwargs"))
	return call, err
}

// follow waits for the end of a task and shows it: what it prints while it runs,
// unless quiet, and then its result.
func (e *environment) follow(ctx context.Context, api *client.Client, submitted core.Submitted, patience time.Duration, as string, quiet bool) error {
	screen := newScreen(e, "text")
	screen.aside = true
	stop := func() {}
	if !quiet {
		stop = e.watch(ctx, api, submitted.ID, screen)
	}
	task, result, err := e.await(ctx, api, submitted.ID, patience)
	stop()
	switch {
	case ctx.Err() != nil:
		e.note("%sfaasctl: detached; task %s goes on\n  → faasctl result %s --wait 1m comes back to it; faasctl cancel %s ends it", e.afterCtrlC(), submitted.ID, submitted.ID, submitted.ID)
		return exitCode(core.ExitPending)
	case err != nil:
		e.note("task %s was accepted; faasctl result %s asks for it later", submitted.ID, submitted.ID)
		return err
	case result == nil:
		return &pending{task, "faasctl result " + string(submitted.ID) + " --wait 1m comes back to it; faasctl why " + string(submitted.ID) + " says what it waits for"}
	}
	if !quiet {
		if output, err := api.Output(ctx, submitted.ID); err != nil {
			e.warn("what the function printed cannot be shown: %s", err)
		} else if err := screen.rest(task, max(task.Attempt, 1), output); err != nil {
			return err
		}
	}
	if task.State != core.Completed {
		return e.outcome("run", task, result.Failure, signatureHint(ctx, api, task, result.Failure))
	}
	return e.value(as, result)
}

// watchAfter is how long a call may take before what it prints is watched: most
// end sooner, and what they printed is read with the result.
const watchAfter = 300 * time.Millisecond

// watch shows what a task prints until it is stopped. Without it nothing is lost:
// what it has not shown comes with the result.
func (e *environment) watch(ctx context.Context, api *client.Client, id core.TaskID, screen *screen) (stop func()) {
	watching, cancel := context.WithCancel(ctx)
	var over sync.WaitGroup
	over.Go(func() {
		timer := time.NewTimer(watchAfter)
		defer timer.Stop()
		select {
		case <-timer.C:
			_ = api.Follow(watching, id, core.Position{}, screen.news)
		case <-watching.Done():
		}
	})
	return func() {
		cancel()
		over.Wait()
		screen.done()
	}
}

// await waits for a result, through restarts of the server. A patience of 0
// has no end.
func (e *environment) await(ctx context.Context, api *client.Client, id core.TaskID, patience time.Duration) (core.Task, *core.Result, error) {
	const (
		oneWait = 30 * time.Second
		explain = 2 * time.Second  // after which a task that nobody takes is explained
		giveUp  = 30 * time.Second // of a server that is out of reach
	)
	deadline := time.Now().Add(patience)
	var lost time.Time // when the server went out of reach
	explained := false
	for pause := 100 * time.Millisecond; ; {
		wait := oneWait
		if !explained {
			wait = explain
		}
		if patience > 0 {
			wait = max(min(wait, time.Until(deadline)), 0)
		}
		task, result, err := api.Result(ctx, id, wait)
		late := patience > 0 && !time.Now().Before(deadline)
		switch {
		case err == nil && (result != nil || late):
			return task, result, nil
		case err == nil:
			lost, pause = time.Time{}, 100*time.Millisecond
			if !explained {
				explained = true
				e.explainWait(ctx, api, task)
			}
			continue
		case ctx.Err() != nil || core.ClassOf(err) != core.ErrUnavailable || late:
			return task, nil, err
		case lost.IsZero():
			lost = time.Now()
			e.warn("%s; trying again for %s", err, span(giveUp))
		case time.Since(lost) > giveUp:
			return task, nil, err
		}
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return task, nil, context.Cause(ctx)
		}
		pause = min(2*pause, 2*time.Second)
	}
}

// signatureHint tells how the function wants to be called, when that is what
// went wrong.
func signatureHint(ctx context.Context, api *client.Client, task core.Task, failure *core.Failure) string {
	if failure == nil || failure.Type != "TypeError" || !aboutArguments(failure.Message) {
		return ""
	}
	f, err := api.Function(ctx, string(task.Function))
	if err != nil || f.Signature == "" {
		return ""
	}
	name := f.Entry
	if name == "" {
		name = f.Name
	}
	return "its signature is " + cleanLine(name+f.Signature)
}

// aboutArguments recognises what Python says of a call that does not fit.
func aboutArguments(message string) bool {
	for _, part := range []string{"() missing ", "() takes ", "() got an unexpected keyword", "() got multiple values", "() got some positional-only", "positional argument"} {
		if strings.Contains(message, part) {
			return true
		}
	}
	return false
}
