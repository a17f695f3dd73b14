package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	urfave "github.com/urfave/cli/v2"

	"faasctl/core"
	"faasctl/httpapi/client"
)

func taskCommand(e *environment) *urfave.Command {
	return &urfave.Command{
		Name: "task", Category: catTasks, Usage: "list tasks, or show all of one",
		Subcommands: []*urfave.Command{taskListCommand(e), taskShowCommand(e)},
	}
}

func taskListCommand(e *environment) *urfave.Command {
	return &urfave.Command{
		Name: "ls", Usage: "the newest tasks",
		Flags: append(urlFlags(),
			&urfave.StringFlag{Name: "state", Usage: "only tasks in this `STATE`: queued, delayed, running, completed, failed, cancelled"},
			&urfave.StringFlag{Name: "function", Usage: "only calls of this `FUNCTION`"},
			&urfave.IntFlag{Name: "limit", Value: 50, Usage: "at most `N` tasks; 0 = all"},
			&urfave.StringFlag{Name: "before", Usage: "only tasks older than this `TASK`: the next page"},
			outputFlag("table", "json", "id")),
		Action: e.listing(func(c *urfave.Context, api *client.Client, as string) error {
			filter, err := taskFilter(c, api)
			if err != nil {
				return err
			}
			page, err := pages(c.Context, api, filter, c.Int("limit"))
			if err != nil {
				return err
			}
			return e.showPage(as, page, filter)
		}),
	}
}

// taskFilter reads the flags of task ls.
func taskFilter(c *urfave.Context, api *client.Client) (core.TaskFilter, error) {
	filter := core.TaskFilter{State: core.State(strings.ToUpper(c.String("state")))}
	if filter.State != "" && !filter.State.Valid() {
		return filter, usage("there is no state %q", clip(c.String("state"), 32)).
			WithHint("choose one of queued, delayed, running, completed, failed, cancelled")
	}
	if c.Int("limit") < 0 {
		return filter, usage("--limit must not be negative")
	}
	if before := c.String("before"); before != "" {
		id, err := core.ParseTaskID(before)
		if err != nil {
			return filter, err
		}
		filter.Before = id
	}
	if ref := c.String("function"); ref != "" {
		f, err := api.Function(c.Context, ref)
		if err != nil {
			return filter, err
		}
		filter.Function = f.ID
	}
	return filter, nil
}

// pages reads as many pages as hold limit tasks, or all of them.
func pages(ctx context.Context, api *client.Client, filter core.TaskFilter, limit int) (core.TaskPage, error) {
	var all core.TaskPage
	for {
		filter.Limit = core.MaxBatch
		if limit > 0 {
			filter.Limit = min(limit-len(all.Tasks), core.MaxBatch)
		}
		page, err := api.List(ctx, filter)
		if err != nil {
			return all, err
		}
		all.Tasks, all.Next, all.Scanned = append(all.Tasks, page.Tasks...), page.Next, page.Scanned
		if page.Next == "" || limit > 0 && len(all.Tasks) >= limit {
			return all, nil
		}
		filter.Before = page.Next
	}
}

func (e *environment) showPage(as string, page core.TaskPage, filter core.TaskFilter) error {
	if page.Scanned > 0 {
		e.warn("only the %d newest tasks were looked at", page.Scanned)
	}
	switch {
	case as == "json":
		if page.Tasks == nil {
			page.Tasks = []core.Task{}
		}
		return e.jsonLine(page.Tasks)
	case as == "id":
		return e.showTasks("id", page.Tasks)
	case len(page.Tasks) == 0 && filter == core.TaskFilter{}:
		e.note("no tasks yet\n  → faasctl run FUNCTION --args '[3, 4]' makes one")
		return nil
	case len(page.Tasks) == 0:
		e.note("no such tasks\n  → faasctl task ls lists all")
		return nil
	}
	if err := e.listTasks(page.Tasks); err != nil {
		return err
	}
	if page.Next != "" && e.stdoutTTY {
		e.note("there are more: --limit 0, or --before %s for the next page", page.Next)
	}
	return nil
}

func taskShowCommand(e *environment) *urfave.Command {
	return &urfave.Command{
		Name: "show", Usage: "all about tasks", ArgsUsage: "TASK... | -",
		Flags: append(urlFlags(), outputFlag("table", "json")),
		Action: func(c *urfave.Context) error {
			as, err := format(c, "table", "json")
			if err != nil {
				return err
			}
			first := true
			return e.eachTask(c, func(ctx context.Context, api *client.Client, id core.TaskID) error {
				task, result, err := api.Result(ctx, id, 0)
				if err != nil && core.ClassOf(err) == core.ErrGone {
					task, err = api.Task(ctx, id, 0)
				}
				if err != nil {
					return err
				}
				spec, err := api.Spec(ctx, id)
				if err != nil {
					return err
				}
				attempts, err := api.Attempts(ctx, id)
				if err != nil {
					return err
				}
				cause, _ := whyWaits(ctx, api, task)
				if as == "json" {
					return e.jsonLine(taskDocument(task, spec, result, attempts, cause.Text))
				}
				if !first {
					_ = e.data([]byte("\n"))
				}
				first = false
				rows := describeTask(task, spec, result)
				if cause.Text != "" {
					rows = append(rows, [2]string{"waits", cause.Text})
				}
				if err := e.pairs(as, append(rows, describeAttempts(task, attempts)...)); err != nil {
					return err
				}
				return e.data([]byte(describeFailure(result)))
			})
		},
	}
}

