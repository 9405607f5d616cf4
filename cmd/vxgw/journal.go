package main

import (
	"context"
	"fmt"
	"log/slog"
	"strconv"
	"strings"

	"vxgw/systemd"
)

// fieldPrefix is in front of what the journal has of our attributes, so that they are
// nobody else's: VXGW_PORT=eth1.
const fieldPrefix = "VXGW_"

// nativeHandler sends records to the journal with a field for each attribute:
// `journalctl VXGW_PORT=eth1`. MESSAGE has them too, since it is all that journalctl
// shows unasked; VXGW_EVENT is the bare message, which docs/logs.md lists.
type nativeHandler struct {
	otherwise slog.Handler // has what the journal did not take
	journal   *systemd.Journal
	level     slog.Leveler

	groups string // "A_B_" within two groups
	fields []systemd.Field
	text   string // of fields, as MESSAGE has them
}

func newNativeHandler(j *systemd.Journal, level slog.Leveler, otherwise slog.Handler) *nativeHandler {
	return &nativeHandler{otherwise: otherwise, journal: j, level: level}
}

// Enabled is as slog.Handler has it.
func (h *nativeHandler) Enabled(_ context.Context, l slog.Level) bool {
	return l >= h.level.Level()
}

// Handle is as slog.Handler has it. The journal keeps the time.
func (h *nativeHandler) Handle(ctx context.Context, r slog.Record) error {
	all := *h
	all.fields = append([]systemd.Field(nil), h.fields...)
	r.Attrs(func(a slog.Attr) bool {
		all.add(h.groups, a)
		return true
	})
	entry := append([]systemd.Field{
		{Name: "PRIORITY", Value: strconv.Itoa(severity(r.Level))},
		{Name: "SYSLOG_IDENTIFIER", Value: "vxgw"},
		{Name: "MESSAGE", Value: r.Message + all.text},
		{Name: fieldPrefix + "EVENT", Value: r.Message},
	}, all.fields...)
	if err := h.journal.Send(entry); err != nil {
		return h.otherwise.Handle(ctx, r)
	}
	return nil
}

// add adds an attribute, or those of a group, in the way that slog.Handler asks for.
func (h *nativeHandler) add(groups string, a slog.Attr) {
	v := a.Value.Resolve()
	if v.Kind() == slog.KindGroup {
		if a.Key != "" {
			groups += a.Key + "_"
		}
		for _, inner := range v.Group() {
			h.add(groups, inner)
		}
		return
	}
	if a.Equal(slog.Attr{}) {
		return
	}
	h.fields = append(h.fields, systemd.Field{Name: systemd.FieldName(fieldPrefix, groups+a.Key), Value: v.String()})
	h.text += fmt.Sprintf(" %s%s=%s", groups, a.Key, quoted(v.String()))
}

// quoted is a value within a line.
func quoted(s string) string {
	if s == "" || strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r == '"' || r == '=' || !strconv.IsPrint(r) }) {
		return strconv.Quote(s)
	}
	return s
}

// WithAttrs is as slog.Handler has it.
func (h *nativeHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	c := *h
	c.otherwise = h.otherwise.WithAttrs(attrs)
	c.fields = append([]systemd.Field(nil), h.fields...)
	for _, a := range attrs {
		c.add(h.groups, a)
	}
	return &c
}

// WithGroup is as slog.Handler has it.
func (h *nativeHandler) WithGroup(name string) slog.Handler {
	if name == "" {
		return h
	}
	c := *h
	c.otherwise = h.otherwise.WithGroup(name)
	c.groups += name + "_"
	return &c
}
