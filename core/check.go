package core

import (
	"context"
	"regexp"
	"slices"
	"time"
)

// Check is a question to all workers before a function is registered: could you run it,
// and do you find what it imports?
type Check struct {
	ID           FunctionID `json:"id"` // random, of the question
	Codec        Codec      `json:"codec"`
	Python       string     `json:"python,omitempty"`
	Dependencies []string   `json:"dependencies,omitempty"`
	Imports      []string   `json:"imports,omitempty"` // top-level modules, such as numpy
}

// function stands in for the one that is not registered yet.
func (c Check) function() *Function {
	return &Function{ID: c.ID, Name: "check", Codec: c.Codec, Python: c.Python, Dependencies: c.Dependencies}
}

// WorkerCheck is the answer of one worker.
type WorkerCheck struct {
	Worker   WorkerID `json:"worker"`
	Host     string   `json:"host"`
	Lacks    string   `json:"lacks,omitempty"`   // what it has that cannot run the function; "" when it can
	Answered bool     `json:"answered"`          // about imports; one that cannot run it is not asked
	Python   string   `json:"python,omitempty"`  // version of the interpreter that would run it
	Missing  []string `json:"missing,omitempty"` // imports that this interpreter does not find
	Text     string   `json:"text,omitempty"`    // why it could not look
}

const (
	maxImports   = 256
	checkPatient = 5 * time.Second        // for workers to answer
	checkLook    = 150 * time.Millisecond // between two looks at the roster, where they answer
)

var moduleForm = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]{0,99}$`)

// Check asks every worker that takes tasks. Those that do not answer within 5 s are
// told as such.
func (s *Service) Check(ctx context.Context, c Check) ([]WorkerCheck, error) {
	if err := c.validate(); err != nil {
		return nil, err
	}
	var err error
	if c.Dependencies, err = CleanDependencies(c.Dependencies); err != nil {
		return nil, err
	}
	c.ID, c.Python = NewFunctionID(), CleanPython(c.Python)
	if err := s.store.Prepare(ctx, PrepareRequest{Check: &c}); err != nil {
		return nil, err
	}
	deadline := time.Now().Add(checkPatient)
	look := time.NewTicker(checkLook)
	defer look.Stop()
	for {
		roster, err := s.store.Roster(ctx)
		if err != nil {
			return nil, err
		}
		answers, open := c.answers(roster)
		if !open || time.Now().After(deadline) {
			return answers, nil
		}
		select {
		case <-look.C:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

func (c Check) validate() error {
	if c.Codec != Source && c.Codec != Dill {
		return Errorf(ErrInvalid, "", "codec %q cannot hold a function", clip(string(c.Codec), 32)).WithHint("use source or dill")
	}
	if err := CheckPython(c.Python); err != nil {
		return err
	}
	if len(c.Imports) > maxImports {
		return Errorf(ErrInvalid, "", "%d imports are more than %d", len(c.Imports), maxImports)
	}
	for _, name := range c.Imports {
		if !moduleForm.MatchString(name) {
			return Errorf(ErrInvalid, "", "%q is no top-level module", clip(name, 64)).WithHint("such as numpy")
		}
	}
	return nil
}

// answers reads what workers have said; open reports whether some have not.
func (c Check) answers(r Roster) (all []WorkerCheck, open bool) {
	all = []WorkerCheck{}
	for _, w := range r.Workers {
		if w.State != WorkerRunning || w.Slots == 0 || r.Now.Sub(w.Seen) > seenLately {
			continue
		}
		a := WorkerCheck{Worker: w.ID, Host: w.Host, Lacks: unfit(w, c.function())}
		at := slices.IndexFunc(w.Preparations, func(p Preparation) bool { return p.Function == c.ID })
		if at >= 0 {
			p := w.Preparations[at]
			a.Answered, a.Python, a.Missing = p.State == Prepared, p.Python, p.Missing
			if p.State != Prepared {
				a.Text = p.Text
			}
		}
		open = open || at < 0 && a.Lacks == ""
		all = append(all, a)
	}
	return all, open
}
