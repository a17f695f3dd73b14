package cli

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"faasctl/core"
)

// TestReadme types what the README's tour says, in one shell, against a stack
// of its own.
func TestReadme(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a whole stack")
	}
	text, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, tour, found := strings.Cut(string(text), "\n## The tour")
	tour, _, ended := strings.Cut(tour, "\n## ")
	if !found || !ended {
		t.Fatal("the README has no tour")
	}
	var script strings.Builder
	blocks := strings.Split(tour, "```sh\n")
	for _, block := range blocks[1:] {
		code, _, _ := strings.Cut(block, "\n```")
		script.WriteString(code + "\n")
	}
	if strings.Count(script.String(), "faasctl ") < 5 {
		t.Fatalf("the tour has hardly a command:\n%s", script.String())
	}
	s := up(t)
	home := t.TempDir()
	examples, err := filepath.Abs("../examples")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(examples, filepath.Join(home, "examples")); err != nil {
		t.Fatal(err)
	}
	typed := strings.ReplaceAll(script.String(), defaultURL, s.url)
	if _, err := exec.LookPath("curl"); err != nil {
		typed = "curl() { :; }\n" + typed
	}
	cmd := exec.Command("sh", "-eux", "-c", typed)
	cmd.Dir, cmd.Env = home, cleanEnv(t, home, "FAASCTL_URL="+s.url)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v:\n%s", err, out)
	}
	for _, want := range []string{"hello@1(name: str, times: int = 1) -> str  registered", "\n\"hello world\"\n", "\n\"hello world, hello world\"\n",
		"\n\"hello stdin\"\n", "\n\"hello later\"\n", "greeting world", "unchanged", "exit code 1"} {
		if !strings.Contains(string(out), want) {
			t.Errorf("the tour did not show %q; it showed:\n%s", want, out)
		}
	}
}

// TestCommandsInDocs reads each faasctl command in the documents and the units as
// the program would: its verbs and flags exist.
func TestCommandsInDocs(t *testing.T) {
	var lines []string
	inline := regexp.MustCompile("`(faasctl [^`…]+)`")
	for _, path := range []string{"../README.md", "../docs/ARCHITECTURE.md", "../docs/KEEPING.md", "../docs/MONITORING.md", "../docs/RUNNING.md", "../docs/PERFORMANCE.md",
		"../deploy/README.md", "../deploy/faasctl.service", "../deploy/faasctl-worker.service"} {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		code := filepath.Ext(path) == ".service"
		for _, line := range strings.Split(string(text), "\n") {
			if strings.HasPrefix(line, "```") {
				code = line == "```sh"
			}
			if !code {
				for _, found := range inline.FindAllStringSubmatch(line, -1) {
					lines = append(lines, found[1])
				}
			}
			for _, command := range strings.Split(strings.TrimPrefix(line, "ExecStart=/usr/local/bin/"), " && ") {
				if code && strings.HasPrefix(command, "faasctl ") {
					lines = append(lines, command)
				}
			}
		}
	}
	if len(lines) < 40 {
		t.Fatalf("only %q", lines)
	}
	for _, line := range lines {
		out, err := exec.Command("sh", "-c", `faasctl() { printf '%s\0' "$@"; }; DISPATCHER=h:1; `+line).Output()
		words := strings.Split(strings.TrimSuffix(string(out), "\x00"), "\x00")
		if err != nil || len(words) == 0 {
			t.Errorf("%s: %v", line, err)
			continue
		}
		if _, err := arrange(newFake("").app().Commands, words); err != nil {
			t.Errorf("%s: %v → %s", line, err, core.HintOf(err))
		}
	}
}
