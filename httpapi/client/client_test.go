package client

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"faasctl/core"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func serve(t *testing.T, handler http.HandlerFunc) *Client {
	t.Helper()
	server := httptest.NewServer(handler)
	c, err := New(Config{URL: server.URL + "/", Timeout: time.Minute, Patience: -1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close(); server.Close() })
	return c
}

// Whatever answers, the client says what is wrong in the words of an error
// class and never trusts what it reads.
func TestStrangeAnswers(t *testing.T) {
	for name, c := range map[string]struct {
		status int
		body   string
		want   *core.Class
	}{
		"a page":           {200, "<html>", core.ErrInternal},
		"half an answer":   {200, `{"version":`, core.ErrInternal},
		"a wrong shape":    {200, `[1]`, core.ErrInternal},
		"a redirect":       {302, "", core.ErrInternal},
		"a plain 404":      {404, "404 page not found", core.ErrNotFound},
		"a proxy's 502":    {502, "<html>", core.ErrUnavailable},
		"a plain 503":      {503, "busy", core.ErrUnavailable},
		"a problem":        {409, `{"detail":"taken","code":"conflict","status":409,"hint":"try another"}`, core.ErrConflict},
		"a newer problem":  {404, `{"detail":"no","code":"no-such-shard","status":404}`, core.ErrNotFound},
		"a problem of 418": {418, `{"detail":"no","code":"teapot"}`, core.ErrMalformed},
	} {
		client := serve(t, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Location", "http://127.0.0.1:1/")
			w.WriteHeader(c.status)
			fmt.Fprint(w, c.body)
		})
		_, err := client.Version(context.Background())
		if core.ClassOf(err) != c.want || err == nil {
			t.Errorf("%s: %v (%v)", name, err, core.ClassOf(err))
		}
	}
}

func TestSilentServer(t *testing.T) {
	release := make(chan struct{})
	c := serve(t, func(w http.ResponseWriter, r *http.Request) { <-release })
	defer close(release)
	c.timeout = 50 * time.Millisecond
	_, err := c.Version(context.Background())
	if !errors.Is(err, core.ErrUnavailable) || !strings.Contains(err.Error(), "did not answer within 50ms") {
		t.Fatal(err)
	}
}

func TestTokenIsSent(t *testing.T) {
	c := serve(t, nil)
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	t.Setenv(tokenFileVar, file("good", " sesame-sesame-sesame\n"))
	seen := make(chan string, 1)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen <- r.Header.Get("Authorization")
		fmt.Fprint(w, `{"version":"1"}`)
	}))
	defer server.Close()
	c, err := New(Config{URL: strings.TrimPrefix(server.URL, "http://")}) // a host and port alone mean http
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if version, err := c.Version(context.Background()); err != nil || version != "1" || <-seen != "Bearer sesame-sesame-sesame" {
		t.Fatal(version, err)
	}
	for _, path := range []string{file("empty", "\n"), file("two", "a\nb"), filepath.Join(dir, "none")} {
		if _, err := New(Config{TokenFile: path}); !errors.Is(err, core.ErrInvalid) {
			t.Errorf("%s: %v", path, err)
		}
	}
}

// A part of a batch that fails after others were accepted leaves its calls,
// and only these, without an id.
func TestBatchThatBreaks(t *testing.T) {
	var parts atomic.Int32
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if parts.Add(1) > 1 {
			w.WriteHeader(503)
			return
		}
		fmt.Fprintf(w, `{"tasks":[%s{"id":"x"}]}`, strings.Repeat(`{"id":"x"},`, core.MaxBatch-1))
	})
	answers, err := c.SubmitBatch(context.Background(), make([]Call, core.MaxBatch+2))
	if err != nil || len(answers) != core.MaxBatch+2 {
		t.Fatal(len(answers), err)
	}
	for i, a := range answers {
		if accepted := i < core.MaxBatch; (a.Err == nil) != accepted || (a.ID != "") != accepted {
			t.Fatalf("%d: %+v", i, a)
		}
	}
}

// A stream that breaks is taken up after the last event that was seen.
func TestEventsAreTakenUpAgain(t *testing.T) {
	var asked []string
	connections := 0
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.URL.Query().Get("after"))
		switch connections++; connections {
		case 1:
			w.Header().Set("Content-Type", "text/event-stream")
			fmt.Fprint(w, "retry: 1000\n\n: hello\n\nid: 1-0.0\nevent: task.submitted\ndata: {\"id\":\"1-0.0\",\"kind\":\"task.submitted\"}\n\n"+
				"id: 1-0.1\nevent: task.claimed\ndata: {\"id\":\"1-0.1\"") // torn in the middle
		case 2:
			w.WriteHeader(503)
		case 3:
			w.Header().Set("Content-Type", "text/event-stream")
			fmt.Fprint(w, "event: reset\ndata: {\"detail\":\"trimmed\"}\n\nid:1-0.1\ndata:{\"id\":\"1-0.1\",\ndata:\"kind\":\"task.claimed\"}\nodd: field\n\n")
		default:
			w.WriteHeader(403)
			fmt.Fprint(w, `{"detail":"not for you","code":"forbidden","status":403}`)
		}
	})
	var got []string
	err := c.Events(context.Background(), "", func(e core.Event) error {
		got = append(got, string(e.Kind)+" "+e.ID)
		return nil
	})
	if !errors.Is(err, core.ErrForbidden) {
		t.Fatal(err)
	}
	if want := "[task.submitted 1-0.0 reset  task.claimed 1-0.1]"; fmt.Sprint(got) != want {
		t.Errorf("%v, want %s", got, want)
	}
	if want := "[oldest 1-0.0 1-0.0 1-0.1]"; fmt.Sprint(asked) != want {
		t.Errorf("asked for %v, want %s", asked, want)
	}
}

func TestEventsEndWithTheContext(t *testing.T) {
	ctx, cancel := context.WithCancelCause(context.Background())
	mine := errors.New("enough")
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		w.(http.Flusher).Flush()
		cancel(mine)
		<-r.Context().Done()
	})
	if err := c.Events(ctx, "$", nil); !errors.Is(err, mine) {
		t.Fatal(err)
	}
}

func FuzzMessage(f *testing.F) {
	f.Add("id: 1-0.0\nevent: task.submitted\ndata: {}\n\n")
	f.Add("event: reset\ndata: {\"detail\":\"x\"}\n\n: comment\n\ndata\n:\n\n")
	f.Fuzz(func(t *testing.T, stream string) {
		var m message
		for line := range strings.SplitSeq(stream, "\n") {
			if !m.add(line) {
				continue
			}
			if _, ok, err := m.event(); ok && err == nil && m.data == "" {
				t.Fatal("an event without data")
			}
			m = message{}
		}
	})
}
