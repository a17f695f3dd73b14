package pyrun

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// slot is one place to execute in: a goroutine that owns one child, starts
// another when it dies, and runs one batch at a time.
type slot struct {
	pool *Pool
	log  *slog.Logger

	// Guarded by pool.mu.
	bell   int // eventfd; rings when given, orders or pool.stopped have changed
	given  []call
	python string // interpreter of given, and of the batch before; see take
	orders []order
	left   usage // of its child, when it became idle

	// Owned by run.
	quarters quarters
	ch       *child
	parked   []parked      // children of other interpreters, the one used last at the end
	uses     string        // interpreter of the next child
	retry    time.Time     // no start before
	backoff  time.Duration // of the next start that fails
	begun    time.Time     // when the child was started
	hungUp   time.Time     // when the result pipe was found closed; zero while it is open
	scratch  []byte        // for reading output
	park     *park         // nil where there is none
	flight   flight        // the calls that the child has
	rest     []call        // of the batch, not handed to the child yet
	busy     bool          // has a batch
	doom     doom          // what we did to the child, and for which call

	lookAt  time.Time     // when the running call has to be looked at for its limits
	cpuBase time.Duration // what the child's processes had used when the running call was entered

	followTurn uint64 // of the pool, when it was last looked who is followed
}

// Back-off of children that die before they are ready.
const (
	minBackoff = 100 * time.Millisecond
	maxBackoff = 5 * time.Second
)

// hangup is how long a child may live on without its result pipe: a process
// that ends closes the pipe a moment before it can be waited for.
const hangup = 200 * time.Millisecond

// ring wakes the slot. pool.mu is held.
func (s *slot) ring() {
	if s.bell >= 0 {
		_, _ = unix.Write(s.bell, []byte{1, 0, 0, 0, 0, 0, 0, 0})
	}
}

// run is the slot's life. It returns when the pool has stopped.
func (s *slot) run() {
	s.scratch = make([]byte, readSize)
	if s.park, _ = newPark(); s.park != nil {
		defer s.park.file.Close()
	}
	defer func() {
		if s.ch != nil {
			s.ch.reap()
		}
		for len(s.parked) > 0 {
			s.unpark(0)
		}
	}()
	for {
		given, python, orders, stopped := s.pool.take(s)
		if stopped {
			return
		}
		if given != nil || s.uses == "" {
			s.uses = python
			s.change(python)
		}
		if given != nil {
			s.rest, s.busy = given, true
		}
		for _, o := range orders {
			s.obey(o)
		}
		s.heed()
		s.advance()
		s.tell(time.Now())
		s.wait()
	}
}

// advance does what can be done without waiting: start a child, hand it work.
func (s *slot) advance() {
	if s.ch == nil && !time.Now().Before(s.retry) {
		s.spawn()
	}
	if s.ch == nil || !s.ch.ready || s.doom.kind != doomNone {
		return
	}
	for s.flight.done() && len(s.rest) > 0 && s.doom.kind == doomNone {
		if why := s.unfit(s.rest[0]); why != "" {
			s.retire(why)
			return
		}
		s.launch()
	}
	if s.busy && s.flight.done() && len(s.rest) == 0 {
		s.busy = false
		s.flight.reset()
		if why := s.spent(); why != "" {
			s.retire(why)
		}
		s.pool.rest(s)
	}
	s.ch.flush()
}

// spawn starts a child on the pool's forking thread.
func (s *slot) spawn() {
	type started struct {
		ch  *child
		err error
	}
	held, err := s.pool.hold(s.uses)
	if err != nil {
		s.log.Debug("an environment was removed", "err", err)
		s.leave(err)
		return
	}
	cell, err := s.pool.bounds.newCell(&s.quarters)
	if err != nil {
		if held != nil {
			held.Close()
		}
		s.startFailed(err)
		return
	}
	answer := make(chan started, 1)
	config := s.pool.config
	config.Python = s.uses
	s.pool.forks <- func() {
		ch, err := spawn(config, s.pool.jail, cell, s.pool.env)
		answer <- started{ch, err}
	}
	got := <-answer
	s.lookAt = time.Time{}
	s.doom, s.hungUp, s.begun = doom{}, time.Time{}, time.Now()
	s.flight = flight{}
	if got.err != nil {
		cell.giveBack()
		if held != nil {
			held.Close()
		}
		s.startFailed(got.err)
		return
	}
	s.ch = got.ch
	s.ch.held = held
	s.ch.flush()
}

