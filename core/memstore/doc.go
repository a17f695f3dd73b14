// Package memstore keeps everything in the memory of one process: what
// `faasctl up --store memory` runs on, and the reference model that the
// conformance suite holds every other store against.
//
// Its one rule: it is the plainest thing that is right. One mutex guards all
// state, every state change goes through the core's transition table, and
// nothing survives the process.
package memstore
