package client

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	"faasctl/core"
	"faasctl/httpapi/wire"
)

const (
	// A stream has at most so many calls, or bytes of them, under way: they are kept
	// until they are answered, to be sent again when the connection breaks.
	streamCalls = 8 << 10
	streamBytes = 8 << 20
	// streamPatience is how long a stream that is full waits for an answer before its body is
	// ended: what stands between may pass nothing on until then.
	streamPatience = time.Second
	// streamFor is how long one request goes on: the server knows what comes again by
	// its token for five minutes.
	streamFor = time.Minute
)

// ErrNotYet says that there is no call now, and that there may be one later.
var ErrNotYet = errors.New("no call yet")

// SubmitEach asks for any number of calls and calls each with answers, in order, as they
// come: the calls are one stream, and memory holds those that have no answer yet, a few
// thousand or 8 MiB at most. next returns the next call, or io.EOF after the last; when
// wait is not set and it would have to wait, it returns ErrNotYet, and it is asked to
// wait when all answers so far have been told. It may run at the same time as each. What
// had no answer when a connection broke is sent again and makes no second task. An error
// means that of the calls without an answer some may have been accepted.
func (c *Client) SubmitEach(ctx context.Context, next func(wait bool) (Call, error), each func([]core.Submitted) error) error {
	for ended := false; !ended; {
		call, err := next(true)
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case errors.Is(err, ErrNotYet):
			continue
		case err != nil:
			return err
		case ctx.Err() != nil:
			return context.Cause(ctx)
		}
		s := &callStream{c: c, next: next, each: each, token: rand.Text(), until: time.Now().Add(streamFor), first: 1, freed: make(chan struct{}, 1)}
		if _, err := s.put(call); err != nil {
			return err
		}
		if err := s.run(ctx); err != nil {
			return err
		}
		ended = s.ended
	}
	return nil
}

// callStream is calls that are sent under one token, in one request or, when that
// breaks, in several.
type callStream struct {
	c     *Client
	next  func(bool) (Call, error)
	each  func([]core.Submitted) error
	token string
	until time.Time // when no further call is taken

	freed chan struct{} // rings when there is more room
	mu    sync.Mutex
	first int      // number of the first call without an answer
	open  [][]byte // the lines of calls without an answer
	bytes int      // of open

	ended  bool  // next has returned io.EOF; of whoever feeds, as is failed
	failed error // what next has returned instead
}

// put takes a call as one that has no answer.
func (s *callStream) put(call Call) ([]byte, error) {
	line, err := json.Marshal(call.wire())
	if err != nil {
		return nil, &core.Error{Class: core.ErrMalformed, Detail: "the request cannot be written as JSON", Err: err}
	}
	line = append(line, '\n')
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open, s.bytes = append(s.open, line), s.bytes+len(line)
	return line, nil
}

// standing is what has no answer now.
func (s *callStream) standing() (first int, open [][]byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.first, slices.Clone(s.open)
}

// run sends until all calls that were taken have an answer. Each answer renews the
// client's patience.
func (s *callStream) run(ctx context.Context) error {
	again := s.c.newPatience()
	for {
		before, _ := s.standing()
		after, err := s.request(ctx)
		first, open := s.standing()
		var own *ownError
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case errors.As(err, &own):
			return own.err
		case err == nil && len(open) == 0:
			return s.failed
		case err == nil:
			err = s.c.unreachable(errors.New("calls were left without an answer"))
		case !retryable(err):
			return err
		}
		if first > before {
			again = s.c.newPatience()
		}
		if err := again.wait(ctx, after, err); err != nil {
			return err
		}
	}
}

// ownError is of the caller's own function.
type ownError struct{ err error }

func (e *ownError) Error() string { return e.err.Error() }

