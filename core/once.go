package core

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/google/uuid"
)

// MaxKey bounds an idempotency key, in bytes.
const MaxKey = 256

// Key makes the submissions that carry it one task, for as long as the store
// keeps that task's record. The zero value is no key.
type Key struct {
	Name string // hash of the function's name and of what the client wrote
	Body string // hash of the whole call but the function's version
}

// KeyUsed answers a submission whose key another task has.
type KeyUsed struct {
	Task TaskID
	Same bool // that task was asked for by the same call
}

func (e *KeyUsed) Error() string { return "the key was used by task " + string(e.Task) }

// Unwrap makes it a conflict for whoever does not look closer.
func (e *KeyUsed) Unwrap() error { return ErrConflict }

// CheckKey reports what is wrong with an idempotency key as a client writes it.
func CheckKey(text string) error {
	odd := func(r rune) bool { return unicode.IsControl(r) || r == unicode.ReplacementChar }
	if len(text) > MaxKey || strings.ContainsFunc(text, odd) || strings.TrimSpace(text) != text {
		return Errorf(ErrInvalid, "", "%q cannot be an idempotency key", clip(text, 64)).
			WithHint("use up to %d printable characters, such as order-42", MaxKey)
	}
	return nil
}

// key is the Key of a request for a function of that name. Which version is
// latest does not count: a call that is repeated after a new version was
// registered is still the same call.
func (r SubmitRequest) key(function string) Key {
	if r.Key == "" {
		return Key{}
	}
	text := r.Key
	r.Key, r.Function = "", ""
	var compact bytes.Buffer
	if r.Codec == JSON && json.Compact(&compact, r.Args) == nil {
		r.Args = compact.Bytes()
	}
	body, err := json.Marshal(r)
	if err != nil {
		panic("core: a request cannot be written as JSON: " + err.Error()) // it has only plain fields
	}
	return Key{Name: digest(function, text), Body: digest(string(body))}
}

// digest is a hash of parts, short enough for a field of a record.
func digest(parts ...string) string {
	h := sha256.New()
	for _, part := range parts {
		var size [8]byte
		binary.BigEndian.PutUint64(size[:], uint64(len(part)))
		h.Write(size[:])
		h.Write([]byte(part))
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}

// onceFor is how long a request can be repeated under its token. Clients give up
// long before.
const onceFor = 5 * time.Minute

// ids returns how to name the tasks of one request. With a token, the request has
// the same ids when it comes again, so that the store leaves alone what it had
// accepted before the answer was lost.
func (s *Service) ids(ctx context.Context, token string) (func(i int) TaskID, error) {
	if token == "" {
		return func(int) TaskID { return NewTaskID() }, nil
	}
	if err := CheckKey(token); err != nil {
		return nil, err
	}
	known, err := s.store.Once(ctx, []string{digest("request", token)}, []TaskID{NewTaskID()}, onceFor)
	if err != nil {
		return nil, err
	}
	base := known[0]
	return func(i int) TaskID { return nthTaskID(base, i) }, nil
}

// nthTaskID returns the i-th of a series of ids that begins with base and sorts.
func nthTaskID(base TaskID, i int) TaskID {
	id, err := uuid.Parse(string(base))
	if i == 0 || err != nil {
		return base
	}
	sum := sha256.Sum256(binary.BigEndian.AppendUint32([]byte(base), uint32(i)))
	ms := binary.BigEndian.Uint64(append([]byte{0, 0}, id[:6]...)) + 1 + uint64(i>>12)
	copy(id[:6], binary.BigEndian.AppendUint64(nil, ms)[2:])
	binary.BigEndian.PutUint16(id[6:8], 0x7000|uint16(i&0xfff)) // version 7, and the order within a millisecond
	copy(id[8:], sum[:8])
	id[8] = id[8]&0x3f | 0x80 // the variant
	id[15] &= 0xf0            // the shard
	return TaskID(id.String())
}

// SubmitStream is calls that come one after another for as long as they like. Under a
// token each has a number, and what has been accepted under one is left alone when it
// comes again within five minutes, however the calls around it are divided among
// requests.
type SubmitStream struct {
	s     *Service
	token string // "" = what comes again is another call
	part  int    // the last one that base was asked for
	base  TaskID // of part; "" = none
}

// streamPart is how many calls share an entry of the store, and so about the time that
// their ids tell.
const streamPart = MaxBatch

// SubmitStream begins a stream, or goes on with the one that has the token.
func (s *Service) SubmitStream(token string) (*SubmitStream, error) {
	if err := CheckKey(token); err != nil {
		return nil, err
	}
	return &SubmitStream{s: s, token: token}, nil
}

// Submit is Service.SubmitBatch for calls with these numbers, from 0, which rise.
func (t *SubmitStream) Submit(ctx context.Context, numbers []int, requests []SubmitRequest) ([]Submitted, error) {
	named := func(int) TaskID { return NewTaskID() }
	if t.token != "" && len(numbers) > 0 {
		bases, err := t.bases(ctx, numbers[0]/streamPart, numbers[len(numbers)-1]/streamPart)
		if err != nil {
			return nil, err
		}
		named = func(i int) TaskID {
			return nthTaskID(bases[numbers[i]/streamPart-numbers[0]/streamPart], numbers[i]%streamPart)
		}
	}
	return t.s.accept(ctx, requests, named, t.s.resolver(ctx))
}

// bases returns the first ids of parts.
func (t *SubmitStream) bases(ctx context.Context, first, last int) ([]TaskID, error) {
	if t.base != "" && first == t.part && last == t.part {
		return []TaskID{t.base}, nil
	}
	var tokens []string
	var fresh []TaskID
	for part := first; part <= last; part++ {
		tokens, fresh = append(tokens, digest("stream", t.token, strconv.Itoa(part))), append(fresh, NewTaskID())
	}
	bases, err := t.s.store.Once(ctx, tokens, fresh, onceFor)
	if err == nil {
		t.part, t.base = last, bases[len(bases)-1]
	}
	return bases, err
}
