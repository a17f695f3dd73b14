package cli

import (
	"cmp"
	"time"

	urfave "github.com/urfave/cli/v2"

	"faasctl/core"
)

func deadCommand(e *environment) *urfave.Command {
	return &urfave.Command{
		Name: "dead", Category: catTasks, Usage: "dead letters: failed tasks that nothing will try again",
		Subcommands: []*urfave.Command{deadListCommand(e), deadPurgeCommand(e)},
	}
}

func deadListCommand(e *environment) *urfave.Command {
	return &urfave.Command{
		Name: "ls", Usage: "dead letters, newest first, or what they died of",
		Description: "A task that FAILED is a dead letter when its retries are spent, or its failure is none that is retried, until\n" +
			"somebody runs it again: faasctl retry. One that was cancelled or has expired is none: that was asked for.",
		Flags: append(urlFlags(), fnFlag(), errorFlag(), queueFlag(),
			&urfave.StringFlag{Name: "group-by", Usage: "`error`: how many died of what, by function"},
			&urfave.IntFlag{Name: "limit", Value: 50, Usage: "at most `N` letters; 0 = all"},
			&urfave.StringFlag{Name: "before", Usage: "only letters older than this `TASK`: the next page"},
			outputFlag("table", "json", "id")),
		Action: func(c *urfave.Context) error {
			as, err := format(c, "table", "json", "id")
			if err != nil {
				return err
			}
			if err := noArguments(c); err != nil {
				return err
			}
			filter, err := bulkFilter(c)
			if err != nil {
				return err
			}
			switch by := c.String("group-by"); by {
			case "":
				return e.listDead(c, as, filter)
			case "error":
				return e.groupDead(c, as, filter)
			default:
				return usage("cannot group by %q", clip(by, 32)).WithHint("--group-by error")
			}
		},
	}
}

func (e *environment) listDead(c *urfave.Context, as string, filter core.BulkFilter) error {
	limit := c.Int("limit")
	if limit < 0 {
		return usage("--limit must not be negative")
	}
	var before core.TaskID
	if text := c.String("before"); text != "" {
		var err error
		if before, err = core.ParseTaskID(text); err != nil {
			return err
		}
	}
	api, err := e.client(c)
	if err != nil {
		return err
	}
	defer api.Close()
	var all core.TaskPage
	for {
		want := core.MaxBatch
		if limit > 0 {
			want = min(limit-len(all.Tasks), core.MaxBatch)
		}
		page, err := api.Dead(c.Context, filter, before, want)
		if err != nil {
			return err
		}
		all.Tasks, all.Next, before = append(all.Tasks, page.Tasks...), page.Next, page.Next
		if page.Next == "" || limit > 0 && len(all.Tasks) >= limit {
			break
		}
	}
	switch {
	case as == "json":
		if all.Tasks == nil {
			all.Tasks = []core.Task{}
		}
		return e.jsonLine(all.Tasks)
	case as == "id":
		return e.showTasks("id", all.Tasks)
	case len(all.Tasks) == 0:
		e.note("no dead letters")
		return nil
	}
	now := time.Now()
	list := &table{head: []string{"ID", "FUNCTION", "DIED", "ATTEMPTS", "ERROR"}, right: []int{3}}
	for _, t := range all.Tasks {
		list.add(plain("%s", t.ID), plain("%s", nameOf(t)), plain("%s", ago(t.Finished, now)), plain("%d", t.Attempt), plain("%s", cmp.Or(t.Type, string(t.Failure))))
	}
	if err := e.printTable(list); err != nil {
		return err
	}
	if all.Next != "" && e.stdoutTTY {
		e.note("there are more: --limit 0, or --before %s for the next page", all.Next)
	}
	return nil
}

func (e *environment) groupDead(c *urfave.Context, as string, filter core.BulkFilter) error {
	if as == "id" {
		return usage("groups have no ids").WithHint("-o table or -o json")
	}
	api, err := e.client(c)
	if err != nil {
		return err
	}
	defer api.Close()
	groups, more, err := api.DeadGroups(c.Context, filter)
	if err != nil {
		return err
	}
	if more {
		e.warn("only the newest 100,000 dead letters were looked at")
	}
	switch {
	case as == "json":
		if groups == nil {
			groups = []core.FailureGroup{}
		}
		return e.jsonLine(groups)
	case len(groups) == 0:
		e.note("no dead letters")
		return nil
	}
	now := time.Now()
	list := &table{head: []string{"LETTERS", "ERROR", "FUNCTION", "LAST", "MESSAGE"}, right: []int{0}}
	for _, g := range groups {
		list.add(plain("%s", thousands(g.Count)), plain("%s", cmp.Or(g.Type, string(g.Kind))), plain("%s", cmp.Or(g.Name, string(g.Function))),
			plain("%s", ago(g.Last, now)), plain("%s", clip(g.Message, 200)))
	}
	return e.printTable(list)
}

func deadPurgeCommand(e *environment) *urfave.Command {
	return &urfave.Command{
		Name: "purge", Usage: "forget dead letters",
		Description: "Shows how many there are and asks; --yes does not ask. Takes effect after 5 s: until then faasctl undo stops it.",
		Flags:       append(urlFlags(), fnFlag(), errorFlag(), queueFlag(), yesFlag(), nowFlag(), outputFlag(bulkFormats...)),
		Action: func(c *urfave.Context) error {
			if err := noArguments(c); err != nil {
				return err
			}
			return e.bulk(c, core.OperationPurge)
		},
	}
}
