// Package workertest is the conformance suite of transports: what holds for one
// mode of workers holds for all of them.
//
// Its one rule: it needs no Python. A fake runner sleeps for as long as the
// function's name says and answers with its arguments; everything between it and
// the store is real.
package workertest
