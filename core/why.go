package core

import (
	"fmt"
	"strings"
	"time"
)

// Why says why a task waits, runs long, was tried again or ended as it did: one
// screen, made of what the store, the roster and the task's own history say.
type Why struct {
	Task     Task      `json:"task"`
	Now      time.Time `json:"now"`                // by the store's clock
	Findings []Finding `json:"findings"`           // causes first; at least one
	Command  string    `json:"command,omitempty"`  // what helps, or shows more; that of the first finding that has one
	Place    *Place    `json:"place,omitempty"`    // of a QUEUED task
	Hands    *Hands    `json:"hands,omitempty"`    // of a task that has not ended
	Attempts []Attempt `json:"attempts,omitempty"` // as Service.Attempts tells them
}

// Finding is one thing that bears on a task.
type Finding struct {
	Code    WhyCode `json:"code"`
	Cause   bool    `json:"cause,omitempty"` // it is why; the others are circumstances
	Text    string  `json:"text"`            // a sentence without a full stop; may hold text of users
	Command string  `json:"command,omitempty"`
}

// WhyCode names a finding for programs.
type WhyCode string

const (
	WhyNoDispatcher WhyCode = "no_dispatcher" // nobody hands out tasks
	WhyNoWorker     WhyCode = "no_worker"     // no worker takes tasks
	WhyNoFit        WhyCode = "no_fit"        // those that do cannot run this function
	WhyPaused       WhyCode = "queue_paused"  // its queue is
	WhyCapped       WhyCode = "capped"        // its function runs as many calls as it may at once
	WhyThrottled    WhyCode = "throttled"     // its function's rate is spent
	WhyBusy         WhyCode = "no_slot"       // who could run it is busy
	WhyLater        WhyCode = "later"         // its client wants it later
	WhyBackoff      WhyCode = "backoff"       // it failed and waits for its next attempt
	WhyDue          WhyCode = "due"           // its time has come, and it will be queued now
	WhyNext         WhyCode = "next"          // nothing holds it back

	WhyRuns       WhyCode = "runs"       // its function was entered
	WhyHeld       WhyCode = "held"       // it was handed out and has not begun
	WhyPrepares   WhyCode = "prepares"   // its worker makes the environment that its function depends on
	WhySlow       WhyCode = "slow"       // slower than 95 of 100 calls of its function
	WhySilent     WhyCode = "silent"     // nothing is heard of who holds it
	WhyCancelling WhyCode = "cancelling" // its cancel was asked for

	WhyCompleted WhyCode = "completed"   // where its time went
	WhyFailed    WhyCode = "failed"      // what it died of
	WhyLost      WhyCode = "lost"        // its holders vanished too often
	WhyExpired   WhyCode = "expired"     // it waited too long
	WhyCancelled WhyCode = "cancelled"   // somebody asked
	WhySpent     WhyCode = "no_retry"    // why it was not tried again
	WhyAgain     WhyCode = "retried_as"  // somebody has run it again
	WhyDead      WhyCode = "dead_letter" // nothing will run it again by itself
	WhyPlace     WhyCode = "place"       // where it stands in its queue
	WhyHands     WhyCode = "hands"       // who could run it
	WhyExpires   WhyCode = "expires"     // when it is not worth running any more
	WhyUsual     WhyCode = "usual"       // what calls of its function take
	WhyAttempt   WhyCode = "attempt"     // what an earlier attempt died of
	WhyVanished  WhyCode = "deliveries"  // how often a holder vanished
)

// Place is where a QUEUED task stands. At most LookAhead entries of its line are
// looked at.
type Place struct {
	Ahead  int   `json:"ahead"`            // calls of its function at its priority that go first
	More   bool  `json:"more,omitempty"`   // there are more than Ahead
	Rivals int   `json:"rivals,omitempty"` // other functions and priorities of its queue that take turns with it
	Queued int64 `json:"queued"`           // tasks in its queue, itself included
}

// LookAhead bounds how far from the front of its line the place of a task is
// counted.
const LookAhead = 1000

// Standing is what a store knows of one task that bears on its fate, all of one
// moment.
type Standing struct {
	Task     Task
	Spec     Spec          // without its arguments
	Now      time.Time     // the store's clock
	Due      time.Time     // when it was due or will be; zero if it was never delayed
	Holder   DispatcherID  // of a RUNNING task
	Lease    time.Time     // when its lease lapses, of a RUNNING task
	Place    Place         // of a QUEUED task
	Paused   time.Time     // since when its queue is; zero when it is not
	Running  int           // RUNNING tasks of its function
	Full     time.Time     // when the bucket of its function's rate will be full; zero when it is
	Function FunctionStats // its function's numbers
}

