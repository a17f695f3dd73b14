package redisstore

import (
	"crypto/sha256"
	"encoding/hex"

	"faasctl/core"
)

// keys knows the name of every key. All of them carry the same hash tag, the
// prefix, so that they live in one slot, and none holds text of a user: names
// of functions and queues are fields and members, or hashed.
//
// The scripts get base as KEYS[1], which names the slot, and make the rest, keyEndings, when
// they are composed: a key that a call does not touch costs it nothing.
type keys struct{ base string }

func newKeys(prefix string) keys { return keys{base: "{" + prefix + "}:"} }

// keyEndings are what the keys end with, as scripts call them: K.task in a script stands for
// what all keys begin with and this. A family is a beginning to which an id is added;
// all others are whole keys.
var keyEndings = map[string]string{
	"task":             "t:",               // family, task id: the record, a hash
	"spec":             "s:",               // family, task id: the spec envelope, a string
	"args":             "a:",               // family, task id: arguments too large for the envelope
	"result":           "r:",               // family, task id: the result envelope
	"output":           "o:",               // family, task id: the output envelope
	"index":            "i:",               // family, state: zset of its tasks
	"all":              "all",              // zset of all tasks, in order of their ids
	"failed_of":        "x:",               // family, function id: zset of its failed tasks
	"done":             "done:",            // family, COMPLETED or FAILED: list of ended tasks, for gc
	"queues":           "queues",           // zset of the queues that hold tasks, by virtual time
	"ready":            "ready:",           // family, hashed queue: zset of its classes that hold tasks, by virtual time
	"virtual":          "virtual:",         // family, hashed queue: virtual time of the task served last
	"line":             "q:",               // family, hashed queue and class: list of task ids
	"claim":            "claim:",           // family, claim id: the tasks it took, for a repetition
	"events":           "events",           // stream of events
	"counters":         "counters",         // hash of totals and of the stream's state
	"counters_of":      "n:",               // family, function id: hash of its totals
	"marks":            "marks",            // list of stream ids, one per so many events, for trimming
	"reap":             "reap",             // hash: run id of the server, last reap, floor, generation and its time, layout
	"hint_work":        "hint:work",        // channel
	"hint_ended":       "hint:ended",       // channel
	"hint_cancel":      "hint:cancel",      // channel
	"fn":               "f:",               // family, function id: hash of doc, name, version, created
	"functions":        "functions",        // hash: id of each function that was not removed → name@version
	"fversion":         "fversion",         // hash: name@version → id
	"flatest":          "flatest",          // hash: name → id
	"fhighest":         "fhighest",         // hash: name → highest version ever given
	"fidentity":        "fidentity",        // hash: identity → id
	"body":             "b:",               // family, body hash: body
	"dispatchers":      "dispatchers",      // hash: dispatcher id → JSON
	"dispatchers_seen": "dispatchers:seen", // zset of dispatcher ids by time
	"workers":          "workers",          // hash: worker id → JSON
	"workers_seen":     "workers:seen",     // zset of worker ids by time
	"drains":           "workers:drain",    // set of worker ids whose drain was asked for
	"depths":           "depths",           // hash: queue → how many tasks it holds
	"history":          "h:",               // family, task id: list of its attempts before the present one
	"outputs":          "ho:",              // family, task id: hash: attempt → its output envelope
	"dead":             "dead",             // zset of dead letters, in order of their ids
	"dead_of":          "dead:",            // family, function id: zset of its dead letters
	"key":              "k:",               // family, hashed key: task id and hash of the body
	"expiry":           "expiry",           // zset of waiting tasks that expire, by when
	"running":          "running",          // hash: function id → how many of its tasks are RUNNING
	"paused":           "paused",           // hash: paused queue → since when
	"parked":           "parked",           // hash: parked class (hashed queue and class) → queue
	"capped":           "capped:",          // family, function id: set of its classes that wait for a slot
	"throttled":        "throttled",        // zset of the classes that wait for their rate, by when
	"rates":            "rates",            // hash: function id → when its bucket will be full again, in ms
	"turn":             "turn:",            // family, hashed queue: zset of its classes in ready, by when each was served last
	"op":               "op:",              // family, operation id: hash, see scripts/journal.lua
	"op_tasks":         "op:tasks:",        // family, operation id: list of the tasks that a retry made, each with its old one
	"ops":              "ops",              // zset of operations by time
	"ops_due":          "ops:due",          // zset of those that have something left to do, by when
	"removed":          "removed",          // zset of removed functions that are not forgotten, by when they were removed
	"unfits":           "unfit",            // hash: hashed needs of parked classes that fitted no worker of a claim → the needs
	"unfit":            "unfit:",           // family, hashed needs: hash: parked class → virtual time and turn that it had
	"follow":           "follow:",          // family, task id: 1 while somebody follows it; expires
	"pieces":           "pieces:",          // family, task id: stream of what it prints while it is followed; expires
	"hint_follow":      "hint:follow",      // channel
	"hint_printed":     "hint:printed",     // channel
}

