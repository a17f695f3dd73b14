package httpapi

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"faasctl/core"
	"faasctl/core/memstore"
	"faasctl/httpapi/client"
	"faasctl/httpapi/wire"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// stack is a server over a store in memory, and the means to play its workers.
type stack struct {
	t       testing.TB
	store   *memstore.Store
	server  *Server
	service *core.Service
	http    *http.Client
	client  *client.Client
	log     *lockedBuffer
	stop    func() // ends the server and waits for it
}

// start runs a server; change may alter its configuration.
func start(t testing.TB, change ...func(*Config)) *stack {
	t.Helper()
	return startOn(t, memstore.New(memstore.Config{}), nil, 0, change...)
}

// startSmall runs a server that takes payloads of at most max bytes.
func startSmall(t testing.TB, max int) *stack {
	t.Helper()
	return startOn(t, memstore.New(memstore.Config{}), nil, max)
}

func startOn(t testing.TB, store *memstore.Store, face core.ServiceStore, max int, change ...func(*Config)) *stack {
	t.Helper()
	st := &stack{t: t, store: store, log: &lockedBuffer{}}
	if face == nil {
		face = store
	}
	logger := slog.New(slog.NewTextHandler(st.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	var err error
	st.service, err = core.NewService(core.ServiceConfig{Store: face, Logger: logger, Python: "3.11", MaxPayload: max})
	must(t, err)
	cfg := Config{Service: st.service, Listen: "127.0.0.1:0", Version: "1.2.3-test", Logger: logger}
	for _, f := range change {
		f(&cfg)
	}
	st.server, err = New(cfg)
	must(t, err)
	must(t, st.server.Listen())
	ctx, cancel := context.WithCancel(context.Background())
	var wait sync.WaitGroup
	wait.Go(func() { _ = st.service.Run(ctx) })
	wait.Go(func() {
		if err := st.server.Run(ctx); err != nil {
			t.Errorf("run: %v", err)
		}
	})
	st.http = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}
	st.client, err = client.New(client.Config{URL: st.server.URL()})
	must(t, err)
	var once sync.Once
	st.stop = func() {
		once.Do(func() {
			cancel()
			wait.Wait()
			st.http.CloseIdleConnections()
			st.client.Close()
		})
	}
	t.Cleanup(st.stop)
	return st
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

type lockedBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// answerOf is one answer as a client sees it.
type answerOf struct {
	status int
	header http.Header
	body   string
}

func (a answerOf) problem(t testing.TB) wire.Problem {
	t.Helper()
	if got := a.header.Get("Content-Type"); got != problemType {
		t.Fatalf("status %d with Content-Type %q, want a problem: %s", a.status, got, a.body)
	}
	var p wire.Problem
	must(t, json.Unmarshal([]byte(a.body), &p))
	if p.Status != a.status || p.Detail == "" || p.Code == "" || p.Title == "" {
		t.Fatalf("incomplete problem: %s", a.body)
	}
	return p
}

func (a answerOf) field(t testing.TB, name string) string {
	t.Helper()
	var fields map[string]any
	must(t, json.Unmarshal([]byte(a.body), &fields))
	return fmt.Sprint(fields[name])
}

// send makes a request; headers are "Name: value".
func (st *stack) send(method, path, body string, headers ...string) answerOf {
	st.t.Helper()
	request, err := http.NewRequest(method, st.server.URL()+path, strings.NewReader(body))
	must(st.t, err)
	if body != "" {
		request.Header.Set("Content-Type", jsonType)
	}
	for _, header := range headers {
		name, value, _ := strings.Cut(header, ": ")
		if name == "" {
			continue
		}
		request.Header.Set(name, value)
		if name == "Host" {
			request.Host = value
		}
	}
	answer, err := st.http.Do(request)
	must(st.t, err)
	defer answer.Body.Close()
	data, err := io.ReadAll(answer.Body)
	must(st.t, err)
	return answerOf{answer.StatusCode, answer.Header, string(data)}
}

func (st *stack) want(status int, method, path, body string, headers ...string) answerOf {
	st.t.Helper()
	got := st.send(method, path, body, headers...)
	if got.status != status {
		st.t.Fatalf("%s %s %.200s: status %d, want %d: %s", method, path, body, got.status, status, got.body)
	}
	return got
}

func quoted(text string) string {
	data, _ := json.Marshal(text)
	return string(data)
}

// A pickle in outline; nobody in these tests loads it.
var somePickle = []byte("\x80\x04K\x01.")

func (st *stack) function(name string) core.Function {
	st.t.Helper()
	done, err := st.client.Register(context.Background(), core.RegisterRequest{
		Name: name, Codec: core.Source, Entry: name, File: "fn.py", Body: []byte("def " + name + "(*a, **k):\n    return a\n"),
	})
	must(st.t, err)
	return done.Function
}

func (st *stack) submit(name, args string) core.TaskID {
	st.t.Helper()
	done, err := st.client.Submit(context.Background(), client.Call{Function: name, Args: json.RawMessage(args)})
	must(st.t, err)
	return done.ID
}

func (st *stack) dillTask() core.TaskID {
	st.t.Helper()
	id := st.want(200, "POST", "/register_function", `{"name":"f","payload":`+quoted(encodeDill64(somePickle))+`}`).field(st.t, "function_id")
	return core.TaskID(st.want(200, "POST", "/execute_function", `{"function_id":"`+id+`","payload":`+quoted(encodeDill64(somePickle))+`}`).field(st.t, "task_id"))
}

// claim takes everything that is queued.
func (st *stack) claim() []core.Claimed {
	st.t.Helper()
	held, err := st.store.Claim(context.Background(), core.ClaimRequest{
		ID: string(core.NewDispatcherID()), Dispatcher: "d-test", Max: core.MaxBatch, Lease: time.Minute,
	})
	must(st.t, err)
	return held
}

func (st *stack) settle(held core.Claimed, state core.State, result core.Result) {
	st.t.Helper()
	verdicts, err := st.store.Settle(context.Background(), []core.Settlement{{Worker: "w-test", Outcome: core.Outcome{
		Lease: held.Lease, State: state, Started: true, Elapsed: time.Millisecond, Result: result,
		Output: core.Output{Stdout: core.Stream{Head: []byte("out\n"), Cut: 7, Tail: []byte("end\n")}, Stderr: core.Stream{Head: []byte("err\n")}},
	}}})
	must(st.t, err)
	if verdicts[0] != core.VerdictOK {
		st.t.Fatalf("settle: %s", verdicts[0])
	}
}

// finish ends the one queued task.
func (st *stack) finish(state core.State, result core.Result) {
	st.t.Helper()
	held := st.claim()
	if len(held) != 1 {
		st.t.Fatalf("%d tasks are queued, want 1", len(held))
	}
	st.settle(held[0], state, result)
}

// tapped tells when somebody looks at tasks, and fails when told to.
type tapped struct {
	*memstore.Store
	looked     chan struct{}
	fail       atomic.Pointer[error]
	failEvents func(after string) error
}

func (s *tapped) Events(ctx context.Context, after string, max int, wait time.Duration) ([]core.Event, error) {
	if s.failEvents != nil {
		if err := s.failEvents(after); err != nil {
			return nil, err
		}
	}
	return s.Store.Events(ctx, after, max, wait)
}

func (s *tapped) Tasks(ctx context.Context, ids []core.TaskID) ([]core.Task, error) {
	select {
	case s.looked <- struct{}{}:
	default:
	}
	if err := s.fail.Load(); err != nil {
		return nil, *err
	}
	return s.Store.Tasks(ctx, ids)
}

func contextWithPeer(r *http.Request, p *peer) context.Context {
	return context.WithValue(r.Context(), peerKey{}, p)
}
