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
// The scripts get the table that fixed returns as KEYS and know it by position
// (see scripts/prelude.lua). A family is a beginning to which a script adds an
// id; all other entries are whole keys.
type keys struct{ base string }

func newKeys(prefix string) keys { return keys{base: "{" + prefix + "}:"} }

// fixed is KEYS of every script, in the order of scripts/prelude.lua.
func (k keys) fixed() []string {
	return []string{
		k.base + "t:",        // 1 family, task id: the record, a hash
		k.base + "s:",        // 2 family, task id: the spec envelope, a string
		k.base + "a:",        // 3 family, task id: arguments too large for the envelope
		k.base + "r:",        // 4 family, task id: the result envelope
		k.base + "o:",        // 5 family, task id: the output envelope
		k.base + "i:",        // 6 family, state: zset of its tasks
		k.base + "all",       // 7 zset of all tasks, in order of their ids
		k.base + "x:",        // 8 family, function id: zset of its failed tasks
		k.base + "done:",     // 9 family, COMPLETED or FAILED: list of ended tasks, for gc
		k.base + "queues",    // 10 zset of the queues that hold tasks, by virtual time
		k.base + "ready:",    // 11 family, hashed queue: zset of its classes that hold tasks, by virtual time
		k.base + "virtual:",  // 12 family, hashed queue: virtual time of the task served last
		k.base + "q:",        // 13 family, hashed queue and class: list of task ids
		k.base + "claim:",    // 14 family, claim id: the tasks it took, for a repetition
		k.events(),           // 15 stream of events
		k.counters(),         // 16 hash of totals and of the stream's state
		k.countersOf(""),     // 17 family, function id: hash of its totals
		k.base + "marks",     // 18 list of stream ids, one per so many events, for trimming
		k.reap(),             // 19 hash: run id of the server, last reap, floor, generation and its time
		k.channelWork(),      // 20 channel
		k.channelEnded(),     // 21 channel
		k.channelCancel(),    // 22 channel
		k.base + "f:",        // 23 family, function id: hash of doc, name, version, created
		k.functions(),        // 24 hash: id of each function that was not removed → name@version
		k.functionVersions(), // 25 hash: name@version → id
		k.functionLatest(),   // 26 hash: name → id
		k.base + "fhighest",  // 27 hash: name → highest version ever given
		k.base + "fidentity", // 28 hash: identity → id
		k.base + "b:",        // 29 family, body hash: body
		k.dispatchers(),      // 30 hash: dispatcher id → JSON
		k.dispatchersSeen(),  // 31 zset of dispatcher ids by time
		k.workers(),          // 32 hash: worker id → JSON
		k.workersSeen(),      // 33 zset of worker ids by time
		k.drains(),           // 34 set of worker ids whose drain was asked for
		k.depths(),           // 35 hash: queue → how many tasks it holds
		k.base + "h:",        // 36 family, task id: list of its attempts before the present one
		k.base + "ho:",       // 37 family, task id: hash: attempt → its output envelope
		k.dead(),             // 38 zset of dead letters, in order of their ids
		k.deadOf(""),         // 39 family, function id: zset of its dead letters
		k.base + "k:",        // 40 family, hashed key: task id and hash of the body
		k.expiry(),           // 41 zset of waiting tasks that expire, by when
		k.running(),          // 42 hash: function id → how many of its tasks are RUNNING
		k.paused(),           // 43 hash: paused queue → since when
		k.base + "parked",    // 44 hash: parked class (hashed queue and class) → queue
		k.base + "capped:",   // 45 family, function id: set of its classes that wait for a slot
		k.base + "throttled", // 46 zset of the classes that wait for their rate, by when
		k.base + "rates",     // 47 hash: function id → when its bucket will be full again, in ms
		k.base + "turn:",     // 48 family, hashed queue: zset of its classes in ready, by when each was served last
		k.operation(""),      // 49 family, operation id: hash, see scripts/journal.lua
		k.base + "op:tasks:", // 50 family, operation id: list of the tasks that a retry made, each with its old one
		k.operationsAll(),    // 51 zset of operations by time
		k.operationsDue(),    // 52 zset of those that have something left to do, by when
		k.removed(),          // 53 zset of removed functions that are not forgotten, by when they were removed
		k.base + "unfit",     // 54 hash: hashed needs of parked classes that fitted no worker of a claim → the needs
		k.base + "unfit:",    // 55 family, hashed needs: hash: parked class → virtual time and turn that it had
		k.base + "follow:",   // 56 family, task id: 1 while somebody follows it; expires
		k.pieces(""),         // 57 family, task id: stream of what it prints while it is followed; expires
		k.channelFollow(),    // 58 channel
		k.channelPrinted(),   // 59 channel
	}
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
