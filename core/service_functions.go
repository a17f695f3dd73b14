package core

import (
	"context"
	"strings"
)

// RegisterRequest describes a function to register.
type RegisterRequest struct {
	Name         string
	Codec        Codec  // Source or Dill
	Body         []byte // file text or pickle
	Entry        string // Source: the function's name in the file
	File         string // base name of the file, for tracebacks
	Signature    string
	Doc          string
	Dependencies []string // packages it needs, as pip takes them: see CleanDependencies
	Python       string   // versions it needs (see CheckPython), or the minor one it was pickled by; "" = not said
	Policy       PolicyChange
	Labels       map[string]string
}

// Registration is the answer to a registration.
type Registration struct {
	Function Function   `json:"function"`
	Outcome  Registered `json:"outcome"`
	// Changed names what of the policy of a function that was known is another
	// one now.
	Changed []string `json:"changed,omitempty"`
	// Unfit says that none of the workers that are there can run it, and why.
	Unfit string `json:"unfit,omitempty"`
}

// Register stores a function, or finds the equal one. Its policy is that of the
// equal one, or of the latest version of the name, with what r states.
func (s *Service) Register(ctx context.Context, r RegisterRequest) (Registration, error) {
	f := Function{
		Name: r.Name, Codec: r.Codec, Body: r.Body, Entry: r.Entry, File: r.File, Signature: r.Signature,
		Doc: r.Doc, Python: CleanPython(r.Python), Labels: r.Labels,
		BodyHash: HashBody(r.Body), BodySize: len(r.Body),
	}
	var err error
	if f.Dependencies, err = CleanDependencies(r.Dependencies); err != nil {
		return Registration{}, err
	}
	if err := s.checkFunction(f); err != nil {
		return Registration{}, err
	}
	if f.Codec == Dill && f.Python == "" {
		f.Python, f.Assumed = s.cfg.Python, s.cfg.Python != ""
	}
	latest, err := s.store.FunctionByName(ctx, f.Name, 0)
	if err != nil && ClassOf(err) != ErrNotFound {
		return Registration{}, err
	}
	f.Policy = r.Policy.Apply(latest.Policy)
	if err := f.Policy.validate(); err != nil {
		return Registration{}, err
	}
	stored, outcome, err := s.store.PutFunction(ctx, f)
	done := Registration{Function: stored, Outcome: outcome}
	if err != nil {
		return done, err
	}
	if outcome != RegisteredNew {
		if done.Function, done.Changed, err = s.changePolicy(ctx, stored, r.Policy); err != nil {
			return done, err
		}
	}
	if len(stored.Dependencies) > 0 {
		if err := s.store.Prepare(ctx, PrepareRequest{Function: stored.ID}); err != nil { // then it is made when it is called
			s.cfg.Logger.Warn("workers were not asked to make the environment of a function", "function", stored.Ref(), "error", err)
		}
	}
	if !stored.Needs().None() {
		if roster, err := s.store.Roster(ctx); err == nil { // else it is registered all the same
			done.Unfit = roster.Unfit(&stored)
		}
	}
	return done, nil
}

// SetPolicy changes what c states of a function's policy and names the fields
// that are others now.
func (s *Service) SetPolicy(ctx context.Context, text string, c PolicyChange) (Function, []string, error) {
	if c.Empty() {
		return Function{}, nil, Errorf(ErrInvalid, "", "nothing to change was stated").
			WithHint("state one of timeout, retries, backoff, retry_on, concurrency, rate, expires")
	}
	f, err := s.Function(ctx, text)
	if err != nil {
		return f, nil, err
	}
	return s.changePolicy(ctx, f, c)
}

func (s *Service) changePolicy(ctx context.Context, f Function, c PolicyChange) (Function, []string, error) {
	policy := c.Apply(f.Policy)
	changed := f.Policy.Changes(policy)
	if len(changed) == 0 {
		return f, nil, nil
	}
	if err := policy.validate(); err != nil {
		return f, nil, err
	}
	if err := s.store.SetPolicy(ctx, f.ID, policy); err != nil {
		return f, nil, explainUnknown(err, f.Ref())
	}
	s.known.forget(f.ID)
	f.Policy, f.Body = policy, nil
	return f, changed, nil
}

