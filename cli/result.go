package cli

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"time"

	urfave "github.com/urfave/cli/v2"

	"faasctl/core"
	"faasctl/httpapi/client"
)

var valueFormats = []string{"json", "raw", "repr"}

func resultCommand(e *environment) *urfave.Command {
	return &urfave.Command{
		Name: "result", Category: catTasks, Usage: "what tasks returned; the exit code says how they ended", ArgsUsage: "TASK... | -",
		Description: "One line of JSON per task on stdout. -o raw prints a string without its quotes and bytes as they\n" +
			"are; -o repr prints what Python's repr() says. A failed task prints its traceback on stderr.\n" +
			"Exit code 10 when a task has not ended yet.",
		Flags: append(urlFlags(),
			&urfave.DurationFlag{Name: "wait", Usage: "wait so long for the end, such as 30s (all tasks together)"},
			outputFlag(valueFormats...)),
		Action: func(c *urfave.Context) error {
			as, err := format(c, valueFormats...)
			if err != nil {
				return err
			}
			deadline := time.Now().Add(c.Duration("wait"))
			var ahead readAhead
			return e.eachAndRest(c, func(ctx context.Context, api *client.Client, ids []core.TaskID) error {
				task, result, err := ahead.result(ctx, api, ids, max(time.Until(deadline), 0))
				if err != nil {
					return err
				}
				if result == nil {
					return &pending{task, "faasctl result " + string(ids[0]) + " --wait 1m waits for it; faasctl why " + string(ids[0]) + " says why it takes time"}
				}
				if task.State != core.Completed {
					return e.outcome("result", task, result.Failure, "")
				}
				return e.value(as, result)
			})
		},
	}
}

// readAhead has the results of the tasks to come that have ended already.
type readAhead struct {
	known map[core.TaskID]core.Ending
}

// aheadMost bounds how many results are read ahead.
const aheadMost = 200

// result is client.Result for the first of ids. One request asks for many results;
// what has not ended is waited for by itself, when its turn comes.
func (a *readAhead) result(ctx context.Context, api *client.Client, ids []core.TaskID, wait time.Duration) (core.Task, *core.Result, error) {
	if _, ok := a.known[ids[0]]; !ok && len(ids) > 1 {
		endings, err := api.Results(ctx, ids[:min(len(ids), aheadMost)], 0)
		if err != nil {
			return core.Task{}, nil, err
		}
		a.known = make(map[core.TaskID]core.Ending, len(endings))
		for _, one := range endings {
			if one.Over() {
				a.known[one.ID] = one
			}
		}
	}
	one, ok := a.known[ids[0]]
	if !ok {
		return api.Result(ctx, ids[0], wait)
	}
	task := core.Task{ID: one.ID, State: one.State}
	if one.Result != nil && one.Result.Failure != nil {
		task.Failure = one.Result.Failure.Kind
	}
	return task, one.Result, one.Err
}

// value prints what a function returned.
func (e *environment) value(as string, result *core.Result) error {
	switch as {
	case "repr":
		return e.data([]byte(result.Repr + "\n"))
	case "raw":
		return e.rawValue(result.JSON)
	}
	if len(result.JSON) == 0 {
		return core.Errorf(core.ErrGone, "", "the server sent no JSON for this result").WithHint("try -o repr")
	}
	return e.rawJSON(result.JSON)
}

// rawValue prints a string as its text, bytes as they are (the JSON projection
// writes them {"$bytes": base64}), and anything else as JSON.
func (e *environment) rawValue(value json.RawMessage) error {
	var text string
	if bytes.HasPrefix(value, []byte(`"`)) && json.Unmarshal(value, &text) == nil {
		return e.data([]byte(text + "\n"))
	}
	var object map[string]json.RawMessage
	if bytes.HasPrefix(value, []byte(`{"$bytes"`)) && json.Unmarshal(value, &object) == nil && len(object) == 1 {
		var encoded string
		if json.Unmarshal(object["$bytes"], &encoded) == nil {
			if data, err := base64.StdEncoding.DecodeString(encoded); err == nil {
				return e.data(data)
			}
		}
	}
	return e.rawJSON(value)
}
