package chaos

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"faasctl/core"
	"faasctl/core/redisstore"
)

// setup is the usual shape of a mode.
func setup(mode core.Mode, durability redisstore.Durability) Setup {
	return Setup{Mode: mode, Durability: durability, Dispatchers: 2, Workers: 3, Slots: 2, Timers: short, Patience: 2 * time.Minute}
}

// storm is one run with faults of all kinds.
func storm(t *testing.T, seed uint64, setup Setup, load Load, faults int) Numbers {
	t.Helper()
	random := rand.New(rand.NewPCG(seed, 10))
	s := newStack(t, setup)
	h := s.run(random, load, s.planFaults(random, load.Span*9/10, faults))
	name := fmt.Sprintf("seed %d, mode %s, durability %s; again: make chaos SEED=%d", seed, setup.Mode, setup.Durability, seed)
	violations, numbers := s.judge(name, h)
	fail(t, violations)
	if kills := len(h.kills()); kills < 4 {
		t.Errorf("Redis was killed %d times", kills)
	}
	return numbers
}

// One seed, for about a minute: part of make test.
func TestChaos(t *testing.T) {
	t.Parallel()
	if *full {
		t.Skip("the full run has more")
	}
	modes := []core.Mode{core.Push, core.Pull, core.Local}
	load := Load{Calls: 1500, Span: 50 * time.Second, Took: 300 * time.Millisecond, Poison: 0.005}
	storm(t, *seed, setup(modes[*seed%3], redisstore.DurabilityAlways), load, 30)
}

// Three seeds in all modes, with fsync always and every second: make chaos. With
// fsync always nothing may be lost; otherwise Redis may forget what it acknowledged
// in the two seconds before it was killed.
func TestManySeeds(t *testing.T) {
	t.Parallel()
	if !*full {
		t.Skip("make chaos")
	}
	for _, durability := range []redisstore.Durability{redisstore.DurabilityAlways, redisstore.DurabilityEverysec} {
		for n := range uint64(3) {
			for _, mode := range []core.Mode{core.Local, core.Pull, core.Push} {
				t.Run(fmt.Sprintf("%s %s %d", durability, mode, *seed+n), func(t *testing.T) {
					t.Parallel()
					load := Load{Calls: *tasks, Span: *span, Took: 120 * time.Millisecond, Poison: 0.005}
					numbers := storm(t, *seed+n, setup(mode, durability), load, 50)
					if numbers.Accepted < *tasks {
						t.Errorf("%d of %d calls were accepted", numbers.Accepted, *tasks)
					}
				})
			}
		}
	}
}