func (s *Service) checkFunction(f Function) error {
	if err := CheckName(f.Name); err != nil {
		return err
	}
	if len(f.Body) > s.cfg.MaxPayload {
		return tooLarge("function bodies", len(f.Body), s.cfg.MaxPayload)
	}
	if err := CheckPython(f.Python); err != nil {
		return err
	}
	if len(f.Python) > maxPython {
		return Errorf(ErrInvalid, "", "%q says too much about Python", clip(f.Python, 64)).WithHint("%d characters at most", maxPython)
	}
	switch f.Codec {
	case Dill:
		return CheckPickle("function payload", f.Body)
	case Source:
		if f.Entry == "" || len(f.Body) == 0 {
			return Errorf(ErrInvalid, "", "a source function needs its text and the name of its entry")
		}
		return nil
	}
	return Errorf(ErrInvalid, "", "codec %q cannot hold a function", f.Codec).WithHint("use source or dill")
}

// maxPython bounds Function.Python, in bytes.
const maxPython = 200

// CheckPickle looks at the outline of a pickle: protocol 2 or later begins
// with 0x80 and every pickle ends with a full stop. Nothing is decoded.
func CheckPickle(what string, data []byte) error {
	if len(data) < 3 || data[0] != 0x80 || data[len(data)-1] != '.' {
		return Errorf(ErrMalformed, "", "the %s is not a pickle", what).
			WithHint("send base64 of dill.dumps(...)")
	}
	return nil
}

func tooLarge(what string, size, most int) error {
	return Errorf(ErrTooLarge, "", "%s of %d bytes are above the limit of %d", what, size, most).
		WithHint("pass a path or a key to the data instead, or start the server with a larger --max-payload")
}

// Function finds one function by any reference, without its body.
func (s *Service) Function(ctx context.Context, text string) (Function, error) {
	ref, err := ParseFunctionRef(text)
	if err != nil {
		return Function{}, err
	}
	if ref.Name != "" {
		f, err := s.store.FunctionByName(ctx, ref.Name, ref.Version)
		if err == nil || ref.Prefix == "" || ClassOf(err) != ErrNotFound {
			return f, explainUnknown(err, text)
		}
	}
	if len(ref.Prefix) == 36 {
		f, err := s.store.FunctionByID(ctx, FunctionID(ref.Prefix))
		return f, explainUnknown(err, text)
	}
	return s.functionByPrefix(ctx, ref)
}

func (s *Service) functionByPrefix(ctx context.Context, ref FunctionRef) (Function, error) {
	all, err := s.store.ListFunctions(ctx)
	if err != nil {
		return Function{}, err
	}
	var found []Function
	for _, f := range all {
		if strings.HasPrefix(string(f.ID), ref.Prefix) {
			found = append(found, f)
		}
	}
	switch len(found) {
	case 0:
		return Function{}, explainUnknown(ErrNotFound, ref.Text)
	case 1:
		return found[0], nil
	}
	return Function{}, Errorf(ErrInvalid, "", "%q fits %d functions, %s and %s among them", ref.Text, len(found), found[0].Ref(), found[1].Ref()).
		WithHint("write more of the id, or the name")
}

func explainUnknown(err error, text string) error {
	if err == nil || ClassOf(err) != ErrNotFound {
		return err
	}
	return Errorf(ErrNotFound, "", "there is no function %q", clip(text, 128)).
		WithHint("faasctl fn ls lists the registered ones; faasctl register FILE adds one")
}

// FunctionBody returns a function together with its body.
func (s *Service) FunctionBody(ctx context.Context, text string) (Function, error) {
	f, err := s.Function(ctx, text)
	if err != nil {
		return f, err
	}
	return s.store.FunctionByID(ctx, f.ID)
}

// Functions lists every version of every function.
func (s *Service) Functions(ctx context.Context) ([]Function, error) {
	return s.store.ListFunctions(ctx)
}

// RemoveFunction takes a version (name@version, id), or with a bare name all
// versions, out of service and returns them. Accepted tasks still run.
func (s *Service) RemoveFunction(ctx context.Context, text string) ([]Function, error) {
	f, err := s.Function(ctx, text)
	if err != nil {
		return nil, err
	}
	doomed := []Function{f}
	if text == f.Name {
		all, err := s.store.ListFunctions(ctx)
		if err != nil {
			return nil, err
		}
		doomed = doomed[:0]
		for _, other := range all {
			if other.Name == f.Name {
				doomed = append(doomed, other)
			}
		}
	}
	for _, f := range doomed {
		if err := s.store.RemoveFunction(ctx, f.ID); err != nil {
			return nil, err
		}
	}
	return doomed, nil
}
