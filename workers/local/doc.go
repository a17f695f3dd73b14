// Package local is the transport to the workers of the dispatcher's own process:
// an agent and its Python children, reached by function calls.
//
// Its one rule: it behaves as the socket transports do, so that the dispatcher
// cannot tell the difference.
package local
