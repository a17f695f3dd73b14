package httpapi

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"faasctl/core"
	"faasctl/core/memstore"
	"faasctl/httpapi/client"

	"golang.org/x/sys/unix"
)

func TestEventsAreFollowed(t *testing.T) {
	st := start(t)
	st.function("f")
	first := st.submit("f", `[1]`)
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	events := make(chan core.Event)
	enough := errors.New("enough")
	done := make(chan error, 1)
	go func() {
		done <- st.client.Events(ctx, "", func(e core.Event) error {
			events <- e
			if e.Kind == core.TaskCompleted {
				return enough
			}
			return nil
		})
	}()
	next := func(kind core.EventKind) core.Event {
		t.Helper()
		select {
		case e := <-events:
			if e.Kind != kind || e.ID == "" || e.At.IsZero() {
				t.Fatalf("%+v, want %s", e, kind)
			}
			return e
		case <-ctx.Done():
			t.Fatalf("no %s", kind)
			panic("unreachable")
		}
	}
	next(core.FunctionRegistered)
	if e := next(core.TaskSubmitted); e.Task != first || e.Name != "f@1" {
		t.Fatalf("%+v", e)
	}
	held := st.claim()[0]
	next(core.TaskClaimed)
	st.settle(held, core.Completed, core.Result{JSON: []byte("1")})
	next(core.TaskStarted)
	next(core.TaskCompleted)
	if err := <-done; !errors.Is(err, enough) {
		t.Fatal(err)
	}
}

// Each of the events comes once although the connection breaks within a batch.
func TestEventsResume(t *testing.T) {
	st := start(t)
	st.function("f")
	answer := st.want(200, "POST", "/v1/tasks:batch", `[{"function":"f"},{"function":"f"},{"function":"f"}]`)
	if strings.Count(answer.body, `"id"`) != 3 {
		t.Fatal(answer.body)
	}
	all, err := st.client.EventsOnce(context.Background(), "", 0)
	if err != nil || len(all) != 4 {
		t.Fatalf("%v, %v", all, err)
	}
	for i := range all[:3] {
		got := st.stream("/v1/events", 3-i, "Last-Event-ID: "+all[i].ID)
		for j, id := range got {
			if id != all[i+1+j].ID {
				t.Fatalf("after %s came %s, want %s", all[i].ID, id, all[i+1+j].ID)
			}
		}
		rest, err := st.client.EventsOnce(context.Background(), all[i].ID, 2)
		if err != nil || len(rest) != min(2, 3-i) || rest[0].ID != all[i+1].ID {
			t.Fatalf("%v, %v", rest, err)
		}
	}
	if none, err := st.client.EventsOnce(context.Background(), all[3].ID, 2); err != nil || none == nil || len(none) != 0 {
		t.Fatalf("%v, %v", none, err)
	}
	asked := st.want(200, "GET", "/v1/events?max=1", "", "Accept: application/json")
	if !strings.HasPrefix(asked.body, "[{") {
		t.Fatal(asked.body)
	}
}

// stream reads n ids from an event stream.
func (st *stack) stream(path string, n int, headers ...string) (ids []string) {
	st.t.Helper()
	request, err := http.NewRequest("GET", st.server.URL()+path, nil)
	must(st.t, err)
	for _, header := range headers {
		name, value, _ := strings.Cut(header, ": ")
		request.Header.Set(name, value)
	}
	answer, err := st.http.Do(request)
	must(st.t, err)
	defer answer.Body.Close()
	if kind := answer.Header.Get("Content-Type"); kind != eventsType || answer.StatusCode != 200 {
		st.t.Fatalf("%d %s", answer.StatusCode, kind)
	}
	for lines := bufio.NewScanner(answer.Body); len(ids) < n && lines.Scan(); {
		if id, ok := strings.CutPrefix(lines.Text(), "id: "); ok {
			ids = append(ids, id)
		}
	}
	if len(ids) < n {
		st.t.Fatalf("the stream ended after %d of %d events", len(ids), n)
	}
	return ids
}

