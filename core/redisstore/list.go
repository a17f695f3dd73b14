package redisstore

import (
	"context"
	"slices"

	"github.com/redis/go-redis/v9"

	"faasctl/core"
)

// maxScan is how many tasks a listing without an index of its own looks at.
const maxScan = 10_000

// List implements core.TaskStore. Indexes are ordered by id, which is the order
// of submission, but for those of DELAYED and RUNNING tasks: these serve the
// keepers and are ordered by time. They are read whole when they are not too
// large, and else the newest of all tasks are looked through.
func (s *Store) List(ctx context.Context, filter core.TaskFilter) (core.TaskPage, error) {
	limit := filter.Limit
	if limit <= 0 {
		limit = 100
	}
	limit = min(limit, 1000)
	switch {
	case filter.Dead && filter.Function != "":
		return s.listIndex(ctx, s.keys.deadOf(filter.Function), filter, limit)
	case filter.Dead:
		return s.listIndex(ctx, s.keys.dead(), filter, limit)
	case filter.State == core.Failed && filter.Function != "":
		return s.listIndex(ctx, s.keys.failedOf(filter.Function), filter, limit)
	case filter.State == core.Delayed || filter.State == core.Running:
		n, err := s.client.ZCard(ctx, s.keys.index(filter.State)).Result()
		if err != nil {
			return core.TaskPage{}, s.failed("list tasks", ctx, err)
		}
		if n <= maxScan {
			return s.listSmall(ctx, filter, limit)
		}
		return s.listScan(ctx, s.keys.all(), filter, limit)
	case filter.State != "" && filter.Function != "":
		return s.listScan(ctx, s.keys.index(filter.State), filter, limit)
	case filter.State != "":
		return s.listIndex(ctx, s.keys.index(filter.State), filter, limit)
	case filter.Function != "":
		return s.listScan(ctx, s.keys.all(), filter, limit)
	}
	return s.listIndex(ctx, s.keys.all(), filter, limit)
}

// fits reports whether a record is still what the filter asks for: it may have
// moved on since the index was read.
func fits(filter core.TaskFilter, t core.Task) bool {
	return t.ID != "" && (filter.State == "" || t.State == filter.State) && (filter.Function == "" || t.Function == filter.Function) &&
		(!filter.Dead || t.Dead())
}

// page reads ids, newest first, from an index that is ordered by id.
func (s *Store) page(ctx context.Context, index string, before core.TaskID, n int) ([]core.TaskID, error) {
	from := "+"
	if before != "" {
		from = "(" + string(before)
	}
	names, err := s.client.ZRevRangeByLex(ctx, index, &redis.ZRangeBy{Max: from, Min: "-", Count: int64(n)}).Result()
	return taskIDs(names), s.failed("list tasks", ctx, err)
}

func taskIDs(names []string) []core.TaskID {
	ids := make([]core.TaskID, len(names))
	for i, name := range names {
		ids[i] = core.TaskID(name)
	}
	return ids
}

// listIndex lists from an index that holds exactly what the filter asks for.
func (s *Store) listIndex(ctx context.Context, index string, filter core.TaskFilter, limit int) (core.TaskPage, error) {
	page := core.TaskPage{Tasks: []core.Task{}}
	ids, err := s.page(ctx, index, filter.Before, limit+1)
	if err != nil {
		return page, err
	}
	if len(ids) > limit {
		ids = ids[:limit]
		page.Next = ids[limit-1]
	}
	found, err := s.records(ctx, "list tasks", ids)
	for _, t := range found {
		if fits(filter, t) {
			page.Tasks = append(page.Tasks, t)
		}
	}
	return page, err
}

// listSmall sorts a whole index by id.
func (s *Store) listSmall(ctx context.Context, filter core.TaskFilter, limit int) (core.TaskPage, error) {
	page := core.TaskPage{Tasks: []core.Task{}}
	names, err := s.client.ZRange(ctx, s.keys.index(filter.State), 0, -1).Result()
	if err != nil {
		return page, s.failed("list tasks", ctx, err)
	}
	ids := slices.DeleteFunc(taskIDs(names), func(id core.TaskID) bool { return filter.Before != "" && id >= filter.Before })
	slices.SortFunc(ids, func(a, b core.TaskID) int { return compare(b, a) })
	for len(ids) > 0 {
		step := min(limit, len(ids))
		found, err := s.records(ctx, "list tasks", ids[:step])
		if err != nil {
			return page, err
		}
		for _, t := range found {
			if !fits(filter, t) {
				continue
			}
			if len(page.Tasks) == limit {
				page.Next = page.Tasks[limit-1].ID
				return page, nil
			}
			page.Tasks = append(page.Tasks, t)
		}
		ids = ids[step:]
	}
	return page, nil
}

// listScan looks through the newest tasks of an index for those that fit.
// Whoever wants more goes on from Next, even when this page found none.
func (s *Store) listScan(ctx context.Context, index string, filter core.TaskFilter, limit int) (core.TaskPage, error) {
	page := core.TaskPage{Tasks: []core.Task{}}
	before := filter.Before
	for page.Scanned < maxScan {
		ids, err := s.page(ctx, index, before, core.MaxBatch)
		if err != nil {
			return page, err
		}
		found, err := s.records(ctx, "list tasks", ids)
		if err != nil {
			return page, err
		}
		for _, t := range found {
			if fits(filter, t) {
				if len(page.Tasks) == limit {
					page.Next = page.Tasks[limit-1].ID
					return page, nil
				}
				page.Tasks = append(page.Tasks, t)
			}
			page.Scanned++
		}
		if len(ids) < core.MaxBatch {
			return page, nil
		}
		before = ids[len(ids)-1]
	}
	page.Next = before
	return page, nil
}

func compare(a, b core.TaskID) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}
