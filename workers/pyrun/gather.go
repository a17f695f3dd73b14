package pyrun

import (
	"time"

	"golang.org/x/sys/unix"
)

// The child writes each result before it enters the next call. Reading each as it
// comes costs a wake-up of the parent per call, which is as dear as a short call.
// So while many short calls are under way, the result pipe is looked at now and
// then. Everything else is heard at once: orders, what is printed (the child waits
// until that has been read), and the child's end.
const (
	shortCall  = 100 * time.Microsecond // calls that take longer are not gathered
	longestLag = 500 * time.Microsecond // that a result lies in the pipe
	leastLag   = 50 * time.Microsecond  // less is not worth the call
)

// gather is how fast results of a flight come.
type gather struct {
	seen time.Time     // when the results were last read
	at   int           // which call ran then
	pace time.Duration // per call, between the last two readings; 0 = unknown, or nothing had come
}

// read notes that all results that had come by now were read.
func (f *flight) read(now time.Time) {
	g := &f.gather
	if landed := f.at - g.at; landed > 0 {
		g.pace = now.Sub(g.seen) / time.Duration(landed)
	} else {
		g.pace = 0
	}
	g.seen, g.at = now, f.at
}

// lag is how long the results of the flight can be left in their pipe: less than
// the calls that are left will take, so that the child does not wait for others.
func (f *flight) lag() time.Duration {
	left := len(f.calls) - f.at
	if f.gather.pace == 0 || f.gather.pace > shortCall || left < 2 {
		return 0
	}
	lag := min(time.Duration(left-1)*f.gather.pace, longestLag)
	if lag < leastLag {
		return 0
	}
	return lag
}

// linger waits for anything but results, until there should be many of them.
func (s *slot) linger(fds []unix.PollFd, until time.Time) {
	lag := s.flight.lag()
	if lag == 0 || fds[1].Fd < 0 || s.doom.kind != doomNone || !until.IsZero() && time.Until(until) < lag {
		return
	}
	span := unix.NsecToTimespec(int64(lag))
	results := fds[1].Fd
	fds[1].Fd = -1
	_, _ = unix.Ppoll(fds, &span, nil)
	fds[1].Fd = results
}
