package httpapi

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"sync/atomic"
	"testing"

	"faasctl/core"
	"faasctl/httpapi/client"
	"faasctl/httpapi/wire"
)

// counted gives n calls with their numbers as arguments.
func counted(n int, asked *atomic.Int64) func(bool) (client.Call, error) {
	i := 0
	return func(bool) (client.Call, error) {
		if i == n {
			return client.Call{}, io.EOF
		}
		i++
		asked.Store(int64(i))
		return client.Call{Function: "f", Args: json.RawMessage(fmt.Sprintf("[%d]", i))}, nil
	}
}

// Any number of calls goes through, each once and in order, also when answers are lost
// on the way.
func TestClientSubmitsEach(t *testing.T) {
	const many = 3*core.MaxBatch + 17
	st, ctx := start(t), context.Background()
	st.function("f")
	at, _ := forgetful(t, st.server.URL(), 3)
	c, err := client.New(client.Config{URL: at})
	must(t, err)
	defer c.Close()
	var ids []core.TaskID
	var asked atomic.Int64
	must(t, c.SubmitEach(ctx, counted(many, &asked), func(answers []core.Submitted) error {
		for _, one := range answers {
			must(t, one.Err)
			ids = append(ids, one.ID)
		}
		if ahead := asked.Load() - int64(len(ids)); ahead != 0 {
			t.Errorf("%d calls were taken ahead of the server", ahead)
		}
		return nil
	}))
	stats, err := st.store.Stats(ctx)
	must(t, err)
	if len(ids) != many || stats.Totals.Submitted != many {
		t.Fatalf("%d answers, %d tasks of %d calls", len(ids), stats.Totals.Submitted, many)
	}
	for _, place := range []int{0, core.MaxBatch, many - 1} {
		spec, err := st.store.Spec(ctx, ids[place])
		if want := fmt.Sprintf("[[%d],{}]", place+1); err != nil || string(spec.Args) != want {
			t.Errorf("call %d became %s, want %s, %v", place, spec.Args, want, err)
		}
	}
}

// The client holds one request's worth of calls, however many there are.
func TestSubmitEachIsBounded(t *testing.T) {
	const many = 200_000
	id := core.NewTaskID()
	sink := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var calls []json.RawMessage
		if err := json.NewDecoder(r.Body).Decode(&calls); err != nil || len(calls) > core.MaxBatch {
			t.Errorf("a request of %d calls, %v", len(calls), err)
		}
		answer := wire.SubmittedBatch{Tasks: make([]wire.Submitted, len(calls))}
		for i := range answer.Tasks {
			answer.Tasks[i].ID = id
		}
		_ = json.NewEncoder(w).Encode(answer)
	}))
	defer sink.Close()
	c, err := client.New(client.Config{URL: sink.URL})
	must(t, err)
	defer c.Close()
	heap := func() int64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	var asked atomic.Int64
	seen, first, last := 0, int64(0), int64(0)
	must(t, c.SubmitEach(context.Background(), counted(many, &asked), func(answers []core.Submitted) error {
		seen += len(answers)
		switch {
		case seen == 10*core.MaxBatch:
			first = heap()
		case seen == many:
			last = heap()
		}
		return nil
	}))
	if seen != many || last-first > 4<<20 {
		t.Errorf("%d answers; the heap had %d KiB and has %d", seen, first>>10, last>>10)
	}
}
