package cli

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"faasctl/core"
	"faasctl/httpapi/wire"
)

// streamStub accepts streams of calls, each of which ends with its argument. It breaks
// every stream behind line last; 0 = none.
func streamStub(t *testing.T, last int) *benchStub {
	b := newBenchStub(t)
	b.on("POST /v1/tasks:batch", func(w http.ResponseWriter, r *http.Request) {
		_ = http.NewResponseController(w).EnableFullDuplex()
		lines, answers, n := bufio.NewScanner(r.Body), json.NewEncoder(w), 1
		_, _ = fmt.Sscan(r.Header.Get("Faasctl-Line"), &n)
		for ; lines.Scan(); n++ {
			if last > 0 && n > last {
				_ = answers.Encode(wire.StreamedLine{Line: n, Submitted: wire.Submitted{Problem: &wire.Problem{Status: 500, Code: "internal", Detail: "no more"}},
					Broken: &wire.Broken{From: n, Accepted: n - 1}})
				_ = http.NewResponseController(w).Flush()
				_, _ = io.Copy(io.Discard, r.Body) // as the server does
				return
			}
			var call wire.Call
			_ = json.Unmarshal(lines.Bytes(), &call)
			id := core.NewTaskID()
			b.mu.Lock()
			b.results[string(id)] = wire.Ending{ID: id, State: core.Completed, Value: call.Args}
			b.mu.Unlock()
			_ = answers.Encode(wire.StreamedLine{Line: n, Submitted: wire.Submitted{ID: id}})
		}
	})
	return b
}

// told are the lines that run --batch printed, which must be in order.
func told(t *testing.T, text string) (lines []batchLine) {
	t.Helper()
	for i, line := range strings.Split(strings.TrimSuffix(text, "\n"), "\n") {
		var one batchLine
		if err := json.Unmarshal([]byte(line), &one); err != nil || one.Line != i+1 {
			t.Fatalf("line %d: %s, %v", i+1, line, err)
		}
		lines = append(lines, one)
	}
	return lines
}

// More calls than the window holds are told of one by one and in order, also those that
// could not be sent.
func TestRunBatchOfManyCalls(t *testing.T) {
	const many = 2*batchWindow + 77
	var input strings.Builder
	for n := 1; n <= many; n++ {
		if n%5000 == 0 {
			input.WriteString("nonsense\n")
			continue
		}
		fmt.Fprintf(&input, "[%d]\n", n)
	}
	f, code := streamStub(t, 0).to(t, input.String(), "run", "f", "--batch", "-")
	lines := told(t, f.out.String())
	if code != core.ClassOf(core.ErrMalformed).Exit || len(lines) != many {
		t.Fatalf("exit code %d, %d lines of %d", code, len(lines), many)
	}
	for i, one := range lines {
		if want := fmt.Sprintf("[%d]", i+1); (i+1)%5000 == 0 && one.Problem == nil || (i+1)%5000 != 0 && string(one.Value) != want {
			t.Fatalf("line %d: %+v", i+1, one)
		}
	}
}

// When submitting fails, what was accepted is told of, and where the rest begins.
func TestRunBatchTellsWhatWasAccepted(t *testing.T) {
	const many, last = 9000, 4321
	f, code := streamStub(t, last).to(t, strings.Repeat("[1]\n", many), "run", "f", "--batch", "-")
	if lines := told(t, f.out.String()); len(lines) != last || code != core.ClassOf(core.ErrInternal).Exit {
		t.Fatalf("exit code %d, %d lines", code, len(lines))
	}
	if want := fmt.Sprintf("line %d and those behind it have no answer", last+1); !strings.Contains(f.err.String(), want) || !strings.Contains(f.err.String(), "no more") {
		t.Fatalf("%s", f.err.String())
	}
}
