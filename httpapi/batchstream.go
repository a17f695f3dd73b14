package httpapi

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"time"
	"unicode/utf8"

	"faasctl/core"
	"faasctl/httpapi/wire"
)

const (
	// streamAhead is how much of a stream is read ahead: about what core.MaxBatch small
	// calls take.
	streamAhead = 256 << 10
	// streamGroup is how many bytes of calls are submitted together, beyond the first.
	streamGroup = 1 << 20
	// breakPatience is how long a client that was told that its stream has ended may go on
	// sending.
	breakPatience = 2 * time.Second
	lineHeader    = "Faasctl-Line" // which line of a stream the body begins with
)

const streamDoc = "With the header " + onceHeader + ", a random token, an array may be sent again for five minutes when its answer was lost, and so may " +
	"each line of a stream: send what has no answer once more, under the same token, with the number of its first line as " + lineHeader + ". What had been accepted " +
	"is answered with the task that it has, and is not accepted twice. A stream that cannot be read to its end, or not be stored, ends with a line that " +
	"has `broken`: how much was accepted, and which line to go on from."

type batchParams struct {
	Once string `header:"Faasctl-Request" doc:"a random token, by which calls that are sent again are known"`
	Line int    `header:"Faasctl-Line" minimum:"1" default:"1" doc:"of a stream: the number of the body's first line, where an earlier body with the same token has been cut off"`
}

// batchStream is one body of calls, a line each, and its answers. It holds one group of
// lines and their answers, however long the body is.
type batchStream struct {
	s        *Server
	x        *exchange
	rc       *http.ResponseController
	lines    *lineReader
	tasks    *core.SubmitStream
	out      *json.Encoder
	answered int // number of the last line that needs no answer any more
	accepted int
	refused  int
}

func (s *Server) newBatchStream(x *exchange, p *batchParams) (*batchStream, error) {
	tasks, err := s.service.SubmitStream(p.Once)
	if err != nil {
		return nil, err
	}
	b := &batchStream{s: s, x: x, rc: x.controller(), tasks: tasks, answered: p.Line - 1, out: json.NewEncoder(x.w)}
	b.lines = &lineReader{in: bufio.NewReaderSize(x.r.Body, streamAhead), most: s.bodyLimit(), tooLong: s.bodyTooLarge, number: p.Line - 1, before: func() {
		_ = b.rc.SetReadDeadline(time.Now().Add(s.cfg.BodyTimeout))
	}}
	return b, nil
}

// run reads calls and submits as many at once as have arrived: one when they trickle
// in, core.MaxBatch when they pour.
func (b *batchStream) run(ctx context.Context) {
	_ = b.rc.EnableFullDuplex() // where it is not needed it is refused
	b.x.w.Header().Set("Content-Type", ndjsonType)
	stop := context.AfterFunc(b.s.drain, func() { b.lines.close(func() { _ = b.rc.SetReadDeadline(time.Unix(1, 0)) }) })
	defer stop()
	defer b.lines.close(func() { _ = b.rc.SetReadDeadline(time.Time{}) })
	for {
		group, err := b.lines.next(core.MaxBatch)
		if len(group) > 0 {
			answers, failed := b.submit(ctx, group)
			if failed != nil { // perhaps some were accepted, perhaps none
				b.end(ctx, failed)
				return
			}
			if b.answer(group, answers) != nil {
				return // the client is gone, or takes no answers
			}
		}
		switch {
		case errors.Is(err, io.EOF):
			return
		case b.s.drain.Err() != nil:
			b.end(ctx, core.Errorf(core.ErrUnavailable, "", "%s", errDraining))
			return
		case err != nil:
			b.end(ctx, unreadable(err))
			return
		case b.rc.Flush() != nil:
			return
		}
	}
}

// submit accepts what can be accepted of a group.
func (b *batchStream) submit(ctx context.Context, group []streamLine) ([]wire.Submitted, error) {
	calls, faults := decodeLines(group)
	return b.s.submitCalls(ctx, func(ctx context.Context, places []int, requests []core.SubmitRequest) ([]core.Submitted, error) {
		numbers := make([]int, len(places))
		for i, place := range places {
			numbers[i] = group[place].number - 1
		}
		return b.tasks.Submit(ctx, numbers, requests)
	}, calls, faults)
}

// decodeLines reads a call from each line, or says what is wrong with it.
func decodeLines(group []streamLine) (calls []wire.Call, faults []error) {
	calls, faults = make([]wire.Call, len(group)), make([]error, len(group))
	all := make([]byte, 0, len(group)*(len(group[0].text)+16))
	for _, line := range group {
		all = append(append(all, line.text...), '\n')
	}
	// One decoder reads what is well-formed, a value that ends where its line does;
	// from the first that is not, each line is read by itself.
	decoder := json.NewDecoder(bytes.NewReader(all))
	decoder.DisallowUnknownFields()
	end := int64(-1)
	plain := utf8.Valid(all)
	for i, line := range group {
		if end += int64(len(line.text)) + 1; line.fault != nil {
			faults[i] = line.fault
			plain = false
			continue
		}
		if plain = plain && decoder.Decode(&calls[i]) == nil && decoder.InputOffset() == end; !plain {
			calls[i] = wire.Call{}
			faults[i] = decodeJSON(line.text, &calls[i], true)
		}
	}
	return calls, faults
}

// answer writes a line for each of a group.
func (b *batchStream) answer(group []streamLine, answers []wire.Submitted) error {
	_ = b.rc.SetWriteDeadline(time.Now().Add(b.s.cfg.WriteTimeout))
	for i, line := range group {
		if answers[i].Problem == nil {
			b.accepted++
		} else {
			b.refused++
		}
		b.answered = line.number
		if err := b.out.Encode(wire.StreamedLine{Line: line.number, Submitted: answers[i]}); err != nil {
			return err
		}
	}
	return nil
}

// end says why a stream cannot go on, and from where to do so.
func (b *batchStream) end(ctx context.Context, err error) {
	problem := b.s.refusal(ctx, err).Problem
	_ = b.rc.SetWriteDeadline(time.Now().Add(b.s.cfg.WriteTimeout))
	_ = b.out.Encode(wire.StreamedLine{Line: b.answered + 1, Submitted: wire.Submitted{Problem: &problem},
		Broken: &wire.Broken{From: b.answered + 1, Accepted: b.accepted, Refused: b.refused}}) // a client that left needs none
	// What is still being sent is read and thrown away for a moment: a connection that is
	// closed on it would be reset, and the client might not see these answers.
	b.lines.close(func() {})
	_ = b.rc.SetReadDeadline(time.Now().Add(breakPatience))
	if b.rc.Flush() == nil {
		_, _ = io.Copy(io.Discard, b.x.r.Body)
	}
}
