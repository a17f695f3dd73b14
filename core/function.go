package core

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
)

// FunctionID is a UUID in canonical text form.
type FunctionID string

// NewFunctionID returns a fresh random id.
func NewFunctionID() FunctionID { return FunctionID(uuid.NewString()) }

// Codec says how bytes stand for a Python value. The Go side never decodes a
// value; it only carries the bytes.
type Codec string

const (
	Source Codec = "source" // a file's text plus an entry name; bodies only
	JSON   Codec = "json"   // strict JSON; arguments and results
	Dill   Codec = "dill"   // a pickle made by dill; bodies, arguments and results
)

// Function is one registered version of a Python function. Everything but
// Labels and its Policy is immutable, so a Function may be cached by its id by
// whoever looks at neither.
type Function struct {
	ID           FunctionID        `json:"id"`
	Name         string            `json:"name"`
	Version      int               `json:"version"` // 1, 2, … within its name
	Codec        Codec             `json:"codec"`   // source or dill
	Entry        string            `json:"entry,omitempty"`
	Signature    string            `json:"signature,omitempty"` // such as "(a, b=10)"; "" when unknown
	Doc          string            `json:"doc,omitempty"`
	Python       string            `json:"python,omitempty"`         // versions it needs, such as ">=3.10", or the minor one it was pickled by, such as "3.11"
	Assumed      bool              `json:"python_assumed,omitempty"` // Python was not stated by the client
	Dependencies []string          `json:"dependencies,omitempty"`   // what it imports beyond the standard library, as pip takes it: "numpy>=2"
	File         string            `json:"file,omitempty"`           // base name of the source file, for tracebacks
	Labels       map[string]string `json:"labels,omitempty"`
	BodyHash     string            `json:"body_hash"` // hex sha256 of Body: the key of every cache
	BodySize     int               `json:"body_size"` // bytes
	Created      time.Time         `json:"created"`
	Latest       bool              `json:"latest,omitempty"` // name alone means this version

	Policy // may change: SetPolicy

	// Body is the source text or the pickle. It travels only where a function
	// is registered or executed, never in listings.
	Body []byte `json:"-"`
}

// Ref is the short way to name the function: name@version.
func (f *Function) Ref() string { return f.Name + "@" + strconv.Itoa(f.Version) }

// Identity is the hash over what makes a function itself: name, codec, body,
// entry and requirements. Registering an equal one gives the same id.
func (f *Function) Identity() string {
	all := append([]string{f.Name, string(f.Codec), HashBody(f.Body), f.Entry, f.Python}, f.Dependencies...)
	parts, _ := json.Marshal(all)
	sum := sha256.Sum256(parts)
	return hex.EncodeToString(sum[:])
}

// HashBody returns the hex sha256 under which a body is stored and cached.
func HashBody(body []byte) string {
	sum := sha256.Sum256(body)
	return hex.EncodeToString(sum[:])
}

// Registered says what a registration did.
type Registered string

const (
	RegisteredNew  Registered = "registered" // a new version
	RegisteredSame Registered = "unchanged"  // equal to the latest version
	RegisteredBack Registered = "back"       // equal to an older version, which is the latest again
)

// FunctionRef is a parsed reference to a function: name, name@version, an id
// or a unique prefix of an id.
type FunctionRef struct {
	Text    string
	Name    string // "" when Text can only be an id
	Version int    // 0 = latest
	Prefix  string // lower-case hex and dashes, when Text may be an id or its beginning
}

var (
	nameForm   = regexp.MustCompile(`^[A-Za-z_<][A-Za-z0-9_.<>-]{0,127}$`)
	prefixForm = regexp.MustCompile(`^[0-9a-f]{4,8}(-[0-9a-f-]*)?$`)
)

// CheckName reports whether name can name a function: up to 128 letters,
// digits, "_", ".", "-", "<", ">", not beginning with a digit or a dash. It
// may not look like an id.
func CheckName(name string) error {
	if !nameForm.MatchString(name) {
		return Errorf(ErrInvalid, "", "%q cannot name a function", name).
			WithHint("use letters, digits, _ . - and begin with a letter; 128 characters at most")
	}
	if _, err := uuid.Parse(name); err == nil {
		return Errorf(ErrInvalid, "", "%q looks like an id and cannot name a function", name)
	}
	return nil
}

// ParseFunctionRef reads a reference; it does not look anything up.
func ParseFunctionRef(text string) (FunctionRef, error) {
	ref := FunctionRef{Text: text}
	name, version, versioned := strings.Cut(text, "@")
	if nameForm.MatchString(name) {
		ref.Name = name
	}
	if versioned {
		n, err := strconv.Atoi(version)
		if err != nil || n < 1 || ref.Name == "" {
			return ref, Errorf(ErrInvalid, "", "%q is no function reference", text).
				WithHint("write name, name@VERSION such as %s@1, or an id", fallback(ref.Name, "resize"))
		}
		ref.Version = n
		return ref, nil
	}
	if lower := strings.ToLower(text); prefixForm.MatchString(lower) && len(lower) <= 36 {
		ref.Prefix = lower
	}
	if ref.Name == "" && ref.Prefix == "" {
		return ref, Errorf(ErrInvalid, "", "%q is no function reference", text).
			WithHint("write name, name@VERSION or an id; faasctl fn ls lists them")
	}
	return ref, nil
}

// ParseFunctionID reads a whole id, as the family's clients send it.
func ParseFunctionID(text string) (FunctionID, error) {
	id, err := parseUUID(text)
	if err != nil {
		return "", Errorf(ErrMalformed, "", "%q is not a function id", clip(text, 64)).
			WithHint("a function id is a UUID, as register printed it")
	}
	return FunctionID(id), nil
}

func fallback(text, other string) string {
	if text == "" {
		return other
	}
	return text
}

// clip shortens text from outside to at most n bytes for a message.
func clip(text string, n int) string {
	if len(text) <= n {
		return text
	}
	return fmt.Sprintf("%s… (%d bytes)", strings.ToValidUTF8(text[:n], ""), len(text))
}
