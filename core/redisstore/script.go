package redisstore

import (
	"context"
	"embed"
	"time"

	"github.com/redis/go-redis/v9"

	"faasctl/core"
)

//go:embed scripts
var sources embed.FS

// scripts holds every Lua script, ready to run by its hash.
type scripts struct {
	submit, claim, renew, settle, release, reap, orphan, promote, cancel, gc     *redis.Script
	putFunction, getFunction, removeFunction, setPolicy, announce, reconcile     *redis.Script
	expire, pauseQueue, forgetFunction, migrate, oldest, standing, follow, print *redis.Script
	putOperation, undoOperation, undoStep, stepCancel, stepPurge, stepRetry      *redis.Script
}

// loadScripts composes each script.
func loadScripts() scripts { return editScripts(func(text string) string { return text }) }

// editScripts is loadScripts with another text of each, for tests.
func editScripts(edit func(string) string) scripts {
	load := func(files ...string) *redis.Script { return redis.NewScript(edit(compose(files...))) }
	return scripts{
		submit: load("submit"), claim: load("claim"), expire: load("expire"), pauseQueue: load("pausequeue"), oldest: load("oldest"), renew: load("renew"), settle: load("settle"),
		release: load("release"), reap: load("reap"), orphan: load("orphan"),
		promote: load("promote"), cancel: load("cancel"), gc: load("gc"),
		putOperation: load("putoperation"), undoOperation: load("undooperation"), undoStep: load("undostep"),
		stepCancel: load("stepcancel"), stepPurge: load("steppurge"),
		stepRetry:   load("stepretry", "submit"),
		putFunction: load("putfunction"), setPolicy: load("setpolicy"), getFunction: load("getfunction"), removeFunction: load("removefunction"),
		announce: load("announce"), migrate: load("migrate"), reconcile: load("reconcile"), forgetFunction: load("forgetfunction"),
		standing: load("standing"),
		follow:   load("follow"), print: load("print"),
	}
}

// run executes one script. It goes by hash; when the server does not know the
// hash, the text is sent, which also loads it.
func (s *Store) run(ctx context.Context, op string, script *redis.Script, args ...any) (any, error) {
	answer, err := s.eval(ctx, script, args)
	if err != nil {
		return nil, s.failed(op, ctx, err)
	}
	return answer, nil
}

// eval is run, and with Config.Replicated waits for a replica. WAIT is about what
// was written before on the same connection, hence the pipeline.
func (s *Store) eval(ctx context.Context, script *redis.Script, args []any) (any, error) {
	if !s.cfg.Replicated || s.scripts.promisesNothing(script) {
		return script.Run(ctx, s.client, s.fixed, args...).Result()
	}
	for {
		var answer *redis.Cmd
		var copies *redis.Cmd
		_, err := s.client.Pipelined(ctx, func(p redis.Pipeliner) error {
			answer = script.EvalSha(ctx, p, s.fixed, args...)
			copies = p.Do(ctx, "WAIT", 1, replicaPatience.Milliseconds())
			return nil
		})
		switch {
		case redis.HasErrorPrefix(answer.Err(), "NOSCRIPT"):
			if err := script.Load(ctx, s.client).Err(); err != nil {
				return nil, err
			}
			continue
		case answer.Err() != nil:
			return nil, answer.Err()
		case err != nil:
			return nil, err
		case asNumber(copies.Val()) < 1:
			return nil, core.Errorf(core.ErrUnavailable, "", "no replica has confirmed the write within %v", replicaPatience).
				WithHint("it may have been accepted, and can be repeated; look after the replica, or run with --durability always")
		}
		return answer.Val(), nil
	}
}

// replicaPatience is how long a write waits for a replica.
const replicaPatience = 2 * time.Second

// promisesNothing reports whether nobody relies on what a script wrote: a loss of
// it is found and repaired. A new script promises unless it stands here.
func (s scripts) promisesNothing(script *redis.Script) bool {
	switch script {
	case s.getFunction, s.announce, s.claim, s.renew, s.release, s.reap, s.orphan, s.promote, s.expire, s.gc, s.forgetFunction, s.reconcile, s.oldest, s.standing, s.follow, s.print:
		return true
	}
	return false
}

// words runs a script that answers with one word per item and appends them to
// verdicts.
func words[T ~string](ctx context.Context, s *Store, op string, script *redis.Script, want int, args []any) ([]T, error) {
	answer, err := s.run(ctx, op, script, args...)
	if err != nil {
		return nil, err
	}
	items, ok := answer.([]any)
	if !ok || len(items) != want {
		return nil, broken(op, "the script answered %d items with %T", want, answer)
	}
	verdicts := make([]T, want)
	for i, item := range items {
		word, ok := item.(string)
		if !ok {
			return nil, broken(op, "the script answered with %T", item)
		}
		verdicts[i] = T(word)
	}
	return verdicts, nil
}

// number runs a script that answers with one number.
func (s *Store) number(ctx context.Context, op string, script *redis.Script, args ...any) (int, error) {
	answer, err := s.run(ctx, op, script, args...)
	if err != nil {
		return 0, err
	}
	n, ok := answer.(int64)
	if !ok {
		return 0, broken(op, "the script answered with %T", answer)
	}
	return int(n), nil
}

// parcels cuts n items into batches of at most core.MaxBatch items and about
// maxParcel bytes, so that one script neither blocks the server for long nor
// makes a request that it refuses, and calls do for each.
func parcels(n int, size func(i int) int, do func(from, to int) error) error {
	for from := 0; from < n; {
		to, bytes := from, 0
		for to < n && to-from < core.MaxBatch && (to == from || bytes+size(to) <= maxParcel) {
			bytes += size(to)
			to++
		}
		if err := do(from, to); err != nil {
			return err
		}
		from = to
	}
	return nil
}

// maxParcel is how many bytes of payload go to or come from Redis at once.
const maxParcel = 16 << 20

func small(int) int { return 0 }

// flag is how the scripts read a bool.
func flag(set bool) string {
	if set {
		return "1"
	}
	return "0"
}

// millis rounds d up to whole milliseconds: what should happen later must not
// happen at once.
func millis(d time.Duration) int64 {
	return int64((d + time.Millisecond - 1) / time.Millisecond)
}
