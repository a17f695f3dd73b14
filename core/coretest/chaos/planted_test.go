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

	"golang.org/x/sync/errgroup"

	"faasctl/core"
	"faasctl/core/redisstore"
)

const plantedLease = 7 * time.Second

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
	var group errgroup.Group
	group.SetLimit(3) // most of each is waiting
	long := plantedLease + 3*time.Second
	for _, bug := range []struct {
		name   string
		finds  []Rule
		faults []planned
	}{
		{"fence", []Rule{Twice}, []planned{{"stop", "worker-1", time.Second, long}, {"stop", "worker-2", 2 * time.Second, long}}},
		{"index", []Rule{Index}, nil},
		{"queue", []Rule{Index}, nil},
		{"epoch", []Rule{Epochs}, []planned{{"kill", "worker-1", time.Second, time.Second}, {"kill", "worker-2", 2 * time.Second, time.Second}}},
		{plantGrace, []Rule{Grace}, []planned{{"stop", "redis", 2 * time.Second, long}}},
		{plantAck, []Rule{Lost}, []planned{{"kill", "api", 3 * time.Second, time.Second}, {"kill", "api", 6 * time.Second, time.Second}}},
		{plantSlow, nil, []planned{{"stop", "redis", 2 * time.Second, long}, {"kill", "api", 3 * time.Second, time.Second}}},
	} {
		group.Go(func() error {
			t.Run("planted "+bug.name, func(t *testing.T) {
				h := plant(t, bug.name, binary, bug.faults)
				violations, numbers := Check(h)
				t.Logf("planted: %s\n%s", bug.name, numbers)
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
			return nil
		})
	}
	_ = group.Wait()
}

// plant runs processes with a bug.
func plant(t *testing.T, bug, binary string, faults []planned) *History {
	shape := setup(core.Push, redisstore.DurabilityAlways)
	shape.Dispatchers, shape.Planted, shape.Binary, shape.Patience = 1, bug, binary, 10*time.Second
	shape.Timers = calm(plantedLease) // workers do not fence themselves: there are late results
	load := Load{Calls: 60, Span: 6 * time.Second, Took: time.Second, Plain: true}
	if bug == plantGrace || bug == plantSlow { // what runs outlasts the outage
		load.Calls, load.Span, load.Took, shape.Patience = 10, time.Second, 20*time.Second, time.Minute
	}
	return newStack(t, shape).run(rand.New(rand.NewPCG(*seed, 11)), load, faults)
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
