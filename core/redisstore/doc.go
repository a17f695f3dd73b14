// Package redisstore implements core.Store on Redis, and looks after the Redis
// server that faasctl starts for itself.
//
// Its one rule: a transition, its event and its counters are one script. No
// state of a task is ever changed by a command from Go; Go hands a batch to a
// script in scripts/, and the script moves the records, the indexes, the
// queues, the event stream and the counters in the same breath, by the clock
// of the server. Whatever is not the record (queues, leases, delays, listings)
// is an index that could be built again from the records.
package redisstore
