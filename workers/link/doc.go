// Package link is what push and pull have in common: Hub, the dispatcher's end,
// which knows the workers, and Conn, the worker's end, which carries one agent.
// How messages cross is the part of a Talk and a Line, which push and pull bring.
//
// Its one rule: a task that crosses is either in the list with which a worker
// registers, or never reaches its agent. A worker that has begun to register
// drops tasks until the welcome that answers its latest registration, and the
// welcome is sent in order with what the dispatcher's loop says.
package link
