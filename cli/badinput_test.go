package cli

import (
	"bytes"
	"context"
	"errors"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"faasctl/core"
)

// command runs the real program and returns what it said and its exit code.
func command(t testing.TB, env []string, dir, stdin string, words ...string) (stdout, stderr string, code int) {
	t.Helper()
	var out, diagnostics bytes.Buffer
	cmd := exec.Command(program(t), words...)
	cmd.Env, cmd.Dir, cmd.Stdin, cmd.Stdout, cmd.Stderr = env, dir, strings.NewReader(stdin), &out, &diagnostics
	err := cmd.Run()
	var failed *exec.ExitError
	if errors.As(err, &failed) {
		code = failed.ExitCode()
	} else if err != nil {
		t.Fatal(err)
	}
	return out.String(), diagnostics.String(), code
}

// write puts a file into a directory and returns its path.
func write(t testing.TB, dir, name, text string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestBadInput is the list of what people get wrong: each with its message and
// exit code, and afterwards nothing is lost.
func TestBadInput(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a whole stack")
	}
	s := up(t)
	dir := t.TempDir()
	env := cleanEnv(t, dir, "FAASCTL_URL="+s.url)
	write(t, dir, "fn.py", "def add(a, b):\n    return a + b\n")
	write(t, dir, "image.png", "\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR")
	write(t, dir, "latin.py", "def add(a):\n    return 'caf\xe9'\n")
	write(t, dir, "big.json", `["`+strings.Repeat("x", 10<<20)+`"]`)
	big := write(t, dir, "big.py", "def big(): pass\n# "+strings.Repeat("x", 10<<20)+"\n")
	if _, said, code := command(t, env, dir, "", "register", "fn.py"); code != 0 {
		t.Fatalf("exit code %d: %s", code, said)
	}
	host := strings.TrimPrefix(s.url, "http://")
	with := func(more ...string) []string { return append(env[:len(env):len(env)], more...) }
	tests := []struct {
		name  string
		env   []string
		words []string
		code  int
		says  []string
	}{
		{"malformed JSON", env, []string{"run", "add", "--args", "[3, oops]"}, core.ExitUsage,
			[]string{"faasctl: run: --args is not JSON: ", "\n    [3, oops]\n        ^\n", "→ text needs double quotes"}},
		{"unknown function", env, []string{"run", "nothing"}, core.ExitNotFound,
			[]string{"faasctl: run: there is no function \"nothing\"\n", "→ faasctl fn ls"}},
		{"wrong arity", env, []string{"run", "add", "--args", "[3]"}, core.ExitFailed,
			[]string{"TypeError: add() missing 1 required positional argument: 'b'", "→ its signature is add(a, b)"}},
		{"10 MiB of arguments", env, []string{"run", "add", "--args", "@big.json"}, core.ExitRefused,
			[]string{"above the limit of 8388608", "→ "}},
		{"10 MiB of source", env, []string{"register", big}, core.ExitRefused, []string{"above the limit of 8388608", "→ "}},
		{"binary file", env, []string{"register", "image.png"}, core.ExitUsage, []string{"faasctl: register: image.png is not a Python file: it holds binary data\n"}},
		{"another encoding", env, []string{"run", "latin.py"}, core.ExitUsage, []string{"line 2 holds other bytes", "→ save it as UTF-8"}},
		{"no file", env, []string{"run", "gone.py"}, core.ExitUsage, []string{"faasctl: run: there is no file gone.py\n"}},
		{"no interpreter", with("FAASCTL_PYTHON=/nowhere/python3"), []string{"register", "fn.py"}, core.ExitUnavailable,
			[]string{"/nowhere/python3", "→ "}},
		{"no interpreter for up", with("FAASCTL_PYTHON=/nowhere/python3"), []string{"up", "--listen", "127.0.0.1:0"}, core.ExitUnavailable,
			[]string{"/nowhere/python3", "→ "}},
		{"no redis-server", with("FAASCTL_REDIS_SERVER=no-such-redis-server"), []string{"up", "--listen", "127.0.0.1:0"}, core.ExitUnavailable,
			[]string{"there is no no-such-redis-server on this machine", "--redis URL", "--store memory"}},
		{"port taken", env, []string{"up", "--listen", host}, core.ExitRefused,
			[]string{"the address " + host + " is in use", "→ ", "--listen 127.0.0.1:0"}},
		{"server down", with("FAASCTL_URL=http://" + nobody), []string{"run", "add", "--args", "[1, 2]"}, core.ExitUnavailable,
			[]string{"faasctl: run: cannot reach the server at http://" + nobody, "→ start it: faasctl up"}},
		{"no server's address", with("FAASCTL_URL=ftp://x"), []string{"fn", "ls"}, core.ExitUsage, []string{"is not the address of a server"}},
		{"unknown flag", env, []string{"run", "add", "--arg", "[1]"}, core.ExitUsage, []string{"run: there is no flag --arg\n", "→ did you mean --args?"}},
		{"unknown verb", env, []string{"rum", "add"}, core.ExitUsage, []string{"there is no verb \"rum\"\n", "→ did you mean run?"}},
		{"unknown task", env, []string{"result", string(core.NewTaskID())}, core.ExitNotFound, []string{"there is no task 0"}},
		{"negative time-out", env, []string{"run", "add", "--timeout", "-5s"}, core.ExitUsage, []string{"must not be negative"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			out, said, code := command(t, test.env, dir, "", test.words...)
			if code != test.code || out != "" {
				t.Errorf("exit code %d, want %d; stdout %q", code, test.code, out)
			}
			for _, part := range test.says {
				if !strings.Contains(said, part) {
					t.Errorf("stderr lacks %q:\n%s", part, clip(said, 2000))
				}
			}
		})
	}
	t.Run("a form of another site", func(t *testing.T) { foreignForm(t, s.url) })
	t.Run("another host", func(t *testing.T) { foreignHost(t, s.url) })
	if out, said, code := command(t, env, dir, "", "run", "add", "--args", "[3, 4]"); code != 0 || out != "7\n" {
		t.Errorf("afterwards: exit code %d, %q, %s", code, out, said)
	}
}

// foreignForm posts what a page of another site can make a browser post.
func foreignForm(t *testing.T, url string) {
	request, _ := http.NewRequest(http.MethodPost, url+"/v1/tasks", strings.NewReader(`{"function": "add", "x": "=1"}`))
	request.Header.Set("Content-Type", "text/plain")
	request.Header.Set("Origin", "http://evil.example")
	refused(t, request, http.StatusForbidden)
	request, _ = http.NewRequest(http.MethodPost, url+"/v1/tasks", strings.NewReader(`function=add`))
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	refused(t, request, http.StatusUnsupportedMediaType)
}

// foreignHost is what a page gets whose name was made to mean this machine.
func foreignHost(t *testing.T, url string) {
	request, _ := http.NewRequest(http.MethodGet, url+"/v1/tasks", nil)
	request.Host = "evil.example"
	refused(t, request, http.StatusForbidden, http.StatusMisdirectedRequest)
}

func refused(t *testing.T, request *http.Request, status ...int) {
	t.Helper()
	transport := &http.Transport{DisableKeepAlives: true, DialContext: (&net.Dialer{}).DialContext}
	answer, err := transport.RoundTrip(request.WithContext(context.Background()))
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	for _, want := range status {
		if answer.StatusCode == want {
			return
		}
	}
	t.Errorf("%s %s: status %d, want %v", request.Method, request.URL, answer.StatusCode, status)
}
