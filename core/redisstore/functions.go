package redisstore

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strconv"

	"github.com/redis/go-redis/v9"

	"faasctl/core"
)

// PutFunction implements core.FunctionStore.
func (s *Store) PutFunction(ctx context.Context, f core.Function) (core.Function, core.Registered, error) {
	const op = "register a function"
	f.ID, f.Version, f.Latest = core.NewFunctionID(), 0, false
	f.BodyHash, f.BodySize = core.HashBody(f.Body), len(f.Body)
	policy, err := policyArgs(f.Policy)
	if err != nil {
		return core.Function{}, "", err
	}
	f.Policy = core.Policy{} // stands beside the document
	doc, err := json.Marshal(f)
	if err != nil {
		return core.Function{}, "", &core.Error{Class: core.ErrInvalid, Op: op, Detail: "it cannot be stored", Err: err}
	}
	// go-redis repeats the script when its answer was lost; the same id then
	// tells the script that the function is not "unchanged" but new.
	args := append([]any{s.cfg.KeepEvents, string(f.ID), f.Name, f.Identity(), doc, f.BodyHash, f.Body}, append(policy, f.Needs().Key())...)
	answer, err := s.run(ctx, op, s.scripts.putFunction, args...)
	if err != nil {
		return core.Function{}, "", err
	}
	fields, ok := answer.([]any)
	if !ok || len(fields) != 7 {
		return core.Function{}, "", broken(op, "the script answered with %T", answer)
	}
	outcome, _ := fields[0].(string)
	stored, err := readFunction(fields[1:])
	s.needs.learn([]any{stored.Needs().Key()})
	return stored, core.Registered(outcome), err
}

// policyArgs is how scripts/policy.lua takes a policy.
func policyArgs(p core.Policy) ([]any, error) {
	document, err := json.Marshal(p)
	if err != nil {
		return nil, &core.Error{Class: core.ErrInvalid, Op: "store a policy", Err: err}
	}
	return []any{document, p.Concurrency, p.Rate.N, p.Rate.Per.Milliseconds()}, nil
}

// Prepare implements core.FunctionStore.
func (s *Store) Prepare(ctx context.Context, r core.PrepareRequest) error {
	const op = "prepare a function"
	text, err := json.Marshal(r)
	if err != nil {
		return &core.Error{Class: core.ErrInvalid, Op: op, Err: err}
	}
	return s.failed(op, ctx, s.client.Publish(ctx, s.keys.channelPrepare(), text).Err())
}

// SetPolicy implements core.FunctionStore.
func (s *Store) SetPolicy(ctx context.Context, id core.FunctionID, policy core.Policy) error {
	const op = "set a policy"
	args, err := policyArgs(policy)
	if err != nil {
		return err
	}
	n, err := s.number(ctx, op, s.scripts.setPolicy, append([]any{s.cfg.KeepEvents, string(id)}, args...)...)
	if err == nil && n == 0 {
		return core.Errorf(core.ErrNotFound, op, "there is no function %s", id)
	}
	return err
}

// readFunction makes a Function of id, document, version, created, latest, policy.
// A document that is older than policies has a time-out of its own.
func readFunction(fields []any) (core.Function, error) {
	id, _ := fields[0].(string)
	doc, _ := fields[1].(string)
	var f core.Function
	if err := json.Unmarshal([]byte(doc), &f); err != nil {
		return f, &core.Error{Class: core.ErrInternal, Op: "read a stored function", Detail: "its document is damaged", Err: err}
	}
	f.ID, f.Version, f.Created = core.FunctionID(id), int(asNumber(fields[2])), instant(asNumber(fields[3]))
	f.Latest = asNumber(fields[4]) == 1
	if policy, _ := fields[5].(string); policy != "" {
		f.Policy = core.Policy{}
		if err := json.Unmarshal([]byte(policy), &f.Policy); err != nil {
			return f, &core.Error{Class: core.ErrInternal, Op: "read a stored function", Detail: "its policy is damaged", Err: err}
		}
	}
	return f, nil
}

// lookup is one question to getfunction.lua: an id, or a name and a version.
type lookup struct {
	id      core.FunctionID
	name    string
	version int
}

