package core

import "math"

// Limits is what one call may use, and how far it is kept from others. A worker
// has ceilings of its own; the lower of both holds. The zero value limits
// nothing and runs in a warm child.
type Limits struct {
	Memory     int64     `json:"memory,omitempty"`      // bytes that its processes may have together, the interpreter included; 0 = no limit. Breach: KindMemory
	CPUSeconds float64   `json:"cpu_seconds,omitempty"` // processor time of its processes, in seconds; 0 = no limit. Breach: KindTimeout
	Processes  int       `json:"processes,omitempty"`   // processes and threads at once, the interpreter included; 0 = no limit. Breach: what the function raises
	Isolation  Isolation `json:"isolation,omitempty"`   // default: warm
}

// Isolation says what a call shares with calls before it.
type Isolation string

const (
	Warm  Isolation = "warm"  // a process that has run other calls
	Fork  Isolation = "fork"  // a fresh fork of a process that has only imported
	Fresh Isolation = "fresh" // an interpreter of its own
)

// Isolations lists them, from the quickest on.
var Isolations = []Isolation{Warm, Fork, Fresh}

// OrDefault returns warm for "".
func (i Isolation) OrDefault() Isolation {
	if i == "" {
		return Warm
	}
	return i
}

// apart ranks isolations.
func (i Isolation) apart() int {
	switch i {
	case Fork:
		return 1
	case Fresh:
		return 2
	}
	return 0
}

// Bounds of Limits. Below the least memory no interpreter starts.
const (
	MinMemory     = 16 << 20
	MaxMemory     = 1 << 50
	MaxCPUSeconds = 10 * 366 * 24 * 3600
	MaxProcesses  = 1 << 22
)

// Under returns what holds of l on a worker with a ceiling: of each limit the
// lower one, of two isolations the one that keeps calls further apart.
func (l Limits) Under(ceiling Limits) Limits {
	l.Memory = lower(l.Memory, ceiling.Memory)
	l.CPUSeconds = lower(l.CPUSeconds, ceiling.CPUSeconds)
	l.Processes = lower(l.Processes, ceiling.Processes)
	if ceiling.Isolation.apart() > l.Isolation.apart() {
		l.Isolation = ceiling.Isolation
	}
	return l
}

func lower[T int | int64 | float64](a, b T) T {
	if a == 0 || b != 0 && b < a {
		return b
	}
	return a
}

// Validate reports the first limit that makes no sense.
func (l Limits) Validate() error {
	switch {
	case l.Memory != 0 && (l.Memory < MinMemory || l.Memory > MaxMemory):
		return Errorf(ErrInvalid, "", "a memory limit must be 0 (none) or at least 16 MiB, not %d bytes", l.Memory).
			WithHint("write it as 512MiB or 2GiB; an interpreter alone takes about 12 MiB")
	case !(l.CPUSeconds >= 0 && l.CPUSeconds <= MaxCPUSeconds) || math.IsNaN(l.CPUSeconds):
		return Errorf(ErrInvalid, "", "cpu-seconds must be between 0 (no limit) and ten years, not %g", l.CPUSeconds)
	case l.Processes < 0 || l.Processes > MaxProcesses:
		return Errorf(ErrInvalid, "", "processes must be between 0 (no limit) and %d, not %d", MaxProcesses, l.Processes)
	}
	return l.Isolation.Validate()
}

// Validate reports an isolation that there is not.
func (i Isolation) Validate() error {
	switch i {
	case "", Warm, Fork, Fresh:
		return nil
	}
	return Errorf(ErrInvalid, "", "isolation cannot be %q", clip(string(i), 32)).WithHint("choose warm, fork or fresh")
}

// Enforcement is what a worker really has in force, as it found its system.
type Enforcement struct {
	Stop      string `json:"stop"`      // what ends with a call that is stopped: "process group", "subreaper", "cgroup", "pid namespace"
	Memory    string `json:"memory"`    // "cgroup", or "rlimit" with a look at it ten times a second
	CPU       string `json:"cpu"`       // whose clock is looked at: "cgroup" or "process tree"
	Processes string `json:"processes"` // "cgroup", "rlimit" or "none"
	User      string `json:"user"`      // who functions run as
	Sandbox   string `json:"sandbox"`   // "none" or "bwrap"
	Ceiling   Limits `json:"ceiling,omitzero"`
}