// "Those to come" begins where the stream was opened, also when the events
// come between two reads of the store.
func TestEventsToComeAndHeartbeat(t *testing.T) {
	st := start(t, func(c *Config) { c.Heartbeat = 20 * time.Millisecond })
	st.function("f")
	st.submit("f", `[1]`)
	answer, err := st.http.Get(st.server.URL() + "/v1/events")
	must(t, err)
	defer answer.Body.Close()
	lines := bufio.NewScanner(answer.Body)
	comments := 0
	for lines.Scan() && comments < 3 {
		if strings.HasPrefix(lines.Text(), ":") {
			comments++
		}
		if strings.HasPrefix(lines.Text(), "id:") {
			t.Fatalf("an old event: %s", lines.Text())
		}
	}
	id := st.submit("f", `[2]`)
	for lines.Scan() {
		if data, ok := strings.CutPrefix(lines.Text(), "data: "); ok {
			if !strings.Contains(data, string(id)) {
				t.Fatalf("%s", data)
			}
			break
		}
	}
	if answer.Header.Get("Cache-Control") != "no-store" {
		t.Error("a proxy may keep the stream")
	}
}

// What was trimmed away is told of, and the stream goes on.
func TestEventsReset(t *testing.T) {
	face := &tapped{Store: memstore.New(memstore.Config{}), failEvents: func(after string) error {
		if after == "1-1.0" {
			return core.ErrGone
		}
		return nil
	}}
	st := startOn(t, face.Store, face, 0)
	st.function("f")
	var kinds []core.EventKind
	enough := errors.New("enough")
	err := st.client.Events(context.Background(), "1-1.0", func(e core.Event) error {
		if kinds = append(kinds, e.Kind); e.Kind == core.FunctionRegistered {
			return enough
		}
		return nil
	})
	if !errors.Is(err, enough) || len(kinds) != 2 || kinds[0] != client.Reset {
		t.Fatalf("%v, %v", kinds, err)
	}
	if _, err := st.client.EventsOnce(context.Background(), "1-1.0", 1); !errors.Is(err, core.ErrGone) || core.HintOf(err) == "" {
		t.Fatal(err)
	}
	st.want(200, "HEAD", "/v1/events", "")
}

// A stream outlives the store: it says so and goes on where it was.
func TestEventsOutliveTheStore(t *testing.T) {
	var down atomic.Bool
	face := &tapped{Store: memstore.New(memstore.Config{}), failEvents: func(string) error {
		if down.Swap(false) {
			return core.ErrUnavailable
		}
		return nil
	}}
	st := startOn(t, face.Store, face, 0, func(c *Config) { c.Heartbeat = 10 * time.Millisecond })
	st.function("f")
	down.Store(true)
	st.want(503, "GET", "/v1/events", "").problem(t) // not yet begun: a plain problem
	answer, err := st.http.Get(st.server.URL() + "/v1/events")
	must(t, err)
	defer answer.Body.Close()
	lines := bufio.NewScanner(answer.Body)
	read := func(prefix string) {
		t.Helper()
		for lines.Scan() {
			if strings.HasPrefix(lines.Text(), prefix) {
				return
			}
		}
		t.Fatalf("no %q: %v", prefix, lines.Err())
	}
	read(": nothing new")
	down.Store(true)
	read(": the store is out of reach")
	st.submit("f", `[]`)
	read("event: task.submitted")
}

