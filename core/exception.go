package core

// Exception is what a function raised, as data: what the traceback says in text.
type Exception struct {
	Type    string      `json:"type"`              // class, with its module unless that is builtins or the function's own
	Message string      `json:"message,omitempty"` // at most 1 KiB
	Notes   []string    `json:"notes,omitempty"`   // that were added to it
	Frames  []Frame     `json:"frames,omitempty"`  // outermost first, from the function on
	Cut     int         `json:"cut,omitempty"`     // frames left out of the middle
	Cause   *Exception  `json:"cause,omitempty"`   // it was raised from this one
	Context *Exception  `json:"context,omitempty"` // it was raised while this one was handled
	Group   []Exception `json:"group,omitempty"`   // members of an exception group
	More    int         `json:"more,omitempty"`    // of these left out
}

// Frame is one call on the way to where an exception was raised.
type Frame struct {
	File     string `json:"file"`
	Line     int    `json:"line"`
	Function string `json:"function"`
	Source   string `json:"source,omitempty"` // the line's text; from the registered source where that is what ran
}

// Bounds of an Exception, over all that hang together.
const (
	MaxExceptions     = 20
	MaxFrames         = 100
	MaxExceptionText  = 1 << 10 // bytes of a message or a note
	MaxExceptionNotes = 16
	maxFrameText      = 256 // bytes of a file, a function or a line
)

// Bounded returns e within the bounds, in valid UTF-8: whoever made it may have been
// anybody.
func (e *Exception) Bounded() *Exception {
	b := bounding{MaxExceptions, MaxFrames, MaxExceptionNotes}
	return b.exception(e)
}

// bounding is how much may still come.
type bounding struct{ exceptions, frames, notes int }

func (b *bounding) exception(e *Exception) *Exception {
	if e == nil || b.exceptions == 0 {
		return nil
	}
	b.exceptions--
	out := &Exception{Type: clipText(e.Type, maxFrameText), Message: clipText(e.Message, MaxExceptionText), Cut: max(0, e.Cut), More: max(0, e.More)}
	for _, note := range e.Notes {
		if b.notes > 0 {
			b.notes--
			out.Notes = append(out.Notes, clipText(note, MaxExceptionText))
		}
	}
	for _, f := range e.Frames {
		if b.frames == 0 {
			out.Cut++
			continue
		}
		b.frames--
		out.Frames = append(out.Frames, Frame{
			File: clipText(f.File, maxFrameText), Line: max(0, f.Line), Function: clipText(f.Function, maxFrameText), Source: clipText(f.Source, maxFrameText),
		})
	}
	out.Cause, out.Context = b.exception(e.Cause), b.exception(e.Context)
	for i := range e.Group {
		if member := b.exception(&e.Group[i]); member != nil {
			out.Group = append(out.Group, *member)
		} else {
			out.More++
		}
	}
	return out
}

// Size is about how many bytes it takes.
func (e *Exception) Size() int {
	if e == nil {
		return 0
	}
	n := len(e.Type) + len(e.Message) + 64 + e.Cause.Size() + e.Context.Size()
	for _, note := range e.Notes {
		n += len(note)
	}
	for _, f := range e.Frames {
		n += len(f.File) + len(f.Function) + len(f.Source) + 64
	}
	for i := range e.Group {
		n += e.Group[i].Size()
	}
	return n
}
