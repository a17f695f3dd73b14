package core_test

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
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
	{"faasctl/core/", []string{"faasctl/core", "golang.org/x/sync/", "github.com/google/uuid"}, "models and suites serve every backend"},
	{"faasctl/tui", []string{"faasctl/core", "github.com/charmbracelet/", "github.com/muesli/termenv", "github.com/mattn/go-runewidth"}, "the dashboard sees the system through its Feed only"},
	{"faasctl/httpapi", []string{"faasctl/core", "faasctl/httpapi/", "github.com/danielgtaylor/huma/v2", "github.com/danielgtaylor/huma/v2/", "github.com/vishvananda/netlink", "github.com/google/uuid", "golang.org/x/"}, "the doors serve core.Service, whatever is behind it"},
	{"faasctl/httpapi/", []string{"faasctl/core", "faasctl/httpapi/", "golang.org/x/"}, "a client needs no server"},
	{"faasctl/workers/zmqloop", []string{"faasctl/core", "faasctl/workers/", "github.com/pebbe/zmq4"}, "sockets live in one place"},
	{"faasctl/workers/", []string{"faasctl/core", "faasctl/workers/", "golang.org/x/"}, "workers know the ports of core, and each other"},
	{"faasctl/cli/colour", []string{"github.com/charmbracelet/lipgloss"}, "it must initialise before bubbletea asks the terminal"},
	{"faasctl/cli/", []string{"faasctl/"}, "main only calls cli"},
	{"faasctl/cli", []string{"faasctl/", "github.com/urfave/cli/v2", "github.com/charmbracelet/", "github.com/muesli/termenv", "github.com/mattn/", "golang.org/x/", "github.com/google/uuid"}, "the verbs wire everything"},
}

// only names who alone may import a library directly.
var only = map[string][]string{
	"github.com/redis/go-redis/": {"faasctl/core/redisstore"},
	"github.com/pebbe/zmq4":      {"faasctl/workers/zmqloop"},
	"github.com/charmbracelet/":  {"faasctl/tui", "faasctl/cli", "faasctl/cli/colour"},
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

// moduleImports lists each package of the module with what it imports itself.
func moduleImports(t *testing.T) map[string][]string {
	t.Helper()
	list := exec.Command("go", "list", "-json=ImportPath,Imports", "faasctl/...")
	out, err := list.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	found := map[string][]string{}
	decoder := json.NewDecoder(strings.NewReader(string(out)))
	for {
		var pkg struct {
			ImportPath string
			Imports    []string
		}
		switch err := decoder.Decode(&pkg); {
		case errors.Is(err, io.EOF):
			if len(found) < 8 {
				t.Fatalf("go list found only %d packages", len(found))
			}
			return found
		case err != nil:
			t.Fatal(err)
		}
		found[pkg.ImportPath] = pkg.Imports
	}
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
