package pyrun

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"faasctl/core"
)

// Environments makes and keeps what functions depend on; environments.Cache is one.
type Environments interface {
	// Dir is where they are; it exists.
	Dir() string
	// Key names the environment of a set of packages for an interpreter.
	Key(python core.Interpreter, dependencies []string) string
	// Python is the path of the interpreter in an environment.
	Python(key string) string
	// Ensure makes the environment unless it is there; with again also where that
	// has failed a moment ago. tell hears what is being done.
	Ensure(ctx context.Context, python core.Interpreter, dependencies []string, again bool, tell func(line string)) error
	// Hold keeps an environment from being removed until it is closed; ErrGone when
	// it is not there.
	Hold(key string) (io.Closer, error)
}

// environment is one that functions of this pool need. Guarded by Pool.mu.
type environment struct {
	key, python  string // python is the path of its interpreter
	base         core.Interpreter
	dependencies []string

	stage   stage
	again   bool  // try although it has failed a moment ago
	failure error // when it has failed, at that time
	at      time.Time
	faults  int // times in a row that no child of it came to life
	line    string
	heard   map[core.FunctionID]func(core.Preparation) // who wants to know
}

// stage is how far an environment has come.
type stage int

const (
	unmade  stage = iota // nobody has looked, or it was removed
	making               // it waits to be made, or is
	made                 // children can be started in it
	refused              // it cannot be made, as far as was known a moment ago
)

const (
	maxEnvironments = 256              // that a pool knows
	maxFaults       = 3                // children that die at their start before the environment is to blame
	failureMemory   = 30 * time.Second // for calls; a registration tries again at once
	buildsAtOnce    = 2
	tellEvery       = 200 * time.Millisecond // lines of an installer, at most
)

// environment finds or makes what is known of one, and has it made. p.mu is held.
func (p *Pool) environment(base core.Interpreter, dependencies []string, again bool) *environment {
	key := p.config.Environments.Key(base, dependencies)
	e := p.environments[key]
	if e == nil {
		for other, known := range p.environments {
			if len(p.environments) < maxEnvironments {
				break
			}
			if known.stage != making {
				delete(p.environments, other)
			}
		}
		e = &environment{key: key, python: p.config.Environments.Python(key), base: base, dependencies: dependencies, heard: map[core.FunctionID]func(core.Preparation){}}
		p.environments[key] = e
	}
	if e.stage == refused && (again || time.Since(e.at) > failureMemory) {
		e.stage = unmade
	}
	if e.stage == unmade {
		e.stage, e.again = making, again
		p.errand(func(ctx context.Context) { p.make(ctx, e) })
	}
	return e
}

// Prepare makes the environment of a function before its first call; tell hears how
// far that is, at least once, from the pool's goroutines. It must not block.
func (p *Pool) Prepare(f *core.Function, tell func(core.Preparation)) {
	base, fit := p.baseFor(call{Assignment: core.Assignment{Function: f}}, p.config.Interpreters)
	told := core.Preparation{Function: f.ID, Python: base.Version}
	switch {
	case !fit:
		told.State, told.Text = core.Unprepared, "no Python of this worker fits"
	case len(f.Dependencies) == 0:
		told.State = core.Prepared
	case p.config.Environments == nil:
		told.State, told.Text = core.Unprepared, noEnvironments
	default:
		p.mu.Lock()
		e := p.environment(base, f.Dependencies, true)
		if e.stage == made && !p.there(e) {
			e.stage = unmade
			e = p.environment(base, f.Dependencies, true)
		}
		if told.State = core.Prepared; e.stage == making {
			told.State, told.Text = core.Preparing, e.line
			e.heard[f.ID] = tell
		}
		p.mu.Unlock()
	}
	tell(told)
}

// lookFor prints which of the modules that it is given cannot be found.
const lookFor = `import importlib.util, json, sys
def found(name):
    try:
        return name == "faasctl_task" or importlib.util.find_spec(name) is not None
    except (ImportError, ValueError, AttributeError):
        return False
print("\n" + json.dumps([name for name in sys.argv[1:] if not found(name)]))
`

