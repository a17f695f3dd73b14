package redisstore

import (
	"context"
	"log/slog"
	"regexp"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"faasctl/core"
)

// Keys of log records.
const (
	keyError = "error"
	keyTask  = "task"
	keyPID   = "pid"
	keyPath  = "path"
	keyWait  = "wait"
)

// Config says which Redis to use and what to keep in it.
type Config struct {
	// URL of the server: redis://, rediss:// or unix:// as go-redis reads
	// them, or sentinel://host:port/db?master_name=NAME for a server behind
	// Sentinel. Default: redis://127.0.0.1:6379/0.
	URL string
	// Prefix is the hash tag of every key and channel: several systems with
	// different prefixes can share one server. Letters, digits, - . _ and at
	// most 64 of them. Default: "faasctl".
	Prefix string
	// KeepCompleted is how long completed and cancelled tasks are kept after
	// their end. Default: 24 h.
	KeepCompleted time.Duration
	// KeepFailed is how long failed tasks are kept after their end.
	// Default: 336 h (14 days).
	KeepFailed time.Duration
	// KeepEvents is about how many events the stream keeps, single ones and
	// not batches, at roughly 100 bytes each. Default: 100,000.
	KeepEvents int
	// Ageing is how long a class of tasks may go without a turn, however low its
	// priority, while others of its queue are served. Default: core.Ageing.
	Ageing time.Duration
	// Replicated makes every write that is acknowledged wait for one replica,
	// and refuses a server that has none. Default: false.
	Replicated bool
	// Trouble is asked when the server cannot be reached: it says in a phrase
	// what keeps it from running, or "". Default: nobody knows.
	Trouble func() string
	// Logger hears of lost and regained connections. Default: slog.Default().
	Logger *slog.Logger
}

func (c Config) withDefaults() Config {
	if c.URL == "" {
		c.URL = "redis://127.0.0.1:6379/0"
	}
	if c.Prefix == "" {
		c.Prefix = "faasctl"
	}
	if c.KeepCompleted == 0 {
		c.KeepCompleted = 24 * time.Hour
	}
	if c.KeepFailed == 0 {
		c.KeepFailed = 14 * 24 * time.Hour
	}
	if c.Ageing == 0 {
		c.Ageing = core.Ageing
	}
	if c.KeepEvents == 0 {
		c.KeepEvents = 100_000
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	return c
}

// trouble is Trouble of a Config that may not have been completed.
func (c Config) trouble() string {
	if c.Trouble == nil {
		return ""
	}
	return c.Trouble()
}

var prefixForm = regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)

func (c Config) validate() error {
	const op = "open the store"
	if !prefixForm.MatchString(c.Prefix) {
		return core.Errorf(core.ErrInvalid, op, "%q cannot be a key prefix", c.Prefix).
			WithHint("use up to 64 letters, digits, - . _")
	}
	if c.KeepCompleted < 0 || c.KeepFailed < 0 {
		return core.Errorf(core.ErrInvalid, op, "a retention time cannot be negative")
	}
	if c.KeepEvents < 16 {
		return core.Errorf(core.ErrInvalid, op, "%d events are too few to keep", c.KeepEvents).WithHint("keep 16 or more")
	}
	return nil
}

// Store implements core.Store on a Redis server. It is safe for use by any
// number of goroutines.
type Store struct {
	cfg     Config
	client  *redis.Client
	tail    *tailer
	keys    keys
	fixed   []string // KEYS of every script
	scripts scripts
	server  server // what Open found
	present present
	walk    walker
	needs   knownNeeds

	ending context.Context // is done when the store is closed
	end    context.CancelFunc

	warnings []string
	swept    atomic.Int64 // Unix ms of our last gc
	closing  sync.Once
}

var _ core.Store = (*Store)(nil)

// Open connects to the server and makes sure that it can be trusted with
// tasks. It fails with ErrUnavailable when the server cannot be reached and
// with ErrConflict when it is set up in a way that would lose tasks.
func Open(ctx context.Context, cfg Config) (*Store, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	dial, err := dialer(cfg.URL)
	if err != nil {
		return nil, err
	}
	k := newKeys(cfg.Prefix)
	s := &Store{cfg: cfg, client: dial(), keys: k, fixed: []string{k.base}, scripts: loadScripts()}
	s.ending, s.end = context.WithCancel(context.Background())
	s.tail = newTailer(dial, k)
	s.server, s.warnings, err = inspect(ctx, s.client, cfg.Replicated)
	if err == nil {
		err = s.present.begin(ctx, s)
	}
	if err != nil {
		s.Close()
		return nil, s.failed("open the store", ctx, err)
	}
	return s, nil
}

// Warnings are sentences about the server's set-up that its operator should
// read: what may be lost.
func (s *Store) Warnings() []string { return s.warnings }

// Close ends all connections and waits for what Store started. Whoever listens
// or waits gets an error.
func (s *Store) Close() error {
	s.closing.Do(func() {
		s.end()
		s.tail.close()
		_ = s.client.Close() // it can only say that it was closed before
	})
	return nil
}

// Ping implements core.EventStore. It writes, as a server that is read only,
// out of memory or unable to log its writes answers PING all the same.
func (s *Store) Ping(ctx context.Context) error {
	const op = "ping"
	if err := s.client.Set(ctx, s.keys.probe(), 1, 10*time.Second).Err(); err != nil {
		return s.failed(op, ctx, err)
	}
	return s.present.look(ctx, s, op)
}
