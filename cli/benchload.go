package cli

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
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
	lost     atomic.Bool  // nothing has come for too long: nothing is waited for any more
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
	if l.codec == core.Dill {
		id, err := api.SubmitPickle(ctx, l.function.ID, l.pickled(first))
		return []core.TaskID{id}, err
	}
	if n == 1 && l.batch == 1 {
		done, err := api.Submit(ctx, client.Call{Function: string(l.function.ID), Args: l.args(first)})
		return []core.TaskID{done.ID}, err
	}
	calls := make([]client.Call, n)
	for i := range calls {
		calls[i] = client.Call{Function: string(l.function.ID), Args: l.args(first + i)}
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

// read collects the results of what was sent.
func (l *benchLoad) read(ctx context.Context, api *client.Client, run *benchRun, sent <-chan benchBatch) error {
	for batch := range sent {
		if err := l.collect(ctx, api, run, batch); err != nil {
			return err
		}
	}
	return nil
}

// collect waits for the results of one batch and checks them.
func (l *benchLoad) collect(ctx context.Context, api *client.Client, run *benchRun, batch benchBatch) error {
	for i, id := range batch.ids {
		task, result, err := l.await(ctx, api, id)
		if err != nil {
			return err
		}
		l.moved.Store(time.Now().UnixNano())
		run.ended(batch.first+i, time.Since(batch.sent), task, result, l.wanted(batch.first+i))
	}
	run.done(batch)
	return nil
}

// await is nil for a result that is missing: nothing has moved for so long.
func (l *benchLoad) await(ctx context.Context, api *client.Client, id core.TaskID) (core.Task, *core.Result, error) {
	for {
		wait := min(l.giveUp, 10*time.Second)
		if l.lost.Load() {
			wait = 0
		}
		task, result, err := api.Result(ctx, id, wait)
		if err != nil || result != nil || wait == 0 {
			return task, result, err
		}
		if time.Since(time.Unix(0, l.moved.Load())) > l.giveUp+l.sleep {
			l.lost.Store(true)
		}
	}
}

// cancelRest takes back what nobody will read.
func (l *benchLoad) cancelRest(run *benchRun) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	_, _ = l.apis[0].Cancel(ctx, run.unread())
}
