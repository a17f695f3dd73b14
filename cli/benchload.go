package cli

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"faasctl/core"
	"faasctl/httpapi/client"
)

// benchLoad sends calls of one function to one server and checks what they end
// with.
type benchLoad struct {
	*benchPlan
	apis     []*client.Client // one for each client, as each has its connections
	function core.Function
	data     string       // the payload
	moved    atomic.Int64 // unix ns of the last result that came
}

// newBenchLoad registers the function under a name that nobody else has.
func newBenchLoad(ctx context.Context, plan *benchPlan, url, tokenFile string) (*benchLoad, error) {
	l := &benchLoad{benchPlan: plan, data: strings.Repeat("x", plan.payload)}
	for range plan.clients {
		api, err := client.New(client.Config{URL: url, TokenFile: tokenFile})
		if err != nil {
			return nil, err
		}
		l.apis = append(l.apis, api)
	}
	name := "faasctl-bench-" + strings.ToLower(rand.Text()[:8])
	done, err := l.apis[0].Register(ctx, core.RegisterRequest{
		Name: name, Codec: core.Source, Entry: "call", File: "bench.py", Body: []byte(plan.source()),
		Labels: map[string]string{"made-by": "faasctl bench"},
	})
	if err != nil {
		l.hangUp()
		return nil, err
	}
	l.function = done.Function
	return l, nil
}

// source is the function that is called.
func (p *benchPlan) source() string {
	value := "n + other"
	if p.payload > 0 {
		value = "other"
	}
	if p.sleep > 0 {
		return fmt.Sprintf("import time\n\ndef call(n, other):\n    time.sleep(%g)\n    return %s\n", p.sleep.Seconds(), value)
	}
	return fmt.Sprintf("def call(n, other):\n    return %s\n", value)
}

// close takes the function out of service again, also when somebody pressed
// Ctrl-C.
func (l *benchLoad) close() {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	_, _ = l.apis[0].RemoveFunction(ctx, l.function.Name)
	l.hangUp()
}

func (l *benchLoad) hangUp() {
	for _, api := range l.apis {
		api.Close()
	}
}

// benchCall is one call that was sent.
type benchCall struct {
	n    int
	sent time.Time // or was to be, by the schedule
}

// benchBatch is what one request sent.
type benchBatch struct {
	first int       // number of its first call
	sent  time.Time // when it was sent, or was to be by the schedule
	ids   []core.TaskID
}

// run sends tasks calls and waits for all results. moved hears how many have
// come.
func (l *benchLoad) run(ctx context.Context, tasks int, moved func(int)) (*benchRun, error) {
	if tasks == 0 {
		return nil, nil
	}
	run := newBenchRun(tasks, moved)
	sent := make(chan benchBatch, tasks) // never blocks who sends: results have a pace of their own
	var next atomic.Int64
	l.moved.Store(time.Now().UnixNano())
	waiting, giveUp := context.WithCancelCause(ctx)
	run.waiting = waiting
	var watching sync.WaitGroup
	watching.Go(func() { l.watch(waiting, giveUp) })
	defer watching.Wait()
	defer giveUp(nil)
	began := time.Now()
	senders, sending := errgroup.WithContext(ctx)
	for _, api := range l.apis {
		senders.Go(func() error { return l.send(sending, api, run, began, &next, sent) })
	}
	readers, reading := errgroup.WithContext(ctx)
	for i := range max(len(l.apis), 4) {
		readers.Go(func() error { return l.read(reading, l.apis[i%len(l.apis)], run, sent) })
	}
	err := senders.Wait()
	close(sent)
	if failed := readers.Wait(); err == nil {
		err = failed
	}
	run.seconds = time.Since(began).Seconds()
	if err != nil && l.url != "" {
		l.cancelRest(run)
	}
	return run, err
}

// send is one client: it takes the next calls that nobody has sent, in its turn
// or by the schedule.
func (l *benchLoad) send(ctx context.Context, api *client.Client, run *benchRun, began time.Time, next *atomic.Int64, sent chan<- benchBatch) error {
	for {
		first := int(next.Add(int64(l.batch))) - l.batch
		n := min(l.batch, run.tasks-first)
		if n <= 0 {
			return nil
		}
		at := time.Now()
		if l.rate > 0 {
			at = began.Add(time.Duration(float64(first) / l.rate * 1e9))
			if err := until(ctx, at); err != nil {
				return err
			}
		}
		ids, err := l.submit(ctx, api, first, n)
		if err != nil {
			return err
		}
		batch := benchBatch{first, at, ids}
		run.accepted(time.Since(at), batch)
		if !l.sync {
			sent <- batch
			continue
		}
		if err := l.collect(ctx, api, run, batch); err != nil {
			return err
		}
	}
}

// until waits for a moment more precisely than the timers of the runtime do,
// which may be late by a millisecond.
func until(ctx context.Context, at time.Time) error {
	const coarse = 2 * time.Millisecond
	if early := time.Until(at) - coarse; early > 0 {
		timer := time.NewTimer(early)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return context.Cause(ctx)
		}
	}
	for left := time.Until(at); left > 0; left = time.Until(at) {
		short := unix.NsecToTimespec(int64(left))
		_ = unix.Nanosleep(&short, nil)
	}
	return nil
}

// submit sends n calls in one request.
func (l *benchLoad) submit(ctx context.Context, api *client.Client, first, n int) ([]core.TaskID, error) {
	if n == 1 && l.batch == 1 {
		done, err := api.Submit(ctx, l.call(first))
		return []core.TaskID{done.ID}, err
	}
	calls := make([]client.Call, n)
	for i := range calls {
		calls[i] = l.call(first + i)
	}
	answers, err := api.SubmitBatch(ctx, calls)
	if err != nil {
		return nil, err
	}
	ids := make([]core.TaskID, n)
	for i, a := range answers {
		if a.Err != nil {
			return nil, a.Err
		}
		ids[i] = a.ID
	}
	return ids, nil
}

