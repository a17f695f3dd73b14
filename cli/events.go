package cli

import (
	"fmt"
	"strings"

	urfave "github.com/urfave/cli/v2"

	"faasctl/core"
	"faasctl/httpapi/client"
)

func eventsCommand(e *environment) *urfave.Command {
	return &urfave.Command{
		Name: "events", Category: catWatch, Usage: "what happened, oldest first",
		Description: "Without -f: the last ones that are kept. With -f: those to come, until Ctrl-C. --after ID: from there on.",
		Flags: append(urlFlags(),
			&urfave.BoolFlag{Name: "follow", Aliases: []string{"f"}, Usage: "go on with those to come"},
			&urfave.StringFlag{Name: "after", Usage: "only what came after the event with this `ID`"},
			&urfave.StringSliceFlag{Name: "kind", Usage: "only events of this `KIND`, such as task.failed; may be repeated"},
			&urfave.StringFlag{Name: "task", Usage: "only events of this `TASK`"},
			&urfave.StringFlag{Name: "function", Usage: "only events of this `FUNCTION`"},
			&urfave.StringFlag{Name: "worker", Usage: "only events of this `WORKER`"},
			&urfave.IntFlag{Name: "limit", Value: 50, Usage: "without -f and --after, the last `N`; 0 = all that are kept"},
			outputFlag("table", "json", "id")),
		Action: func(c *urfave.Context) error {
			as, err := format(c, "table", "json", "id")
			if err != nil {
				return err
			}
			if err := noArguments(c); err != nil {
				return err
			}
			if _, _, err := core.SplitEventID(c.String("after")); err != nil {
				return err
			}
			api, err := e.client(c)
			if err != nil {
				return err
			}
			defer api.Close()
			filter, err := eventFilter(c, api)
			if err != nil {
				return err
			}
			if c.Bool("follow") {
				return e.followEvents(c, api, filter, as)
			}
			return e.pastEvents(c, api, filter, as)
		},
	}
}

// eventFilter reads the flags that select events.
func eventFilter(c *urfave.Context, api *client.Client) (core.EventFilter, error) {
	filter := core.EventFilter{Worker: core.WorkerID(c.String("worker"))}
	for _, kind := range c.StringSlice("kind") {
		filter.Kinds = append(filter.Kinds, core.EventKind(kind))
	}
	var err error
	if task := c.String("task"); task != "" {
		if filter.Task, err = core.ParseTaskID(task); err != nil {
			return filter, err
		}
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

func (e *environment) followEvents(c *urfave.Context, api *client.Client, filter core.EventFilter, as string) error {
	after := c.String("after")
	if after == "" {
		after = "$"
	}
	ctx, stop := e.interruptible(c.Context)
	defer stop()
	err := api.EventsWhere(ctx, filter, after, func(event core.Event) error { return e.event(as, event) })
	if ctx.Err() != nil {
		return nil // Ctrl-C is how it ends
	}
	return err
}

// pastEvents prints what is kept: all after an id, or the last ones.
func (e *environment) pastEvents(c *urfave.Context, api *client.Client, filter core.EventFilter, as string) error {
	const page = 1000
	after, limit := c.String("after"), c.Int("limit")
	if limit < 0 {
		return usage("--limit must not be negative")
	}
	if after != "" {
		limit = 0
	}
	var last []core.Event
	for {
		events, err := api.EventsOnceWhere(c.Context, filter, after, page)
		if err != nil {
			return err
		}
		last = append(last, events...)
		if limit > 0 && len(last) > limit {
			last = append([]core.Event(nil), last[len(last)-limit:]...)
		}
		if limit == 0 {
			if err := e.eventLines(as, last); err != nil {
				return err
			}
			last = last[:0]
		}
		if len(events) == 0 || events[len(events)-1].ID == after {
			return e.eventLines(as, last)
		}
		after = events[len(events)-1].ID
	}
}

func (e *environment) eventLines(as string, events []core.Event) error {
	for _, event := range events {
		if err := e.event(as, event); err != nil {
			return err
		}
	}
	return nil
}

// event prints one event as a line.
func (e *environment) event(as string, event core.Event) error {
	if event.Kind == client.Reset {
		e.warn("some events were dropped before they could be read: %s", event.Detail)
	}
	switch {
	case as == "json":
		return e.jsonLine(event)
	case event.Kind == client.Reset:
		return nil
	case as == "id":
		return e.data([]byte(event.ID + "\n"))
	}
	kind := fmt.Sprintf("%-19s", event.Kind)
	if e.colour() {
		if with := paintKind(event.Kind); with != "" {
			kind = paint(kind, with)
		}
	}
	subject := string(event.Task)
	for _, other := range []string{string(event.Function), string(event.Worker), string(event.Dispatcher)} {
		if subject == "" {
			subject = other
		}
	}
	line := fmt.Sprintf("%s  %s  %-36s  %s", event.At.Local().Format("15:04:05.000"), kind, cleanLine(subject), cleanLine(eventNote(event)))
	_, err := e.stdout.Write([]byte(strings.TrimRight(line, " ") + "\n"))
	return err
}

func paintKind(kind core.EventKind) string {
	switch kind {
	case core.TaskCompleted:
		return paintGreen
	case core.TaskFailed, core.TaskLost, core.WorkerVanished:
		return paintRed
	case core.TaskRetried, core.TaskCancelled, core.TaskReleased:
		return paintYellow
	case core.TaskSubmitted:
		return paintDim
	}
	return ""
}

// eventNote is what else an event says.
func eventNote(event core.Event) string {
	var notes []string
	if event.Name != "" {
		notes = append(notes, event.Name)
	}
	if event.Detail != "" {
		notes = append(notes, event.Detail)
	}
	if event.Attempt > 1 {
		notes = append(notes, fmt.Sprintf("attempt %d", event.Attempt))
	}
	if event.RunMS > 0 {
		notes = append(notes, fmt.Sprintf("ran %.1fms", event.RunMS))
	}
	if event.Worker != "" && event.Task != "" {
		notes = append(notes, "on "+string(event.Worker))
	}
	return strings.Join(notes, "  ")
}
