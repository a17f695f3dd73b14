package workertest_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/pebbe/zmq4"

	"faasctl/core"
	"faasctl/workers/workertest"
)

// The two workers in this file are written from PROTOCOL.md alone: they share no
// code with ours, but the binding.

// bare is what both have in common: it squares numbers.
type bare struct {
	t        testing.TB
	id       string
	joined   bool
	number   int
	done     map[string]int // how often each task was run
	results  [][]any        // outcomes not settled
	payloads [][]byte
	told     int // of results
	settled  int
	leaving  bool
}

func newBare(t testing.TB, id string) *bare { return &bare{t: t, id: id, done: map[string]int{}} }

// message is three frames.
func message(kind byte, header any, payload []byte) [][]byte {
	text, _ := json.Marshal(header)
	return [][]byte{{kind, 1}, text, payload}
}

func (b *bare) join(single bool) [][]byte {
	b.joined = false
	b.number++
	card := map[string]any{"slots": 1, "single": single}
	return append(message(1, []any{b.id, b.number, card, []any{}}, nil), message(2, []any{b.id, 1, 20}, nil)...)
}

// finish hands in the results that were not handed in yet.
func (b *bare) finish() [][]byte {
	if b.told == len(b.results) {
		return nil
	}
	var payload []byte
	for _, p := range b.payloads[b.told:] {
		payload = append(payload, p...)
	}
	m := message(4, []any{b.id, b.results[b.told:]}, payload)
	b.told = len(b.results)
	return m
}

// hear takes one multipart and says whether the worker has to register.
func (b *bare) hear(frames [][]byte) (register bool) {
	for ; len(frames) >= 3; frames = frames[3:] {
		var header []json.RawMessage
		if err := json.Unmarshal(frames[1], &header); err != nil || frames[0][1] != 1 {
			b.t.Errorf("not understood: %q %v", frames[1], err)
			return false
		}
		switch frames[0][0] {
		case 0x21:
			if b.joined {
				b.run(header, frames[2])
			}
		case 0x22:
			var leases [][]any
			_ = json.Unmarshal(header[0], &leases)
			b.settled += len(leases)
		case 0x25:
			b.leaving = true
		case 0x27:
			register = true
		case 0x28:
			b.joined = string(header[0]) == fmt.Sprint(b.number)
		case 0x2d:
			b.t.Errorf("error: %s", frames[1])
		}
	}
	return register
}

func (b *bare) run(header []json.RawMessage, payload []byte) {
	var functions, tasks [][]any
	if json.Unmarshal(header[0], &functions) != nil || json.Unmarshal(header[1], &tasks) != nil {
		b.t.Errorf("no tasks: %s", header)
		return
	}
	for _, f := range functions {
		if f[8].(bool) {
			body := string(payload[:int(f[7].(float64))])
			if !strings.HasPrefix(body, "def "+f[4].(string)) {
				b.t.Errorf("a body of %q", body)
			}
			payload = payload[len(body):]
		}
	}
	for _, task := range tasks {
		n := int(task[7].(float64))
		var args []json.RawMessage
		var positional []int
		if json.Unmarshal(payload[:n], &args) != nil || json.Unmarshal(args[0], &positional) != nil {
			b.t.Errorf("arguments %q", payload[:n])
			return
		}
		payload = payload[n:]
		result := []byte(fmt.Sprint(positional[0] * positional[0]))
		b.done[task[0].(string)]++
		b.results = append(b.results, []any{task[0], task[1], task[2], "COMPLETED", true, 10, len(result), 0, "", nil, nil})
		b.payloads = append(b.payloads, result)
	}
}

func receive(s *zmq4.Socket) ([][]byte, bool) {
	frames, err := s.RecvMessageBytes(0)
	if err != nil && !errors.Is(err, zmq4.Errno(syscall.EAGAIN)) {
		return nil, false
	}
	return frames, err == nil
}

func dial(t testing.TB, kind zmq4.Type, address string) *zmq4.Socket {
	t.Helper()
	s, err := zmq4.NewSocket(kind)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(s.SetLinger(0), s.SetRcvtimeo(50*time.Millisecond), s.SetSndtimeo(time.Second), s.Connect(address)); err != nil {
		t.Fatal(err)
	}
	return s
}

// dealer is a push worker.
func (b *bare) dealer(address string) {
	s := dial(b.t, zmq4.DEALER, address)
	defer s.Close()
	send := func(frames [][]byte) {
		if _, err := s.SendMessage(frames); err != nil {
			b.t.Errorf("send: %v", err)
		}
	}
	send(b.join(false))
	for !b.leaving || b.settled < len(b.results) {
		frames, ok := receive(s)
		if !ok {
			send(message(3, []any{b.id, 0, []any{}}, nil))
		} else if b.hear(frames) && b.joined {
			send(b.join(false))
		}
		if m := b.finish(); m != nil {
			send(m)
		}
	}
	send(append(message(6, []any{b.id}, nil), message(7, []any{b.id}, nil)...))
	_ = s.SetLinger(time.Second)
}

// req is a pull worker with one socket, and without any of REQ's options.
func (b *bare) req(address string) {
	s := dial(b.t, zmq4.REQ, address)
	defer s.Close()
	ask := func(frames [][]byte) bool {
		if _, err := s.SendMessage(frames); err != nil {
			b.t.Errorf("send: %v", err)
			return false
		}
		for tries := 0; tries < 200; tries++ {
			if frames, ok := receive(s); ok {
				return b.hear(frames)
			}
		}
		b.t.Error("no answer")
		b.leaving = true
		return false
	}
	again := ask(b.join(true))
	for !b.leaving || b.settled < len(b.results) {
		switch m := b.finish(); {
		case again:
			again = ask(b.join(true))
		default: // results go along with the question for more
			again = ask(append(m, message(9, []any{b.id}, nil)...))
		}
	}
	ask(append(message(6, []any{b.id}, nil), message(7, []any{b.id}, nil)...))
}

func TestAWorkerWrittenFromTheProtocolAlone(t *testing.T) {
	for _, c := range []struct {
		mode workertest.Mode
		run  func(*bare, string)
	}{{pushing, (*bare).dealer}, {pulling, (*bare).req}} {
		t.Run(string(c.mode.Name), func(t *testing.T) {
			b := workertest.NewBench(t, c.mode)
			b.Start()
			b.Function("square")
			w := newBare(t, "bare-1")
			var group sync.WaitGroup
			group.Go(func() { c.run(w, b.URL()) })
			b.Joined(1)
			ids := b.Calls("square", 1000)
			b.Await(ids, core.Completed)
			for i, id := range ids {
				if _, result, err := b.Service.Result(b.Ctx, id); err != nil || string(result.JSON) != fmt.Sprint(i*i) {
					t.Fatalf("the square of %d is %s (%v)", i, result.JSON, err)
				}
			}
			if _, err := b.Service.DrainWorker(b.Ctx, "bare-1"); err != nil {
				t.Fatal(err)
			}
			group.Wait()
			b.Until("it is gone", func() bool { return len(b.Workers(core.WorkerGone)) == 1 })
			for id, n := range w.done {
				if n != 1 {
					t.Errorf("%s was run %d times", id, n)
				}
			}
		})
	}
}