// taskDocument is what task show -o json prints.
func taskDocument(task core.Task, spec core.Spec, result *core.Result, attempts []core.Attempt, waits string) any {
	document := struct {
		core.Task
		Timeout string       `json:"timeout,omitempty"`
		Retries int          `json:"retries,omitempty"`
		Backoff core.Backoff `json:"backoff,omitzero"`
		RetryOn core.RetryOn `json:"retry_on,omitempty"`
		Expires string       `json:"expires,omitempty"` // how long it may wait
		Env     core.Env     `json:"env,omitempty"`
		core.Limits
		Labels   map[string]string `json:"labels,omitempty"`
		RetryOf  core.TaskID       `json:"retry_of,omitempty"`
		Call     json.RawMessage   `json:"call,omitempty"` // [args, kwargs]
		Result   *core.Result      `json:"result,omitempty"`
		Attempts []core.Attempt    `json:"attempts"`
		Waits    string            `json:"waits,omitempty"` // why a QUEUED task does
	}{Waits: waits, Task: task, Retries: spec.Retries, Backoff: spec.Backoff, RetryOn: spec.RetryOn, Labels: spec.Labels, RetryOf: spec.RetryOf,
		Result: result, Attempts: attempts, Env: spec.Env, Limits: spec.Limits}
	if spec.Timeout > 0 {
		document.Timeout = spec.Timeout.String()
	}
	if spec.Expires > 0 {
		document.Expires = spec.Expires.String()
	}
	if spec.Codec == core.JSON && json.Valid(spec.Args) {
		document.Call = spec.Args
	}
	return document
}

// describeTask lists what is known of a task, in the order of its life.
func describeTask(task core.Task, spec core.Spec, result *core.Result) [][2]string {
	rows := [][2]string{{"id", string(task.ID)}, {"state", string(task.State)}, {"function", nameOf(task)}}
	add := func(name, value string) {
		if value != "" && value != "0" {
			rows = append(rows, [2]string{name, value})
		}
	}
	arguments := fmt.Sprintf("a pickle of %d bytes", len(spec.Args))
	if spec.Codec == core.JSON {
		arguments = clip(string(spec.Args), 400)
	}
	add("arguments", arguments)
	if spec.Timeout > 0 {
		add("time-out", spec.Timeout.String())
	}
	add("retries", retriesText(spec))
	describeLimits(spec.Limits, add)
	if spec.Expires > 0 {
		add("expires", "after waiting "+spec.Expires.String()+", at "+clock(task.Expires))
	}
	for name, value := range spec.Labels {
		add("label", name+"="+value)
	}
	add("retry of", string(spec.RetryOf))
	add("retried as", string(task.RetriedAs))
	add("submitted", clock(task.Submitted))
	if task.State == core.Delayed {
		add("due", clock(task.Due))
	}
	add("started", clock(task.Started))
	add("finished", clock(task.Finished))
	if !task.Started.IsZero() {
		add("ran", ranFor(task, time.Now()))
		add("waited", span(max(task.Started.Sub(task.Submitted), 0)))
	}
	if task.Progress != nil && task.State != core.Completed {
		add("progress", progressText(task.Progress))
	}
	add("attempt", strconv.Itoa(task.Attempt))
	add("deliveries", strconv.Itoa(task.Deliveries))
	add("worker", string(task.Worker))
	if task.Failure != "" {
		var failure *core.Failure
		if result != nil {
			failure = result.Failure
		}
		add("failure", string(task.Failure))
		add("why", failureLine(task.Failure, failure))
	}
	if result != nil && result.Failure == nil {
		add("result", clip(string(result.JSON), 400))
	}
	return rows
}

// describeFailure is what is known of a failure that does not go into a line.
func describeFailure(result *core.Result) string {
	if result == nil || result.Failure == nil {
		return ""
	}
	text := crashReport(result.Failure)
	if trace := strings.TrimRight(result.Failure.Traceback, "\n"); trace != "" {
		text = trace + "\n" + text
	}
	if text == "" {
		return ""
	}
	return "\n" + text
}

func retriesText(spec core.Spec) string {
	if spec.Retries == 0 {
		return ""
	}
	text := strconv.Itoa(spec.Retries) + " after " + spec.Backoff.String()
	if len(spec.RetryOn) > 0 {
		text += " on " + spec.RetryOn.String()
	}
	return text
}

func clock(at time.Time) string {
	if at.IsZero() {
		return ""
	}
	return at.Local().Format("2006-01-02 15:04:05.000")
}
