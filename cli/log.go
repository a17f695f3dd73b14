package cli

import (
	"context"
	"io"
	"log/slog"
	"strconv"
	"strings"
	"sync/atomic"
	"unicode"
)

// logHandler writes log records as people read them, one line each: when, how
// bad it is, what happened, and the rest as name=value.
//
//	2026-01-31 12:00:00 registered  worker=w-0123 dispatcher=d-4567
//	2026-01-31 12:00:09 warning: the dispatcher is silent  url=tcp://10.0.0.1:5555
type logHandler struct {
	to    io.Writer // takes a record a Write
	level slog.Level
	group string // names of open groups, each with a dot
	bound string // attributes of With, written already
}

func (h *logHandler) Enabled(_ context.Context, level slog.Level) bool { return level >= h.level }

func (h *logHandler) Handle(_ context.Context, r slog.Record) error {
	var line strings.Builder
	if !r.Time.IsZero() {
		line.WriteString(r.Time.Format("2006-01-02 15:04:05 "))
	}
	switch {
	case r.Level >= slog.LevelError:
		line.WriteString("error: ")
	case r.Level >= slog.LevelWarn:
		line.WriteString("warning: ")
	case r.Level < slog.LevelInfo:
		line.WriteString("debug: ")
	}
	line.WriteString(cleanLine(r.Message))
	attrs := h.bound
	r.Attrs(func(a slog.Attr) bool {
		attrs += attrText(h.group, a)
		return true
	})
	if attrs != "" {
		line.WriteString(" " + attrs)
	}
	line.WriteByte('\n')
	_, err := io.WriteString(h.to, line.String())
	return err
}

func (h *logHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	with := *h
	for _, a := range attrs {
		with.bound += attrText(h.group, a)
	}
	return &with
}

func (h *logHandler) WithGroup(name string) slog.Handler {
	with := *h
	if name != "" {
		with.group += name + "."
	}
	return &with
}

// attrText is " name=value", or nothing for what holds nothing.
func attrText(group string, a slog.Attr) string {
	value := a.Value.Resolve()
	if value.Kind() == slog.KindGroup {
		if a.Key != "" {
			group += a.Key + "."
		}
		text := ""
		for _, inner := range value.Group() {
			text += attrText(group, inner)
		}
		return text
	}
	if a.Key == "" || value.Kind() == slog.KindAny && value.Any() == nil {
		return ""
	}
	text := value.String()
	if text == "" || strings.ContainsFunc(text, func(r rune) bool { return r == '"' || r == '=' || unicode.IsSpace(r) || controls(r) }) {
		text = strconv.Quote(text)
	}
	return " " + group + a.Key + "=" + text
}

// logWriter takes log records, one a Write: it keeps them from steering the
// terminal, and drops them once it is muted.
type logWriter struct {
	to    io.Writer
	muted atomic.Bool
}

func (w *logWriter) Write(line []byte) (int, error) {
	if w.muted.Load() {
		return len(line), nil
	}
	_, err := io.WriteString(w.to, clean(string(line)))
	return len(line), err
}
