// Package client is the Go client of the HTTP API: what the command line and
// the dashboard talk to the server with.
//
// Its one rule: every error it returns is a *core.Error with the class that
// the server gave it, or the cause of the caller's own context.
package client
