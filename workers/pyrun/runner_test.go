package pyrun

import (
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestRunnerUnits runs the runner's own tests, with the interpreter of the
// other tests and the oldest one here: make pytest runs them with all.
func TestRunnerUnits(t *testing.T) {
	list, err := exec.Command("../../.ci/pythons.sh").Output()
	if err != nil {
		t.Fatal(err)
	}
	found := strings.Fields(string(list))
	version := func(path string) int {
		out, _ := exec.Command(path, "-c", "import sys; print(sys.version_info[1])").Output()
		n, _ := strconv.Atoi(strings.TrimSpace(string(out)))
		return n
	}
	slices.SortFunc(found, func(a, b string) int { return version(a) - version(b) })
	for _, python := range slices.Compact(append([]string{needPython(t)}, found[:min(1, len(found))]...)) {
		cmd := exec.Command(python, "-B", "-m", "unittest", "discover")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", python, err, out)
		}
	}
}

// TestBothSidesAgree compares the numbers that both halves of the protocol have.
func TestBothSidesAgree(t *testing.T) {
	for name, want := range map[string]int{"CACHED_BODIES": cachedBodies, "PROTOCOL": protocol} {
		found := regexp.MustCompile(`(?m)^` + name + ` = (\d+)`).FindSubmatch(runnerSource())
		if found == nil || string(found[1]) != strconv.Itoa(want) {
			t.Errorf("%s of the runner is not %d", name, want)
		}
	}
}

func TestUndumpable(t *testing.T) {
	if err := Undumpable(); err != nil {
		t.Fatal(err)
	}
	if got, err := unix.PrctlRetInt(unix.PR_GET_DUMPABLE, 0, 0, 0, 0); err != nil || got != 0 {
		t.Errorf("dumpable: %d %v", got, err)
	}
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 1, 0, 0, 0); err != nil {
		t.Fatal(err)
	}
	if _, err := os.ReadFile("/proc/self/environ"); err != nil {
		t.Error(err)
	}
}
