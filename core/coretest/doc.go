// Package coretest holds what proves an implementation of core's ports right:
// the conformance suite of stores, and a fake transport whose workers do what
// a test tells them.
//
// Its one rule: the same cases run on every implementation, and none of them
// knows which one it has.
package coretest
