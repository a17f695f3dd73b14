package cli

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestContract runs the test client of the family's HTTP contract, as its users
// would, against `faasctl up -w 2`.
func TestContract(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a whole stack")
	}
	folder, err := filepath.Abs("../httpapi/contract")
	if err != nil {
		t.Fatal(err)
	}
	s := up(t, "--import-path", folder)
	python, err := interpreter()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(python, "-B", filepath.Join(folder, "test_contract.py"))
	home := t.TempDir()
	cmd.Dir, cmd.Env = home, cleanEnv(t, home, "FAASCTL_URL="+s.url, "FAASCTL_PATIENCE=60")
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "\nOK\n") || !strings.Contains(string(out), "Ran 18 tests") {
		t.Fatalf("%v:\n%s\nthe server said:\n%s", err, out, s.output())
	}
}
