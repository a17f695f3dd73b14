// Package tui is the dashboard behind `faasctl top`: one Bubble Tea model over
// a Feed of statistics, tasks and events.
//
// Its one rule: what is on the screen is a pure function of the news that came
// in, the keys that were pressed and the size of the terminal. Update and View
// do no I/O and read no clock; the feed's pump does both, folds what it hears
// into at most one Batch per 100 ms, and stamps it with the time.
//
// The way of a number: Feed → pump (pump.go) → Batch → picture (picture.go) →
// pane (one file each) → lines. Panes are plain structs with imperative
// methods; layout.go shares the lines out among them.
package tui
