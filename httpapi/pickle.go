package httpapi

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"math"
	"math/big"
	"slices"
	"strconv"
	"strings"

	"faasctl/core"
)

// A pickle writer for the little that Go has to say in that language: plain
// JSON values, and one exception. It writes protocol 2, which every Python 3
// loads. There is no reader: Go never unpickles.

const (
	opProto      = 0x80
	opStop       = '.'
	opNone       = 'N'
	opTrue       = 0x88
	opFalse      = 0x89
	opInt        = 'J'  // 4 bytes, little-endian
	opLong1      = 0x8a // 1 byte of length, two's complement
	opLong4      = 0x8b // 4 bytes of length, two's complement
	opFloat      = 'G'  // 8 bytes, big-endian
	opText       = 'X'  // 4 bytes of length, UTF-8
	opEmptyList  = ']'
	opEmptyDict  = '}'
	opMark       = '('
	opAppends    = 'e'
	opSetItems   = 'u'
	opGlobal     = 'c'
	opTuple1     = 0x85
	opReduce     = 'R'
	pickleProto  = 2
	pickleNested = 10_000 // levels, as many as encoding/json reads
)

// pickleRuntimeError is pickle.dumps(RuntimeError(message)).
func pickleRuntimeError(message string) []byte {
	w := &pickler{}
	w.out.Write([]byte{opProto, pickleProto, opGlobal})
	w.out.WriteString("builtins\nRuntimeError\n")
	w.text(message)
	w.out.Write([]byte{opTuple1, opReduce, opStop})
	return w.out.Bytes()
}

// pickleJSON is pickle.dumps(json.loads(data)); no data is None.
func pickleJSON(data json.RawMessage) ([]byte, error) {
	w := &pickler{in: json.NewDecoder(bytes.NewReader(data))}
	w.in.UseNumber()
	w.out.Write([]byte{opProto, pickleProto})
	if len(bytes.TrimSpace(data)) == 0 {
		w.out.WriteByte(opNone)
	} else if err := w.value(0); err != nil {
		return nil, &core.Error{Class: core.ErrInternal, Op: "pickle a JSON value", Err: err}
	}
	w.out.WriteByte(opStop)
	return w.out.Bytes(), nil
}

type pickler struct {
	in  *json.Decoder
	out bytes.Buffer
}

func (w *pickler) value(depth int) error {
	token, err := w.in.Token()
	if err != nil {
		return err
	}
	if depth > pickleNested {
		return errors.New("nested too deeply")
	}
	switch v := token.(type) {
	case nil:
		w.out.WriteByte(opNone)
	case bool:
		if v {
			w.out.WriteByte(opTrue)
		} else {
			w.out.WriteByte(opFalse)
		}
	case string:
		w.text(v)
	case json.Number:
		return w.number(v.String())
	case json.Delim:
		if v == '[' {
			return w.items(depth, opEmptyList, opAppends)
		}
		return w.items(depth, opEmptyDict, opSetItems)
	}
	return nil
}

// items writes what is between two brackets: elements, or keys and values in
// turn, which Token gives alike.
func (w *pickler) items(depth int, open, fill byte) error {
	w.out.WriteByte(open)
	if w.in.More() {
		w.out.WriteByte(opMark)
		for w.in.More() {
			if err := w.value(depth + 1); err != nil {
				return err
			}
		}
		w.out.WriteByte(fill)
	}
	_, err := w.in.Token() // the closing bracket
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return err
}

func (w *pickler) text(text string) {
	text = strings.ToValidUTF8(text, "\ufffd")
	w.out.WriteByte(opText)
	w.out.Write(binary.LittleEndian.AppendUint32(nil, uint32(len(text))))
	w.out.WriteString(text)
}

func (w *pickler) number(text string) error {
	if strings.ContainsAny(text, ".eE") {
		value, err := strconv.ParseFloat(text, 64)
		if err != nil && !errors.Is(err, strconv.ErrRange) { // out of range is ±inf, as Python reads it
			return err
		}
		w.out.WriteByte(opFloat)
		w.out.Write(binary.BigEndian.AppendUint64(nil, math.Float64bits(value)))
		return nil
	}
	if small, err := strconv.ParseInt(text, 10, 32); err == nil {
		w.out.WriteByte(opInt)
		w.out.Write(binary.LittleEndian.AppendUint32(nil, uint32(small)))
		return nil
	}
	large, ok := new(big.Int).SetString(text, 10)
	if !ok {
		return errors.New("not a number: " + clip(text, 32))
	}
	w.long(large)
	return nil
}

// long writes an integer of any size in two's complement, least byte first.
func (w *pickler) long(n *big.Int) {
	size := n.BitLen()/8 + 1 // room for the sign bit
	if n.Sign() < 0 {
		n = new(big.Int).Add(n, new(big.Int).Lsh(big.NewInt(1), uint(8*size)))
	}
	digits := n.FillBytes(make([]byte, size))
	slices.Reverse(digits)
	if size < 256 {
		w.out.Write([]byte{opLong1, byte(size)})
	} else {
		w.out.WriteByte(opLong4)
		w.out.Write(binary.LittleEndian.AppendUint32(nil, uint32(size)))
	}
	w.out.Write(digits)
}
