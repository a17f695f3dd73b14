package httpapi

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os/exec"
	"strings"
	"testing"

	"faasctl/core"
)

// python runs a script in a bare interpreter with one JSON line per pickle.
func python(t *testing.T, script string, input []byte) string {
	t.Helper()
	path, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("SKIPPED: there is no python3 to load pickles with")
	}
	command := exec.Command(path, "-I", "-S", "-c", script)
	command.Stdin = bytes.NewReader(input)
	out, err := command.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return string(out)
}

var pickledValues = []string{
	`null`, `true`, `false`, `0`, `-0`, `1`, `-1`, `255`, `2147483647`, `2147483648`, `-2147483648`, `-2147483649`, `9223372036854775807`,
	`127`, `128`, `-128`, `-129`, `32767`, `-32768`, `-32769`, `18446744073709551616`, `-18446744073709551616`, `1` + strings.Repeat("0", 40),
	`-` + strings.Repeat("9", 700), strings.Repeat("7", 4000), `1.5`, `-0.0`, `1e300`, `1e999`, `-1E999`, `5e-324`, `1e5`, `""`, `"a\u0000b"`, `"é☃😀"`,
	`"` + strings.Repeat("long ", 1000) + `"`, `[]`, `[[]]`, `[1,[2,[3,{}]],"x"]`, `{}`, `{"a":1}`, `{"a":{"b":[null,true]},"c":[]}`,
	`{"$map":[[1,2],[3,4]]}`, `{"":""}`, ` [ 1 , 2 ] `, strings.Repeat("[", 500) + strings.Repeat("]", 500),
}

func TestPickleIsWhatPythonReads(t *testing.T) {
	var input bytes.Buffer
	for _, value := range pickledValues {
		pickle, err := pickleJSON(json.RawMessage(value))
		must(t, err)
		must(t, core.CheckPickle("pickle", pickle))
		fmt.Fprintf(&input, "%s\n%s\n", value, base64.StdEncoding.EncodeToString(pickle))
	}
	out := python(t, `
import sys, json, pickle, base64
try: sys.set_int_max_str_digits(0)
except AttributeError: pass
lines = sys.stdin.read().split("\n")
n = 0
for text, data in zip(lines[::2], lines[1::2]):
    want, got = json.loads(text), pickle.loads(base64.b64decode(data))
    assert repr(want) == repr(got), (text, got)
    n += 1
print(n)`, input.Bytes())
	if strings.TrimSpace(out) != fmt.Sprint(len(pickledValues)) {
		t.Fatalf("%s of %d", out, len(pickledValues))
	}
}

func TestPickledErrorIsARuntimeError(t *testing.T) {
	messages := []string{"ValueError: no such luck", "", "timeout: ran longer than 5 s", "quotes ' \" \\ and \n lines", "☃", strings.Repeat("x", 4096)}
	var input bytes.Buffer
	for _, message := range messages {
		data := pickleRuntimeError(message)
		must(t, core.CheckPickle("pickle", data))
		fmt.Fprintf(&input, "%s\n%s\n", quoted(message), base64.StdEncoding.EncodeToString(data))
	}
	fmt.Fprintf(&input, "%s\n%s\n", `"bad \ufffd text"`, base64.StdEncoding.EncodeToString(pickleRuntimeError("bad \xff text")))
	out := python(t, `
import sys, json, pickle, base64
lines = sys.stdin.read().split("\n")
for text, data in zip(lines[::2], lines[1::2]):
    got = pickle.loads(base64.b64decode(data))
    assert type(got) is RuntimeError and got.args == (json.loads(text),), (text, got)
    again = pickle.loads(pickle.dumps(got))
    assert again.args == got.args
print("ok")`, input.Bytes())
	if out != "ok\n" {
		t.Fatal(out)
	}
}

func TestDamagedJSONIsNotPickled(t *testing.T) {
	for _, text := range []string{`[`, `[1`, `{"a"`, `{"a":}`, `]`, `tru`, strings.Repeat("[", 20_000) + strings.Repeat("]", 20_000)} {
		if _, err := pickleJSON(json.RawMessage(text)); err == nil {
			t.Errorf("%.20q was pickled", text)
		}
	}
	if data, err := pickleJSON(nil); err != nil || string(data) != "\x80\x02N." {
		t.Errorf("%q, %v", data, err)
	}
}

func TestDill64IsWhatPythonWrites(t *testing.T) {
	var input, want bytes.Buffer
	for _, size := range []int{0, 1, 2, 3, 56, 57, 58, 113, 114, 115, 1000} {
		data := bytes.Repeat([]byte{0xfb, 0xff, 0x00}, size/3+1)[:size]
		fmt.Fprintln(&input, base64.StdEncoding.EncodeToString(data))
		fmt.Fprintln(&want, quoted(encodeDill64(data)))
		for _, text := range []string{encodeDill64(data), strings.ReplaceAll(encodeDill64(data), "\n", ""), strings.ReplaceAll(encodeDill64(data), "\n", "\r\n")} {
			if got, err := decodeDill64("payload", text); err != nil || !bytes.Equal(got, data) {
				t.Errorf("%d bytes: %v", size, err)
			}
		}
	}
	got := python(t, `
import sys, json, codecs, base64
for line in sys.stdin.read().split("\n")[:-1]:
    print(json.dumps(codecs.encode(base64.b64decode(line), "base64").decode()))`, input.Bytes())
	if got != want.String() {
		t.Fatalf("Python writes\n%s\nwe write\n%s", got, want.String())
	}
}
