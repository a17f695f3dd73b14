package httpapi

import (
	"errors"
	"flag"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"faasctl/core"
	"faasctl/core/memstore"

	"github.com/google/uuid"
)

var update = flag.Bool("update", false, "write the golden files anew")

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		must(t, os.MkdirAll("testdata", 0o755))
		must(t, os.WriteFile(path, []byte(got), 0o644))
	}
	want, err := os.ReadFile(path)
	must(t, err)
	if got != string(want) {
		t.Errorf("%s differs (go test -update writes it anew):\n--- got\n%s\n--- want\n%s", path, got, want)
	}
}

var changing = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`)

// The documents that people meet, word for word.
func TestProblemDocuments(t *testing.T) {
	st := startSmall(t, 1000)
	st.function("f")
	var out strings.Builder
	for _, c := range []struct{ method, path, body, header string }{
		{"GET", "/nothing/here", "", ""},
		{"GET", "//version", "", ""},
		{"DELETE", "/v1/tasks", "", ""},
		{"GET", "/register_function", "", ""},
		{"GET", "/status/not-an-id", "", ""},
		{"GET", "/v1/tasks/" + uuid.NewString(), "", ""},
		{"GET", "/v1/tasks/" + uuid.NewString() + "?wait=soon", "", ""},
		{"GET", "/v1/tasks/" + uuid.NewString() + "?wate=3", "", ""},
		{"GET", "/v1/tasks?limit=many", "", ""},
		{"GET", "/v1/tasks?limit=5000", "", ""},
		{"GET", "/v1/tasks?state=LOST", "", ""},
		{"GET", "/v1/events?after=yesterday", "", ""},
		{"GET", "/v1/functions/g", "", ""},
		{"POST", "/v1/tasks", `{"function":"g"}`, ""},
		{"POST", "/v1/tasks", `{"function":"f","args":[3,}`, ""},
		{"POST", "/v1/tasks", `{"function":"f","args":{"a":3}}`, ""},
		{"POST", "/v1/tasks", `{"function":"f","kwargs":[3]}`, ""},
		{"POST", "/v1/tasks", `{"function":"f","timeot":"5s"}`, ""},
		{"POST", "/v1/tasks", `{"function":"f","timeout":"soon"}`, ""},
		{"POST", "/v1/tasks", `{"function":7}`, ""},
		{"POST", "/v1/tasks", `{"args":[]}`, ""},
		{"POST", "/v1/tasks", `{"function":"f","priority":12}`, ""},
		{"POST", "/v1/tasks", `{"function":"f","args":["` + strings.Repeat("x", 1000) + `"]}`, ""},
		{"POST", "/v1/tasks", strings.Repeat("x", 70_000), ""},
		{"POST", "/v1/tasks", `function=f`, "Content-Type: application/x-www-form-urlencoded"},
		{"POST", "/v1/tasks", `{"function":"f"}`, "Origin: https://evil.example"},
		{"POST", "/v1/tasks:batch", `{"function":"f"}`, ""},
		{"POST", "/v1/tasks:cancel", `{"ids":["x"]}`, ""},
		{"POST", "/v1/functions", `{"name":"f"}`, ""},
		{"POST", "/v1/functions", `{"name":"f","body":"x","codec":"wasm"}`, ""},
		{"GET", "/version", "", "Host: evil.example"},
		{"GET", "/readyz", "", ""},
	} {
		got := st.send(c.method, c.path, c.body, c.header)
		got.problem(t)
		body := c.body
		if len(body) > 80 {
			body = fmt.Sprintf("%.40s… (%d bytes)", body, len(body))
		}
		fmt.Fprintf(&out, "%s %s %s %s\n%d %s", c.method, c.path, body, c.header, got.status, got.body)
		for _, name := range []string{"Retry-After", "Allow", "WWW-Authenticate"} {
			if value := got.header.Get(name); value != "" {
				fmt.Fprintf(&out, "%s: %s\n", name, value)
			}
		}
		out.WriteString("\n")
	}
	golden(t, "problems.txt", changing.ReplaceAllString(out.String(), "ID"))
}

func TestEveryClassHasItsProblem(t *testing.T) {
	for _, class := range core.Classes {
		p := newProblem(fmt.Errorf("while testing: %w", core.Errorf(class, "op", "detail").WithHint("hint")))
		if p.Status != class.Status || p.Code != class.Name || p.Hint != "hint" || p.Detail != "while testing: op: detail" {
			t.Errorf("%+v", p)
		}
		if (p.headers.Get("Retry-After") != "") != (class == core.ErrUnavailable || class == core.ErrFull) {
			t.Errorf("%s: %v", class.Name, p.headers)
		}
	}
}

func TestInternalErrorsDoNotLeak(t *testing.T) {
	face := &tapped{Store: memstore.New(memstore.Config{})}
	st := startOn(t, face.Store, face, 0)
	secret := errors.New("the password is swordfish")
	face.fail.Store(&secret)
	got := st.want(500, "GET", "/v1/tasks/"+uuid.NewString(), "")
	p := got.problem(t)
	id := strings.TrimPrefix(p.Instance, "urn:uuid:")
	if strings.Contains(got.body, "swordfish") || id == "" || !strings.Contains(p.Detail, id) {
		t.Fatal(got.body)
	}
	if log := st.log.String(); !strings.Contains(log, "swordfish") || !strings.Contains(log, id) {
		t.Fatalf("not in the log: %s", log)
	}
	down := error(core.Errorf(core.ErrUnavailable, "", "the store is out of reach"))
	face.fail.Store(&down)
	if got := st.want(503, "GET", "/status/"+uuid.NewString(), ""); got.header.Get("Retry-After") == "" {
		t.Fatal("no Retry-After")
	}
}

func TestPanicIsAProblem(t *testing.T) {
	st := start(t)
	handler := st.server.protect(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { panic("swordfish") }))
	rec := httptest.NewRecorder()
	// Without a connection only the token would do; skip the gate by its peer.
	r := httptest.NewRequest("GET", "http://localhost/", nil)
	p := &peer{}
	p.remote, p.local = addrPort(st.server.listener.Addr()), addrPort(st.server.listener.Addr())
	p.once.Do(func() {})
	r = r.WithContext(contextWithPeer(r, p))
	handler.ServeHTTP(rec, r)
	if rec.Code != 500 || strings.Contains(rec.Body.String(), "swordfish") || !strings.Contains(st.log.String(), "swordfish") {
		t.Fatalf("%d %s", rec.Code, rec.Body)
	}
}

func TestLimits(t *testing.T) {
	st := startSmall(t, 300_000)
	pickle := append(append([]byte("\x80\x04"), make([]byte, 300_000-3)...), '.')
	body := `{"name":"f","payload":` + quoted(encodeDill64(pickle)) + `}`
	st.want(200, "POST", "/register_function", body)
	body = `{"name":"f","payload":` + quoted(encodeDill64(append([]byte("\x80"), pickle...))) + `}`
	st.want(413, "POST", "/register_function", body).problem(t)
	// Far above: the answer arrives although the client is still writing.
	big := strings.Repeat("x", 3_000_000)
	if p := st.want(413, "POST", "/register_function", `{"name":"`+big+`"}`).problem(t); p.Code != "too-large" || p.Hint == "" {
		t.Fatalf("%+v", p)
	}
	if got := st.send("GET", "/version", "", "X-Long: "+strings.Repeat("x", 64<<10)); got.status != 431 {
		t.Fatal(got.status)
	}
}
