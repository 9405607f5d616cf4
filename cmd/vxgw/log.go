package main

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"strconv"
	"sync"

	"vxgw/systemd"
)

// logFormat returns how [log] format has the log written: "text", "json" or "journald".
// Under a service manager whose journal has this process's standard error "auto" is
// journald.
func logFormat(configured string) string {
	switch {
	case configured != "auto":
		return configured
	case systemd.UnderJournal():
		return "journald"
	}
	return "text"
}

// newLogger returns a logger that writes what is at or above level: to w, or to the
// journal where format is "journald" and there is one.
func newLogger(w io.Writer, format string, level slog.Leveler) *slog.Logger {
	opts := &slog.HandlerOptions{Level: level}
	switch format {
	case "json":
		return slog.New(slog.NewJSONHandler(w, opts))
	case "journald":
		return slog.New(newJournalHandler(w, opts, systemd.JournalSocket))
	}
	return slog.New(slog.NewTextHandler(w, opts))
}

// newJournalHandler returns one that sends to the journal, or writes to w what the
// journal does not take.
func newJournalHandler(w io.Writer, opts *slog.HandlerOptions, socket string) slog.Handler {
	lines := newPrefixHandler(w, opts)
	j, err := systemd.DialJournal(socket)
	if err != nil {
		return lines
	}
	return newNativeHandler(j, opts.Level, lines)
}

func logLevel(name string) slog.Level {
	var l slog.Level
	if err := l.UnmarshalText([]byte(name)); err != nil {
		return slog.LevelInfo // config has checked the name
	}
	return l
}

// prefixHandler writes lines as journald reads them from a service's standard
// error: each begins with its priority (sd-daemon(3)), and has no time of its
// own, because the journal keeps that.
type prefixHandler struct {
	slog.Handler // writes a line to line
	mu           *sync.Mutex
	line         *bytes.Buffer
	out          io.Writer
}

func newPrefixHandler(w io.Writer, opts *slog.HandlerOptions) *prefixHandler {
	line := new(bytes.Buffer)
	o := *opts
	o.ReplaceAttr = withoutTimeAndLevel
	return &prefixHandler{slog.NewTextHandler(line, &o), new(sync.Mutex), line, w}
}

func withoutTimeAndLevel(groups []string, a slog.Attr) slog.Attr {
	if len(groups) == 0 && (a.Key == slog.TimeKey || a.Key == slog.LevelKey) {
		return slog.Attr{}
	}
	return a
}

func (h *prefixHandler) Handle(ctx context.Context, r slog.Record) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.line.Reset()
	h.line.WriteString(priority(r.Level))
	if err := h.Handler.Handle(ctx, r); err != nil {
		return err
	}
	_, err := h.out.Write(h.line.Bytes())
	return err
}

func (h *prefixHandler) WithAttrs(a []slog.Attr) slog.Handler {
	c := *h
	c.Handler = h.Handler.WithAttrs(a)
	return &c
}

func (h *prefixHandler) WithGroup(name string) slog.Handler {
	c := *h
	c.Handler = h.Handler.WithGroup(name)
	return &c
}

// priority is what a line of a level begins with.
func priority(l slog.Level) string { return "<" + strconv.Itoa(severity(l)) + ">" }

// severity is the syslog severity of a level (RFC 5424 section 6.2.1).
func severity(l slog.Level) int {
	switch {
	case l >= slog.LevelError:
		return 3
	case l >= slog.LevelWarn:
		return 4
	case l >= slog.LevelInfo:
		return 6
	}
	return 7
}
