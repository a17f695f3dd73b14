package cli

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"time"

	urfave "github.com/urfave/cli/v2"

	"faasctl/core"
	"faasctl/httpapi/client"
	"faasctl/httpapi/wire"
)

// batchFlag is --batch of run.
func batchFlag() urfave.Flag {
	return &urfave.StringFlag{Name: "batch", Usage: "many calls: a line of `FILE` (- = stdin) is the arguments of each; a line of JSON tells of each"}
}

// batchRun is a run of many calls. At most two requests' worth of them are in memory:
// while one is submitted, the one before runs.
type batchRun struct {
	*environment
	ctx      context.Context
	api      *client.Client
	call     client.Call // what all calls have in common
	async    bool
	deadline time.Time // zero = none

	lines   *bufio.Reader
	line    int         // number of the last line that was read
	numbers []int       // of the calls that are being submitted
	earlier []batchTask // submitted, and not told of
	waits   int         // calls that have not ended when the wait was over
	codes   []int       // the first exit code that is not 0
}

// batchTask is one accepted call.
type batchTask struct {
	line int
	id   core.TaskID
}

// batchLine is what stdout tells of one line of the batch.
type batchLine struct {
	Line int         `json:"line"`
	ID   core.TaskID `json:"id,omitempty"` // absent when the line was not accepted
	wire.Ending
}

// maxBatchLine bounds a line, which is one call's arguments.
const maxBatchLine = 2 * core.MaxPayload

// runBatch is run --batch: it reads calls line by line, submits as many at once as
// are there, and tells of each in order.
func (e *environment) runBatch(c *urfave.Context, call client.Call) error {
	for _, name := range []string{"args", "kwargs", "key"} {
		if c.IsSet(name) {
			return usage("--%s is for one call, and --batch has a line for each", name)
		}
	}
	if c.IsSet("output") && c.String("output") != "json" {
		return usage("-o is for one call; --batch prints a line of JSON for each")
	}
	in, closing, err := e.batchFile(c.String("batch"))
	if err != nil {
		return err
	}
	defer closing()
	api, err := e.client(c)
	if err != nil {
		return err
	}
	defer api.Close()
	ctx, stop := e.interruptible(c.Context)
	defer stop()
	if _, err := e.callFile(ctx, c, api, &call); err != nil {
		return err
	}
	b := &batchRun{environment: e, ctx: ctx, api: api, call: call, async: c.Bool("async"), lines: bufio.NewReaderSize(in, 256<<10)}
	if wait := c.Duration("wait"); wait > 0 {
		b.deadline = time.Now().Add(wait)
	}
	err = api.SubmitEach(ctx, b.next, func(answers []core.Submitted) error { return b.accepted(ctx, answers) })
	if err == nil {
		err = b.collect(ctx)
	}
	if ctx.Err() != nil {
		e.note("%sfaasctl: detached after line %d; the tasks go on\n  → faasctl task ls", e.afterCtrlC(), b.line)
		return exitCode(core.ExitPending)
	}
	if err != nil {
		return err
	}
	if b.waits > 0 {
		e.note("faasctl: %s had not ended when the wait was over\n  → faasctl result --wait 1m with their ids", count(b.waits, "task"))
	}
	return firstCode(b.codes)
}

func (e *environment) batchFile(name string) (in io.Reader, closing func(), err error) {
	if name == "-" {
		if e.stdinTTY {
			e.note("reading calls from the terminal, a line each; Ctrl-D ends them")
		}
		return e.stdin, func() {}, nil
	}
	file, err := os.Open(name)
	if err != nil {
		return nil, nil, fileError(err).WithHint("--batch FILE has the arguments of a call on each line; - is stdin")
	}
	return file, func() { _ = file.Close() }, nil
}

// next reads the next call. A line at fault is told of and left out.
func (b *batchRun) next(wait bool) (client.Call, error) {
	for {
		if ready, _ := b.lines.Peek(b.lines.Buffered()); bytes.IndexByte(ready, '\n') < 0 {
			if !wait {
				return client.Call{}, client.ErrNotYet
			}
			// Whoever writes the lines may want an answer before the next one.
			if err := b.collect(b.ctx); err != nil {
				return client.Call{}, err
			}
		}
		line, err := b.readLine()
		line = bytes.TrimSpace(line)
		switch {
		case err != nil && !errors.Is(err, io.EOF) && core.ClassOf(err) != core.ErrTooLarge, err != nil && len(line) == 0:
			return client.Call{}, err
		case len(line) == 0:
			continue
		}
		call := b.call
		fault := err
		switch {
		case core.ClassOf(err) == core.ErrTooLarge:
		case line[0] != '[' && line[0] != '{': // also @file and -, which mean something to --args
			fault = usage("%s is neither an array nor an object", clip(string(line), 48)).WithHint("put it in brackets: [%s]", clip(string(line), 48))
		default:
			call.Args, call.Kwargs, fault = b.callArgs(string(line), "")
		}
		if fault == nil {
			b.numbers = append(b.numbers, b.line)
			return call, nil
		}
		if err := b.refuse(b.line, fault); err != nil {
			return client.Call{}, err
		}
	}
}

