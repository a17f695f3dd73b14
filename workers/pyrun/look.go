package pyrun

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"faasctl/core"
)

// hold puts limits in force for the child's next calls. It returns false when
// the child has to be replaced first: what earlier calls have left in its memory,
// or running, would be charged to them.
func (s *slot) hold(l core.Limits) bool {
	if l.Isolation == core.Fork && l.Processes > 0 {
		l.Processes++ // the process that is forked
	}
	if s.ch.usage != unused {
		why := ""
		if l.Memory > 0 {
			if used := s.ch.cell.memory(s.ch.pid, l.Memory/2); used > l.Memory/4*3 {
				why = "it has " + sizeText(used) + " of memory from earlier calls"
			}
		}
		if l.Processes > 0 || s.ch.bounds.Processes > 0 { // whoever lives on must not be let off the limit
			if n := s.ch.cell.tasks(s.ch.pid); n > 1 {
				why = fmt.Sprintf("%d processes and threads run in it from earlier calls", n)
			}
		}
		if why != "" {
			s.log.Debug("a Python child is replaced before a call under limits", "pid", s.ch.pid, "why", why)
			s.condemn(doomRetire, why)
			return false
		}
	}
	data, processes, change, err := s.ch.cell.limit(s.ch.pid, l)
	switch {
	case err == nil:
		s.ch.bounds = l
		if change {
			s.ch.send(kindLimit, binary.LittleEndian.AppendUint64(binary.LittleEndian.AppendUint64(nil, data), processes))
		}
		return true
	case s.ch.exited(): // that was all: another child takes the calls
		s.condemn(doomRetire, "it has ended")
	default: // it must not run without
		s.refuse(core.KindCrash, "its limits cannot be put in force on this worker: "+err.Error())
	}
	return false
}

// deserted reports whether a call under limits has left processes running: they
// would go on without any, or be charged to the next call.
func (ch *child) deserted() bool {
	limited := ch.bounds.Memory > 0 || ch.bounds.CPUSeconds > 0 || ch.bounds.Processes > 0
	return limited && (len(ch.cell.processes(ch.pid))-ch.cell.launchers > 1 || ch.cell.orphaned(ch.pid))
}

// refuse ends the next call without having started it.
func (s *slot) refuse(kind core.FailureKind, message string) {
	c := s.rest[0]
	s.rest = s.rest[1:]
	c.sink.Ended(core.Outcome{Lease: c.Lease, State: core.Failed, Result: failed(c.Codec, core.Failure{Kind: kind, Message: message})})
}

// lend has the child's next calls find variables in their environment. It returns
// false when they cannot be had here.
func (s *slot) lend(env core.Env) bool {
	key := strings.Join(env, "\x00")
	if key == s.ch.env {
		return true
	}
	values, missing := env.Resolve(func(name string) (string, bool) {
		if !slices.Contains(s.pool.config.PassEnv, name) {
			return "", false
		}
		return os.LookupEnv(name)
	})
	if missing != "" {
		s.refuse(core.KindUnloadable, "it needs the variable "+missing+" of its worker, which has or passes on no such: start it with "+missing+" set and --pass-env "+missing)
		return false
	}
	text, _ := json.Marshal(values)
	s.ch.send(kindEnv, text)
	s.ch.env = key
	return true
}

// watch notes when the call that is being entered has to be looked at.
func (s *slot) watch(f *flying, now time.Time) {
	memory, cpu := f.limits.Memory > 0 && s.ch.cell.group.memory == "", f.limits.CPUSeconds > 0
	if !memory && !cpu {
		s.lookAt = time.Time{}
		return
	}
	if cpu {
		s.cpuBase = s.ch.cell.cpu(s.ch.pid)
	}
	// A look that is due stays due: calls may be short, and together grow all the same.
	if s.lookAt.IsZero() || cpu {
		s.lookAt = now.Add(usualLook)
	}
	if cpu {
		s.lookAt = earlier(s.lookAt, now.Add(nextLook(seconds(f.limits.CPUSeconds))))
	}
}

// look ends the running call if it uses more than it may.
func (s *slot) look(f *flying, now time.Time) {
	next := slowLook
	if most := f.limits.Memory; most > 0 && s.ch.cell.group.memory == "" {
		used := s.ch.cell.memory(s.ch.pid, most)
		if used > most {
			s.condemn(doomMemory, "")
			return
		}
		next = usualLook
		if used > most/2 {
			next = quickLook
		}
	}
	if most := f.limits.CPUSeconds; most > 0 {
		rest := seconds(most) - (s.ch.cell.cpu(s.ch.pid) - s.cpuBase)
		if rest <= 0 {
			s.condemn(doomCPU, "")
			return
		}
		next = min(next, nextLook(rest))
	}
	s.lookAt = now.Add(next)
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }
