package cli

import (
	"context"
	"slices"

	urfave "github.com/urfave/cli/v2"

	"faasctl/core"
	"faasctl/httpapi/client"
)

func whyCommand(e *environment) *urfave.Command {
	return &urfave.Command{
		Name: "why", Category: catTasks, Usage: "why tasks wait, run long or ended as they did, and what helps", ArgsUsage: "TASK... | -",
		Description: "Looks at the place in the queue, who could run the task, the limits that hold it, what each attempt died of,\n" +
			"and what calls of its function usually take. The last line is the command that helps, or shows more.",
		Flags: append(urlFlags(), outputFlag("table", "json")),
		Action: func(c *urfave.Context) error {
			as, err := format(c, "table", "json")
			if err != nil {
				return err
			}
			first := true
			return e.eachTask(c, func(ctx context.Context, api *client.Client, id core.TaskID) error {
				why, err := api.Why(ctx, id)
				if err != nil {
					return err
				}
				if as == "json" {
					return e.jsonLine(why)
				}
				if !first {
					_ = e.data([]byte("\n"))
				}
				first = false
				return e.pairs(as, describeWhy(why))
			})
		},
	}
}

// explainWait says on stderr why a task waits, when it will as long as nobody does
// something about it.
func (e *environment) explainWait(ctx context.Context, api *client.Client, task core.Task) {
	if cause, stuck := whyWaits(ctx, api, task); stuck {
		e.note("it waits: %s\n  → %s", cleanLine(cause.Text), cause.Command)
	}
}

// whyWaits is the first cause of a QUEUED task; stuck says that time alone will not
// help it.
func whyWaits(ctx context.Context, api *client.Client, task core.Task) (cause core.Finding, stuck bool) {
	if task.State != core.Queued {
		return cause, false
	}
	why, err := api.Why(ctx, task.ID)
	if err != nil || why.Task.State != core.Queued || len(why.Findings) == 0 {
		return cause, false
	}
	cause = why.Findings[0]
	return cause, slices.Contains([]core.WhyCode{core.WhyNoFit, core.WhyNoWorker, core.WhyNoDispatcher, core.WhyPaused}, cause.Code)
}

// whyRows name the findings that are no causes.
var whyRows = map[core.WhyCode]string{
	core.WhyPlace: "place", core.WhyHands: "workers", core.WhyExpires: "expiry", core.WhyUsual: "usual",
	core.WhyAttempt: "before", core.WhyVanished: "before", core.WhySpent: "retries",
}

// describeWhy lists the causes, what else bears on the task, and at the end the
// command that helps. Another command stands below its finding.
func describeWhy(why core.Why) [][2]string {
	rows := [][2]string{{"task", string(why.Task.ID)}, {"state", string(why.Task.State)}, {"function", nameOf(why.Task)}}
	for _, finding := range why.Findings {
		name := whyRows[finding.Code]
		switch {
		case finding.Cause:
			name = "why"
		case name == "":
			name = "also"
		}
		rows = append(rows, [2]string{name, finding.Text})
		if finding.Command != "" && finding.Command != why.Command {
			rows = append(rows, [2]string{"", "→ " + finding.Command})
		}
	}
	if why.Command != "" {
		rows = append(rows, [2]string{"next", why.Command})
	}
	return rows
}