// call is call n.
func (l *benchLoad) call(n int) client.Call {
	if l.codec == core.Dill {
		return client.Call{Function: string(l.function.ID), Pickle: l.pickled(n)}
	}
	return client.Call{Function: string(l.function.ID), Args: l.args(n)}
}

// args are the arguments of call n in JSON.
func (l *benchLoad) args(n int) json.RawMessage {
	text := append(strconv.AppendInt([]byte{'['}, int64(n), 10), ',')
	if l.payload > 0 {
		return append(append(append(text, '"'), l.data...), `"]`...)
	}
	return append(text, "1]"...)
}

// pickled are the arguments of call n as a pickle of protocol 2.
func (l *benchLoad) pickled(n int) []byte {
	data := binary.LittleEndian.AppendUint32([]byte{0x80, 2, 'J'}, uint32(n))
	if l.payload > 0 {
		data = binary.LittleEndian.AppendUint32(append(data, 'X'), uint32(l.payload))
		data = append(data, l.data...)
	} else {
		data = append(data, 'K', 1)
	}
	return append(data, 0x86, '}', 0x86, '.') // ((n, other), {})
}

// wanted is what call n must return.
func (l *benchLoad) wanted(n int) []byte {
	if l.payload > 0 {
		return []byte(`"` + l.data + `"`)
	}
	return strconv.AppendInt(nil, int64(n)+1, 10)
}

// read collects the results of what was sent: of all that has been sent by now, up
// to a full request's worth.
func (l *benchLoad) read(ctx context.Context, api *client.Client, run *benchRun, sent <-chan benchBatch) error {
	for batch := range sent {
		batches, n := []benchBatch{batch}, len(batch.ids)
		for more := true; more && n < core.MaxBatch; {
			select {
			case batch, more = <-sent:
				if more {
					batches, n = append(batches, batch), n+len(batch.ids)
				}
			default:
				more = false
			}
		}
		if err := l.collect(ctx, api, run, batches...); err != nil {
			return err
		}
	}
	return nil
}

// collect waits for the results of batches and checks them.
func (l *benchLoad) collect(ctx context.Context, api *client.Client, run *benchRun, batches ...benchBatch) error {
	due := map[core.TaskID]benchCall{}
	var ids []core.TaskID
	for _, batch := range batches {
		for i, id := range batch.ids {
			due[id] = benchCall{batch.first + i, batch.sent}
		}
		ids = append(ids, batch.ids...)
	}
	see := func(e core.Ending) error {
		call, open := due[e.ID]
		if e.Err != nil || !open {
			return e.Err
		}
		delete(due, e.ID)
		l.moved.Store(time.Now().UnixNano())
		run.ended(call.n, time.Since(call.sent), e, l.wanted(call.n))
		return nil
	}
	err := l.await(run.waiting, api, ids, see)
	if err != nil && errors.Is(context.Cause(run.waiting), errNothingComes) {
		err = l.lookOnce(ctx, api, run, due)
	}
	for _, batch := range batches {
		if err == nil {
			run.done(batch)
		}
	}
	return err
}

// await calls each for every task when it has ended. A schedule wants to know when
// that was; otherwise one answer for all is cheaper.
func (l *benchLoad) await(ctx context.Context, api *client.Client, ids []core.TaskID, each func(core.Ending) error) error {
	if l.rate > 0 {
		return api.Gather(ctx, ids, each)
	}
	for len(ids) > 0 {
		endings, err := api.Results(ctx, ids, benchWait)
		if err != nil {
			return err
		}
		var pending []core.TaskID
		for _, e := range endings {
			if e.Err == nil && e.Result == nil {
				pending = append(pending, e.ID)
			} else if err := each(e); err != nil {
				return err
			}
		}
		ids = pending
	}
	return nil
}

// lookOnce notes of calls that nothing has come of how they stand.
func (l *benchLoad) lookOnce(ctx context.Context, api *client.Client, run *benchRun, due map[core.TaskID]benchCall) error {
	endings, err := api.Results(ctx, slices.Collect(maps.Keys(due)), 0)
	for _, e := range endings {
		if e.Err != nil {
			return e.Err
		}
		call := due[e.ID]
		run.ended(call.n, time.Since(call.sent), e, l.wanted(call.n))
	}
	return err
}

// watch gives up what is waited for when nothing has come for too long.
func (l *benchLoad) watch(ctx context.Context, giveUp context.CancelCauseFunc) {
	tick := time.NewTicker(min(l.giveUp, time.Second))
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			if time.Since(time.Unix(0, l.moved.Load())) > l.giveUp+l.sleep {
				giveUp(errNothingComes)
				return
			}
		case <-ctx.Done():
			return
		}
	}
}

var errNothingComes = errors.New("nothing comes any more")

// benchWait is how long one request for results waits.
const benchWait = 10 * time.Second

// times reads how long some of the calls of a run waited and ran, by the records
// of their tasks.
func (l *benchLoad) times(ctx context.Context, run *benchRun) error {
	readers, reading := errgroup.WithContext(ctx)
	var next atomic.Int64
	for range 4 {
		readers.Go(func() error {
			for {
				i := int(next.Add(1)) - 1
				if i >= len(run.sample) {
					return nil
				}
				task, err := l.apis[0].Task(reading, run.sample[i], 0)
				if err != nil {
					return err
				}
				run.timed(task)
			}
		})
	}
	return readers.Wait()
}

// cancelRest takes back what nobody will read.
func (l *benchLoad) cancelRest(run *benchRun) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	_, _ = l.apis[0].Cancel(ctx, run.unread())
}