// request sends what has no answer, and then further calls, and reads the answers;
// after is how long the server asks to be left alone.
func (s *callStream) request(ctx context.Context) (after time.Duration, err error) {
	limited, cancel := context.WithCancel(ctx)
	defer cancel()
	request, err := s.c.request(limited, http.MethodPost, "/v1/tasks:batch", nil, nil)
	if err != nil {
		return 0, err
	}
	body, feed := io.Pipe()
	first, open := s.standing()
	request.Body = body
	request.Header.Set("Content-Type", "application/x-ndjson")
	request.Header.Set("Accept", "application/x-ndjson")
	request.Header.Set("Faasctl-Request", s.token)
	request.Header.Set("Faasctl-Line", strconv.Itoa(first))
	over := make(chan struct{})
	var feeding sync.WaitGroup
	feeding.Go(func() { s.feed(feed, open, over) })
	defer feeding.Wait()
	defer close(over)
	defer body.CloseWithError(errLost)
	silence := time.AfterFunc(s.c.timeout, cancel)
	defer silence.Stop()
	answer, err := s.c.http.Do(request)
	if err != nil {
		return 0, s.c.explain(ctx, limited, s.c.timeout, err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		seconds, _ := strconv.Atoi(answer.Header.Get("Retry-After"))
		return time.Duration(seconds) * time.Second, s.c.problem(answer)
	}
	lines := bufio.NewReaderSize(answer.Body, 64<<10)
	for {
		some, err := s.answers(lines)
		silence.Stop()
		if len(some) > 0 {
			if err := s.each(some); err != nil {
				return 0, &ownError{err}
			}
		}
		switch {
		case errors.Is(err, io.EOF):
			return 0, nil
		case err != nil:
			return 0, s.c.explain(ctx, limited, s.c.timeout, err)
		}
		silence.Reset(s.c.timeout)
	}
}

// feed writes lines into a request's body: those without an answer, then what next
// gives, until that has to wait or enough is under way.
func (s *callStream) feed(body *io.PipeWriter, open [][]byte, over <-chan struct{}) {
	defer body.Close()
	out := bufio.NewWriterSize(body, 64<<10)
	defer out.Flush()
	for _, line := range open {
		if _, err := out.Write(line); err != nil {
			return
		}
	}
	for s.failed == nil && !s.ended && s.room(out, over) {
		call, err := s.next(false)
		var line []byte
		if err == nil {
			line, err = s.put(call)
		}
		switch s.ended = errors.Is(err, io.EOF); {
		case s.ended, errors.Is(err, ErrNotYet):
			return
		case err != nil:
			s.failed = err
			return
		}
		if _, err := out.Write(line); err != nil {
			return
		}
	}
}

// room waits until another call may be taken; false ends the body.
func (s *callStream) room(out *bufio.Writer, over <-chan struct{}) bool {
	for {
		s.mu.Lock()
		room := len(s.open) < streamCalls && s.bytes < streamBytes
		s.mu.Unlock()
		late := time.Now().After(s.until)
		if room || late {
			return !late
		}
		if out.Flush() != nil {
			return false
		}
		timer := time.NewTimer(streamPatience)
		select {
		case <-s.freed:
			timer.Stop()
		case <-over:
			timer.Stop()
			return false
		case <-timer.C:
			return false
		}
	}
}

// answers reads the next answer, and others as far as they have come.
func (s *callStream) answers(in *bufio.Reader) (some []core.Submitted, err error) {
	for len(some) < core.MaxBatch && (len(some) == 0 || arrived(in)) {
		line, err := in.ReadBytes('\n')
		if err != nil {
			if len(line) > 0 {
				err = errLost
			}
			return some, err
		}
		var one wire.StreamedLine
		if err := json.Unmarshal(line, &one); err != nil {
			return some, s.c.strange(err)
		}
		if one.Broken != nil {
			return some, submitted(one.Submitted).Err
		}
		if err := s.answered(one.Line); err != nil {
			return some, err
		}
		some = append(some, submitted(one.Submitted))
	}
	return some, nil
}

func arrived(in *bufio.Reader) bool {
	data, _ := in.Peek(in.Buffered())
	return bytes.IndexByte(data, '\n') >= 0
}

// answered lets go of the first call, whose answer has come.
func (s *callStream) answered(line int) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if line != s.first || len(s.open) == 0 {
		return s.c.strange(core.Errorf(core.ErrInternal, "", "an answer to line %d where that to line %d was due", line, s.first))
	}
	s.first++
	s.bytes -= len(s.open[0])
	s.open[0] = nil
	s.open = s.open[1:]
	select {
	case s.freed <- struct{}{}:
	default:
	}
	return nil
}
