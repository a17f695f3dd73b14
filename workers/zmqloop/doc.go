// Package zmqloop owns every ZeroMQ socket: a Loop is one goroutine that
// creates, polls, sends on and closes all sockets of one role, in a context of
// its own, and checks who is at the other end.
//
// Its one rule: nothing outside it imports the binding, and a socket is touched
// by the goroutine of its loop only. (The bell is the one exception: its far end
// is rung by anybody, one at a time.)
package zmqloop
