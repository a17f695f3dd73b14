package redisstore

import (
	"strings"
	"testing"

	"faasctl/core"
)

func FuzzOpenRecord(f *testing.F) {
	head := strings.Repeat("\t", len(recordHead)-1)
	f.Add("RUNNING\t1\tc\td\\t\t5\t1\t6\tw\t\t4\nfn\tjson\tq\t5\tpg\ta\\nb\\\\")
	f.Add(head + "\n\t\t\t")
	f.Add("\n")
	f.Fuzz(func(t *testing.T, record string) {
		task := readRecord("t", record)
		if fields := openRecord(record); (task.ID == "") != (fields["st"] == "") {
			t.Fatalf("%q: %v %+v", record, fields, task)
		}
		if task.ID != "" && task.State == core.State("") {
			t.Fatalf("%+v", task)
		}
	})
}

// What users write cannot part a record.
func TestRecordsHoldAnyText(t *testing.T) {
	b := newBench(t)
	const text = "a\tb\nc\\d\\t\\n\x00é"
	ids := b.submit(2, func(s *core.Submission) { s.Spec.Queue = text })
	claimed := b.claim(2)
	one := outcome(claimed[0].Lease, core.Failed)
	one.Worker, one.Result.Failure.Type = text, "a\tb\\"
	b.settle(one)
	if got := b.task(ids[0]); got.Queue != text || got.Worker != text || got.Type != core.FailureType(one.Result.Failure) || got.State != core.Failed {
		t.Fatalf("%+v", got)
	}
	if n := b.pass(); n != 0 {
		t.Fatalf("%d repairs", n)
	}
}
