package chaos

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"time"

	"golang.org/x/sync/errgroup"

	"faasctl/core"
	"faasctl/httpapi/client"
)

// Load says what is handed in, and for how long.
type Load struct {
	Calls  int
	Span   time.Duration // spread over so long; 0 = at once
	Took   time.Duration // of a call of work, at most; evenly spread from 0
	Poison float64       // share of calls that crash, hang, ask for too much memory or flood
	Plain  bool          // nothing but work and poison: no delays, cancels or exceptions
	Mixed  bool          // work and poison are calls of one function, which stand in one line
}

// planCalls draws what to hand in.
func planCalls(random *rand.Rand, load Load) []*Call {
	poison := []Kind{Crash, Hang, Memory, Flood}
	calls := make([]*Call, load.Calls)
	for x := range calls {
		c := &Call{X: x, Kind: Work, Keyed: random.IntN(2) == 0}
		switch p := random.Float64(); {
		case p < load.Poison:
			c.Kind = poison[random.IntN(len(poison))]
		case load.Plain:
		case p > 0.98:
			c.Kind = Unloved
		case p > 0.96:
			c.Kind, c.Delay = Later, time.Duration(1+random.IntN(3000))*time.Millisecond
		case p > 0.95:
			c.Kind, c.Retries = Raises, 1
		}
		calls[x] = c
	}
	return calls
}

// call is what a client sends.
func (s *stack) call(c *Call, took time.Duration, mixed bool) client.Call {
	call := client.Call{Function: string(c.Kind), Delay: c.Delay, Retries: &c.Retries}
	if c.Keyed {
		call.Key = fmt.Sprintf("call-%d", c.X)
	}
	args := []any{s.log, c.X}
	switch c.Kind {
	case Work, Later:
		call.Function, args = "work", append(args, took.Seconds())
	case Unloved:
		call.Function, args = "work", append(args, 1+took.Seconds())
	case Hang:
		call.Timeout = time.Second
	}
	if mixed {
		args = append(append(args[:2:2], call.Function), args[2:]...)
		call.Function = "mixed"
	}
	call.Args, _ = json.Marshal(args) // text and numbers
	return call
}

// crowd is the clients of a run. Each batch of calls belongs to one goroutine.
type crowd struct {
	*stack
	calls []*Call
}

// handIn hands all calls in, in batches, at their time, and cancels the unloved. A
// call whose acknowledgement was lost is handed in again.
func (s *stack) handIn(ctx context.Context, random *rand.Rand, load Load, calls []*Call) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(64)
	c := crowd{s, calls}
	began := time.Now()
	for from := 0; from < len(calls) && ctx.Err() == nil; {
		to := min(from+1+random.IntN(20), len(calls))
		if load.Span == 0 {
			to = min(from+500, len(calls))
		}
		batch := make([]client.Call, 0, to-from)
		for _, call := range calls[from:to] {
			batch = append(batch, s.call(call, time.Duration(random.Float64()*float64(load.Took)), load.Mixed))
		}
		due := began.Add(time.Duration(float64(load.Span) * float64(from) / float64(len(calls))))
		pass(max(0, time.Until(due)))
		some, patience := calls[from:to], time.Duration(random.IntN(1500))*time.Millisecond
		group.Go(func() error {
			if err := c.submit(ctx, some, batch); err != nil {
				return err
			}
			return c.unlove(ctx, some, patience)
		})
		from = to
	}
	return group.Wait()
}

// submit repeats a batch until every call of it is acknowledged.
func (c crowd) submit(ctx context.Context, calls []*Call, batch []client.Call) error {
	for len(calls) > 0 {
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("%d calls were never acknowledged: %w", len(calls), err)
		}
		for _, call := range calls {
			call.Tries++
		}
		answers, err := c.client.SubmitBatch(ctx, batch)
		now := time.Now()
		if err != nil {
			if !passing(err) {
				return fmt.Errorf("a submit was refused: %w", err)
			}
			pass(100 * time.Millisecond)
			continue
		}
		var again []*Call
		var rest []client.Call
		for i, a := range answers {
			switch {
			case a.Err == nil:
				calls[i].Answers = append(calls[i].Answers, Mark{a.ID, now})
			case passing(a.Err):
				again, rest = append(again, calls[i]), append(rest, batch[i])
			default:
				err = fmt.Errorf("call %d was refused: %w", calls[i].X, a.Err)
			}
		}
		if err != nil {
			return err
		}
		calls, batch = again, rest
	}
	return nil
}

// passing says whether an error may go away.
func passing(err error) bool {
	class := core.ClassOf(err)
	return class == core.ErrUnavailable || class == core.ErrFull
}

// unlove cancels the unloved of these calls after a while, until each is told what
// became of that.
func (c crowd) unlove(ctx context.Context, calls []*Call, patience time.Duration) error {
	var ids []core.TaskID
	of := map[core.TaskID]*Call{}
	for _, call := range calls {
		if call.Kind == Unloved && len(call.Answers) > 0 {
			id := call.Answers[len(call.Answers)-1].Task
			ids, of[id] = append(ids, id), call
		}
	}
	if len(ids) == 0 {
		return nil
	}
	for pass(patience); ; pass(100 * time.Millisecond) {
		verdicts, err := c.client.Cancel(ctx, ids)
		if err != nil && !passing(err) {
			return fmt.Errorf("a cancel was refused: %w", err)
		}
		for i, id := range ids {
			answer := Cancelled{Task: id, At: time.Now()}
			if err == nil {
				answer.Verdict = verdicts[i]
			}
			of[id].Cancels = append(of[id].Cancels, answer)
		}
		if err == nil {
			return nil
		}
	}
}
