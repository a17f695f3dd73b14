package pyrun

import (
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"testing"

	"golang.org/x/sys/unix"
)

// TestRunnerUnits runs test_runner.py: the runner's own functions.
func TestRunnerUnits(t *testing.T) {
	cmd := exec.Command(needPython(t), "-B", "-m", "unittest", "test_runner")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// TestBothSidesAgree compares the numbers that both halves of the protocol have.
func TestBothSidesAgree(t *testing.T) {
	for name, want := range map[string]int{"CACHED_BODIES": cachedBodies, "PROTOCOL": protocol} {
		found := regexp.MustCompile(`(?m)^` + name + ` = (\d+)`).FindSubmatch(runnerSource)
		if found == nil || string(found[1]) != strconv.Itoa(want) {
			t.Errorf("%s of runner.py is not %d", name, want)
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
