package pyrun

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"faasctl/core"
)

//go:embed testdata/canary.py
var canarySource string

// secrets are put wherever a worker may have some; a function looks for them.
type secrets struct {
	word     string
	dir      string   // holds the files, each with the word
	imports  string   // an import path, with a data directory in it
	paths    []string // that hold the word
	port     int
	abstract string
}

// sight is what the function says it saw.
type sight struct {
	Found       []string
	Descriptors []int
	PIDs        []int
	UID         int
}

func plantSecrets(t *testing.T) secrets {
	t.Helper()
	s := secrets{word: fmt.Sprintf("CANARY-%x-%x", os.Getpid(), unix.Getpid()*7919), dir: t.TempDir()}
	s.imports = filepath.Join(s.dir, "project")
	write := func(path string) {
		path = filepath.Join(s.dir, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(s.word+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		s.paths = append(s.paths, path)
	}
	write("home/.faasctl/keys/w.key")
	write("home/.ssh/id_ed25519")
	write("token")
	write("project/.faasctl/appendonly.aof")
	write("project/worker.key")
	if err := os.WriteFile(filepath.Join(s.imports, "helper.py"), []byte("K = 7\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{s.dir, s.imports, filepath.Dir(s.dir)} {
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("FAASCTL_TOKEN", s.word)
	t.Setenv("AWS_SECRET_ACCESS_KEY", s.word)
	fd, err := unix.Open(s.paths[0], unix.O_RDONLY, 0) // without O_CLOEXEC, as a careless library would
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Close(fd) })
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = tcp.Close() })
	s.port, s.abstract = tcp.Addr().(*net.TCPAddr).Port, fmt.Sprintf("faasctl-canary-%d", os.Getpid())
	local, err := net.Listen("unix", "@"+s.abstract)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = local.Close() })
	return s
}

// spy runs a function that looks around.
func (s secrets) spy(t *testing.T, r *rig, i core.Isolation, root string) sight {
	t.Helper()
	letters := []rune(s.word)
	slices.Reverse(letters)
	system := []string{"/proc", "/sys", "/dev", "/usr", "/lib", "/lib64", "/bin", "/sbin", "/nix", "/gnu", "/var", "/opt", "/root/.pyenv", "/root/go", "/root/.cache"}
	args, err := json.Marshal([]any{[]any{string(letters), s.paths, s.port, s.abstract, root, system}, map[string]any{}})
	if err != nil {
		t.Fatal(err)
	}
	a := isolated(source("f", canarySource), i)
	a.Args = args
	var saw sight
	r.answer(a, &saw)
	return saw
}

// Nothing of a worker's secrets is visible from inside the sandbox: neither its
// environment nor its launcher's, nor another process, a descriptor, a file, the
// network, an abstract socket. What lies in an import path is covered by name.
func TestCanaryInASandbox(t *testing.T) {
	needBwrap(t)
	s := plantSecrets(t)
	c := Config{
		Python: needPython(t), ImportPath: []string{s.imports},
		Rules: Rules{Sandbox: Bwrap, Hide: []string{filepath.Join(s.imports, ".faasctl"), filepath.Join(s.imports, "worker.key"), filepath.Join(s.dir, "token")}},
	}
	users := []string{"none"}
	if os.Geteuid() == 0 {
		users = append(users, "auto")
	}
	for _, c.RunAs = range users {
		s.inside(t, c)
	}
}

func (s secrets) inside(t *testing.T, c Config) {
	r := newRig(t, c)
	for _, isolation := range core.Isolations {
		saw := s.spy(t, r, isolation, "/")
		if len(saw.Found) > 0 || len(saw.Descriptors) > 0 {
			t.Errorf("%s: from inside one sees %s, and descriptors %v", isolation, strings.Join(saw.Found, ", "), saw.Descriptors)
		}
		for _, pid := range saw.PIDs {
			if pid > 9 {
				t.Errorf("%s: from inside one sees process %d", isolation, pid)
			}
		}
	}
	if o := r.call(source("f", "import helper\ndef f():\n    return helper.K\n"), none); string(o.Result.JSON) != "7" {
		t.Errorf("the import path: %s %+v", o.Result.JSON, o.Result.Failure)
	}
}

// Without a sandbox the worker's environment and descriptors are kept back all
// the same. The canary sees what there is to see: it finds the files where
// functions run as the worker's user, and does not where they run as another.
func TestCanaryWithoutASandbox(t *testing.T) {
	s := plantSecrets(t)
	for _, users := range []string{"none", "auto"} {
		r := newRig(t, Config{Python: needPython(t), ImportPath: []string{s.imports}, Rules: Rules{RunAs: users}})
		s.outside(t, r)
	}
}

func (s secrets) outside(t *testing.T, r *rig) {
	t.Helper()
	saw := s.spy(t, r, core.Warm, s.dir)
	var seen []string
	for _, found := range saw.Found {
		kind, _, _ := strings.Cut(found, " ")
		seen = append(seen, strings.TrimSuffix(kind, ":"))
		if strings.HasPrefix(found, "environment") || strings.HasPrefix(found, "descriptor") || strings.HasPrefix(found, "/proc/self") {
			t.Errorf("without a sandbox a function sees %s", found)
		}
	}
	if len(saw.Descriptors) > 0 {
		t.Errorf("without a sandbox a function has descriptors %v", saw.Descriptors)
	}
	for _, kind := range []string{"network", "abstract"} {
		if !slices.Contains(seen, kind) {
			t.Errorf("the canary is blind: it does not find %s: %v", kind, saw.Found)
		}
	}
	t.Logf("as %s: %v", r.Enforces().User, seen)
	if own := saw.UID == os.Geteuid(); own != slices.Contains(seen, "file") {
		t.Errorf("as %s a function sees %v", r.Enforces().User, saw.Found)
	} else if !own && (slices.Contains(seen, "memory") || slices.ContainsFunc(saw.Found, func(found string) bool { return strings.HasPrefix(found, "/proc/") })) {
		t.Errorf("as %s a function sees %v", r.Enforces().User, saw.Found)
	}
}
