package core

import (
	"cmp"
	"context"
	"slices"
	"strings"
)

// Dead returns one page of dead letters, newest first, that a filter selects.
// The page may hold less than limit although Next is set: a filter by queue, by
// error or by several versions has no index, and a page looks at 10,000.
func (s *Service) Dead(ctx context.Context, filter BulkFilter, before TaskID, limit int) (TaskPage, error) {
	op, err := s.prepare(ctx, OperationRequest{Kind: OperationPurge, Filter: filter})
	if limit == 0 {
		limit = 100
	}
	if err == nil && (limit < 0 || limit > MaxBatch) {
		err = Errorf(ErrInvalid, "", "the limit must be between 1 and %d, not %d", MaxBatch, limit)
	}
	page := TaskPage{Tasks: []Task{}}
	if err != nil {
		return page, err
	}
	at := walk{state: Failed, before: before}
	for looked := 0; looked < maxDeadPage; {
		some, err := s.store.List(ctx, op.pageOf(at, limit))
		if err != nil {
			return page, err
		}
		looked += len(some.Tasks)
		for _, t := range some.Tasks {
			if !op.selects(t) {
				continue
			}
			if len(page.Tasks) == limit {
				page.Next = page.Tasks[limit-1].ID
				return page, nil
			}
			t.Name = s.nameOf(ctx, t.Function)
			page.Tasks = append(page.Tasks, t)
		}
		if page.Next, at.before = some.Next, some.Next; some.Next == "" {
			return page, nil
		}
		if len(page.Tasks) == limit {
			return page, nil
		}
	}
	return page, nil
}

const maxDeadPage = 10_000

// DeadGroups groups dead letters by what they died of and of which function, the
// largest group first. At most 100,000 are looked at; more says that there are
// others.
func (s *Service) DeadGroups(ctx context.Context, filter BulkFilter) (groups []FailureGroup, more bool, err error) {
	op, err := s.prepare(ctx, OperationRequest{Kind: OperationPurge, Filter: filter})
	if err != nil {
		return nil, false, err
	}
	found := map[FailureGroup]*FailureGroup{}
	looked := 0
	for at := (walk{state: Failed}); ; {
		page, err := s.store.List(ctx, op.pageOf(at, MaxBatch))
		if err != nil {
			return nil, false, err
		}
		for _, t := range page.Tasks {
			if op.selects(t) {
				countFailure(found, t)
			}
		}
		looked += len(page.Tasks)
		if at.before = page.Next; page.Next == "" {
			break
		}
		if more = looked >= maxPlanned; more {
			break
		}
	}
	groups, err = s.failureGroups(ctx, found)
	return groups, more, err
}

// countFailure adds a failed task, newest first, to the group it belongs to.
func countFailure(groups map[FailureGroup]*FailureGroup, t Task) {
	key := FailureGroup{Kind: t.Failure, Type: t.Type, Function: t.Function}
	g := groups[key]
	if g == nil {
		g = &FailureGroup{Kind: key.Kind, Type: key.Type, Function: key.Function, Newest: t.ID, Last: t.Finished}
		groups[key] = g
	}
	if t.Dead() {
		g.Dead++
	}
	if g.Count++; t.Finished.After(g.Last) {
		g.Last = t.Finished
	}
}

// failureGroups names groups and reads what the newest of each said.
func (s *Service) failureGroups(ctx context.Context, found map[FailureGroup]*FailureGroup) ([]FailureGroup, error) {
	all := make([]FailureGroup, 0, len(found))
	ids := make([]TaskID, 0, len(found))
	for _, g := range found {
		all, ids = append(all, *g), append(ids, g.Newest)
	}
	results, err := s.store.Results(ctx, ids)
	if err != nil {
		return nil, err
	}
	for i := range all {
		all[i].Name = s.nameOf(ctx, all[i].Function)
		if r := results[i]; r != nil && r.Failure != nil {
			all[i].Message, _, _ = strings.Cut(r.Failure.Message, "\n")
		}
	}
	slices.SortFunc(all, func(a, b FailureGroup) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), b.Last.Compare(a.Last), cmp.Compare(a.Newest, b.Newest))
	})
	return all, nil
}
