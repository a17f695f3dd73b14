package cli

import (
	"fmt"

	"faasctl/core"
)

// describeAttempts says in a line each what became of a task's attempts. One
// attempt alone is what the rest of the task's description tells.
func describeAttempts(task core.Task, attempts []core.Attempt) [][2]string {
	if len(attempts) == 0 || len(attempts) == 1 && attempts[0].Number == task.Attempt {
		return nil
	}
	var rows [][2]string
	if first := attempts[0].Number; first > 1 {
		rows = append(rows, [2]string{"attempts", fmt.Sprintf("the first %d are not kept any more", first-1)})
	}
	for _, a := range attempts {
		name := fmt.Sprintf("attempt %d", a.Number)
		if a.Number == 0 {
			name = "not begun"
		}
		rows = append(rows, [2]string{name, attemptLine(a)})
	}
	return rows
}

// attemptWords are how attempts ended, for people.
var attemptWords = map[core.AttemptEnd]string{
	core.AttemptRunning: "runs", core.AttemptCompleted: "completed", core.AttemptFailed: "failed for good", core.AttemptRetried: "failed, tried again",
	core.AttemptLost: "lost with its worker", core.AttemptReleased: "given back after its start", core.AttemptCancelled: "cancelled",
}

// attemptLine is such as "10:15:04.100  failed, tried again after 1.2s on
// w-….  ValueError: no such luck".
func attemptLine(a core.Attempt) string {
	at := a.Started
	if at.IsZero() {
		at = a.Claimed
	}
	what := attemptWords[a.End]
	if what == "" {
		what = string(a.End)
	}
	line := at.Local().Format("15:04:05.000") + "  " + what
	if !a.Ended.IsZero() && !a.Started.IsZero() {
		line += " after " + span(max(a.Ended.Sub(a.Started), 0))
	}
	if a.Worker != "" {
		line += " on " + cleanLine(string(a.Worker))
	}
	if f := a.Failure; f != nil {
		line += "  " + failureLine(f.Kind, &core.Failure{Kind: f.Kind, Type: f.Type, Message: f.Message, Signal: f.Signal})
	}
	return line
}
