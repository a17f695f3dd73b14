package wire

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"faasctl/core"
)

var (
	lease1  = core.Lease{Task: "0192-a", Epoch: 3, Claim: "c1"}
	lease2  = core.Lease{Task: "0192-b", Epoch: 1, Claim: "c2"}
	needing = &core.Function{
		ID: "f-2", Name: "mean", Version: 1, Codec: core.Source, Entry: "mean", File: "mean.py", BodyHash: "cd34", BodySize: 5, Body: []byte("x = 2"),
		Python: "3.11", Dependencies: []string{"numpy==2.1"},
	}
	bare = &core.Function{
		ID: "f-2", Name: "mean", Version: 1, Codec: core.Source, Entry: "mean", File: "mean.py", BodyHash: "cd34",
		Python: "3.11", Dependencies: []string{"numpy==2.1"},
	}
	square = &core.Function{
		ID: "f-1", Name: "square", Version: 2, Codec: core.Source, Entry: "square", File: "square.py",
		BodyHash: "ab12", BodySize: 5, Body: []byte("x = 1"),
	}
	one = 1
)

// samples are one message of each kind; their hex stands in PROTOCOL.md.
var samples = []struct {
	name string
	up   any // what ReadUp gives
	down any // what ReadDown gives

}{
	{name: "JOIN", up: Join{Number: 1, Single: true, Token: "t0", UpJoin: core.UpJoin{
		Worker: core.Worker{ID: "w-1", Slots: 2, Host: "box", PID: 7},
		Holds:  []core.Held{{Lease: lease1, Attempt: 1, Started: true, Ago: 1500 * time.Microsecond}},
	}}},
	{name: "WINDOW", up: core.UpWindow{Seq: 1, Size: 2}},
	{name: "BEAT", up: core.UpBeat{Busy: 1, Started: []core.Start{{Task: "0192-a", Ago: 12 * time.Millisecond}},
		Progress: []core.TaskProgress{{Task: "0192-a", Progress: core.Progress{Done: 2.5, Total: 10, Note: "epoch 3"}}}}},
	{name: "FINISH", up: core.UpFinish{Outcomes: []core.Outcome{
		{Lease: lease1, State: core.Completed, Started: true, Elapsed: 70 * time.Microsecond, Result: core.Result{JSON: json.RawMessage("49")},
			Output: core.Output{Stdout: core.Stream{Head: []byte("hi\n"), Times: []core.Tick{{0, 5}}}}},
		{Lease: lease2, State: core.Failed, Started: true, Result: core.Result{
			Repr: "é\n", Failure: &core.Failure{Kind: core.KindException, Type: "ValueError", Message: "no", Exit: &one}}},
	}}},
	{name: "RETURN", up: core.UpReturn{Leases: []core.Lease{lease1, lease2}}},
	{name: "DRAIN", up: core.UpDrain{}},
	{name: "LEAVE", up: core.UpLeave{}},
	{name: "NEEDBODY", up: NeedBody{[]string{"ab12"}}},
	{name: "WORK", up: Work{Seen: 4, Counts: true}},
	{name: "PREPARED", up: core.UpPrepared{Preparation: core.Preparation{Function: "f-2", State: core.Preparing, Text: "Collecting numpy", Python: "3.11.2"}}},
	{name: "PREPARED, of an interpreter", up: core.UpPrepared{Preparation: core.Preparation{Interpreter: "/opt/py", State: core.Unprepared, Text: "exit status 7", Python: "3.12.1"}}},
	{name: "OUTPUT", up: core.UpOutput{Printed: []core.Printed{{
		Lease: lease1, Ran: 120 * time.Millisecond, Piece: core.Piece{Attempt: 1, Stream: core.Stdout, Offset: 3, Times: []core.Tick{{3, 118}}, Data: []byte("ho\n")},
	}}}},
	{name: "TASKS", down: core.DownTasks{Tasks: []core.Assignment{
		{Lease: lease1, Attempt: 1, Function: square, Codec: core.JSON, Args: []byte("[[7],{}]"), Timeout: 300 * time.Second},
	}}},
	{name: "TASKS, with needs", down: core.DownTasks{Tasks: []core.Assignment{
		{Lease: lease1, Attempt: 1, Function: needing, Codec: core.JSON, Args: []byte("[[7],{}]"), Timeout: 300 * time.Second},
	}}},
	{name: "TASKS, limited", down: core.DownTasks{Tasks: []core.Assignment{
		{Lease: lease1, Attempt: 1, Function: square, Codec: core.JSON, Args: []byte("[[7],{}]"), Timeout: 300 * time.Second,
			Limits: core.Limits{Memory: 512 << 20, CPUSeconds: 1.5, Processes: 8, Isolation: core.Fork}},
	}}},
	{name: "TASKS, with variables", down: core.DownTasks{Tasks: []core.Assignment{
		{Lease: lease1, Attempt: 1, Function: square, Codec: core.JSON, Args: []byte("[[7],{}]"), Timeout: 300 * time.Second, Env: core.Env{"API_KEY", "MODE=fast"}},
	}}},
	{name: "SETTLED", down: core.DownSettled{Leases: []core.Lease{lease1}}},
	{name: "CANCEL", down: core.DownCancel{Tasks: []core.TaskID{"0192-a"}, Grace: 500 * time.Millisecond}},
	{name: "LOST", down: core.DownLost{Leases: []core.Lease{lease1}}},
	{name: "DRAIN NOW", down: core.DownDrain{}},
	{name: "STORE", down: core.DownStore{Up: true}},
	{name: "PREPARE", down: core.DownPrepare{Function: bare}},
	{name: "PREPARE, to look", down: core.DownPrepare{Function: bare, Imports: []string{"numpy"}}},
	{name: "FOLLOW", down: core.DownFollow{On: true, Tasks: []core.TaskID{"0192-a"}}},
	{name: "REGISTER", down: core.DownRegister{}},
	{name: "WELCOME", down: Welcome{Number: 1, Dispatcher: "d-1", MaxPayload: 8 << 20, Beat: time.Second, Park: 10 * time.Second}},
	{name: "ALIVE", down: Alive{}},
	{name: "NOTHING", down: Nothing{}},
	{name: "BODY", down: Body{Hash: "ab12", Bytes: []byte("x = 1")}},
	{name: "ERROR", down: &Problem{Code: BadVersion, Text: "you speak version 9, this side speaks version 1"}},
	{name: "REPLY", down: Reply{Number: 5}},
}

