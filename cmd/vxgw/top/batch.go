package top

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"vxgw/gateway/api"
)

// Batch writes n times what Run shows, each time after a poll, as plain text with all
// rows, in lines of so many characters; for ever where n is 0, until ctx ends. It waits
// before the first time, too: rates take two polls. A gateway that goes meanwhile is
// told of on stderr and waited for; such a time counts as well.
func Batch(ctx context.Context, c *api.Client, out, stderr io.Writer, o Options, n, width int) error {
	a := &client{api: c}
	q := question{macs: o.tab == tabMACs, words: o.Filter}
	p, err := a.ask(ctx, q)
	if err != nil {
		return err
	}
	m := newModel(ctx, a, o, p)
	m.width = width
	for i := 0; n == 0 || i < n; i++ {
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(o.Every):
		}
		p, err := a.ask(ctx, q)
		m.Update(answer{p, err})
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			fmt.Fprintf(stderr, "%v: waiting for it to be back\n", err)
		default:
			if _, err := io.WriteString(out, m.whole(i > 0)); err != nil {
				return err
			}
		}
	}
	return nil
}

// whole writes all rows, with a line between this time and the one before.
func (m *Model) whole(again bool) string {
	lines := append(m.heads(), m.alerts()...)
	lines = append(lines, "")
	if len(m.rows) > 0 {
		m.view().index = -1 // nobody has chosen one
	}
	lines = append(lines, m.table(0, len(m.rows))...)
	var b strings.Builder
	if again {
		b.WriteByte('\n')
	}
	for _, line := range lines {
		b.WriteString(strings.TrimRight(line, " ") + "\n")
	}
	return b.String()
}
