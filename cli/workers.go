package cli

import (
	"fmt"
	"sort"
	"strings"
	"time"

	urfave "github.com/urfave/cli/v2"

	"faasctl/core"
	"faasctl/httpapi/client"
)

func workersCommand(e *environment) *urfave.Command {
	return &urfave.Command{
		Name: "workers", Category: catServe, Usage: "list, show or drain workers",
		Subcommands: []*urfave.Command{workersListCommand(e), workersShowCommand(e), workersDrainCommand(e)},
	}
}

func workersListCommand(e *environment) *urfave.Command {
	return &urfave.Command{
		Name: "ls", Usage: "who is there, and who was within a minute",
		Flags: append(urlFlags(), outputFlag("table", "json", "id")),
		Action: e.listing(func(c *urfave.Context, api *client.Client, as string) error {
			all, err := api.Workers(c.Context)
			if err != nil {
				return err
			}
			return e.listWorkers(as, all)
		}),
	}
}

func (e *environment) listWorkers(as string, all []core.Worker) error {
	switch as {
	case "json":
		return e.jsonLine(all)
	case "id":
		return ids(e, all, func(w core.Worker) string { return string(w.ID) })
	}
	if len(all) == 0 {
		e.note("no workers\n  → start a dispatcher with some: faasctl dispatcher -m local -w 2; or connect one: faasctl worker push auto tcp://HOST:5555")
		return nil
	}
	list := &table{head: []string{"WORKER", "MODE", "HOST", "STATE", "SLOTS", "BUSY", "HELD", "DONE", "FAILED", "RATE", "SEEN", "JOINED"}, right: []int{4, 5, 6, 7, 8, 9}}
	now := time.Now()
	for _, w := range all {
		list.add(plain("%s", w.ID), plain("%s", w.Mode), plain("%s", w.Host), workerState(w.State), plain("%d", w.Slots), plain("%d", w.Busy),
			plain("%d", w.Held), plain("%d", w.Done), plain("%d", w.Failures), plain("%s", perSecond(w.Rate)), plain("%s", ago(w.Seen, now)), plain("%s", ago(w.Joined, now)))
	}
	return e.printTable(list)
}

// perSecond writes a rate: two digits that matter at least.
func perSecond(rate float64) string {
	if rate == 0 || rate >= 10 {
		return fmt.Sprintf("%.0f/s", rate)
	}
	return fmt.Sprintf("%.2g/s", rate)
}

func workerState(state core.WorkerState) cell {
	paint := map[core.WorkerState]string{core.WorkerRunning: paintGreen, core.WorkerDraining: paintYellow, core.WorkerLost: paintRed, core.WorkerGone: paintDim}
	return cell{string(state), paint[state]}
}

func workersShowCommand(e *environment) *urfave.Command {
	return &urfave.Command{
		Name: "show", Usage: "all about one worker", ArgsUsage: "WORKER",
		Flags: append(urlFlags(), outputFlag("table", "json", "id")),
		Action: func(c *urfave.Context) error {
			as, err := format(c, "table", "json", "id")
			if err != nil {
				return err
			}
			id, err := oneArgument(c, "worker", "faasctl workers ls lists who is there")
			if err != nil {
				return err
			}
			api, err := e.client(c)
			if err != nil {
				return err
			}
			defer api.Close()
			w, err := api.Worker(c.Context, id)
			if err != nil {
				return err
			}
			return e.showWorker(as, w)
		},
	}
}

func (e *environment) showWorker(as string, w core.Worker) error {
	switch as {
	case "json":
		return e.jsonLine(w)
	case "id":
		return e.data([]byte(string(w.ID) + "\n"))
	}
	rows := [][2]string{{"id", string(w.ID)}, {"state", string(w.State)}, {"mode", string(w.Mode)}}
	add := func(name, value string) {
		if value != "" {
			rows = append(rows, [2]string{name, value})
		}
	}
	add("principal", w.Principal)
	add("host", fmt.Sprintf("%s, process %d", w.Host, w.PID))
	add("version", w.Version)
	for _, python := range w.Interpreters {
		add("python", e.pythonText(python))
	}
	for _, p := range w.Preparations {
		if p.Interpreter != "" {
			add("ailing", e.homely(p.Interpreter)+", Python "+p.Python+": no process of it starts: "+p.Text)
		}
	}
	names := make([]string, 0, len(w.Labels))
	for name, value := range w.Labels {
		names = append(names, name+"="+value)
	}
	sort.Strings(names)
	add("labels", strings.Join(names, " "))
	enforcementRows(w.Enforces, add)
	add("slots", fmt.Sprintf("%d, of which %d execute; it holds %s", w.Slots, w.Busy, count(w.Held, "task")))
	add("done", fmt.Sprintf("%d, of which %d failed; %s of late, p95 %.3g ms", w.Done, w.Failures, perSecond(w.Rate), w.P95))
	add("dispatcher", string(w.Dispatcher))
	now := time.Now()
	add("joined", ago(w.Joined, now))
	add("seen", ago(w.Seen, now))
	return e.pairs(as, rows)
}

func workersDrainCommand(e *environment) *urfave.Command {
	return &urfave.Command{
		Name: "drain", Usage: "have workers end what they hold and leave", ArgsUsage: "WORKER...",
		Description: "A worker that drains takes no more tasks. One of push or pull then leaves; a local one stays, empty.",
		Flags:       urlFlags(),
		Action: func(c *urfave.Context) error {
			if c.NArg() == 0 {
				return usage("which worker?").WithHint("faasctl workers ls lists who is there")
			}
			api, err := e.client(c)
			if err != nil {
				return err
			}
			defer api.Close()
			codes := make([]int, c.NArg())
			for i, id := range c.Args().Slice() {
				w, err := api.DrainWorker(c.Context, id)
				if codes[i] = e.explain(withOp("workers drain", err)); err == nil {
					e.note("worker %s drains; it holds %s", w.ID, count(w.Held, "task"))
				}
			}
			return firstCode(codes)
		},
	}
}
