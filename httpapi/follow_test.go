package httpapi

import (
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"faasctl/core"
	"faasctl/httpapi/client"
)

// prints makes a piece of what a claimed task prints.
func prints(lease core.Lease, offset int64, text string) []core.Printed {
	return []core.Printed{{Lease: lease, Piece: core.Piece{Attempt: 1, Stream: core.Stdout, Offset: offset, Data: []byte(text)}}}
}

func TestLogsAreFollowed(t *testing.T) {
	st := start(t)
	st.function("f")
	id := st.submit("f", `[1]`)
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	news := make(chan core.News, 100)
	ended := make(chan error, 1)
	go func() {
		ended <- st.client.Follow(ctx, id, core.Position{}, func(n core.News) error { news <- n; return nil })
	}()
	next := func() core.News {
		t.Helper()
		select {
		case n := <-news:
			return n
		case <-ctx.Done():
			t.Fatal("no news")
			panic("unreachable")
		}
	}
	if n := next(); n.Task == nil || n.Task.State != core.Queued {
		t.Fatalf("%+v", n)
	}
	held := st.claim()[0]
	_, err := st.store.Renew(ctx, []core.Renewal{{Lease: held.Lease, Worker: "w-1", Started: true, Progress: &core.Progress{Done: 1, Total: 2}}}, time.Minute)
	must(t, err)
	for n := next(); n.Task == nil || n.Task.Progress == nil; n = next() {
		if n.Task == nil {
			t.Fatalf("%+v", n.Heard)
		}
	}
	must(t, st.store.Print(ctx, prints(held.Lease, 0, "one\n")))
	n := next()
	if n.Heard == nil || string(n.Heard.Data) != "one\n" || n.Heard.Attempt != 1 || n.Heard.Started.IsZero() || n.Position.String() != "1.4.0" {
		t.Fatalf("%+v", n)
	}
	resume := n.Position.String()
	_, err = st.store.Settle(ctx, []core.Settlement{{Outcome: core.Outcome{
		Lease: held.Lease, State: core.Completed, Started: true, Result: core.Result{JSON: []byte("1")},
		Output: core.Output{Stdout: core.Stream{Head: []byte("one\ntwo\n"), Tail: []byte("last\n"), Cut: 7}},
	}}})
	must(t, err)
	if n = next(); n.Heard == nil || string(n.Heard.Data) != "two\n" || n.Heard.Cut != 0 {
		t.Fatalf("%+v", n)
	}
	if n = next(); n.Heard == nil || string(n.Heard.Data) != "last\n" || n.Heard.Cut != 7 {
		t.Fatalf("%+v", n)
	}
	if n = next(); n.Task == nil || n.Task.State != core.Completed {
		t.Fatalf("%+v", n)
	}
	must(t, <-ended)

	path := "/v1/tasks/" + string(id) + "/logs?follow=true"
	if a := st.send("GET", path+"&after="+resume, ""); !strings.Contains(a.body, "event: output\ndata: {\"attempt\":1,\"stream\":\"stdout\",\"offset\":4,") ||
		strings.Contains(a.body, `"offset":0,`) || !strings.Contains(a.body, "event: task\n") {
		t.Errorf("resumed after %s: %s", resume, a.body)
	}
	if a := st.send("GET", path+"&format=text", ""); a.body != "one\ntwo\n"+string(cutMark(7))+"last\n" {
		t.Errorf("as text: %q", a.body)
	}
	if a := st.send("GET", path+"&after=1.x", ""); a.status != http.StatusBadRequest {
		t.Errorf("a bad place is %d", a.status)
	}
	if a := st.send("GET", path+"&attempt=1", ""); a.status != http.StatusUnprocessableEntity {
		t.Errorf("follow with attempt is %d", a.status)
	}
	if a := st.send("GET", "/v1/tasks/"+string(core.NewTaskID())+"/logs?follow=true", ""); a.status != http.StatusNotFound {
		t.Errorf("an unknown task is %d", a.status)
	}
}

// cutter passes connections on until it cuts them.
type cutter struct {
	net.Listener
	to   string
	mu   sync.Mutex
	open []net.Conn
	wait sync.WaitGroup
}

func newCutter(t *testing.T, to string) *cutter {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	c := &cutter{Listener: listener, to: to}
	c.wait.Go(c.serve)
	t.Cleanup(func() { listener.Close(); c.cut(); c.wait.Wait() })
	return c
}

func (c *cutter) serve() {
	for {
		in, err := c.Accept()
		if err != nil {
			return
		}
		out, err := net.Dial("tcp", c.to)
		if err != nil {
			in.Close()
			continue
		}
		c.mu.Lock()
		c.open = append(c.open, in, out)
		c.mu.Unlock()
		for _, pair := range [][2]net.Conn{{in, out}, {out, in}} {
			c.wait.Go(func() { _, _ = io.Copy(pair[0], pair[1]); pair[0].Close() })
		}
	}
}

func (c *cutter) cut() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, conn := range c.open {
		conn.Close()
	}
	c.open = nil
}

// A follower whose connection breaks goes on where it broke.
func TestFollowingGoesOnAfterABreak(t *testing.T) {
	st := start(t)
	st.function("f")
	id := st.submit("f", `[1]`)
	held := st.claim()[0]
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	_, err := st.store.Renew(ctx, []core.Renewal{{Lease: held.Lease, Worker: "w-1", Started: true}}, time.Minute)
	must(t, err)
	must(t, st.store.Follow(ctx, []core.TaskID{id})) // somebody follows it already
	between := newCutter(t, st.server.Addr())
	api, err := client.New(client.Config{URL: "http://" + between.Addr().String()})
	must(t, err)
	defer api.Close()
	text := make(chan string, 100)
	ended := make(chan error, 1)
	go func() {
		ended <- api.Follow(ctx, id, core.Position{}, func(n core.News) error {
			if n.Heard != nil {
				text <- string(n.Heard.Data)
			}
			return nil
		})
	}()
	offset := int64(0)
	for _, word := range []string{"one\n", "two\n", "three\n"} {
		must(t, st.store.Print(ctx, prints(held.Lease, offset, word)))
		offset += int64(len(word))
		select {
		case got := <-text:
			if got != word {
				t.Fatalf("heard %q, want %q", got, word)
			}
		case <-ctx.Done():
			t.Fatalf("%q was not heard", word)
		}
		between.cut()
	}
	st.settle(held, core.Cancelled, core.Result{Failure: &core.Failure{Kind: core.KindCancelled}})
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