// find answers lookups; a function that does not exist has ID "".
func (s *Store) find(ctx context.Context, op string, questions []lookup) ([]core.Function, error) {
	found := make([]core.Function, 0, len(questions))
	err := parcels(len(questions), small, func(from, to int) error {
		args := append(make([]any, 0, 1+3*(to-from)), s.cfg.KeepEvents)
		for _, q := range questions[from:to] {
			args = append(args, string(q.id), q.name, q.version)
		}
		answer, err := s.run(ctx, op, s.scripts.getFunction, args...)
		if err != nil {
			return err
		}
		fields, ok := answer.([]any)
		if !ok || len(fields) != 6*(to-from) {
			return broken(op, "the script answered with %T", answer)
		}
		for ; len(fields) > 0; fields = fields[6:] {
			if fields[0] == "" {
				found = append(found, core.Function{})
				continue
			}
			f, err := readFunction(fields)
			if err != nil {
				return err
			}
			found = append(found, f)
		}
		return nil
	})
	return found, err
}

// FunctionByID implements core.FunctionStore.
func (s *Store) FunctionByID(ctx context.Context, id core.FunctionID) (core.Function, error) {
	const op = "find a function"
	if id == "" {
		return core.Function{}, core.Errorf(core.ErrNotFound, op, "there is no function without an id")
	}
	found, err := s.find(ctx, op, []lookup{{id: id}})
	if err != nil {
		return core.Function{}, err
	}
	f := found[0]
	if f.ID == "" {
		return core.Function{}, core.Errorf(core.ErrNotFound, op, "there is no function %s", id)
	}
	if f.Body, err = s.client.Get(ctx, s.keys.body(f.BodyHash)).Bytes(); errors.Is(err, redis.Nil) {
		return core.Function{}, broken(op, "the body of function %s is missing", id)
	}
	return f, s.failed(op, ctx, err)
}

// FunctionByName implements core.FunctionStore.
func (s *Store) FunctionByName(ctx context.Context, name string, version int) (core.Function, error) {
	const op = "find a function"
	found, err := s.find(ctx, op, []lookup{{name: name, version: version}})
	if err != nil {
		return core.Function{}, err
	}
	if found[0].ID == "" {
		ref := name
		if version > 0 {
			ref += "@" + strconv.Itoa(version)
		}
		return core.Function{}, core.Errorf(core.ErrNotFound, op, "there is no function %q", ref).
			WithHint("faasctl fn ls lists them")
	}
	return found[0], nil
}

// FunctionNamed implements core.FunctionStore.
func (s *Store) FunctionNamed(ctx context.Context, name string, version int) (core.FunctionID, error) {
	table, field := s.keys.functionLatest(), name
	if version > 0 {
		table, field = s.keys.functionVersions(), name+"@"+strconv.Itoa(version)
	}
	id, err := s.client.HGet(ctx, table, field).Result()
	if errors.Is(err, redis.Nil) {
		return "", nil
	}
	return core.FunctionID(id), s.failed("find a function", ctx, err)
}

// ListFunctions implements core.FunctionStore.
func (s *Store) ListFunctions(ctx context.Context) ([]core.Function, error) {
	const op = "list functions"
	ids, err := s.client.HKeys(ctx, s.keys.functions()).Result()
	if err != nil {
		return nil, s.failed(op, ctx, err)
	}
	return s.list(ctx, op, ids)
}

// RemovedFunctions implements core.FunctionStore.
func (s *Store) RemovedFunctions(ctx context.Context) ([]core.Function, error) {
	const op = "list removed functions"
	ids, err := s.client.ZRange(ctx, s.keys.removed(), 0, -1).Result()
	if err != nil {
		return nil, s.failed(op, ctx, err)
	}
	return s.list(ctx, op, ids)
}

// list reads functions, by name and version.
func (s *Store) list(ctx context.Context, op string, ids []string) ([]core.Function, error) {
	questions := make([]lookup, len(ids))
	for i, id := range ids {
		questions[i].id = core.FunctionID(id)
	}
	found, err := s.find(ctx, op, questions)
	if err != nil {
		return nil, err
	}
	found = slices.DeleteFunc(found, func(f core.Function) bool { return f.ID == "" })
	slices.SortFunc(found, func(a, b core.Function) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Version, b.Version))
	})
	return found, nil
}

// RemoveFunction implements core.FunctionStore.
func (s *Store) RemoveFunction(ctx context.Context, id core.FunctionID) error {
	const op = "remove a function"
	n, err := s.number(ctx, op, s.scripts.removeFunction, s.cfg.KeepEvents, string(id))
	if err == nil && n == 0 {
		return core.Errorf(core.ErrNotFound, op, "there is no function %s", id)
	}
	return err
}
