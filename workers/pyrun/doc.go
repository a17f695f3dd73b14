// Package pyrun runs Python functions: it keeps a pool of warm Python children,
// hands them calls over pipes and says what became of each.
//
// Its one rule: a child is never believed and never missed. Whatever a function
// does to its process (ends it, crashes it, hangs, floods its output, forges
// its result pipe), the call it did it in ends with an outcome of the right
// kind, no other call is charged for it, and the next one is served. So the
// parent owns deadlines, limits, output and identity; what a child answers is
// told by a random tag per call, and the task id that it knows is for its
// function to read; and Go never unpickles: it carries bytes.
//
// A Pool owns its children and goroutines. Each slot is one goroutine over one
// poll(2): results, stdout, stderr, the child's pidfd and a doorbell; nothing
// else touches the child. The package runner is the child's side, the only Python on the
// execution path. Find, Inspect and FreezeDill use an interpreter outside of
// it: to choose one, to read a source file without running it, and to pickle a
// function by value.
package pyrun