func encode(t testing.TB, up, down any) Message {
	t.Helper()
	var messages []Message
	switch word := up.(type) {
	case Join:
		return JoinMessage(word)
	case NeedBody:
		return NeedBodyMessage("w-1", word.Hashes)
	case Work:
		return WorkMessage("w-1", word.Seen)
	case core.Up:
		messages = Up("w-1", word)
	}
	if word, ok := down.(core.Down); ok {
		messages = Down(word, func(*core.Function) bool { return true })
	} else if up == nil {
		return Note(down)
	}
	if len(messages) != 1 {
		t.Fatalf("%d messages", len(messages))
	}
	return messages[0]
}

// TestEveryKindThereAndBack also holds PROTOCOL.md to what is sent.
func TestEveryKindThereAndBack(t *testing.T) {
	protocol, err := os.ReadFile("../PROTOCOL.md")
	if err != nil {
		t.Fatal(err)
	}
	var dump strings.Builder
	for _, s := range samples {
		m := encode(t, s.up, s.down)
		frames := Frames([]Message{m})
		got, err := Unpack(frames, Limits{})
		if err != nil {
			t.Fatalf("%s: %v", s.name, err)
		}
		var word any
		if s.up != nil {
			said, err := ReadUp(got[0], Limits{})
			if err != nil || said.Worker != "w-1" {
				t.Fatalf("%s: %+v %v", s.name, said, err)
			}
			word = said.Word
		} else if word, err = ReadDown(got[0], Limits{}); err != nil {
			t.Fatalf("%s: %v", s.name, err)
		}
		want := s.up
		if want == nil {
			want = s.down
		}
		if !reflect.DeepEqual(word, want) {
			t.Errorf("%s:\n got %+v\nwant %+v", s.name, word, want)
		}
		example := "`" + hex.EncodeToString(frames[0]) + "` `" + string(frames[1]) + "`"
		if len(m.Payload) > 0 {
			example += " `" + hex.EncodeToString(frames[2]) + "`"
		}
		dump.WriteString("| " + s.name + " | " + example + " |\n")
		if !bytes.Contains(protocol, []byte(example)) {
			t.Errorf("PROTOCOL.md does not show %s as %s", s.name, example)
		}
	}
	if path := os.Getenv("WIRE_DUMP"); path != "" {
		if err := os.WriteFile(path, []byte(dump.String()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func TestWhatIsRefused(t *testing.T) {
	long := strings.Repeat("[\"t\",1,\"c\"],", MaxLeases) + "[\"t\",1,\"c\"]"
	for _, c := range []struct {
		name, code string
		frames     []string
	}{
		{"nothing", Malformed, nil},
		{"two frames", Malformed, []string{"\x01\x01", "[]"}},
		{"a long first frame", Malformed, []string{"\x01\x01\x01", "[]", ""}},
		{"another version", BadVersion, []string{"\x01\x09", "[]", ""}},
		{"an unknown kind", UnknownKind, []string{"\x7f\x01", `["w-1"]`, ""}},
		{"a dispatcher's kind", UnknownKind, []string{"\x21\x01", `["w-1"]`, ""}},
		{"no JSON", Malformed, []string{"\x06\x01", "hello", ""}},
		{"no id", Malformed, []string{"\x06\x01", `[""]`, ""}},
		{"an id with a blank", Malformed, []string{"\x06\x01", `["w 1"]`, ""}},
		{"a window too wide", Malformed, []string{"\x02\x01", `["w-1",1,9999999]`, ""}},
		{"something after the end", Malformed, []string{"\x06\x01", `["w-1"]x`, ""}},
		{"a zero after the end", Malformed, []string{"\x06\x01", "[\"w-1\"]\x00", ""}},
		{"payload not measured", Malformed, []string{"\x06\x01", `["w-1"]`, "x"}},
		{"payload too short", Malformed, []string{"\x04\x01", `["w-1",[["t",1,"c","COMPLETED",true,0,5,0,"",null,null]]]`, "x"}},
		{"payload too long", TooLarge, []string{"\x04\x01", `["w-1",[["t",1,"c","COMPLETED",true,0,99999999,0,"",null,null]]]`, "x"}},
		{"no end", Malformed, []string{"\x04\x01", `["w-1",[["t",1,"c","RUNNING",true,0,0,0,"",null,null]]]`, ""}},
		{"too many leases", TooLarge, []string{"\x05\x01", `["w-1",[` + long + `]]`, ""}},
		{"no slots", Malformed, []string{"\x01\x01", `["w-1",1,{"slots":0},[]]`, ""}},
	} {
		var frames [][]byte
		for _, f := range c.frames {
			frames = append(frames, []byte(f))
		}
		messages, err := Unpack(frames, Limits{})
		if err == nil {
			_, err = ReadUp(messages[0], Limits{})
		}
		if p, ok := err.(*Problem); !ok || p.Code != c.code {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

func TestHeadersFromOtherJSONWriters(t *testing.T) {
	said, err := ReadUp(Message{Kind: KindBeat, Header: []byte(" [ \"w\\u002d1\" , 1 , [ [ \"t\" , 5 ] ] , {\"new\":[1,\"]\"]} ] ")}, Limits{})
	if err != nil || said.Worker != "w-1" || said.Word.(core.UpBeat).Started[0].Task != "t" {
		t.Fatalf("%+v %v", said, err)
	}
}

func TestBigPayloadsTravelAlone(t *testing.T) {
	big := bytes.Repeat([]byte("x"), MaxTogether+1)
	var tasks []core.Assignment
	for i := range 600 {
		a := core.Assignment{Lease: lease1, Attempt: 1, Function: square, Codec: core.JSON, Args: []byte("[]")}
		if i == 100 {
			a.Args = big
		}
		tasks = append(tasks, a)
	}
	bodied := *square
	bodied.Body, bodied.ID = big, "f-2"
	tasks = append(tasks, core.Assignment{Lease: lease2, Function: &bodied, Codec: core.JSON})
	asked := 0
	messages := Down(core.DownTasks{Tasks: tasks}, func(*core.Function) bool { asked++; return asked == 1 || asked > 4 })
	var kinds []Kind
	total := 0
	for _, m := range messages {
		kinds = append(kinds, m.Kind)
		word, err := ReadDown(m, Limits{})
		if err != nil {
			t.Fatal(err)
		}
		if d, ok := word.(core.DownTasks); ok {
			total += len(d.Tasks)
			for _, a := range d.Tasks {
				if len(a.Args) > MaxTogether && len(d.Tasks) > 1 {
					t.Fatalf("a big payload among %d tasks", len(d.Tasks))
				}
			}
		}
	}
	if total != 601 || kinds[len(kinds)-2] != KindBody {
		t.Fatalf("%d tasks, kinds %x", total, kinds)
	}
	for len(messages) > 0 {
		n := Split(messages)
		for _, m := range messages[:n] {
			if len(m.Payload) > MaxTogether && n > 1 {
				t.Fatalf("a big message among %d", n)
			}
		}
		messages = messages[n:]
	}
}

func fuzz(f *testing.F, read func(Message) (any, error)) {
	for _, s := range samples {
		m := encode(f, s.up, s.down)
		f.Add(byte(m.Kind), byte(Version), m.Header, m.Payload)
	}
	f.Fuzz(func(t *testing.T, kind, version byte, header, payload []byte) {
		messages, err := Unpack([][]byte{{kind, version}, header, payload}, Limits{})
		if err == nil {
			_, err = read(messages[0])
		}
		if err != nil {
			if _, ok := err.(*Problem); !ok {
				t.Fatalf("%T: %v", err, err)
			}
		}
	})
}

func FuzzReadUp(f *testing.F) {
	fuzz(f, func(m Message) (any, error) {
		said, err := ReadUp(m, Limits{})
		if up, ok := said.Word.(core.Up); ok && err == nil {
			if _, joins := up.(core.UpJoin); !joins { // what was understood can be said again
				for _, again := range Up(said.Worker, up) {
					if _, err := ReadUp(again, Limits{}); err != nil {
						return nil, err
					}
				}
			}
		}
		return said, err
	})
}

func FuzzReadDown(f *testing.F) {
	fuzz(f, func(m Message) (any, error) { return ReadDown(m, Limits{}) })
}

func batch() []core.Assignment {
	tasks := make([]core.Assignment, 256)
	for i := range tasks {
		tasks[i] = core.Assignment{
			Lease: core.Lease{Task: core.NewTaskID(), Epoch: 1, Claim: "1b4e28ba2fa111d2"}, Attempt: 1, Function: square, Codec: core.JSON, Args: []byte("[[7],{}]"),
		}
	}
	return tasks
}

func BenchmarkTasks(b *testing.B) {
	tasks := batch()
	for b.Loop() {
		m := Down(core.DownTasks{Tasks: tasks}, func(*core.Function) bool { return false })[0]
		if _, err := ReadDown(m, Limits{}); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/256, "ns/task")
}

func BenchmarkOutcomes(b *testing.B) {
	var outcomes []core.Outcome
	for _, a := range batch() {
		outcomes = append(outcomes, core.Outcome{Lease: a.Lease, State: core.Completed, Started: true, Result: core.Result{JSON: json.RawMessage("49")}})
	}
	for b.Loop() {
		m := Up("w-1", core.UpFinish{Outcomes: outcomes})[0]
		if _, err := ReadUp(m, Limits{}); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/256, "ns/task")
}
