package core_test

import (
	"errors"
	"go/build"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"
)

// rules say which packages may import what. The first row whose package fits
// holds; a path ending in "/" fits everything below it.
var rules = []struct {
	pkg   string
	allow []string // besides the standard library
	why   string
}{
	{"faasctl/core", []string{"golang.org/x/sync/", "github.com/google/uuid"}, "the domain knows no Redis, socket, HTTP or terminal"},
	{"faasctl/core/redisstore", []string{"faasctl/core", "github.com/redis/go-redis/v9", "github.com/redis/go-redis/v9/", "github.com/google/uuid", "golang.org/x/"}, "one backend, one library"},
	{"faasctl/core/header", []string{"faasctl/core", "github.com/BurntSushi/toml"}, "what a Python file says of itself is TOML"},
	{"faasctl/core/", []string{"faasctl/core", "golang.org/x/sync/", "github.com/google/uuid"}, "models and suites serve every backend"},
	{"faasctl/tui", []string{"faasctl/core", "github.com/charmbracelet/", "github.com/muesli/termenv", "github.com/mattn/go-runewidth"}, "the dashboard sees the system through its Feed only"},
	{"faasctl/httpapi", []string{"faasctl/core", "faasctl/core/header", "faasctl/httpapi/", "github.com/danielgtaylor/huma/v2", "github.com/danielgtaylor/huma/v2/", "github.com/prometheus/client_golang/", "github.com/google/uuid", "golang.org/x/"}, "the doors serve core.Service, whatever is behind it"},
	{"faasctl/httpapi/", []string{"faasctl/core", "faasctl/httpapi/", "golang.org/x/"}, "a client needs no server"},
	{"faasctl/workers/zmqloop", []string{"faasctl/core", "faasctl/workers/", "github.com/pebbe/zmq4"}, "sockets live in one place"},
	{"faasctl/workers/workertest", []string{"faasctl/core", "faasctl/core/memstore", "faasctl/workers/", "github.com/pebbe/zmq4", "golang.org/x/"}, "a suite brings a dispatcher, a store and raw sockets of its own"},
	{"faasctl/workers/", []string{"faasctl/core", "faasctl/workers/", "golang.org/x/"}, "workers know the ports of core, and each other"},
	{"faasctl/cli/colour", []string{"github.com/charmbracelet/lipgloss"}, "it must initialise before bubbletea asks the terminal"},
	{"faasctl/cli/", []string{"faasctl/"}, "main only calls cli"},
	{"faasctl/cli", []string{"faasctl/", "github.com/urfave/cli/v2", "github.com/charmbracelet/", "github.com/muesli/termenv", "github.com/mattn/", "github.com/HdrHistogram/hdrhistogram-go", "golang.org/x/", "github.com/google/uuid"}, "the verbs wire everything"},
}

// only names who alone may import a library directly.
var only = map[string][]string{
	"github.com/redis/go-redis/": {"faasctl/core/redisstore"},
	"github.com/pebbe/zmq4":      {"faasctl/workers/zmqloop", "faasctl/workers/workertest"},
	"github.com/charmbracelet/":  {"faasctl/tui", "faasctl/cli", "faasctl/cli/colour"},
	"github.com/BurntSushi/":     {"faasctl/core/header"},
	"github.com/prometheus/":     {"faasctl/httpapi"},
	"github.com/HdrHistogram/":   {"faasctl/cli"},
}

func TestWhoMayImportWhom(t *testing.T) {
	for pkg, imports := range moduleImports(t) {
		allowed, why := allowedFor(pkg)
		if allowed == nil {
			t.Errorf("%s stands in no room of the house: see docs/ARCHITECTURE.md", pkg)
		}
		for _, path := range imports {
			if standard(path) {
				continue
			}
			if !fits(path, allowed) {
				t.Errorf("%s may not import %s: %s", pkg, path, why)
			}
			for library, users := range only {
				if strings.HasPrefix(path, library) && !fits(pkg, users) {
					t.Errorf("%s may not import %s: only %v may", pkg, path, users)
				}
			}
		}
	}
}

// moduleImports lists each package of the module with what it imports itself. It
// reads the sources, so that a cached result of this test knows when they change.
func moduleImports(t *testing.T) map[string][]string {
	t.Helper()
	found := map[string][]string{}
	for _, room := range []string{"cli", "tui", "core", "workers", "httpapi"} {
		err := filepath.WalkDir(filepath.Join("..", room), func(path string, entry fs.DirEntry, err error) error {
			if err != nil || !entry.IsDir() {
				return err
			}
			if entry.Name() == "testdata" {
				return fs.SkipDir
			}
			pkg, err := build.ImportDir(path, 0)
			if noGo := (*build.NoGoError)(nil); errors.As(err, &noGo) {
				return nil
			}
			if err == nil {
				found["faasctl/"+filepath.ToSlash(path[len("../"):])] = pkg.Imports
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if len(found) < 12 {
		t.Fatalf("only %d packages were found", len(found))
	}
	return found
}

func allowedFor(pkg string) ([]string, string) {
	for _, r := range rules {
		if pkg == r.pkg || strings.HasSuffix(r.pkg, "/") && strings.HasPrefix(pkg, r.pkg) {
			return r.allow, r.why
		}
	}
	return nil, ""
}

func fits(path string, patterns []string) bool {
	for _, p := range patterns {
		if path == p || strings.HasSuffix(p, "/") && strings.HasPrefix(path, p) {
			return true
		}
	}
	return false
}

// standard reports whether path is of the standard library: its first element
// has no dot, and it is not ours.
func standard(path string) bool {
	first, _, _ := strings.Cut(path, "/")
	return !strings.Contains(first, ".") && first != "faasctl"
}
