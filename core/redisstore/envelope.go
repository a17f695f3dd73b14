package redisstore

import (
	"encoding/binary"
	"encoding/json"
	"time"

	"faasctl/core"
)

// An envelope is one Redis string: a version byte, the length of a header as
// uvarint, the header in JSON, and raw bytes that the header describes. The
// raw bytes are not in the JSON because payloads are large, opaque and often
// binary.
const envelopeVersion = 1

// outOfLine is the size above which arguments are a string of their own.
const outOfLine = 64 << 10

func seal(header any, parts ...[]byte) ([]byte, error) {
	head, err := json.Marshal(header)
	if err != nil {
		return nil, err
	}
	size := 1 + binary.MaxVarintLen32 + len(head)
	for _, part := range parts {
		size += len(part)
	}
	sealed := make([]byte, 0, size)
	sealed = append(sealed, envelopeVersion)
	sealed = binary.AppendUvarint(sealed, uint64(len(head)))
	sealed = append(sealed, head...)
	for _, part := range parts {
		sealed = append(sealed, part...)
	}
	return sealed, nil
}

// open reads the header and returns the raw bytes.
func open(kind string, sealed []byte, header any) ([]byte, error) {
	head, raw, err := unseal(kind, sealed)
	if err != nil {
		return nil, err
	}
	return raw, readHead(kind, head, header)
}

// unseal returns the header and the raw bytes.
func unseal(kind string, sealed []byte) (head, raw []byte, err error) {
	if len(sealed) < 2 || sealed[0] != envelopeVersion {
		return nil, nil, broken("read a stored "+kind, "it is not an envelope of version %d", envelopeVersion)
	}
	size, n := binary.Uvarint(sealed[1:])
	if n <= 0 || size > uint64(len(sealed)-1-n) {
		return nil, nil, broken("read a stored "+kind, "its header is cut off")
	}
	rest := sealed[1+n:]
	return rest[:size], rest[size:], nil
}

func readHead(kind string, head []byte, header any) error {
	if err := json.Unmarshal(head, header); err != nil {
		return &core.Error{Class: core.ErrInternal, Op: "read a stored " + kind, Detail: "its header is damaged", Err: err}
	}
	return nil
}

// cut takes the next size bytes off raw; none is nil.
func cut(kind string, raw *[]byte, size int) ([]byte, error) {
	if size < 0 || size > len(*raw) {
		return nil, broken("read a stored "+kind, "its payload is cut off")
	}
	if size == 0 {
		return nil, nil
	}
	part := (*raw)[:size:size]
	*raw = (*raw)[size:]
	return part, nil
}

// specHeader is core.Spec without Args, in few bytes: it is read for each task
// that is claimed.
type specHeader struct {
	Function core.FunctionID   `json:"f"`
	Codec    core.Codec        `json:"c"`
	Timeout  time.Duration     `json:"t,omitempty"`
	Retries  int               `json:"r,omitempty"`
	Backoff  core.Backoff      `json:"b,omitzero"`
	RetryOn  core.RetryOn      `json:"n,omitempty"`
	Expires  time.Duration     `json:"x,omitempty"`
	Queue    string            `json:"q,omitempty"`
	Priority int               `json:"p,omitempty"`
	Labels   map[string]string `json:"l,omitempty"`
	Group    string            `json:"g,omitempty"`
	RetryOf  core.TaskID       `json:"o,omitempty"`
	Limits   core.Limits       `json:"m,omitzero"`
	Env      core.Env          `json:"v,omitempty"`
	Apart    int               `json:"a,omitempty"` // size of the arguments when they are a string of their own
}

// sealSpec returns the envelope and, when they are large, the arguments that
// belong beside it.
func sealSpec(spec core.Spec) (envelope, apart []byte, err error) { return new(sealer).sealSpec(spec) }

// headerOf leaves Apart to the caller.
func headerOf(spec core.Spec) specHeader {
	return specHeader{
		Function: spec.Function, Codec: spec.Codec, Timeout: spec.Timeout, Retries: spec.Retries, Backoff: spec.Backoff,
		RetryOn: spec.RetryOn, Expires: spec.Expires, Queue: spec.Queue, Priority: spec.Priority, Labels: spec.Labels, Group: spec.Group, RetryOf: spec.RetryOf, Limits: spec.Limits, Env: spec.Env,
	}
}

