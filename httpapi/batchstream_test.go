package httpapi

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"faasctl/core"
	"faasctl/httpapi/client"
	"faasctl/httpapi/wire"
)

// streamedLines reads the answers to a stream.
func streamedLines(t *testing.T, text string) (lines []wire.StreamedLine) {
	t.Helper()
	for _, line := range strings.Split(strings.TrimSpace(text), "\n") {
		var one wire.StreamedLine
		if err := json.Unmarshal([]byte(line), &one); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		lines = append(lines, one)
	}
	return lines
}

// numberedCalls are the lines from first to last, each with its number as argument.
func numberedCalls(first, last int) string {
	var text strings.Builder
	for n := first; n <= last; n++ {
		fmt.Fprintf(&text, "{\"function\":\"f\",\"args\":[%d]}\n", n)
	}
	return text.String()
}

// What was accepted under a token is not accepted again, however the lines come.
func TestStreamGoesOnUnderItsToken(t *testing.T) {
	st := start(t)
	st.function("f")
	const all = 2*core.MaxBatch + 500
	send := func(token string, first, last int) []wire.StreamedLine {
		t.Helper()
		got := st.want(200, "POST", "/v1/tasks:batch", numberedCalls(first, last), "Content-Type: "+ndjsonType,
			onceHeader+": "+token, fmt.Sprintf("%s: %d", lineHeader, first))
		lines := streamedLines(t, got.body)
		if len(lines) != last-first+1 {
			t.Fatalf("%d answers to lines %d to %d", len(lines), first, last)
		}
		return lines
	}
	ids := map[int]core.TaskID{}
	note := func(lines []wire.StreamedLine) {
		t.Helper()
		for _, one := range lines {
			if one.ID == "" || ids[one.Line] != "" && ids[one.Line] != one.ID {
				t.Fatalf("line %d was task %q and is %q: %+v", one.Line, ids[one.Line], one.ID, one.Problem)
			}
			ids[one.Line] = one.ID
		}
	}
	note(send("stream-a", 1, 1200))
	note(send("stream-a", 700, 2300)) // in part again
	note(send("stream-a", 2000, all))
	note(send("stream-a", 999, 1001))
	others := map[core.TaskID]int{}
	for line, id := range ids {
		if others[id] != 0 {
			t.Fatalf("lines %d and %d are one task", line, others[id])
		}
		others[id] = line
	}
	stats, err := st.store.Stats(context.Background())
	must(t, err)
	if len(ids) != all || stats.Totals.Submitted != all {
		t.Fatalf("%d lines became %d tasks", all, stats.Totals.Submitted)
	}
	if again := send("stream-b", 1, 1); again[0].ID == ids[1] {
		t.Fatal("another token is another stream")
	}
	st.want(422, "POST", "/v1/tasks:batch", "{}", "Content-Type: "+ndjsonType, lineHeader+": 0").problem(t)
	st.want(422, "POST", "/v1/tasks:batch", "{}", "Content-Type: "+ndjsonType, onceHeader+": "+strings.Repeat("x", 300)).problem(t)
}

// openStream begins a stream by hand.
func (st *stack) openStream(text string) (conn net.Conn, lines *bufio.Scanner, send func(string)) {
	st.t.Helper()
	conn, err := net.Dial("tcp", st.server.Addr())
	must(st.t, err)
	st.t.Cleanup(func() { conn.Close() })
	_, err = fmt.Fprintf(conn, "POST /v1/tasks:batch HTTP/1.1\r\nHost: localhost\r\nContent-Type: %s\r\nTransfer-Encoding: chunked\r\n\r\n", ndjsonType)
	must(st.t, err)
	send = func(text string) {
		st.t.Helper()
		_, err := fmt.Fprintf(conn, "%x\r\n%s\r\n", len(text), text)
		must(st.t, err)
	}
	send(text)
	answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
	must(st.t, err)
	return conn, bufio.NewScanner(answer.Body), send
}

// A stream that is cut off in a line says what was accepted, and the line it was cut in
// is no call.
func TestBrokenStreamSaysWhatWasAccepted(t *testing.T) {
	st := start(t)
	st.function("f")
	conn, lines, send := st.openStream(numberedCalls(1, 3) + "nonsense\n\n")
	for want := 1; want <= 4; want++ {
		if !lines.Scan() || !strings.HasPrefix(lines.Text(), fmt.Sprintf(`{"line":%d,`, want)) {
			t.Fatalf("%q, want line %d", lines.Text(), want)
		}
	}
	send(`{"function":"f"}`)
	must(t, conn.(*net.TCPConn).CloseWrite())
	if !lines.Scan() {
		t.Fatal("no last line")
	}
	last := streamedLines(t, lines.Text())[0]
	if last.Problem == nil || last.Problem.Code != "malformed" || last.Broken == nil || *last.Broken != (wire.Broken{From: 5, Accepted: 3, Refused: 1}) {
		t.Fatalf("%s", lines.Text())
	}
	if lines.Scan() {
		t.Fatalf("more: %s", lines.Text())
	}
	if got := len(st.claim()); got != 3 {
		t.Fatalf("%d tasks", got)
	}
}

// A server that stops does not wait for the stream's end; it says where to go on.
func TestDrainBreaksSubmittedStreams(t *testing.T) {
	st := start(t)
	st.function("f")
	_, lines, _ := st.openStream(numberedCalls(1, 1))
	if !lines.Scan() {
		t.Fatal("no answer")
	}
	st.stop()
	if !lines.Scan() {
		t.Fatal("it was cut off")
	}
	last := streamedLines(t, lines.Text())[0]
	if last.Problem == nil || last.Problem.Code != "unavailable" || last.Broken == nil || *last.Broken != (wire.Broken{From: 2, Accepted: 1}) {
		t.Fatalf("%s", lines.Text())
	}
}