func (k keys) task(id core.TaskID) string   { return k.base + "t:" + string(id) }
func (k keys) spec(id core.TaskID) string   { return k.base + "s:" + string(id) }
func (k keys) args(id core.TaskID) string   { return k.base + "a:" + string(id) }
func (k keys) result(id core.TaskID) string { return k.base + "r:" + string(id) }
func (k keys) output(id core.TaskID) string { return k.base + "o:" + string(id) }

func (k keys) history(id core.TaskID) string { return k.base + "h:" + string(id) }
func (k keys) outputs(id core.TaskID) string { return k.base + "ho:" + string(id) }

func (k keys) index(state core.State) string            { return k.base + "i:" + string(state) }
func (k keys) all() string                              { return k.base + "all" }
func (k keys) failedOf(function core.FunctionID) string { return k.base + "x:" + string(function) }

func (k keys) expiry() string  { return k.base + "expiry" }
func (k keys) running() string { return k.base + "running" }
func (k keys) paused() string  { return k.base + "paused" }

func (k keys) dead() string                           { return k.base + "dead" }
func (k keys) deadOf(function core.FunctionID) string { return k.base + "dead:" + string(function) }

func (k keys) operation(id core.OperationID) string { return k.base + "op:" + string(id) }
func (k keys) operationsAll() string                { return k.base + "ops" }
func (k keys) operationsDue() string                { return k.base + "ops:due" }

func (k keys) events() string   { return k.base + "events" }
func (k keys) counters() string { return k.base + "counters" }

func (k keys) countersOf(function core.FunctionID) string { return k.base + "n:" + string(function) }

func (k keys) functions() string        { return k.base + "functions" }
func (k keys) functionVersions() string { return k.base + "fversion" }
func (k keys) functionLatest() string   { return k.base + "flatest" }

func (k keys) removed() string         { return k.base + "removed" }
func (k keys) body(hash string) string { return k.base + "b:" + hash }

func (k keys) dispatchers() string     { return k.base + "dispatchers" }
func (k keys) dispatchersSeen() string { return k.base + "dispatchers:seen" }
func (k keys) workers() string         { return k.base + "workers" }
func (k keys) workersSeen() string     { return k.base + "workers:seen" }
func (k keys) drains() string          { return k.base + "workers:drain" }

func (k keys) depths() string { return k.base + "depths" }

func (k keys) channelWork() string   { return k.base + "hint:work" }
func (k keys) channelEnded() string  { return k.base + "hint:ended" }
func (k keys) channelCancel() string { return k.base + "hint:cancel" }

func (k keys) channelFollow() string  { return k.base + "hint:follow" }
func (k keys) channelPrepare() string { return k.base + "hint:prepare" }
func (k keys) channelPrinted() string { return k.base + "hint:printed" }

func (k keys) pieces(id core.TaskID) string { return k.base + "pieces:" + string(id) }

// once is the id that a request was given; the token is hashed by the caller.
func (k keys) once(token string) string { return k.base + "once:" + short(token) }

// reap is the hash of the reapers, and of the generation of all data.
func (k keys) reap() string { return k.base + "reap" }

// probe is what Ping writes.
func (k keys) probe() string { return k.base + "probe" }

// short returns text when it is small enough for a field of a record and can
// be part of a key, and its hash otherwise.
func short(text string) string {
	if text == "" || len(text) <= 64 && plain(text) {
		return text
	}
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:16])
}

// plain reports whether text has only letters, digits and - . _
func plain(text string) bool {
	for i := range len(text) {
		c := text[i]
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
		if !letter && c != '-' && c != '.' && c != '_' {
			return false
		}
	}
	return text != ""
}
