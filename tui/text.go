package tui

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/charmbracelet/x/ansi"
)

// maxText bounds text from outside before anything else looks at it, in bytes.
const maxText = 1024

// clean makes text from functions, workers and servers fit to show: one line,
// no escape sequences, no control or formatting characters, valid UTF-8.
func clean(text string) string {
	if len(text) > maxText {
		text = text[:maxText]
	}
	if plainASCII(text) {
		return text
	}
	text = ansi.Strip(strings.ToValidUTF8(text, "?"))
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\t' || r == '\n' || r == '\r':
			return ' '
		case r == utf8.RuneError:
			return '?'
		case unicode.IsControl(r) || unicode.Is(unicode.Cf, r) || unicode.Is(unicode.Zl, r) || unicode.Is(unicode.Zp, r):
			return -1
		}
		return r
	}, text)
}

func plainASCII(text string) bool {
	for i := range len(text) {
		if text[i] < 0x20 || text[i] > 0x7e {
			return false
		}
	}
	return true
}

// cells is how wide text is on a terminal.
func cells(text string) int {
	if plainASCII(text) {
		return len(text)
	}
	return ansi.StringWidth(text)
}

// clip shortens text to at most w cells, marking the cut with tail.
func clip(text string, w int, tail string) string {
	switch {
	case w <= 0:
		return ""
	case cells(text) <= w:
		return text
	case cells(tail) > w:
		tail = ""
	}
	return ansi.Truncate(text, w, tail)
}

// fit makes text exactly w cells wide.
func fit(text string, w int, right bool, tail string) string {
	text = clip(text, w, tail)
	blank := strings.Repeat(" ", max(0, w-cells(text)))
	if right {
		return blank + text
	}
	return text + blank
}

// padded adds blanks up to w cells and never cuts: half a number is a lie.
func padded(text string, w int, right bool) string {
	return fit(text, max(w, cells(text)), right, "")
}

// count writes a whole number with thousands apart, from a million on with a
// letter.
func count(n int64) string {
	switch {
	case n < 0:
		return "-" + count(-max(n, -math.MaxInt64))
	case n >= 1e9:
		return fmt.Sprintf("%.2fG", float64(n)/1e9)
	case n >= 1e6:
		return fmt.Sprintf("%.2fM", float64(n)/1e6)
	case n >= 1e3:
		return fmt.Sprintf("%d,%03d", n/1000, n%1000)
	}
	return strconv.FormatInt(n, 10)
}

// perSecond writes a rate.
func perSecond(rate float64) string {
	switch {
	case math.IsNaN(rate):
		return "-/s"
	case rate >= 9999.5:
		return fmt.Sprintf("%.1fk/s", rate/1000)
	case rate >= 99.95 || rate == 0:
		return fmt.Sprintf("%.0f/s", rate)
	}
	return fmt.Sprintf("%.1f/s", rate)
}

// percent writes a share of one; some is never shown as none.
func percent(share float64) string {
	if share > 0 && share < 0.0005 {
		return "<0.1%"
	}
	return fmt.Sprintf("%.1f%%", 100*share)
}

// millis writes a run time given in milliseconds, with its unit.
func millis(ms float64) string {
	switch {
	case math.IsNaN(ms) || ms < 0:
		return "-"
	case ms < 0.05:
		return "<0.1ms"
	case ms < 9.95:
		return fmt.Sprintf("%.1fms", ms)
	case ms < 999.5:
		return fmt.Sprintf("%.0fms", ms)
	case ms < 59950:
		return fmt.Sprintf("%.1fs", ms/1000)
	}
	return span(time.Duration(math.Min(ms, 1e12) * float64(time.Millisecond)))
}

// span writes an age in at most six cells: whole seconds, then coarser. An age
// below zero is a clock that has not settled, not news from the future.
func span(d time.Duration) string {
	d = max(d, 0)
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%ds", d/time.Second)
	case d < time.Hour:
		return fmt.Sprintf("%dm%02ds", d/time.Minute, d/time.Second%60)
	case d < 24*time.Hour:
		return fmt.Sprintf("%dh%02dm", d/time.Hour, d/time.Minute%60)
	}
	return fmt.Sprintf("%dd%02dh", d/(24*time.Hour), d/time.Hour%24)
}

// age is span in at most four cells, for columns: it keeps still after the
// first minute.
func age(d time.Duration) string {
	d = max(d, 0)
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%ds", d/time.Second)
	case d < time.Hour:
		return fmt.Sprintf("%dm", d/time.Minute)
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh", d/time.Hour)
	}
	return fmt.Sprintf("%dd", min(d/(24*time.Hour), 999))
}

// size writes a number of bytes.
func size(n int64) string {
	switch {
	case n >= 1<<30:
		return fmt.Sprintf("%.1f GiB", float64(n)/(1<<30))
	case n >= 1<<20:
		return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
	}
	return fmt.Sprintf("%d KiB", (max(n, 0)+1023)/1024)
}

// plural is "1 task", "2 tasks"; others is the plural where an s does not make it.
func plural(n int64, noun string, others ...string) string {
	switch {
	case n == 1:
		return "1 " + noun
	case len(others) > 0:
		return count(n) + " " + others[0]
	}
	return count(n) + " " + noun + "s"
}
