// Package faults is tests only: what becomes of tasks when workers, dispatchers,
// networks and Redis stop, vanish and come back. Every part is real: processes
// that are killed, Python children, sockets on the loopback, a redis-server. Each
// execution leaves a line in a file, each result is looked at, and the events say
// how often a task was completed.
//
// Timers are short, unless FAASCTL_SOAK=1 (make soak) asks for the real ones; then
// there are also 50,000 tasks, 1,000,000 random frames and 200 workers.
package faults
