package httpapi

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

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
	const many = 9*core.MaxBatch + 17 // more than are under way at once: the proxy below passes on whole bodies
	st, ctx := start(t), context.Background()
	st.function("f")
	at, _ := forgetful(t, st.server.URL(), 3)
	c, err := client.New(client.Config{URL: at, Patience: 5 * time.Minute})
	must(t, err)
	defer c.Close()
	var ids []core.TaskID
	var asked atomic.Int64
	must(t, c.SubmitEach(ctx, counted(many, &asked), func(answers []core.Submitted) error {
		for _, one := range answers {
			must(t, one.Err)
			ids = append(ids, one.ID)
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

// The client holds what has no answer yet, however many calls there are.
func TestSubmitEachIsBounded(t *testing.T) {
	const many = 200_000
	id := core.NewTaskID()
	sink := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = http.NewResponseController(w).EnableFullDuplex()
		lines := bufio.NewScanner(r.Body)
		answers := json.NewEncoder(w)
		for n := 1; lines.Scan(); n++ {
			_ = answers.Encode(wire.StreamedLine{Line: n, Submitted: wire.Submitted{ID: id}})
		}
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
		if ahead := asked.Load() - int64(seen); ahead > 10_000 {
			t.Errorf("%d calls have no answer", ahead)
		}
		seen += len(answers)
		switch {
		case first == 0 && seen >= 20_000:
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
