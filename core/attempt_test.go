package core

import (
	"strings"
	"testing"
	"time"
)

func TestOutputClipKeepsBothEnds(t *testing.T) {
	abc := strings.Repeat("abcdefghij", 10)
	for _, test := range []struct {
		head, tail string
		n          int
	}{{abc, "", 10}, {abc, abc, 10}, {"a", abc, 10}, {abc, "z", 10}, {abc[:10], "", 10}, {abc[:11], "", 10}, {"", "", 10}} {
		s := Output{Stdout: Stream{Head: []byte(test.head), Tail: []byte(test.tail), Cut: 1}}.Clip(test.n).Stdout
		all := test.head + test.tail
		kept := len(s.Head) + len(s.Tail)
		if kept != min(len(all), test.n) || int(s.Cut) != 1+len(all)-kept {
			t.Errorf("%q + %q: kept %d, cut %d", test.head, test.tail, kept, s.Cut)
		}
		if !strings.HasPrefix(all, string(s.Head)) || !strings.HasSuffix(all, string(s.Tail)) {
			t.Errorf("%q + %q became %q + %q", test.head, test.tail, s.Head, s.Tail)
		}
	}
}

// The record and the history of a task tell of each attempt once, whichever was
// read first.
func TestLastAttemptIsWhatTheRecordSays(t *testing.T) {
	at := time.UnixMilli(1000)
	for _, test := range []struct {
		task Task
		want AttemptEnd
	}{
		{Task{State: Queued}, ""},
		{Task{State: Running, Claimed: at}, ""},
		{Task{State: Running, Claimed: at, Started: at, Attempt: 1}, AttemptRunning},
		{Task{State: Completed, Claimed: at, Started: at, Attempt: 1}, AttemptCompleted},
		{Task{State: Failed, Claimed: at, Started: at, Attempt: 1, Failure: KindTimeout}, AttemptFailed},
		{Task{State: Failed, Claimed: at, Failure: KindUnloadable}, AttemptFailed},
		{Task{State: Failed, Claimed: at, Started: at, Attempt: 1, Failure: KindLost}, AttemptLost},
		{Task{State: Failed, Claimed: at, Failure: KindLost}, ""},
		{Task{State: Failed, Failure: KindExpired}, ""},
		{Task{State: Cancelled, Claimed: at}, ""},
		{Task{State: Cancelled, Claimed: at, Started: at, Attempt: 2}, AttemptCancelled},
	} {
		a, ok := test.task.last(nil)
		if a.End != test.want || ok != (test.want != "") || a.Number != test.task.Attempt && ok {
			t.Errorf("%+v: %+v, %v", test.task, a, ok)
		}
	}
}
