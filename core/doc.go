// Package core is faasctl's domain: functions, tasks, workers and events, the
// states a task moves through, the Service that clients talk to and the
// Dispatcher that matches waiting tasks with free workers.
//
// Its one rule: it imports the standard library, x/sync and google/uuid and
// nothing else. Redis, sockets, HTTP, Python and terminals are ports (see
// ports.go) that other packages implement.
package core