// readLine reads one line; of one that is too long nothing is kept.
func (b *batchRun) readLine() ([]byte, error) {
	b.line++
	var line []byte
	long := false
	for {
		part, err := b.lines.ReadSlice('\n')
		if long = long || len(line)+len(part) > maxBatchLine; long {
			line = line[:0]
		} else {
			line = append(line, part...)
		}
		if errors.Is(err, bufio.ErrBufferFull) {
			continue
		}
		if long {
			return []byte("-"), core.Errorf(core.ErrTooLarge, "", "it is longer than %d MiB", maxBatchLine>>20)
		}
		return line, err
	}
}

// refuse tells of a line that makes no task.
func (b *batchRun) refuse(line int, err error) error {
	class := core.ClassOf(err)
	b.warn("run: line %d: %s", line, err)
	b.codes = append(b.codes[:min(len(b.codes), 1)], exitOf(err))
	return b.tell(batchLine{Line: line, Ending: wire.Ending{Problem: &wire.Problem{
		Title: class.Name, Status: class.Status, Code: class.Name, Detail: err.Error(), Hint: core.HintOf(err),
	}}})
}

// accepted takes the answers to one request, and tells what became of the calls of the
// one before.
func (b *batchRun) accepted(ctx context.Context, answers []core.Submitted) error {
	earlier, numbers := b.earlier, b.numbers
	b.earlier, b.numbers = nil, nil
	var tasks []batchTask
	for i, answer := range answers {
		var err error
		switch {
		case answer.Err != nil:
			err = b.refuse(numbers[i], answer.Err)
		case b.async:
			err = b.tell(batchLine{Line: numbers[i], ID: answer.ID})
		default:
			tasks = append(tasks, batchTask{numbers[i], answer.ID})
		}
		if err != nil {
			return err
		}
	}
	b.earlier = earlier
	if err := b.collect(ctx); err != nil {
		return err
	}
	b.earlier = tasks
	return nil
}

// collect waits for the calls of the last request, and tells of them in order.
func (b *batchRun) collect(ctx context.Context) error {
	const atOnce = 200 // results in memory
	for len(b.earlier) > 0 {
		some := b.earlier[:min(len(b.earlier), atOnce)]
		ids := make([]core.TaskID, len(some))
		for i, task := range some {
			ids[i] = task.id
		}
		endings, late, err := b.endings(ctx, ids)
		if err != nil {
			return err
		}
		for i, one := range endings {
			if one.Over() || late {
				if err := b.ended(some[i], one); err != nil {
					return err
				}
				b.earlier = b.earlier[1:]
				continue
			}
			break
		}
	}
	return nil
}

// endings asks once, for as long as a request may wait; late says that there is no
// time left.
func (b *batchRun) endings(ctx context.Context, ids []core.TaskID) (endings []core.Ending, late bool, err error) {
	wait := 2 * time.Second // what has ended is told of at least so often
	if !b.deadline.IsZero() {
		wait = max(0, min(wait, time.Until(b.deadline)))
	}
	endings, err = b.api.Results(ctx, ids, wait)
	return endings, !b.deadline.IsZero() && !time.Now().Before(b.deadline), err
}

// ended tells of one call.
func (b *batchRun) ended(task batchTask, one core.Ending) error {
	out := batchLine{Line: task.line, ID: task.id, Ending: wire.Ending{State: one.State}}
	switch {
	case one.Err != nil:
		return b.refuse(task.line, one.Err)
	case one.Result == nil:
		b.waits++
		b.codes = append(b.codes[:min(len(b.codes), 1)], core.ExitPending)
	case one.State == core.Completed:
		out.Value = one.Result.JSON
	default:
		out.Failure = one.Result.Failure
		kind := core.KindCancelled
		if one.State == core.Failed && out.Failure != nil {
			kind = out.Failure.Kind
		}
		b.warn("run: line %d: task %s failed: %s", task.line, task.id, failureLine(kind, out.Failure))
		b.codes = append(b.codes[:min(len(b.codes), 1)], kind.Exit())
	}
	return b.tell(out)
}

func (b *batchRun) tell(line batchLine) error {
	text, err := json.Marshal(line)
	if err != nil {
		return err
	}
	return b.data(append(text, '\n'))
}
