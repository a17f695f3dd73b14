package redisstore

import (
	"context"
	"net/url"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"faasctl/core"
)

// Limits of one command. They are short, as the callers have loops of their
// own that try again and tell people meanwhile; reading may take longer than
// dialling because a slow fsync stalls the server for a second or two.
const (
	dialTimeout  = 2 * time.Second
	readTimeout  = 6 * time.Second
	writeTimeout = 6 * time.Second
	retries      = 2
	minBackoff   = 8 * time.Millisecond
	maxBackoff   = 64 * time.Millisecond
)

// silence keeps go-redis from writing to our standard error: it has one logger
// for the whole process, and every error that it logs it also returns.
type silence struct{}

func (silence) Printf(context.Context, string, ...any) {}

func init() { redis.SetLogger(silence{}) }

// dialer reads a URL and returns a function that makes clients for it.
func dialer(raw string) (func() *redis.Client, error) {
	const op = "read the Redis URL"
	u, err := url.Parse(raw)
	if err != nil {
		// The error of url.Parse repeats the URL, and with it a password.
		return nil, core.Errorf(core.ErrInvalid, op, "it is not a URL").WithHint("write redis://HOST:PORT/DB or unix:///PATH")
	}
	clustered := strings.Contains(u.Scheme, "cluster") || u.Query().Has("addr") && !strings.Contains(u.Scheme, "sentinel")
	switch {
	case clustered:
		return nil, core.Errorf(core.ErrInvalid, op, "Redis Cluster is not supported: everything lives in one slot today").
			WithHint("use one server, or one behind Sentinel: sentinel://HOST:26379/0?master_name=NAME")
	case u.Scheme == "sentinel" || u.Scheme == "redis+sentinel":
		return failover(u)
	case u.Scheme != "redis" && u.Scheme != "rediss" && u.Scheme != "unix":
		return nil, core.Errorf(core.ErrInvalid, op, "%q is no scheme of Redis", u.Scheme).
			WithHint("use redis://, rediss://, unix:// or sentinel://")
	}
	opt, err := redis.ParseURL(raw)
	if err != nil {
		return nil, core.Errorf(core.ErrInvalid, op, "%s", strings.TrimPrefix(err.Error(), "redis: "))
	}
	opt.Protocol = 2
	opt.MaxRetries, opt.MinRetryBackoff, opt.MaxRetryBackoff = retries, minBackoff, maxBackoff
	opt.DialTimeout, opt.ReadTimeout, opt.WriteTimeout = dialTimeout, readTimeout, writeTimeout
	opt.DialerRetries = 1
	opt.ContextTimeoutEnabled = true
	opt.DisableIdentity = true
	opt.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	return func() *redis.Client { one := *opt; return redis.NewClient(&one) }, nil
}

func failover(u *url.URL) (func() *redis.Client, error) {
	const op = "read the Redis URL"
	plain := *u
	plain.Scheme = "redis"
	opt, err := redis.ParseFailoverURL(plain.String())
	if err != nil {
		return nil, core.Errorf(core.ErrInvalid, op, "%s", strings.TrimPrefix(err.Error(), "redis: "))
	}
	if opt.MasterName == "" {
		return nil, core.Errorf(core.ErrInvalid, op, "a sentinel URL needs the name of the master").
			WithHint("write sentinel://HOST:26379/0?master_name=NAME")
	}
	opt.Protocol = 2
	opt.MaxRetries, opt.MinRetryBackoff, opt.MaxRetryBackoff = retries, minBackoff, maxBackoff
	opt.DialTimeout, opt.ReadTimeout, opt.WriteTimeout = dialTimeout, readTimeout, writeTimeout
	opt.DialerRetries = 1
	opt.ContextTimeoutEnabled = true
	opt.DisableIdentity = true
	return func() *redis.Client { one := *opt; return redis.NewFailoverClient(&one) }, nil
}
