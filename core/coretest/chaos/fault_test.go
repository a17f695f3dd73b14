package chaos

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// planned is a fault to come.
type planned struct {
	kind, target string
	at, lasts    time.Duration
}

// disturbances of a wire, and how long they last at most.
var disturbances = []string{"latency", "reset", "blackhole", "lost-replies"}

// planFaults draws faults over a span: everything is struck at least once, Redis is
// killed at least five times, and the rest is chance.
func (s *stack) planFaults(random *rand.Rand, span time.Duration, count int) []planned {
	var list []planned
	add := func(kind, target string) { list = append(list, planned{kind: kind, target: target}) }
	parts, wires := sorted(s.parts), sorted(s.wires)
	for range 5 {
		add("kill", "redis")
	}
	add("stop", "redis")
	add("lost-replies", "clients")
	add("reset", "clients")
	for _, name := range parts {
		add("kill", name)
		if random.IntN(2) == 0 {
			add("stop", name)
		}
	}
	for _, i := range random.Perm(len(wires)) {
		add(disturbances[i%len(disturbances)], wires[i])
	}
	for len(list) < count {
		if random.IntN(2) == 0 {
			add([]string{"kill", "stop"}[random.IntN(2)], parts[random.IntN(len(parts))])
		} else {
			add(disturbances[random.IntN(len(disturbances))], wires[random.IntN(len(wires))])
		}
	}
	random.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
	for i := range list {
		list[i].at = time.Duration((float64(i) + random.Float64()) / float64(len(list)) * float64(span))
		list[i].lasts = 200*time.Millisecond + time.Duration(random.Float64()*float64(2*time.Second))
		if list[i].kind == "stop" && random.IntN(3) == 0 {
			list[i].lasts = s.Timers.Lease + time.Duration(random.Float64()*float64(2*time.Second))
		}
	}
	return list
}

func sorted[T any](m map[string]T) (names []string) {
	for name := range m {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// strike carries faults out, each at its time, and makes everything whole again.
// Those on one target take turns.
func (s *stack) strike(ctx context.Context, plan []planned) (done []Fault, err error) {
	began := time.Now()
	turns := map[string]*sync.Mutex{"redis": {}}
	for name := range s.parts {
		turns[name] = &sync.Mutex{}
	}
	for name := range s.wires {
		turns[name] = &sync.Mutex{}
	}
	var mu sync.Mutex
	var group sync.WaitGroup
	for _, p := range plan {
		group.Go(func() {
			select {
			case <-time.After(time.Until(began.Add(p.at))):
			case <-ctx.Done():
				return
			}
			turns[p.target].Lock()
			defer turns[p.target].Unlock()
			at := time.Now()
			failed := s.inflict(p)
			mu.Lock()
			defer mu.Unlock()
			done = append(done, Fault{Kind: p.kind + "-" + family(p.target), Target: p.target, At: at, Until: time.Now()})
			if failed != nil && err == nil {
				err = fmt.Errorf("%s %s: %w", p.kind, p.target, failed)
			}
		})
	}
	group.Wait()
	slices.SortFunc(done, func(a, b Fault) int { return a.At.Compare(b.At) })
	return done, err
}

// family is dispatcher for dispatcher-2, and so on.
func family(target string) string {
	return strings.Trim(strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' {
			return -1
		}
		return r
	}, strings.ReplaceAll(target, "--", "-")), "-")
}

// inflict carries one fault out and returns when all is whole again.
func (s *stack) inflict(p planned) error {
	if w := s.wires[p.target]; w != nil {
		return s.disturb(w, p)
	}
	if p.target == "redis" {
		if p.kind == "kill" {
			return s.killRedis()
		}
		if err := s.signalRedis(syscall.SIGSTOP); err != nil {
			return err
		}
		pass(p.lasts)
		return s.signalRedis(syscall.SIGCONT)
	}
	victim := s.parts[p.target]
	if p.kind == "kill" {
		return s.again(victim, p.lasts/2)
	}
	_ = victim.proc.Signal(syscall.SIGSTOP) // it may have ended by itself; see alive
	pass(p.lasts)
	_ = victim.proc.Signal(syscall.SIGCONT)
	return nil
}

// killRedis kills the server and waits until there is another.
func (s *stack) killRedis() error {
	old, err := s.redisPID()
	if err != nil {
		return err
	}
	if err := syscall.Kill(old, syscall.SIGKILL); err != nil {
		return err
	}
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); pass(20 * time.Millisecond) {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		pid, err := s.redisPID()
		if err == nil && pid != old && s.store.Ping(ctx) == nil {
			cancel()
			return nil
		}
		cancel()
	}
	return fmt.Errorf("Redis is not started again")
}

func (s *stack) disturb(w *wire, p planned) (err error) {
	defer w.heal()
	switch p.kind {
	case "latency":
		for _, way := range []string{"upstream", "downstream"} {
			if err == nil {
				err = w.add("latency", way, map[string]int{"latency": 60, "jitter": 50})
			}
		}
	case "reset":
		w.bridge.cut()
		return nil
	case "blackhole":
		for _, way := range []string{"upstream", "downstream"} {
			if err == nil {
				err = w.add("timeout", way, map[string]int{"timeout": 0})
			}
		}
	case "lost-replies":
		err = w.add("timeout", "downstream", map[string]int{"timeout": 0})
	}
	pass(p.lasts)
	return err
}
