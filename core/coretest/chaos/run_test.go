package chaos

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"faasctl/core"
)

// run hands calls in while faults strike, waits for the end and gathers what was
// seen.
func (s *stack) run(random *rand.Rand, load Load, plan []planned) *History {
	s.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), load.Span+3*s.Patience+time.Minute)
	defer cancel()
	if err := s.register(ctx); err != nil {
		s.Fatal(err)
	}
	h := &History{Calls: planCalls(random, load), Lossy: s.Durability != "always", Lease: s.Timers.Lease}
	told := make(chan error, 1)
	listen, deaf := context.WithCancel(ctx)
	defer deaf()
	go func() { told <- s.hear(listen, h) }()
	struck := make(chan error, 1)
	go func() {
		var err error
		h.Faults, err = s.strike(ctx, plan)
		struck <- err
	}()
	handed := s.handIn(ctx, random, load, h.Calls)
	if err := <-struck; err != nil {
		s.Error(err)
	}
	if handed != nil {
		s.Error(handed)
	}
	if err := s.alive(); err != nil {
		s.Error(err)
	}
	s.settle(ctx)
	deaf()
	if err := <-told; err != nil && !errors.Is(err, context.Canceled) {
		s.Errorf("the events broke off: %v", err)
	}
	s.gather(ctx, h)
	return h
}

// hear writes down what a client is told. Its first attempt to connect may fail.
func (s *stack) hear(ctx context.Context, h *History) error {
	for after := ""; ; pass(100 * time.Millisecond) {
		err := s.client.Events(ctx, after, func(e core.Event) error {
			h.Live = append(h.Live, e)
			after = e.ID
			return nil
		})
		if !passing(err) {
			return err
		}
	}
}

// settle waits until nothing is queued, delayed or running, or the patience is over.
func (s *stack) settle(ctx context.Context) {
	for deadline := time.Now().Add(s.Patience); time.Now().Before(deadline); pass(100 * time.Millisecond) {
		stats, err := s.store.Stats(ctx)
		if err == nil && stats.Queued+stats.Delayed+stats.Running == 0 {
			return
		}
	}
	s.Logf("not everything ended within %s", s.Patience)
}

// gather reads everything there is to see.
func (s *stack) gather(ctx context.Context, h *History) {
	s.Helper()
	must := func(err error) {
		if err != nil {
			s.Helper()
			s.Fatal(err)
		}
	}
	h.Tasks, h.Of, h.Listed = map[core.TaskID]Ended{}, map[core.TaskID]int{}, map[core.State]map[core.TaskID]bool{}
	h.All = s.listing(ctx, "")
	seen := map[core.TaskID]bool{}
	note := func(ids map[core.TaskID]bool) {
		for id := range ids {
			seen[id] = true
		}
	}
	note(h.All)
	for _, state := range core.States {
		h.Listed[state] = s.listing(ctx, state)
		note(h.Listed[state])
	}
	for _, call := range h.Calls {
		for _, mark := range call.Answers {
			seen[mark.Task] = true
		}
	}
	for after := ""; ; {
		events, err := s.store.Events(ctx, after, 1000, 0)
		must(err)
		if len(events) == 0 {
			break
		}
		h.Events = append(h.Events, events...)
		after = events[len(events)-1].ID
	}
	for _, e := range h.Events {
		if e.Task != "" {
			seen[e.Task] = true
		}
	}
	var ids []core.TaskID
	for id := range seen {
		ids = append(ids, id)
	}
	for len(ids) > 0 {
		part := ids[:min(len(ids), core.MaxBatch)]
		ids = ids[len(part):]
		must(s.records(ctx, h, part))
	}
	var err error
	h.Stats, err = s.store.Stats(ctx)
	must(err)
	queues, err := s.store.Queues(ctx)
	must(err)
	for _, q := range queues {
		h.Depths += q.Queued
	}
	h.Grants, h.Verdicts = testimonies(s, s.dir)
	h.Executions = s.executions()
}

// records reads tasks, what they were called with, and what they ended with.
func (s *stack) records(ctx context.Context, h *History, ids []core.TaskID) error {
	tasks, err := s.store.Tasks(ctx, ids)
	if err != nil {
		return err
	}
	results, err := s.store.Results(ctx, ids)
	if err != nil {
		return err
	}
	for i, task := range tasks {
		if task.ID == "" {
			continue
		}
		spec, err := s.store.Spec(ctx, task.ID)
		if err != nil {
			return fmt.Errorf("%s has a record and no spec: %w", task.ID, err)
		}
		var args [2]json.RawMessage
		var given []any
		if err := errors.Join(json.Unmarshal(spec.Args, &args), json.Unmarshal(args[0], &given)); err != nil {
			return err
		}
		x := int(given[1].(float64))
		ended := Ended{Task: task}
		if results[i] != nil {
			ended.Name, ended.Fail = nameOf(*results[i]), results[i].Failure
		}
		if x < len(h.Calls) && h.Calls[x].Kind == Flood {
			output, err := s.store.Output(ctx, task.ID)
			if err != nil {
				return err
			}
			ended.Cut = output.Stdout.Cut
		}
		h.Tasks[task.ID], h.Of[task.ID] = ended, x
	}
	return nil
}

func (s *stack) listing(ctx context.Context, state core.State) map[core.TaskID]bool {
	s.Helper()
	found := map[core.TaskID]bool{}
	for filter := (core.TaskFilter{State: state, Limit: 1000}); ; {
		page, err := s.store.List(ctx, filter)
		if err != nil {
			s.Fatal(err)
		}
		for _, task := range page.Tasks {
			found[task.ID] = true
		}
		if filter.Before = page.Next; page.Next == "" {
			return found
		}
	}
}

// executions reads what the functions have noted.
func (s *stack) executions() []Execution {
	s.Helper()
	file, err := os.Open(s.log)
	if os.IsNotExist(err) {
		return nil
	}
	if err != nil {
		s.Fatal(err)
	}
	defer file.Close()
	var list []Execution
	at := map[string]int{}
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		what, name, _ := strings.Cut(lines.Text(), " ")
		number, _, _ := strings.Cut(name, ":")
		x, err := strconv.Atoi(number)
		switch i, begun := at[name]; {
		case err != nil:
			s.Fatalf("%q was left behind", lines.Text())
		case what == "b":
			at[name] = len(list)
			list = append(list, Execution{X: x, Name: name})
		case begun:
			list[i].Ended = true
		}
	}
	return list
}

// judge reports a run. It returns the violations.
func (s *stack) judge(name string, h *History) ([]Violation, Numbers) {
	s.Helper()
	violations, numbers := Check(h)
	s.Logf("%s\n%s", name, numbers)
	return violations, numbers
}

// fail reports violations as errors, the first of each rule in full.
func fail(t testing.TB, violations []Violation) {
	t.Helper()
	shown := map[Rule]int{}
	for _, v := range violations {
		if shown[v.Rule]++; shown[v.Rule] <= 5 {
			t.Error(v)
		}
	}
	for rule, n := range shown {
		t.Logf("%s: %d violations", rule, n)
	}
}
