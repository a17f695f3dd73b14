// Package wire turns what workers and dispatchers say into ZeroMQ frames and
// back, as workers/PROTOCOL.md describes.
//
// Its one rule: whatever bytes arrive, a decoder returns a word that is within
// the limits or a *Problem; it never panics and allocates no more than a small
// multiple of what it was given.
package wire
