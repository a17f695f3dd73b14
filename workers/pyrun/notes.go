package pyrun

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math"
	"time"

	"golang.org/x/sys/unix"

	"faasctl/core"
)

// A child's notes are a file in memory that it shares with its parent: a page
// where a function leaves its progress (see NOTES of runner/protocol.py), and behind it what
// Python's fault handler writes in a crash. Whatever runs in the child may write
// there, so that nothing of it is believed but for display.
const (
	notesPage  = 4096     // bytes
	notesFault = 32 << 10 // bytes that are read of a fault's text
	notesFixed = 26       // crc32 of the rest, tag, done, total, length of the note
)

// progressEvery is how often a running call's progress is looked for.
const progressEvery = 500 * time.Millisecond

// openNotes makes a child's notes.
func openNotes() (fd int, err error) {
	if fd, err = unix.MemfdCreate("faasctl-notes", unix.MFD_CLOEXEC); err != nil {
		return -1, fmt.Errorf("make a file in memory: %w", err)
	}
	if err = unix.Ftruncate(fd, notesPage); err == nil {
		_, err = unix.Seek(fd, notesPage, unix.SEEK_SET)
	}
	if err != nil {
		closeAll(fd)
		return -1, fmt.Errorf("prepare a file in memory: %w", err)
	}
	return fd, nil
}

// parseProgress reads what the call with a tag has left on the page; ok is false
// when it has left nothing that can be read.
func parseProgress(page []byte, tag uint32) (p core.Progress, ok bool) {
	if len(page) < notesFixed || binary.LittleEndian.Uint32(page[4:]) != tag {
		return p, false
	}
	size := int(binary.LittleEndian.Uint16(page[24:]))
	if size > core.MaxProgressNote || notesFixed+size > len(page) ||
		crc32.ChecksumIEEE(page[4:notesFixed+size]) != binary.LittleEndian.Uint32(page) { // it may be writing
		return p, false
	}
	p.Done = math.Float64frombits(binary.LittleEndian.Uint64(page[8:]))
	p.Total = math.Float64frombits(binary.LittleEndian.Uint64(page[16:]))
	if math.IsNaN(p.Done-p.Done) || math.IsNaN(p.Total-p.Total) {
		return core.Progress{}, false
	}
	p.Note = toText(page[notesFixed:notesFixed+size], core.MaxProgressNote)
	return p, true
}

// lookForProgress tells how far the running call has come, if that has changed.
func (s *slot) lookForProgress(now time.Time) {
	f := s.flight.running()
	if f == nil || s.ch == nil || s.flight.look.IsZero() || now.Before(s.flight.look) {
		return
	}
	s.flight.look = now.Add(progressEvery)
	s.ch.weigh()
	s.tellProgress(f)
}

// tellProgress tells what the running call has said last, if it has not been told. It is
// called at the call's end, too: the last word says how far a call came that failed. Of
// calls in one frame the child may have entered the next one by then, whose word replaces it.
func (s *slot) tellProgress(f *flying) {
	var page [notesFixed + core.MaxProgressNote]byte
	n, err := unix.Pread(s.ch.notes, page[:], 0)
	if err != nil || f.discarded {
		return
	}
	if p, ok := parseProgress(page[:n], f.tag); ok && p != s.flight.said {
		s.flight.said = p
		f.sink.Progressed(f.Lease, p)
	}
}

// fault takes what Python said when the child crashed, without the runner's own
// frames; "" if it said nothing.
func (ch *child) fault() string {
	text := make([]byte, notesFault)
	n, err := unix.Pread(ch.notes, text, notesPage)
	if err != nil || n == 0 {
		return ""
	}
	_ = unix.Ftruncate(ch.notes, notesPage) // a fork that runs the next call shares the file
	_, _ = unix.Seek(ch.notes, notesPage, unix.SEEK_SET)
	var kept [][]byte
	for _, line := range bytes.SplitAfter(text[:n], []byte("\n")) {
		if !bytes.Contains(line, []byte(`File "<faasctl runner/`)) && !bytes.Contains(line, []byte(`File "<string>"`)) {
			kept = append(kept, line)
		}
	}
	return toText(bytes.TrimRight(bytes.Join(kept, nil), "\n"), maxFault)
}
