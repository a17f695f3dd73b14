package chaos

import (
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"faasctl/core"
	"faasctl/core/redisstore"
)

// Processes with planted bugs run, and the checker finds each of them.
func TestPlantedBugs(t *testing.T) {
	t.Parallel()
	if *full {
		t.Skip("make test has it")
	}
	binary := filepath.Join(t.TempDir(), "planted.test")
	build := exec.Command("go", "test", "-c", "-tags", "planted", "-o", binary, ".")
	if said, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, said)
	}
	long := short.Lease + 3*time.Second
	for _, bug := range []struct {
		name   string
		finds  []Rule
		faults []planned
	}{
		{"fence", []Rule{Twice}, []planned{{"stop", "worker-1", time.Second, long}, {"stop", "worker-2", 2 * time.Second, long}}},
		{"index", []Rule{Index}, nil},
		{"queue", []Rule{Stuck}, nil},
		{"epoch", []Rule{Epochs}, []planned{{"kill", "worker-1", time.Second, time.Second}, {"kill", "worker-2", 2 * time.Second, time.Second}}},
		{plantGrace, []Rule{Grace}, []planned{{"stop", "redis", 2 * time.Second, long}}},
		{plantAck, []Rule{Lost}, []planned{{"kill", "api", 3 * time.Second, time.Second}, {"kill", "api", 6 * time.Second, time.Second}}},
		{"", nil, []planned{{"stop", "worker-1", time.Second, long}, {"stop", "redis", 2 * time.Second, long}, {"kill", "api", 3 * time.Second, time.Second}}},
	} {
		t.Run("planted "+bug.name, func(t *testing.T) {
			t.Parallel()
			shape := setup(core.Push, redisstore.DurabilityAlways)
			shape.Dispatchers, shape.Planted, shape.Binary, shape.Patience = 1, bug.name, binary, 10*time.Second
			shape.Timers.Fence = time.Minute // so that there are late results
			s := newStack(t, shape)
			load := Load{Calls: 60, Span: 6 * time.Second, Took: time.Second, Plain: true}
			h := s.run(rand.New(rand.NewPCG(*seed, 11)), load, bug.faults)
			violations, _ := s.judge("planted: "+bug.name, h)
			if bug.finds == nil {
				fail(t, violations)
			}
			for _, rule := range bug.finds {
				i := slices.IndexFunc(violations, func(v Violation) bool { return v.Rule == rule })
				if i < 0 {
					t.Errorf("the checker has not found it: %v", violations)
					continue
				}
				t.Logf("found: %s", violations[i])
			}
		})
	}
}

// The product has no switches.
func TestNothingIsPlantedInTheProduct(t *testing.T) {
	t.Parallel()
	list := exec.Command("go", "list", "-f", "{{.GoFiles}}", "faasctl/core/redisstore")
	list.Env = append(os.Environ(), "GOFLAGS=")
	files, err := list.Output()
	if err != nil {
		t.Fatal(err)
	}
	names := strings.Fields(strings.Trim(string(files), "[]\n"))
	if !slices.Contains(names, "unplanted.go") || slices.Contains(names, "planted.go") {
		t.Errorf("the product is built of %s", files)
	}
}