// openSpec is the reverse. When apart > 0 the arguments, of that size, are a
// string of their own.
func openSpec(envelope []byte) (spec core.Spec, apart int, err error) {
	return new(opener).openSpec(envelope)
}

// with is the spec of a header, with the raw bytes behind it.
func (h *specHeader) with(raw []byte) (spec core.Spec, apart int, err error) {
	if h.Apart < 0 || h.Apart > 0 && len(raw) > 0 {
		return core.Spec{}, 0, broken("read a stored task", "its arguments are in two places")
	}
	spec = core.Spec{
		Function: h.Function, Codec: h.Codec, Timeout: h.Timeout, Retries: h.Retries, Backoff: h.Backoff,
		RetryOn: h.RetryOn, Expires: h.Expires, Queue: h.Queue, Priority: h.Priority, Labels: h.Labels, Group: h.Group, RetryOf: h.RetryOf, Limits: h.Limits, Env: h.Env,
	}
	if len(raw) > 0 {
		spec.Args = raw
	}
	return spec, h.Apart, nil
}

type resultHeader struct {
	JSON    int           `json:"j,omitempty"`
	Pickle  int           `json:"p,omitempty"`
	Repr    string        `json:"r,omitempty"`
	Failure *core.Failure `json:"f,omitempty"`
}

func sealResult(r core.Result) ([]byte, error) {
	return seal(resultHeader{len(r.JSON), len(r.Pickle), r.Repr, r.Failure}, r.JSON, r.Pickle)
}

func openResult(envelope []byte) (*core.Result, error) {
	head, raw, err := unseal("result", envelope)
	if err != nil {
		return nil, err
	}
	h, plain := readPlain(head)
	if !plain {
		h = resultHeader{}
		if err := readHead("result", head, &h); err != nil {
			return nil, err
		}
	}
	r := &core.Result{Repr: h.Repr, Failure: h.Failure}
	value, err := cut("result", &raw, h.JSON)
	if err != nil {
		return nil, err
	}
	r.JSON = value
	r.Pickle, err = cut("result", &raw, h.Pickle)
	return r, err
}

// outputHeader holds, per stream, the sizes of head and tail and what was cut, and
// when which part was printed.
type outputHeader struct {
	Stdout  [3]int64    `json:"o"`
	Stderr  [3]int64    `json:"e"`
	OutWhen []core.Tick `json:"t,omitempty"`
	ErrWhen []core.Tick `json:"u,omitempty"`
}

// sealOutput returns nil for a task that printed nothing.
func sealOutput(o core.Output) ([]byte, error) {
	if o.Empty() {
		return nil, nil
	}
	sizes := func(s core.Stream) [3]int64 { return [3]int64{int64(len(s.Head)), int64(len(s.Tail)), s.Cut} }
	return seal(outputHeader{sizes(o.Stdout), sizes(o.Stderr), o.Stdout.Times, o.Stderr.Times}, o.Stdout.Head, o.Stdout.Tail, o.Stderr.Head, o.Stderr.Tail)
}

func openOutput(envelope []byte) (core.Output, error) {
	var h outputHeader
	raw, err := open("output", envelope, &h)
	if err != nil {
		return core.Output{}, err
	}
	o := core.Output{Stdout: core.Stream{Times: h.OutWhen}, Stderr: core.Stream{Times: h.ErrWhen}}
	for _, s := range []struct {
		into  *core.Stream
		sizes [3]int64
	}{{&o.Stdout, h.Stdout}, {&o.Stderr, h.Stderr}} {
		s.into.Cut = s.sizes[2]
		for i, into := range []*[]byte{&s.into.Head, &s.into.Tail} {
			if s.sizes[i] < 0 || s.sizes[i] > int64(len(raw)) {
				return core.Output{}, broken("read a stored output", "its payload is cut off")
			}
			if *into, err = cut("output", &raw, int(s.sizes[i])); err != nil {
				return core.Output{}, err
			}
		}
	}
	return o, nil
}
