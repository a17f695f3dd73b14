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
			return e.eachTask(c, func(ctx context.Context, api *client.Client, id core.TaskID) error {
				task, result, err := api.Result(ctx, id, max(time.Until(deadline), 0))
				if err != nil {
					return err
				}
				if result == nil {
					return &pending{task, "faasctl result " + string(id) + " --wait 1m waits for it"}
				}
				if task.State != core.Completed {
					return e.outcome("result", task, result.Failure, "")
				}
				return e.value(as, result)
			})
		},
	}
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
