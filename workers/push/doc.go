// Package push is the transport whose dispatcher sends tasks as soon as there is
// credit: a ROUTER talks to the DEALERs of its workers.
//
// Its one rule: messages to a worker go out in the order in which they were
// delivered, and wait here, bounded, while the worker takes in nothing.
package push
