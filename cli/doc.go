// Package cli is the program faasctl: one file per verb, and beside them the
// four things that all verbs share. app.go is the table of verbs and what each
// verb is given; args.go lets flags stand anywhere on the line; errors.go turns
// every error into one message and one exit code; output.go prints data.
//
// Data go to stdout and everything else to stderr. What functions and servers
// sent is stripped of control sequences before it reaches a terminal.
package cli
