package httpapi

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"sync"
)

// streamLine is one line of a stream that is not blank.
type streamLine struct {
	number int
	text   []byte
	fault  error // it was too long, and has no text
}

// lineReader splits a stream into lines of at most most bytes.
type lineReader struct {
	in      *bufio.Reader
	most    int64
	tooLong func(size int64) error
	number  int    // of the last line that was read
	before  func() // is called before each read that may wait

	mu     sync.Mutex
	closed bool // before must not be called any more
}

// next returns up to max lines that are not blank: it waits for the first and takes
// the others as far as they have arrived, up to streamGroup bytes. Lines may come
// together with the error that ended the stream; of a line that did not arrive whole
// nothing does, unless the stream has ended behind it.
func (l *lineReader) next(max int) (lines []streamLine, err error) {
	for read := int64(0); len(lines) < max && (len(lines) == 0 || (l.arrived() && read < streamGroup)); {
		line, size, err := l.line()
		if err != nil && (!errors.Is(err, io.EOF) || size == 0) {
			return lines, err
		}
		l.number++
		if read += min(size, l.most); size > l.most {
			lines = append(lines, streamLine{number: l.number, fault: l.tooLong(size)})
		} else if line = bytes.TrimSpace(line); len(line) > 0 {
			lines = append(lines, streamLine{number: l.number, text: line})
		}
		if err != nil {
			return lines, err
		}
	}
	return lines, nil
}

// arrived reports whether a whole line can be read without waiting.
func (l *lineReader) arrived() bool {
	data, _ := l.in.Peek(l.in.Buffered())
	return bytes.IndexByte(data, '\n') >= 0
}

// line reads one line and how long it is; of one that is too long nothing is kept.
func (l *lineReader) line() (line []byte, size int64, err error) {
	for {
		l.ready()
		part, err := l.in.ReadSlice('\n')
		if size += int64(len(part)); size > l.most {
			line = nil
		} else {
			line = append(line, part...)
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return line, size, err
		}
	}
}

func (l *lineReader) ready() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.closed {
		l.before()
	}
}

// close calls last in place of all further calls of before; only the first one does.
func (l *lineReader) close(last func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.closed {
		l.closed = true
		last()
	}
}
