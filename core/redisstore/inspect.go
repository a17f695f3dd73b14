package redisstore

import (
	"bufio"
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"

	"faasctl/core"
)

// server is what Open found out about the Redis server.
type server struct {
	version    string
	durability string // memory, everysec, always or replicated
}

// inspect refuses a server that would lose or refuse tasks, and warns of one
// that may.
func inspect(ctx context.Context, client *redis.Client, replicated bool) (server, []string, error) {
	text, err := client.Info(ctx).Result()
	if err != nil {
		return server{}, nil, err
	}
	info := parseInfo(text)
	if err := refuse(info); err != nil {
		return server{}, nil, err
	}
	if n, _ := strconv.Atoi(info["connected_slaves"]); replicated && n == 0 {
		return server{}, nil, core.Errorf(core.ErrConflict, "check the Redis server", "this Redis has no replica that could hold a second copy").
			WithHint("connect one to it, or choose --durability always")
	}
	found, warnings := disk(ctx, client, info)
	if replicated {
		found.durability = "replicated"
	}
	return found, warnings, nil
}

// disk finds out how soon writes reach the disk, and warns of what may be lost.
func disk(ctx context.Context, client *redis.Client, info map[string]string) (server, []string) {
	found := server{version: info["redis_version"], durability: "memory"}
	if info["aof_enabled"] != "1" {
		return found, []string{"this Redis keeps no append-only file: a crash of it loses accepted tasks (set appendonly yes)"}
	}
	// CONFIG is often forbidden on managed servers; everysec is the default.
	found.durability = "everysec"
	if fsync, err := client.ConfigGet(ctx, "appendfsync").Result(); err == nil && fsync["appendfsync"] != "" {
		found.durability = fsync["appendfsync"]
	}
	if found.durability == "no" {
		found.durability = "memory"
		return found, []string{"this Redis leaves it to the system when its append-only file reaches the disk (set appendfsync everysec)"}
	}
	return found, nil
}

// refuse returns an error that says why the server cannot be used, and what to
// change.
func refuse(info map[string]string) error {
	no := func(hint, format string, args ...any) error {
		return core.Errorf(core.ErrConflict, "check the Redis server", format, args...).WithHint("%s", hint)
	}
	switch {
	case info["loading"] == "1":
		return core.Errorf(core.ErrUnavailable, "check the Redis server", "it is loading its data").WithHint("try again in a moment")
	case !atLeast(info["redis_version"], 6, 2):
		return no("use Redis 6.2 or newer", "Redis %s is too old", info["redis_version"])
	case info["redis_mode"] == "cluster" || info["cluster_enabled"] == "1":
		return no("use one server, or one behind Sentinel", "Redis Cluster is not supported: everything lives in one slot today")
	case info["role"] == "slave":
		return no("use the URL of its master", "this Redis is a replica of %s:%s and takes no writes", info["master_host"], info["master_port"])
	case info["maxmemory_policy"] != "" && info["maxmemory_policy"] != "noeviction":
		return no("set maxmemory-policy noeviction, or use a server of your own",
			"this Redis may evict tasks: its maxmemory-policy is %s", info["maxmemory_policy"])
	case info["aof_enabled"] == "1" && info["aof_last_write_status"] != "" && info["aof_last_write_status"] != "ok":
		return no("see the server's log; the disk may be full",
			"this Redis cannot write its append-only file (aof_last_write_status is %s)", info["aof_last_write_status"])
	}
	return nil
}

// parseInfo reads the answer of INFO.
func parseInfo(text string) map[string]string {
	info := map[string]string{}
	for lines := bufio.NewScanner(strings.NewReader(text)); lines.Scan(); {
		if name, value, ok := strings.Cut(lines.Text(), ":"); ok {
			info[name] = strings.TrimSpace(value)
		}
	}
	return info
}

// atLeast compares the first two numbers of a version.
func atLeast(version string, major, minor int) bool {
	var have [2]int
	for i, part := range strings.SplitN(version, ".", 3)[:min(2, strings.Count(version, ".")+1)] {
		n, err := strconv.Atoi(part)
		if err != nil {
			return false
		}
		have[i] = n
	}
	return have[0] > major || have[0] == major && have[1] >= minor
}

// Server names the server for people, such as "Redis 7.0.15, everysec".
func (s *Store) Server() string {
	return fmt.Sprintf("Redis %s, %s", s.server.version, s.server.durability)
}
