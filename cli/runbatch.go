package cli

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"sync/atomic"
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

// batchWindow is how many calls are submitted and not told of at most. A call that
// takes long keeps those behind it from being told of, but no worker from running them.
const batchWindow = 16 << 10

// batchRun is a run of many calls. One goroutine reads lines and submits them as one
// stream, another tells of each in order: memory holds batchWindow of them.
type batchRun struct {
	*environment
	api      *client.Client
	call     client.Call // what all calls have in common
	async    bool
	deadline time.Time // zero = none

	// Of whoever submits.
	lines *bufio.Reader
	line  atomic.Int64   // number of the last line that was read
	taken chan batchTask // what was read, in order
	room  chan struct{}  // one for each call that was read and not told of
	full  bool           // there was no room

	// answers are the server's, in the order in which calls were read.
	answers chan core.Submitted

	// Of whoever tells.
	unknown int   // the first line of a call that has no answer, when submitting failed
	waits   int   // calls that have not ended when the wait was over
	codes   []int // the first exit code that is not 0
}

// batchTask is one line: a call that was sent, or why it was not.
type batchTask struct {
	line  int
	fault error
	id    core.TaskID
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
	b := &batchRun{
		environment: e, api: api, call: call, async: c.Bool("async"), lines: bufio.NewReaderSize(in, 256<<10),
		taken: make(chan batchTask, batchWindow), answers: make(chan core.Submitted, batchWindow), room: make(chan struct{}, batchWindow),
	}
	if wait := c.Duration("wait"); wait > 0 {
		b.deadline = time.Now().Add(wait)
	}
	err = b.run(ctx)
	if ctx.Err() != nil {
		e.note("%sfaasctl: detached after line %d; the tasks go on\n  → faasctl task ls", e.afterCtrlC(), b.line.Load())
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

// run submits, and tells at the same time. When submitting fails, what has been accepted
// is told of all the same.
func (b *batchRun) run(ctx context.Context) error {
	submitting, stop := context.WithCancel(ctx)
	defer stop()
	submitted := make(chan error, 1)
	go func() {
		err := b.api.SubmitEach(submitting, func(wait bool) (client.Call, error) { return b.next(submitting, wait) }, b.accepted)
		close(b.answers)
		close(b.taken)
		submitted <- err
	}()
	if err := b.tellAll(ctx); err != nil {
		return err // whoever submits may wait for a line that never comes
	}
	err := <-submitted
	if err != nil && b.unknown > 0 && ctx.Err() == nil {
		b.note("faasctl: run: line %d and those behind it have no answer: they were not accepted, or the answer was lost\n  → tail -n +%d gives them again", b.unknown, b.unknown)
	}
	return err
}

// accepted takes answers; there is room for one to each call.
func (b *batchRun) accepted(answers []core.Submitted) error {
	for _, one := range answers {
		b.answers <- one
	}
	return nil
}

// next reads the next call. A line at fault is noted and left out.
func (b *batchRun) next(ctx context.Context, wait bool) (client.Call, error) {
	for {
		if ready, _ := b.lines.Peek(b.lines.Buffered()); bytes.IndexByte(ready, '\n') < 0 && !wait {
			return client.Call{}, client.ErrNotYet
		}
		if err := b.enter(ctx, wait); err != nil {
			return client.Call{}, err
		}
		line, err := b.readLine()
		line = bytes.TrimSpace(line)
		switch {
		case err != nil && !errors.Is(err, io.EOF) && core.ClassOf(err) != core.ErrTooLarge, err != nil && len(line) == 0:
			return client.Call{}, err
		case len(line) == 0:
			<-b.room
			continue
		}
		call := b.call
		fault := err
		switch {
		case core.ClassOf(err) == core.ErrTooLarge:
		case line[0] != '[' && line[0] != '{': // also @file and -, which mean something to --args
			fault = unbracketed(line)
		default:
			call.Args, call.Kwargs, fault = b.callArgs(string(line), "")
		}
		b.taken <- batchTask{line: int(b.line.Load()), fault: fault}
		if fault == nil {
			return call, nil
		}
	}
}

// unbracketed says what is wrong with a line that is no array and no object.
func unbracketed(line []byte) error {
	text := clip(string(line), 48)
	err := usage("%s is neither an array nor an object", text)
	if checkJSON(line) != nil {
		return err.WithHint(`write one call a line, such as [3, "text"] or {"a": 3}`)
	}
	return err.WithHint("put it in brackets: [%s]", text)
}

// enter takes a place in the window. When there was none, half of it is waited for, so
// that what follows is a stream and not one call at a time.
func (b *batchRun) enter(ctx context.Context, wait bool) error {
	if !b.full {
		select {
		case b.room <- struct{}{}:
			return nil
		default:
			b.full = true
		}
	}
	if !wait {
		return client.ErrNotYet
	}
	for range batchWindow / 2 {
		select {
		case b.room <- struct{}{}:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	for range batchWindow/2 - 1 {
		<-b.room
	}
	b.full = false
	return nil
}

// readLine reads one line; of one that is too long nothing is kept.
func (b *batchRun) readLine() ([]byte, error) {
	b.line.Add(1)
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

// tellAll tells of each line in order, until there are no more.
func (b *batchRun) tellAll(ctx context.Context) error {
	const atOnce = 200 // results in memory
	for {
		some, err := b.batch(ctx, atOnce)
		if err != nil || len(some) == 0 {
			return err
		}
		for len(some) > 0 {
			n, err := b.tellSome(ctx, some)
			if err != nil {
				return err
			}
			for range n {
				<-b.room
			}
			some = some[n:]
		}
	}
}

// batch waits for the next line and takes others as far as they have their answers, up
// to most. None is left when it returns none.
func (b *batchRun) batch(ctx context.Context, most int) (some []batchTask, err error) {
	for len(some) < most && (len(some) == 0 || len(b.taken) > 0) {
		task, more := <-b.taken
		if !more {
			break
		}
		if task.fault == nil {
			answer, answered := <-b.answers
			if !answered {
				// Submitting has failed, and says so.
				if b.unknown == 0 {
					b.unknown = task.line
				}
				break
			}
			task.id, task.fault = answer.ID, answer.Err
		}
		some = append(some, task)
	}
	return some, ctx.Err()
}

// tellSome tells of the first of some tasks, and returns of how many.
func (b *batchRun) tellSome(ctx context.Context, some []batchTask) (told int, err error) {
	var ids []core.TaskID
	for _, task := range some {
		if task.fault == nil && !b.async {
			ids = append(ids, task.id)
		}
	}
	var endings []core.Ending
	late := false
	if len(ids) > 0 {
		if endings, late, err = b.endings(ctx, ids); err != nil {
			return 0, err
		}
	}
	for _, task := range some {
		switch {
		case task.fault != nil:
			err = b.refuse(task.line, task.fault)
		case b.async:
			err = b.tell(batchLine{Line: task.line, ID: task.id})
		case endings[0].Over() || late:
			err = b.ended(task, endings[0])
			endings = endings[1:]
		default:
			return told, nil
		}
		if err != nil {
			return told, err
		}
		told++
	}
	return told, nil
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
