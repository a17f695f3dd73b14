package core

import (
	"regexp"
	"slices"
	"strings"
)

// Env are variables that a function's calls find in their environment: NAME=value,
// or NAME alone, whose value is the worker's own, if its operator passes that
// variable on. The value of such a one is never stored; it is how a secret gets to
// a function. Sorted, each name once.
type Env []string

// Bounds of an Env, which is stored with each call.
const (
	maxEnv     = 64
	maxEnvSize = 4 << 10 // bytes in all
)

var envName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// ParseEnv reads NAME=value and NAME.
func ParseEnv(words []string) (Env, error) {
	env := Env(slices.Clone(words))
	slices.Sort(env)
	return env, env.validate()
}

// envNameOf takes a variable apart; stated is whether its value is there.
func envNameOf(variable string) (name, value string, stated bool) { return strings.Cut(variable, "=") }

func (e Env) validate() error {
	size, seen := 0, map[string]bool{}
	for _, variable := range e {
		name, _, _ := envNameOf(variable)
		size += len(variable)
		switch {
		case !envName.MatchString(name) || strings.ContainsRune(variable, 0):
			return Errorf(ErrInvalid, "", "env: %q is no name of a variable", clip(name, 64)).
				WithHint("write NAME=value; NAME alone takes the worker's own value, if the worker passes it on")
		case strings.HasPrefix(name, "FAASCTL_"):
			return Errorf(ErrInvalid, "", "env: %s is not a function's: names beginning with FAASCTL_ are kept back", clip(name, 64))
		case seen[name]:
			return Errorf(ErrInvalid, "", "env: %s is there twice", clip(name, 64))
		}
		seen[name] = true
	}
	if len(e) > maxEnv || size > maxEnvSize {
		return Errorf(ErrInvalid, "", "env: at most %d variables of %d bytes in all", maxEnv, maxEnvSize).
			WithHint("pass large things as arguments")
	}
	return nil
}

// Resolve gives each variable its value: those that are only named are looked up.
// missing is the first for which that fails; "" if none does.
func (e Env) Resolve(lookUp func(name string) (string, bool)) (values map[string]string, missing string) {
	values = make(map[string]string, len(e))
	for _, variable := range e {
		name, value, stated := envNameOf(variable)
		if !stated {
			var found bool
			if value, found = lookUp(name); !found {
				return nil, name
			}
		}
		values[name] = value
	}
	return values, ""
}
