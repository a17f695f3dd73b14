// Package zmqloop is the one place that touches libzmq.
//
// Its one rule: nothing outside it imports the binding, and a socket belongs to
// one goroutine. Today it tells which library is linked, for `faasctl doctor`
// and `faasctl version`.
package zmqloop