func (s *slot) startFailed(err error) {
	if s.shun(err) {
		return
	}
	s.backoff = min(max(2*s.backoff, minBackoff), maxBackoff)
	s.retry = time.Now().Add(s.backoff)
	s.pool.note(hello{}, err)
	s.log.Warn("a Python child did not start", "err", err, "retry_in", s.backoff)
	s.leave(err)
}

// wait sleeps until something concerns the slot and handles it.
func (s *slot) wait() {
	if s.ch == nil {
		fds := []unix.PollFd{{Fd: int32(s.bell), Events: unix.POLLIN}}
		s.poll(fds, s.retry)
		return
	}
	fds := []unix.PollFd{
		{Fd: int32(s.bell), Events: unix.POLLIN},
		{Fd: int32(s.ch.results), Events: unix.POLLIN},
		{Fd: int32(s.ch.stdout), Events: unix.POLLIN},
		{Fd: int32(s.ch.stderr), Events: unix.POLLIN},
		{Fd: int32(s.ch.pidfd), Events: unix.POLLIN}, // a negative one is skipped
		{Fd: int32(s.ch.calls), Events: unix.POLLOUT},
	}
	if !s.hungUp.IsZero() {
		fds[1].Fd = -1
	}
	if len(s.ch.out) == 0 {
		fds[5].Fd = -1
	}
	until := s.next()
	if s.ch.pidfd < 0 { // a kernel without pidfds: look for the child's end now and then
		until = earlier(until, time.Now().Add(100*time.Millisecond))
	}
	if ebb := s.flight.tide.ebb; time.Now().Before(ebb) {
		fds[2].Fd, fds[3].Fd = -1, -1
		until = earlier(until, ebb)
	}
	fds, until = s.strayFDs(fds, until)
	s.linger(fds, until)
	s.poll(fds, until)
	s.handle(fds)
}

// poll waits until one of fds is ready or the time has come, and empties the bell.
func (s *slot) poll(fds []unix.PollFd, until time.Time) {
	for {
		n, err := unix.Poll(fds, 0)
		if err != unix.EINTR && (n != 0 || err != nil) || !until.IsZero() && !time.Now().Before(until) {
			break
		}
		if s.park == nil || s.park.wait(fds, until) != nil {
			s.block(fds, until)
			break
		}
	}
	if fds[0].Revents != 0 {
		var count [8]byte
		_, _ = unix.Read(s.bell, count[:])
	}
}

// block is what poll does where it cannot park.
func (s *slot) block(fds []unix.PollFd, until time.Time) {
	for {
		timeout := -1
		if !until.IsZero() {
			left := time.Until(until)
			timeout = int(max(0, min((left+time.Millisecond-1)/time.Millisecond, 1<<30)))
		}
		if _, err := unix.Poll(fds, timeout); err != unix.EINTR {
			return
		}
	}
}

// handle deals with what poll found. The order matters: what lay in the output
// pipes before the result pipe was found empty was printed by the call that
// then still ran, or by its successor, never by one that had ended: the runner
// flags the result of a call that left output in the pipes, and waits.
func (s *slot) handle(fds []unix.PollFd) {
	stdout, stderr := 0, 0
	if fds[2].Revents&unix.POLLIN != 0 {
		stdout = waiting(s.ch.stdout)
	}
	if fds[3].Revents&unix.POLLIN != 0 {
		stderr = waiting(s.ch.stderr)
	}
	if fds[1].Revents != 0 {
		stdout, stderr = s.readResults(stdout, stderr)
		s.flight.read(time.Now())
	}
	s.readOutput(s.ch.stdout, false, stdout)
	s.readOutput(s.ch.stderr, true, stderr)
	if fds[5].Revents != 0 {
		s.ch.flush()
	}
	if fds[4].Revents != 0 || (s.ch.pidfd < 0 || !s.hungUp.IsZero()) && s.ch.exited() {
		s.buried()
		return
	}
	s.handleStrays(fds[6:])
	s.enforce(time.Now())
}

