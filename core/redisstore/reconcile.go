package redisstore

import (
	"context"
	"strings"
	"sync"

	"faasctl/core"
)

const (
	// reconcileKeys is about how many keys one step of the pass looks at, and
	// reconcileBatch how many things one script does: about a millisecond.
	reconcileKeys  = 1000
	reconcileBatch = 100
	// keepSlack is how late gc may be before a task counts as one that it has
	// lost sight of, in ms.
	keepSlack = 60 * 60 * 1000
)

// walker is where the pass over all keys stands. It begins anew with each process;
// any number of processes may walk at once.
type walker struct {
	mu      sync.Mutex
	cursor  uint64   // of SCAN
	scanned bool     // SCAN is through
	index   string   // the sorted set that is being walked, "" = none
	inside  uint64   // cursor of ZSCAN in index
	left    []string // sorted sets that are to be walked
}

// Reconcile implements core.KeeperStore: it takes one step of a pass over all keys
// of ours and compares what stands in them. The records are found by their keys, as
// an index cannot be asked what is missing in it.
func (s *Store) Reconcile(ctx context.Context) (repaired int, whole bool, err error) {
	w := &s.walk
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.index == "" && len(w.left) > 0 {
		w.index, w.left = w.left[0], w.left[1:]
	}
	switch {
	case w.index != "":
		repaired, err = s.reconcileIndex(ctx, w)
	case w.scanned: // and all that it has found is walked
		w.scanned, whole = false, true
		repaired, err = s.reconcile(ctx, "counts", "", nil)
	default:
		repaired, err = s.reconcileKeys(ctx, w)
	}
	return repaired, whole, err
}

// reconcileKeys takes a step of SCAN.
func (s *Store) reconcileKeys(ctx context.Context, w *walker) (repaired int, err error) {
	names, next, err := s.client.Scan(ctx, w.cursor, s.keys.base+"*", reconcileKeys).Result()
	if err != nil {
		return 0, s.failed("reconcile", ctx, err)
	}
	var records, classes []string
	for _, name := range names {
		switch kind, rest := s.keys.kind(name); kind {
		case "t:":
			records = append(records, rest)
		case "q:":
			classes = append(classes, rest)
		case "i:", "all", "x:", "dead", "dead:", "expiry":
			w.left = append(w.left, name)
		}
	}
	if repaired, err = s.reconcile(ctx, "records", "", records); err != nil {
		return repaired, err
	}
	n, err := s.reconcile(ctx, "classes", "", classes)
	if err == nil {
		w.cursor, w.scanned = next, next == 0
	}
	return repaired + n, err
}

// reconcileIndex takes a step within a sorted set of task ids.
func (s *Store) reconcileIndex(ctx context.Context, w *walker) (int, error) {
	pairs, next, err := s.client.ZScan(ctx, w.index, w.inside, "", reconcileKeys).Result()
	if err != nil {
		return 0, s.failed("reconcile", ctx, err)
	}
	ids := make([]string, 0, len(pairs)/2)
	for i := 0; i < len(pairs); i += 2 {
		ids = append(ids, pairs[i])
	}
	n, err := s.reconcile(ctx, "members", w.index, ids)
	if err != nil {
		return n, err
	}
	if w.inside = next; next == 0 {
		w.index = ""
	}
	return n, nil
}

// reconcile has the script look at names.
func (s *Store) reconcile(ctx context.Context, what, index string, names []string) (repaired int, err error) {
	const op = "reconcile"
	for len(names) > 0 || what == "counts" {
		n := min(len(names), reconcileBatch)
		args := []any{s.cfg.KeepEvents, what, core.DefaultLease.Milliseconds(), millis(s.cfg.KeepCompleted) + keepSlack, millis(s.cfg.KeepFailed) + keepSlack, index}
		for _, name := range names[:n] {
			args = append(args, name)
		}
		answer, err := s.run(ctx, op, s.scripts.reconcile, args...)
		if err != nil {
			return repaired, err
		}
		words, ok := answer.([]any)
		if !ok || len(words) == 0 || n > 0 && asNumber(words[0]) == 0 {
			return repaired, broken(op, "the script answered with %T", answer)
		}
		for i := 1; i+1 < len(words); i += 2 {
			repaired++
			if i < 40 {
				s.cfg.Logger.Error("an index did not say what the record says; it was repaired", "index", words[i], "of", words[i+1])
			}
		}
		if what == "counts" {
			break
		}
		names = names[asNumber(words[0]):]
	}
	return repaired, nil
}

// kind parts one of our keys into its family, as fixed names it, and the rest.
func (k keys) kind(name string) (family, rest string) {
	name = strings.TrimPrefix(name, k.base)
	if i := strings.IndexByte(name, ':'); i >= 0 {
		return name[:i+1], name[i+1:]
	}
	return name, ""
}