// slowAfter is how many calls of a function must have ended before one of them is
// called slow.
const slowAfter = 20

// whyInput is all that an explanation goes by.
type whyInput struct {
	Standing
	function *Function // nil when it is not known any more
	attempts []Attempt
	roster   Roster
	failure  *Failure // of a task that FAILED
}

// explain tells why. It looks at nothing but its input.
func explain(in whyInput) Why {
	w := &whyBook{in: in}
	switch in.Task.State {
	case Queued:
		w.queued()
	case Delayed:
		w.delayed()
	case Running:
		w.running()
	default:
		w.ended()
	}
	w.history()
	w.usual()
	return w.close()
}

// whyBook gathers findings.
type whyBook struct {
	in       whyInput
	causes   []Finding
	facts    []Finding
	place    *Place
	hands    *Hands
	fallback string // the command when no finding has one
}

func (w *whyBook) cause(code WhyCode, command, text string, args ...any) {
	w.causes = append(w.causes, Finding{Code: code, Cause: true, Text: fmt.Sprintf(text, args...), Command: command})
}

func (w *whyBook) fact(code WhyCode, command, text string, args ...any) {
	w.facts = append(w.facts, Finding{Code: code, Text: fmt.Sprintf(text, args...), Command: command})
}

func (w *whyBook) close() Why {
	why := Why{
		Task: w.in.Task, Now: w.in.Now, Findings: append(w.causes, w.facts...), Command: w.fallback,
		Place: w.place, Hands: w.hands, Attempts: w.in.attempts,
	}
	for i := len(why.Findings) - 1; i >= 0; i-- {
		if command := why.Findings[i].Command; command != "" {
			why.Command = command
		}
	}
	return why
}

// name is how people and commands name the function.
func (w *whyBook) name() string {
	if f := w.in.function; f != nil {
		return f.Ref()
	}
	return string(w.in.Task.Function)
}

// usual says what calls of the function take, and whether this one takes longer.
func (w *whyBook) usual() {
	stats := w.in.Function
	n := stats.Run.Count()
	if n == 0 {
		return
	}
	w.fact(WhyUsual, "", "95 of 100 calls of %s ran no longer than %s and waited no longer than %s (%s ended)",
		w.name(), roughly(stats.Run.Quantile(0.95)), roughly(stats.Wait.Quantile(0.95)), counted(n, "call"))
}

// slow says so when a run took longer than 95 of 100. A quantile of a Histogram is
// off by up to a tenth, hence the tenth.
func (w *whyBook) slow(ran time.Duration) bool {
	run := w.in.Function.Run
	return run.Count() >= slowAfter && ran > run.Quantile(0.95)*11/10
}

// shellSafe is what a shell leaves alone.
const shellSafe = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789@%+=:,./-_"

// command joins the words of a command line of faasctl, quoted where a shell would
// do something else with them.
func command(words ...string) string {
	quoted := make([]string, len(words))
	for i, word := range words {
		if quoted[i] = word; word == "" || strings.Trim(word, shellSafe) != "" {
			quoted[i] = "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
		}
	}
	return "faasctl " + strings.Join(quoted, " ")
}

// counted is a number with its noun: 1 call, 1,204 calls.
func counted[T int | int64](n T, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return grouped(int64(n)) + " " + noun + "s"
}

// grouped writes a count with commas between thousands.
func grouped(n int64) string {
	text := fmt.Sprint(n)
	for i := len(text) - 3; i > 0 && text[i-1] != '-'; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}

// roughly writes a time with the digits that matter to a person.
func roughly(d time.Duration) string {
	switch {
	case d < time.Millisecond:
		return "1 ms"
	case d < time.Second:
		return fmt.Sprintf("%d ms", d.Milliseconds())
	case d < 10*time.Second:
		return fmt.Sprintf("%.1f s", d.Seconds())
	case d < 100*time.Second:
		return fmt.Sprintf("%.0f s", d.Seconds())
	case d < time.Hour:
		return fmt.Sprintf("%d min %d s", int(d.Minutes()), int(d.Seconds())%60)
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h %d min", int(d.Hours()), int(d.Minutes())%60)
	}
	return fmt.Sprintf("%d days", int(d.Hours())/24)
}
