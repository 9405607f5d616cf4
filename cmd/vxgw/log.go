package main

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"sync"

	"vxgw/config"
)

// newLogger returns a logger that writes to w as [log] says, what is at or above
// level.
func newLogger(w io.Writer, c config.Log, level slog.Leveler) *slog.Logger {
	opts := &slog.HandlerOptions{Level: level}
	switch c.Format {
	case "json":
		return slog.New(slog.NewJSONHandler(w, opts))
	case "journald":
		return slog.New(newJournalHandler(w, opts))
	}
	return slog.New(slog.NewTextHandler(w, opts))
}

func logLevel(name string) slog.Level {
	var l slog.Level
	if err := l.UnmarshalText([]byte(name)); err != nil {
		return slog.LevelInfo // config has checked the name
	}
	return l
}

// journalHandler writes lines as journald reads them from a service's standard
// error: each begins with its priority (sd-daemon(3)), and has no time of its
// own, because the journal keeps that.
type journalHandler struct {
	slog.Handler // writes a line to line
	mu           *sync.Mutex
	line         *bytes.Buffer
	out          io.Writer
}

func newJournalHandler(w io.Writer, opts *slog.HandlerOptions) *journalHandler {
	line := new(bytes.Buffer)
	o := *opts
	o.ReplaceAttr = withoutTimeAndLevel
	return &journalHandler{slog.NewTextHandler(line, &o), new(sync.Mutex), line, w}
}

func withoutTimeAndLevel(groups []string, a slog.Attr) slog.Attr {
	if len(groups) == 0 && (a.Key == slog.TimeKey || a.Key == slog.LevelKey) {
		return slog.Attr{}
	}
	return a
}

func (h *journalHandler) Handle(ctx context.Context, r slog.Record) error {
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

func (h *journalHandler) WithAttrs(a []slog.Attr) slog.Handler {
	c := *h
	c.Handler = h.Handler.WithAttrs(a)
	return &c
}

func (h *journalHandler) WithGroup(name string) slog.Handler {
	c := *h
	c.Handler = h.Handler.WithGroup(name)
	return &c
}

// priority is the syslog severity of a level.
func priority(l slog.Level) string {
	switch {
	case l >= slog.LevelError:
		return "<3>"
	case l >= slog.LevelWarn:
		return "<4>"
	case l >= slog.LevelInfo:
		return "<6>"
	}
	return "<7>"
}
