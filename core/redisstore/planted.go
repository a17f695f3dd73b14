//go:build planted

package redisstore

import "os"

// planted is Lua that stands after a part of every script that has it and breaks it: the
// bugs that core/coretest/chaos has to find. Only its test binary has this tag.
func planted(part string) string {
	if bug := os.Getenv("FAASCTL_PLANTED"); partOf[bug] == part {
		return bugs[bug]
	}
	return ""
}

// partOf are the parts that the bugs are in.
var partOf = map[string]string{"fence": "holds", "index": "index", "queue": "lines", "epoch": "record"}

var bugs = map[string]string{
	// The fence is off: whoever held a task once may settle it, even when it ended.
	"fence": `holds = function(r) return r.st and 'ok' or 'stale' end`,
	// An index entry is forgotten: that of completed tasks.
	"index": `local planted = enter; enter = function(state, id, score)
	if state ~= 'COMPLETED' then planted(state, id, score) end end`,
	// A queue entry is forgotten now and then.
	"queue": `local planted = line_up; line_up = function(queue, priority, fn, id)
	if not string.find('012', string.sub(redis.sha1hex(id), 1, 1)) then planted(queue, priority, fn, id) end end`,
	// An attempt is made without raising the epoch.
	"epoch": `local planted = keep; keep = function(id, record)
	planted(id, (string.gsub(record, '^RUNNING\t%d+', 'RUNNING\t1'))) end`,
}