// Look tells which modules a function would not find: in its environment where that is
// made, else in the interpreter.
func (p *Pool) Look(f *core.Function, imports []string, tell func(core.Preparation)) {
	base, fit := p.baseFor(call{Assignment: core.Assignment{Function: f}}, p.config.Interpreters)
	told := core.Preparation{Function: f.ID, Python: base.Version, State: core.Unprepared, Text: "no Python of this worker fits"}
	if !fit {
		tell(told)
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.errand(func(ctx context.Context) {
		python := base.Path
		if made := p.config.Environments; made != nil && len(f.Dependencies) > 0 {
			if held, err := made.Hold(made.Key(base, f.Dependencies)); err == nil {
				defer held.Close()
				python = made.Python(made.Key(base, f.Dependencies))
			}
		}
		ctx, cancel := context.WithTimeout(ctx, inspectTimeout)
		defer cancel()
		out, err := runScript(ctx, python, script{source: lookFor, args: imports, path: p.config.ImportPath})
		if err == nil {
			lines := strings.Split(strings.TrimSpace(string(out)), "\n")
			err = json.Unmarshal([]byte(lines[len(lines)-1]), &told.Missing)
		}
		if told.State, told.Text = core.Prepared, ""; err != nil {
			told.State, told.Text = core.Unprepared, clip(python+" "+err.Error(), 500)
		}
		tell(told)
	})
}

const noEnvironments = "this worker makes no environments"

// there reports whether an environment that was made still is.
func (p *Pool) there(e *environment) bool {
	held, err := p.config.Environments.Hold(e.key)
	if err == nil {
		held.Close()
	}
	return err == nil
}

// errand has something done that takes its time. p.mu is held.
func (p *Pool) errand(do func(context.Context)) {
	p.errands = append(p.errands, do)
	select {
	case p.errandBell <- struct{}{}:
	default:
	}
}

// runErrands does so until ctx is done.
func (p *Pool) runErrands(ctx context.Context) error {
	var makers errgroup.Group
	makers.SetLimit(buildsAtOnce)
	for {
		p.mu.Lock()
		batch := p.errands
		p.errands = nil
		p.mu.Unlock()
		for _, do := range batch {
			makers.Go(func() error { do(ctx); return nil })
		}
		select {
		case <-p.errandBell:
		case <-ctx.Done():
			return makers.Wait()
		}
	}
}

// make makes one environment, and lets go on what waits for it.
func (p *Pool) make(ctx context.Context, e *environment) {
	begun, told := time.Now(), time.Time{}
	err := p.config.Environments.Ensure(ctx, e.base, e.dependencies, e.again, func(line string) {
		p.mu.Lock()
		e.line = clip(line, 200)
		heard := p.listeners(e)
		p.mu.Unlock()
		if time.Since(told) > tellEvery {
			told = time.Now()
			tellAll(heard, core.Preparation{State: core.Preparing, Text: clip(line, 200), Python: e.base.Version})
		}
	})
	if ctx.Err() != nil {
		return
	}
	if u := p.bounds.users; err == nil && !u.none() {
		if err = tryUser(p.config, e.python, u.first); err != nil {
			err = fmt.Errorf("the environment is made, but functions cannot use it: %w", err)
		}
	}
	news := core.Preparation{State: core.Prepared, Python: e.base.Version, Took: time.Since(begun)}
	p.mu.Lock()
	var alone []call
	e.stage, e.failure, e.line = made, nil, ""
	if err != nil {
		alone = p.giveUp(e, err)
		news.State, news.Text = core.Unprepared, clip(err.Error()+"\n"+saidOf(err), maxMessage)
	}
	heard := p.listeners(e)
	clear(e.heard)
	p.match()
	p.mu.Unlock()
	p.fail(alone, err)
	tellAll(heard, news)
}

// giveUp marks an environment as one that cannot be had and takes the calls out that
// wait for it. p.mu is held.
func (p *Pool) giveUp(e *environment, err error) (waiting []call) {
	e.stage, e.failure, e.at = refused, err, time.Now()
	p.queue = slices.DeleteFunc(p.queue, func(b pending) bool {
		if b.needs == e {
			waiting = append(waiting, b.calls...)
		}
		return b.needs == e
	})
	return waiting
}

func (p *Pool) listeners(e *environment) map[core.FunctionID]func(core.Preparation) {
	all := make(map[core.FunctionID]func(core.Preparation), len(e.heard))
	for id, tell := range e.heard {
		all[id] = tell
	}
	return all
}

func tellAll(heard map[core.FunctionID]func(core.Preparation), news core.Preparation) {
	for id, tell := range heard {
		news.Function = id
		tell(news)
	}
}

// fail ends calls whose environment cannot be had.
func (p *Pool) fail(calls []call, err error) {
	for _, c := range calls {
		c.sink.Ended(core.Outcome{Lease: c.Lease, State: core.Failed, Result: failed(c.Codec, core.Failure{
			Kind: core.KindUnloadable, Message: clip(err.Error(), maxMessage), Last: saidOf(err),
		})})
	}
}

// saidOf is what an installer said at last.
func saidOf(err error) string {
	var said interface{ Said() string }
	if errors.As(err, &said) {
		return clip(said.Said(), 8<<10)
	}
	return ""
}

// hold keeps the environment of a slot's next child; nil for a plain interpreter.
func (p *Pool) hold(python string) (io.Closer, error) {
	p.mu.Lock()
	e := p.environmentAt(python)
	p.mu.Unlock()
	if e == nil {
		return nil, nil
	}
	return p.config.Environments.Hold(e.key)
}

func (p *Pool) environmentAt(python string) *environment {
	for _, e := range p.environments {
		if e.python == python {
			return e
		}
	}
	return nil
}

// alive notes that a child came to life in its environment, if it has one.
func (p *Pool) alive(python string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if e := p.environmentAt(python); e != nil {
		e.faults = 0
	}
}

// leave has the slot, whose child could not be started in its environment, begin anew
// with a plain interpreter; what it had goes back to the queue, where the environment
// is made again, or given up when that does not help. It reports whether there was one.
func (s *slot) leave(err error) bool {
	p := s.pool
	p.mu.Lock()
	e := p.environmentAt(s.uses)
	var alone []call
	if e != nil {
		if e.stage == made {
			e.stage = unmade
		}
		if !errors.Is(err, core.ErrGone) {
			e.faults++
		}
		if e.faults >= maxFaults {
			e.faults = 0
			err = fmt.Errorf("no child starts in the environment with %s: %w", core.SayDependencies(e.dependencies), err)
			alone = append(p.giveUp(e, err), s.rest...)
			s.rest = nil
		}
		if s.given == nil { // else it is that of the next calls
			s.python = p.config.Python
		}
	}
	p.mu.Unlock()
	if e == nil {
		return false
	}
	p.fail(alone, err)
	left := s.rest
	s.rest, s.uses, s.retry = nil, p.config.Python, time.Now()
	if s.busy {
		s.busy = false
		p.giveBack(s, left)
	}
	return true
}
