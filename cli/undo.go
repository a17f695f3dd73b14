package cli

import (
	"time"

	urfave "github.com/urfave/cli/v2"

	"faasctl/core"
)

func undoCommand(e *environment) *urfave.Command {
	return &urfave.Command{
		Name: "undo", Category: catTasks, Usage: "undo what was done to many tasks; without an id, list it", ArgsUsage: "[OPERATION]",
		Description: "A bulk cancel or purge waits 5 s before it takes effect, and is undone until then as if it had never been.\n" +
			"Of a bulk retry the new tasks are cancelled that no worker has yet; it says how many it came too late for.\n" +
			"Exit code 9 when it is too late, 4 when there is no such operation.",
		Flags: append(urlFlags(),
			&urfave.IntFlag{Name: "limit", Value: 20, Usage: "list at most `N` operations"},
			outputFlag(bulkFormats...)),
		Action: func(c *urfave.Context) error {
			as, err := format(c, bulkFormats...)
			if err != nil {
				return err
			}
			if c.NArg() > 1 {
				return usage("one operation at a time, but got %q as well", clip(c.Args().Get(1), 64))
			}
			api, err := e.client(c)
			if err != nil {
				return err
			}
			defer api.Close()
			if c.NArg() == 0 {
				if limit := c.Int("limit"); limit < 1 || limit > core.KeepOperations {
					return usage("--limit must be between 1 and %d", core.KeepOperations)
				}
				all, err := api.Operations(c.Context, c.Int("limit"))
				if err != nil {
					return err
				}
				return e.listOperations(as, all)
			}
			id, err := core.ParseOperationID(c.Args().First())
			if err != nil {
				return err
			}
			op, err := api.Undo(c.Context, id)
			if err != nil {
				return err
			}
			if op, err = e.awaitOperation(c.Context, api, op); err != nil {
				return err
			}
			return e.showOperation(as, op)
		},
	}
}

// listOperations prints the journal.
func (e *environment) listOperations(as string, all []core.Operation) error {
	if as != "table" {
		for _, op := range all {
			if err := e.showOperation(as, op); err != nil {
				return err
			}
		}
		return nil
	}
	if len(all) == 0 {
		e.note("nothing was done to many tasks yet")
		return nil
	}
	now := time.Now()
	list := &table{head: []string{"OPERATION", "STATE", "ASKED", "BY", "WHICH", "WHAT"}}
	for _, op := range all {
		list.add(plain("%s", op.ID), cell{string(op.State), paintOperation(op.State)}, plain("%s", ago(op.Created, now)), plain("%s", op.By),
			plain("%s", filterLine(op.Filter)), plain("%s", operationLine(op)))
	}
	return e.printTable(list)
}

func paintOperation(state core.OperationState) string {
	switch state {
	case core.OperationPending:
		return paintYellow
	case core.OperationApplying, core.OperationUndoing:
		return paintCyan
	case core.OperationUndone:
		return paintDim
	}
	return ""
}

// filterLine is a filter as its flags.
func filterLine(f core.BulkFilter) string {
	line := ""
	for _, part := range [][2]string{{"--fn ", f.Function}, {"--state ", string(f.State)}, {"--queue ", f.Queue}, {"--error ", f.Error}} {
		if part[1] == "" {
			continue
		}
		if line != "" {
			line += " "
		}
		line += part[0] + part[1]
	}
	if line == "" {
		return "all"
	}
	return line
}