// cutting passes streams on and cuts the connection after so many lines of answers.
func cutting(t *testing.T, target string, after int, times int32) (url string, cuts *atomic.Int32) {
	cuts = &atomic.Int32{}
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		rc := http.NewResponseController(w)
		_ = rc.EnableFullDuplex()
		onward, err := http.NewRequestWithContext(r.Context(), r.Method, target+r.URL.RequestURI(), r.Body)
		if err != nil {
			t.Error(err)
			return
		}
		onward.Header = r.Header.Clone()
		answer, err := http.DefaultClient.Do(onward)
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		defer answer.Body.Close()
		lines := bufio.NewReader(answer.Body)
		for n := 0; ; n++ {
			line, err := lines.ReadBytes('\n')
			if err == io.EOF {
				return
			}
			if err != nil {
				panic(http.ErrAbortHandler)
			}
			if n == after && cuts.Add(1) <= times {
				_, _ = w.Write(line[:len(line)/2])
				_ = rc.Flush()
				panic(http.ErrAbortHandler)
			}
			_, _ = w.Write(line)
			_ = rc.Flush()
		}
	}))
	t.Cleanup(func() { proxy.Close(); http.DefaultClient.CloseIdleConnections() })
	return proxy.URL, cuts
}

// Connections that break in the middle lose no call and make none twice.
func TestSubmitEachSurvivesCuts(t *testing.T) {
	const many, times = 20_000, 5
	st, ctx := start(t), context.Background()
	st.function("f")
	at, cuts := cutting(t, st.server.URL(), 1111, times)
	c, err := client.New(client.Config{URL: at, Patience: 5 * time.Minute})
	must(t, err)
	defer c.Close()
	var asked atomic.Int64
	var ids []core.TaskID
	must(t, c.SubmitEach(ctx, counted(many, &asked), func(answers []core.Submitted) error {
		for _, one := range answers {
			must(t, one.Err)
			ids = append(ids, one.ID)
		}
		return nil
	}))
	stats, err := st.store.Stats(ctx)
	must(t, err)
	if len(ids) != many || stats.Totals.Submitted != many || cuts.Load() < times {
		t.Fatalf("%d answers, %d tasks of %d calls, %d cuts", len(ids), stats.Totals.Submitted, many, cuts.Load())
	}
	for place := 0; place < many; place += 997 {
		spec, err := st.store.Spec(ctx, ids[place])
		if want := fmt.Sprintf("[[%d],{}]", place+1); err != nil || string(spec.Args) != want {
			t.Errorf("call %d became %s, want %s, %v", place, spec.Args, want, err)
		}
	}
}

// A caller's own error ends it, and a server that refuses the whole stream is told of.
func TestSubmitEachFails(t *testing.T) {
	st, ctx := start(t), context.Background()
	st.function("f")
	var asked atomic.Int64
	own := core.Errorf(core.ErrGone, "", "enough")
	if err := st.client.SubmitEach(ctx, counted(5000, &asked), func([]core.Submitted) error { return own }); err != own {
		t.Fatal(err)
	}
	st = start(t) // the first stream may still be read
	st.function("f")
	told := 0
	err := st.client.SubmitEach(ctx, func(bool) (client.Call, error) {
		if told++; told > 10 {
			return client.Call{}, own
		}
		return client.Call{Function: "f"}, nil
	}, func(answers []core.Submitted) error { return nil })
	if err != own {
		t.Fatal(err)
	}
	stats, err := st.store.Stats(ctx)
	must(t, err)
	if stats.Totals.Submitted != 10 {
		t.Fatalf("%d tasks: what came before the error was to be sent", stats.Totals.Submitted)
	}
	strange := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusForbidden) }))
	defer strange.Close()
	c, err := client.New(client.Config{URL: strange.URL})
	must(t, err)
	defer c.Close()
	if err := c.SubmitEach(ctx, counted(50_000, &asked), func([]core.Submitted) error { return nil }); core.ClassOf(err) != core.ErrForbidden {
		t.Fatal(err)
	}
}

// A pickle stands in place of JSON arguments, alone, in an array and in a stream.
func TestPickledCalls(t *testing.T) {
	st, ctx := start(t), context.Background()
	st.function("f")
	call := client.Call{Function: "f", Pickle: []byte(somePickle)}
	one, err := st.client.Submit(ctx, call)
	must(t, err)
	many, err := st.client.SubmitBatch(ctx, []client.Call{call, {Function: "f", Pickle: []byte("no pickle")}, {Function: "f", Pickle: []byte(somePickle), Args: json.RawMessage("[1]")}})
	must(t, err)
	if core.ClassOf(many[1].Err) != core.ErrInvalid && core.ClassOf(many[1].Err) != core.ErrMalformed || core.ClassOf(many[2].Err) != core.ErrInvalid {
		t.Fatalf("%v, %v", many[1].Err, many[2].Err)
	}
	for _, id := range []core.TaskID{one.ID, many[0].ID} {
		spec, err := st.client.Spec(ctx, id)
		if err != nil || spec.Codec != core.Dill || string(spec.Args) != string(somePickle) {
			t.Fatalf("%+v, %v", spec, err)
		}
	}
}
