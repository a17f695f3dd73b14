// Package colour keeps the terminal quiet while faasctl starts.
//
// Bubble Tea v1 asks the terminal for its background colour in its package
// init, so every verb of a program that merely links it would emit escape
// sequences and, on a terminal that does not answer, wait for seconds.
// Answering the question beforehand avoids that: this package imports lipgloss
// and nothing else, so it is ready the moment lipgloss is, and among the
// packages that are ready Go initialises the one with the smallest import path
// first: "faasctl/cli/colour" sorts before "github.com/charmbracelet/bubbletea".
//
// Its one rule: no further imports, and no path that sorts after "github.com".
package colour

import "github.com/charmbracelet/lipgloss"

func init() { lipgloss.SetHasDarkBackground(true) }
