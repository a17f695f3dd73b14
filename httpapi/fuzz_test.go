package httpapi

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"faasctl/core"
)

func FuzzDill64(f *testing.F) {
	for _, seed := range []string{"", "payload", "payloads", "gARLAS4=\n", "gARL\nAS4=", "=", "\n\n", "☃", "gARLAS4"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		data, err := decodeDill64("payload", text)
		if err != nil {
			if core.ClassOf(err) != core.ErrMalformed {
				t.Fatalf("%v", err)
			}
			return
		}
		out := encodeDill64(data)
		for _, line := range strings.Split(out, "\n") {
			if len(line) > lineChars {
				t.Fatalf("a line of %d characters", len(line))
			}
		}
		if len(data) > 0 && !strings.HasSuffix(out, "\n") {
			t.Fatal("no line feed at the end")
		}
		if again, err := decodeDill64("payload", out); err != nil || !bytes.Equal(again, data) {
			t.Fatalf("%q comes back as %q, %v", data, again, err)
		}
	})
}

// fuzzed is a server whose handler is called without a socket.
func fuzzed(f *testing.F) func(method, path, kind string, body []byte) *httptest.ResponseRecorder {
	st := start(f)
	st.function("f")
	inner, err := st.server.routes()
	must(f, err)
	return func(method, path, kind string, body []byte) *httptest.ResponseRecorder {
		r := httptest.NewRequest(method, "http://localhost/", bytes.NewReader(body))
		r.URL.Path = path
		r.Header.Set("Content-Type", kind)
		p := &peer{remote: addrPort(st.server.listener.Addr()), local: addrPort(st.server.listener.Addr())}
		p.once.Do(func() {}) // uid 0 passes
		rec := httptest.NewRecorder()
		st.server.protect(inner).ServeHTTP(rec, r.WithContext(contextWithPeer(r, p)))
		return rec
	}
}

// checkAnswer: whatever was sent, the answer is well-formed and never our own
// mistake.
func checkAnswer(t *testing.T, rec *httptest.ResponseRecorder) {
	t.Helper()
	if rec.Code >= 500 {
		t.Fatalf("%d: %s", rec.Code, rec.Body)
	}
	if rec.Code >= 400 {
		var p struct{ Detail, Code string }
		if err := json.Unmarshal(rec.Body.Bytes(), &p); err != nil || p.Detail == "" || p.Code == "" || rec.Header().Get("Content-Type") != problemType {
			t.Fatalf("%d is no problem document: %s", rec.Code, rec.Body)
		}
	}
}

func FuzzBodies(f *testing.F) {
	call := fuzzed(f)
	paths := []string{"/register_function", "/execute_function", "/v1/functions", "/v1/tasks", "/v1/tasks:batch", "/v1/tasks:cancel", "/v1/tasks:results", "/register_function/"}
	for i := range paths {
		for _, seed := range []string{
			`{"name":"f","payload":"gARLAS4="}`, `{"function_id":"x","payload":""}`, `{"function":"f","args":[1],"kwargs":{"a":1},"timeout":"5s"}`,
			`[{"function":"f"},7,null]`, "{\"function\":\"f\"}\n{}\n", `{"ids":["x"]}`, `{"name":"g","body":"def g(): pass","labels":{"a":"b"}}`, ``, `{`, "\xff", `null`,
			`{"function":"f","timeout":1e300}`, `{"function":"f","priority":null,"delay":-1}`,
		} {
			f.Add(byte(i), false, []byte(seed))
		}
	}
	f.Fuzz(func(t *testing.T, path byte, stream bool, body []byte) {
		kind := jsonType
		if stream {
			kind = ndjsonType
		}
		checkAnswer(t, call(http.MethodPost, paths[int(path)%len(paths)], kind, body))
	})
}

func FuzzIDs(f *testing.F) {
	call := fuzzed(f)
	for _, seed := range []string{"", "x", "..", "f", "f@1", "f@0", "@", "0190a5b2-7c3d-7e4f-8a9b-0c1d2e3f4a50", "{0190a5b2-7c3d-7e4f-8a9b-0c1d2e3f4a50}", "%", "a/b", "\x00", "☃", "cafe"} {
		f.Add(seed)
	}
	forms := []string{"/status/*", "/result/*", "/v1/tasks/*", "/v1/tasks/*/result", "/v1/tasks/*/logs", "/v1/tasks/*/spec", "/v1/functions/*", "/v1/functions/*/body"}
	f.Fuzz(func(t *testing.T, id string) {
		for _, form := range forms {
			rec := call(http.MethodGet, strings.Replace(form, "*", id, 1), "", nil)
			checkAnswer(t, rec)
			if strings.HasPrefix(form, "/status") && rec.Code == 200 {
				t.Fatalf("%q is a task", id)
			}
		}
		if ref, err := core.ParseTaskID(id); err == nil && strings.ToLower(id) != string(ref) {
			t.Fatalf("%q became %q", id, ref)
		}
	})
}
