package cli

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"faasctl/core"
	"faasctl/core/memstore"
	"faasctl/core/redisstore"
)

// backend is a store, what runs it, and what to say of it.
type backend struct {
	store     core.Store
	says      string   // for people
	principal string   // id of the data directory's lock; "" without one
	warnings  []string // what may be lost
	child     *redisstore.Child
	lock      *redisstore.DirLock
	opened    *redisstore.Store

	mu         sync.Mutex
	dispatcher core.DispatcherID // the one that remember named
	shared     bool              // the data directory knows that others' workers have come
}

// close gives everything back but the Redis child, which ends with its Run.
func (b *backend) close() {
	if b.opened != nil {
		_ = b.opened.Close()
	}
	if b.lock != nil {
		_ = b.lock.Close()
	}
}

// openOwn opens the store of an up: in memory, at a URL, or in a Redis child.
func (cfg serverConfig) openOwn(ctx context.Context) (*backend, error) {
	if cfg.memory {
		return &backend{store: memstore.New(memstore.Config{KeepCompleted: cfg.keepResults, KeepFailed: cfg.keepFailed}), says: "memory: nothing is kept when this ends",
			warnings: []string{"the store is memory: nothing is kept when the server ends"}}, nil
	}
	lock, err := redisstore.LockDir(cfg.data)
	if err != nil {
		return nil, err
	}
	b := &backend{lock: lock, principal: lock.ID}
	at := cfg.redis
	if at == "" {
		if b.child, err = redisstore.StartChild(ctx, redisstore.ChildConfig{Dir: cfg.data, Durability: redisstore.Durability(cfg.durability), Logger: cfg.log}); err != nil {
			b.close()
			return nil, err
		}
		at = b.child.URL()
	}
	trouble := func() string { return "" }
	if b.child != nil {
		trouble = b.child.Trouble
	}
	if err := b.open(ctx, cfg, at, trouble); err != nil {
		b.close()
		if b.child != nil {
			ended, cancel := context.WithCancel(context.WithoutCancel(ctx))
			cancel()
			_ = b.child.Run(ended)
		}
		return nil, err
	}
	return b, nil
}

// attach opens the store that somebody else runs: at a URL, or the Redis child
// of an up on the same data directory.
func (cfg serverConfig) attach(ctx context.Context) (*backend, error) {
	at, trouble := cfg.redis, func() string { return "" }
	if at == "" {
		trouble = func() string { return redisstore.Trouble(cfg.data) }
		running, ok := redisstore.RunningURL(cfg.data)
		if !ok {
			return nil, usage("no Redis to share: none was named, and none runs in %s", cfg.data).
				WithHint("name one: --redis redis://127.0.0.1:6379/0; or run faasctl up there, which starts its own (--data names the directory)")
		}
		at = running
	}
	b := &backend{}
	if err := b.open(ctx, cfg, at, trouble); err != nil {
		b.close()
		return nil, err
	}
	return b, nil
}

// open connects to a Redis and checks that it keeps what was asked for.
func (b *backend) open(ctx context.Context, cfg serverConfig, at string, trouble func() string) error {
	store, err := redisstore.Open(ctx, redisstore.Config{
		URL: at, Replicated: cfg.durability == "replicated", KeepCompleted: cfg.keepResults, KeepFailed: cfg.keepFailed, Trouble: trouble, Logger: cfg.log,
	})
	if err != nil {
		return err
	}
	b.opened, b.store, b.warnings = store, store, store.Warnings()
	stats, err := store.Stats(ctx)
	if err != nil {
		return err
	}
	found := stats.Store
	if cfg.durability != "" && durabilityRank(found.Durability) < durabilityRank(cfg.durability) {
		return core.Errorf(core.ErrConflict, "", "this Redis promises %s, less than --durability %s", found.Durability, cfg.durability).
			WithHint("set appendonly yes and appendfsync %s there, or ask for less", cfg.durability)
	}
	b.says = fmt.Sprintf("embedded Redis %s, %s", found.Version, keeps(found.Durability))
	if b.child == nil {
		b.says = fmt.Sprintf("Redis %s at %s, %s", found.Version, place(at), keeps(found.Durability))
	}
	return nil
}

// place names a server without the secrets that its URL may hold.
func place(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		return "its URL"
	}
	return u.Host + u.Path
}

// keeps says what a durability is worth.
func keeps(durability string) string {
	switch durability {
	case "replicated":
		return "each write in a replica (replicated)"
	case "always":
		return "each write on disk at once (always)"
	case "everysec":
		return "on disk every second (everysec)"
	}
	return "kept in its memory only"
}

// The file in the data directory that names the dispatcher of the latest up, and
// whose workers it has had. The store's roster forgets a dead one after a minute;
// an up may come later.
const dispatcherFile = "dispatcher"

// What stands in it about workers.
const (
	ownWorkers    = "own"    // none but those that live and die with the up
	sharedWorkers = "shared" // also some that may outlive it
)

// buryDead releases what dispatchers of earlier incarnations of this data
// directory held: the lock proves that they are dead.
func (b *backend) buryDead(ctx context.Context, log func(string, ...any)) error {
	if b.lock == nil {
		return nil
	}
	own, shared, err := b.dead(ctx)
	if err != nil {
		return err
	}
	released, err := b.store.Orphan(ctx, own, "")
	if err == nil {
		var more int
		more, err = b.store.Orphan(ctx, shared, b.principal)
		released += more
	}
	if err == nil && released > 0 {
		log("an earlier run was cut off; what it held is queued again: %s", count(released, "task"))
	}
	return err
}

// dead lists the dispatchers of earlier incarnations. One that had none but its own
// workers, local or hired, held nothing that may still run: they hold the lock as
// long as they live. Of one with others (shared), only what its own are known to
// have had may be released: the rest may live on in worker processes that will
// register again.
func (b *backend) dead(ctx context.Context) (own, shared []core.DispatcherID, err error) {
	list := map[core.DispatcherID]string{}
	roster, err := b.store.Roster(ctx)
	if err != nil {
		return nil, nil, err
	}
	for _, d := range roster.Dispatchers {
		if d.Principal == b.principal {
			list[d.ID] = modesText(d.Modes)
		}
	}
	if text, err := os.ReadFile(filepath.Join(b.lock.Dir, dispatcherFile)); err == nil {
		if words := strings.Fields(string(text)); len(words) == 2 {
			list[core.DispatcherID(words[0])] = words[1]
		}
	}
	for id, whose := range list {
		if whose == ownWorkers || whose == string(core.Local) {
			own = append(own, id)
		} else {
			shared = append(shared, id)
		}
	}
	return own, shared, nil
}

// remember names the dispatcher that this incarnation runs.
func (b *backend) remember(id core.DispatcherID) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.dispatcher = id
	return b.write(ownWorkers)
}

// share notes that a worker takes part that may outlive this process, before it
// does. Called by any hub.
func (b *backend) share() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.shared {
		return nil
	}
	err := b.write(sharedWorkers)
	b.shared = err == nil
	return err
}

// write replaces the dispatcher file: at each moment it says one thing or the
// other. b.mu is held.
func (b *backend) write(whose string) error {
	if b.lock == nil {
		return nil
	}
	path := filepath.Join(b.lock.Dir, dispatcherFile)
	err := os.WriteFile(path+".new", []byte(string(b.dispatcher)+" "+whose+"\n"), 0o600)
	if err == nil {
		err = os.Rename(path+".new", path)
	}
	if err != nil {
		return &core.Error{Class: core.ErrUnavailable, Op: "use the data directory", Err: err}
	}
	return nil
}

// count is a number and what it counts.
func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