// A client that reads nothing is cut off, and nothing piles up for it.
func TestSlowClientIsCut(t *testing.T) {
	st := start(t, func(c *Config) { c.WriteTimeout = 100 * time.Millisecond })
	st.function("f")
	dialer := net.Dialer{Control: func(_, _ string, raw syscall.RawConn) error {
		return raw.Control(func(fd uintptr) { _ = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF, 4096) })
	}}
	conn, err := dialer.Dial("tcp", st.server.Addr())
	must(t, err)
	defer conn.Close()
	_, err = io.WriteString(conn, "GET /v1/events?after=oldest HTTP/1.1\r\nHost: localhost\r\n\r\n")
	must(t, err)
	calls := "[" + strings.TrimSuffix(strings.Repeat(`{"function":"f"},`, core.MaxBatch), ",") + "]"
	deadline := time.Now().Add(2 * time.Minute)
	for !strings.Contains(st.log.String(), "path=/v1/events") { // it is logged when it ends
		st.want(200, "POST", "/v1/tasks:batch", calls)
		if time.Now().After(deadline) {
			t.Fatal("it is still being served")
		}
	}
}

func TestDrainEndsStreams(t *testing.T) {
	st := start(t)
	st.function("f")
	answer, err := st.http.Get(st.server.URL() + "/v1/events?after=oldest")
	must(t, err)
	defer answer.Body.Close()
	lines := bufio.NewReader(answer.Body)
	for line := ""; !strings.HasPrefix(line, "data:"); {
		line, err = lines.ReadString('\n')
		must(t, err)
	}
	begin := time.Now()
	st.stop()
	if _, err := io.ReadAll(lines); err != nil {
		t.Fatalf("the stream was torn: %v", err)
	}
	if took := time.Since(begin); took > 30*time.Second {
		t.Fatalf("draining took %v", took)
	}
}

func TestNDJSON(t *testing.T) {
	st := start(t)
	st.function("f")
	conn, err := net.Dial("tcp", st.server.Addr())
	must(t, err)
	defer conn.Close()
	_, err = fmt.Fprintf(conn, "POST /v1/tasks:batch HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n")
	must(t, err)
	send := func(text string) {
		_, err := fmt.Fprintf(conn, "%x\r\n%s\r\n", len(text), text)
		must(t, err)
	}
	// An answer comes before the next call is sent: the stream is one.
	send(`{"function":"f","args":[1]}` + "\n")
	answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
	must(t, err)
	defer answer.Body.Close()
	lines := bufio.NewScanner(answer.Body)
	next := func(want string) {
		t.Helper()
		if !lines.Scan() || !strings.Contains(lines.Text(), want) {
			t.Fatalf("%q, want %s", lines.Text(), want)
		}
	}
	next(`{"line":1,"id":"`)
	send("\n{\"function\":\"g\"}\n{\"func")
	next(`{"line":3,"problem":{`)
	send("tion\":\"f\"}\nnot json\n{\"function\":\"f\"}")
	next(`{"line":4,"id":"`)
	next(`{"line":5,"problem":{`)
	_, err = io.WriteString(conn, "0\r\n\r\n")
	must(t, err)
	next(`{"line":6,"id":"`)
	if lines.Scan() {
		t.Fatalf("more: %s", lines.Text())
	}
	if got := len(st.claim()); got != 3 {
		t.Fatalf("%d tasks", got)
	}
}

func TestNDJSONMany(t *testing.T) {
	st := startSmall(t, 1000)
	st.function("f")
	const n = 5000
	got := st.want(200, "POST", "/v1/tasks:batch", strings.Repeat("{\"function\":\"f\"}\n", n), "Content-Type: application/x-ndjson")
	if ids := strings.Count(got.body, `"id"`); ids != n || got.header.Get("Content-Type") != ndjsonType {
		t.Fatalf("%d answers of %d", ids, n)
	}
	got = st.want(200, "POST", "/v1/tasks:batch", "{\"function\":\"f\"}\n\""+strings.Repeat("x", 200_000)+"\"\n{\"function\":\"f\"}", "Content-Type: application/x-ndjson")
	if lines := strings.Split(strings.TrimSpace(got.body), "\n"); len(lines) != 3 || !strings.Contains(lines[1], "too-large") || !strings.HasPrefix(lines[2], `{"line":3,"id"`) {
		t.Fatalf("%s", got.body)
	}
	st.want(415, "POST", "/v1/tasks", "{}", "Content-Type: application/x-ndjson").problem(t)
}
