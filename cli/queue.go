package cli

import (
	"strconv"
	"time"

	urfave "github.com/urfave/cli/v2"

	"faasctl/core"
	"faasctl/httpapi/client"
	"faasctl/httpapi/wire"
)

func queueCommand(e *environment) *urfave.Command {
	return &urfave.Command{
		Name: "queue", Category: catTasks, Usage: "list, pause or resume queues",
		Subcommands: []*urfave.Command{
			queueListCommand(e),
			queuePauseCommand(e, "pause", "hand out no more tasks of queues", true,
				"Tasks are accepted all the same and wait; what runs goes on. A queue may be paused before it has tasks."),
			queuePauseCommand(e, "resume", "hand out the tasks of paused queues again", false, ""),
		},
	}
}

func queueListCommand(e *environment) *urfave.Command {
	return &urfave.Command{
		Name: "ls", Usage: "the queues that hold tasks or are paused",
		Flags: append(urlFlags(), outputFlag("table", "json", "id")),
		Action: e.listing(func(c *urfave.Context, api *client.Client, as string) error {
			all, err := api.Queues(c.Context)
			if err != nil {
				return err
			}
			return e.listQueues(as, all)
		}),
	}
}

func (e *environment) listQueues(as string, all []core.QueueInfo) error {
	switch as {
	case "json":
		return e.jsonLine(append([]core.QueueInfo{}, all...))
	case "id":
		return ids(e, all, func(q core.QueueInfo) string { return q.Name })
	}
	if len(all) == 0 {
		e.note("no task waits in a queue, and none is paused\n  → faasctl run FUNCTION --queue NAME puts one into a queue of its own")
		return nil
	}
	list := &table{head: []string{"QUEUE", "QUEUED", "OLDEST", "STATE"}, right: []int{1}}
	now := time.Now()
	for _, q := range all {
		state := plain("open")
		if !q.Paused.IsZero() {
			state = cell{"paused since " + ago(q.Paused, now), paintYellow}
		}
		oldest := plain("-")
		if !q.Oldest.IsZero() {
			oldest = plain("%s", ago(q.Oldest, now))
		}
		list.add(plain("%s", q.Name), plain("%s", strconv.FormatInt(q.Queued, 10)), oldest, state)
	}
	return e.printTable(list)
}

func queuePauseCommand(e *environment, name, does string, paused bool, more string) *urfave.Command {
	return &urfave.Command{
		Name: name, Usage: does, ArgsUsage: "QUEUE...", Description: more,
		Flags: append(urlFlags(), outputFlag("table", "json", "id")),
		Action: func(c *urfave.Context) error {
			as, err := format(c, "table", "json", "id")
			if err != nil {
				return err
			}
			if !c.Args().Present() {
				return usage("which queue?").WithHint("faasctl queue ls lists what there is; that of most tasks is called %s", core.DefaultQueue)
			}
			api, err := e.client(c)
			if err != nil {
				return err
			}
			defer api.Close()
			var codes []int
			for _, queue := range c.Args().Slice() {
				changed, err := api.PauseQueue(c.Context, queue, paused)
				if codes = append(codes, e.explain(withOp("queue "+name, err))); err != nil {
					continue
				}
				if err := e.pausedQueue(as, wire.PausedQueue{Name: queue, Paused: paused, Changed: changed}); err != nil {
					return err
				}
			}
			return firstCode(codes)
		},
	}
}

func (e *environment) pausedQueue(as string, q wire.PausedQueue) error {
	switch as {
	case "json":
		return e.jsonLine(q)
	case "id":
		return e.data([]byte(q.Name + "\n"))
	}
	word := "resumed"
	if q.Paused {
		word = "paused"
	}
	if !q.Changed {
		word = "was " + map[bool]string{true: "paused", false: "open"}[q.Paused] + " already"
	}
	return e.data([]byte(q.Name + "  " + word + "\n"))
}
