package pyrun

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"faasctl/core"
)

// Bounds of a failure's texts, in bytes.
const (
	maxMessage   = 4 << 10
	maxRepr      = 4 << 10
	maxTraceback = 64 << 10
	maxFault     = 16 << 10
)

var statusKinds = [...]core.FailureKind{
	statusException:      core.KindException,
	statusUnserializable: core.KindUnserializable,
	statusUnloadable:     core.KindUnloadable,
	statusTooLarge:       core.KindResultTooLarge,
	statusDied:           core.KindCrash,
}

// resultOf turns a reply into a result. It trusts nothing but the frame's
// form: an error means that no runner of ours made this.
func resultOf(r reply, codec core.Codec, limit int) (core.State, core.Result, error) {
	if len(r.pickle) > 0 && (codec != core.Dill || len(r.pickle) < 2 || r.pickle[0] != 0x80 || r.pickle[len(r.pickle)-1] != '.') {
		return "", core.Result{}, fmt.Errorf("a result with a pickle that is none")
	}
	if r.status != statusOK {
		var told core.Failure
		if err := json.Unmarshal(r.failure, &told); err != nil {
			return "", core.Result{}, fmt.Errorf("a failure that cannot be read: %w", err)
		}
		failure := core.Failure{
			Kind: statusKinds[r.status], Type: clip(told.Type, maxMessage), Message: clip(told.Message, maxMessage),
			Traceback: clip(told.Traceback, maxTraceback), Exit: told.Exit, Exception: told.Exception.Bounded(),
		}
		return core.Failed, core.Result{Pickle: clone(r.pickle), Failure: &failure}, nil
	}
	if codec == core.Dill && len(r.pickle) == 0 {
		return "", core.Result{}, fmt.Errorf("a result without its pickle")
	}
	if len(r.json) > limit || len(r.pickle) > limit {
		message := fmt.Sprintf("the result is larger than %d bytes", limit)
		return core.Failed, failed(codec, core.Failure{Kind: core.KindResultTooLarge, Type: "ResultTooLarge", Message: message}), nil
	}
	if !json.Valid(r.json) {
		return "", core.Result{}, fmt.Errorf("a result that is not JSON")
	}
	return core.Completed, core.Result{JSON: clone(r.json), Pickle: clone(r.pickle), Repr: toText(r.repr, maxRepr)}, nil
}

// failed is the result of a call that the parent ended or found dead.
func failed(codec core.Codec, failure core.Failure) core.Result {
	result := core.Result{Failure: &failure}
	if codec == core.Dill {
		result.Pickle = ErrorPickle(failure)
	}
	return result
}

// crashed tells how a child's process ended.
func crashed(wait syscall.WaitStatus, last string) core.Failure {
	failure := core.Failure{Kind: core.KindCrash, Last: last}
	if wait.Signaled() {
		failure.Signal = unix.SignalName(wait.Signal())
		if failure.Signal == "" {
			failure.Signal = fmt.Sprintf("signal %d", wait.Signal())
		}
		failure.Message = "the process was killed by " + failure.Signal + " before the function returned"
		return failure
	}
	status := wait.ExitStatus()
	failure.Exit = &status
	failure.Message = fmt.Sprintf("the process ended with exit status %d before the function returned", status)
	return failure
}

// post is what is found of a process that has ended.
type post struct {
	fault string // what Python said of its crash
	peak  int64  // the most memory it had, in bytes; 0 when that is not known
}

// tell adds it to a failure that the process's end explains.
func (p post) tell(failure *core.Failure) {
	if failure.Kind == core.KindCrash || failure.Kind == core.KindMemory {
		failure.Fault, failure.Peak = p.fault, p.peak
	}
}

func timedOut(limit time.Duration, last string) core.Failure {
	return core.Failure{Kind: core.KindTimeout, Type: "TimeoutError", Message: "ran longer than " + limit.String(), Last: last}
}

func outOfMemory(limit int64, last string) core.Failure {
	return core.Failure{Kind: core.KindMemory, Type: "MemoryError", Message: "used more memory than the limit of " + sizeText(limit), Last: last}
}

func outOfCPU(limit float64, last string) core.Failure {
	return core.Failure{Kind: core.KindTimeout, Type: "TimeoutError", Message: fmt.Sprintf("used more processor time than %g s", limit), Last: last}
}

// sizeText writes 512 MiB.
func sizeText(size int64) string {
	if size < 1<<30 || size%(1<<30) != 0 {
		return fmt.Sprintf("%.4g MiB", float64(size)/(1<<20))
	}
	return fmt.Sprintf("%d GiB", size>>30)
}

func cancelledBy(message string) core.Failure {
	return core.Failure{Kind: core.KindCancelled, Message: message}
}

// ErrorPickle writes a failure as the pickle of an exception that any bare
// interpreter can load: a TimeoutError for a time-out, else a RuntimeError
// that begins with the kind. It is for failures that no Python process was left
// to tell: crash, timeout, cancelled, lost, expired. Writing these seven
// opcodes is not unpickling: nothing here reads a pickle.
func ErrorPickle(failure core.Failure) []byte {
	class, message := "RuntimeError", string(failure.Kind)+": "+failure.Message
	if failure.Kind == core.KindTimeout {
		class, message = "TimeoutError", failure.Message
	}
	message = toText([]byte(message), maxMessage+64)
	data := []byte("\x80\x02cbuiltins\n" + class + "\nX")
	data = binary.LittleEndian.AppendUint32(data, uint32(len(message)))
	return append(append(data, message...), "\x85R."...)
}

// toText makes bytes from a child valid UTF-8 of at most limit bytes.
func toText(data []byte, limit int) string {
	return clip(strings.ToValidUTF8(string(data), "\uFFFD"), limit)
}

// clip shortens valid UTF-8 to at most limit bytes.
func clip(text string, limit int) string {
	if len(text) <= limit {
		return text
	}
	return strings.ToValidUTF8(text[:limit-3], "") + "…"
}

// clone copies a part of a frame that is kept: the frame's buffer is used again.
func clone(data []byte) []byte {
	if len(data) == 0 {
		return nil
	}
	return append([]byte(nil), data...)
}