// readResults handles every frame that the child has sent. It returns how much
// of the output that was seen beforehand is still unread.
func (s *slot) readResults(stdout, stderr int) (int, int) {
	for more := true; more && s.hungUp.IsZero(); {
		var closed bool
		var err error
		more, closed, err = s.ch.receive()
		for err == nil {
			var kind byte
			var payload []byte
			var ok bool
			if kind, payload, ok, err = s.ch.frame(); !ok || err != nil {
				break
			}
			var drained bool
			if drained, err = s.receive(kind, payload); drained {
				stdout, stderr = 0, 0
			}
		}
		if err != nil {
			s.condemn(doomGarbage, err.Error())
			return stdout, stderr
		}
		if closed {
			s.hungUp = time.Now()
		}
	}
	return stdout, stderr
}

// receive handles one frame. drained means that the output pipes were emptied.
func (s *slot) receive(kind byte, payload []byte) (drained bool, err error) {
	if s.doom.kind == doomGarbage {
		return false, nil // nothing more of it is believed
	}
	switch kind {
	case kindHello:
		return false, s.welcome(payload)
	case kindMiss:
		return false, s.missed(payload)
	case kindLoad:
		return false, s.loading(payload)
	case kindResult:
		reply, err := parseReply(payload)
		if err != nil {
			return false, err
		}
		return s.landed(reply)
	}
	return false, fmt.Errorf("a frame of the unknown kind %q on the result pipe", kind)
}

func (s *slot) welcome(payload []byte) error {
	var h hello
	if err := json.Unmarshal(payload, &h); err != nil || s.ch.ready || h.Protocol != protocol {
		return fmt.Errorf("a hello that is not our runner's")
	}
	s.ch.hello, s.ch.ready, s.backoff = h, true, 0
	s.ch.weigh()
	s.pool.note(h, nil)
	s.pool.alive(s.ch.python)
	s.pool.recovered(s.ch.python)
	for name, why := range s.pool.lacks(h.Lacking) {
		s.log.Warn("a module cannot be preloaded; functions that import it will fail the same way", "module", name, "why", clip(why, maxMessage))
	}
	s.log.Debug("a Python child is ready", "pid", s.ch.pid, "python", h.Python, "dill", h.Dill, "after", time.Since(s.begun))
	return nil
}

// readOutput moves n bytes from an output pipe to the call that runs.
func (s *slot) readOutput(fd int, stderr bool, n int) {
	for n > 0 {
		got, err := unix.Read(fd, s.scratch[:min(n, len(s.scratch))])
		if err == unix.EINTR {
			continue
		}
		if err != nil || got <= 0 {
			return
		}
		n -= got
		s.printed(stderr, s.scratch[:got])
	}
}

// drain reads what the output pipes hold now. It is bounded by that: what a
// process left running goes on printing is not waited for.
func (s *slot) drain() {
	s.readOutput(s.ch.stdout, false, waiting(s.ch.stdout))
	s.readOutput(s.ch.stderr, true, waiting(s.ch.stderr))
}

// buried is called once the child's process has ended: it hears its last
// words, ends the call it died in and gives the others back.
func (s *slot) buried() {
	s.readResults(0, 0)
	s.drain()
	ch := s.ch
	s.doom.post.fault = ch.fault()
	if f := s.flight.running(); f != nil {
		s.tellProgress(f)
	}
	wait := ch.reap()
	s.doom.post.peak = ch.peak
	s.ch = nil
	if !ch.ready {
		s.startFailed(fmt.Errorf("%s %s: %s", ch.python, ended(wait), s.flight.lines()))
	} else if s.flight.done() && s.doom.kind == doomNone {
		s.log.Warn("an idle Python child ended", "pid", ch.pid, "how", ended(wait))
	}
	if ch.oom && s.doom.kind == doomNone {
		s.doom = doom{kind: doomMemory, tag: s.flight.tag()}
	}
	retired := s.doom.kind == doomRetire
	left := s.flight.bury(s, wait)
	s.flight, s.doom, s.hungUp = flight{}, doom{}, time.Time{}
	if retired {
		return // its calls wait for the next child
	}
	left = append(left, s.rest...)
	s.rest = nil
	if s.busy {
		s.busy = false
		s.pool.giveBack(s, left)
	}
}

func ended(wait syscall.WaitStatus) string {
	if wait.Signaled() {
		return "was killed by " + unix.SignalName(wait.Signal())
	}
	return fmt.Sprintf("ended with exit status %d", wait.ExitStatus())
}

// later returns the later of two times.
func later(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}

// earlier returns the earlier of two times, of which zero means never.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}
