package gateway

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

// An underlay that flaps does not fill the log: some of its changes are told of, the
// last one always, and how many were not.
func TestUnderlayFlapsQuietly(t *testing.T) {
	var text bytes.Buffer
	now := uint32(1000)
	g := &Gateway{log: slog.New(slog.NewTextHandler(&text, nil)), edges: Edges{Clock: func() uint32 { return now }}}
	const changes = 3 * maxTold
	for i := range changes {
		g.setUplink(fmt.Sprint("reason ", i))
		g.setUplink(fmt.Sprint("reason ", i)) // no news
		g.tellUplink()
	}
	if n := strings.Count(text.String(), "underlay down"); n != maxTold {
		t.Errorf("told of %d times, want %d", n, maxTold)
	}
	now += alertEvery
	text.Reset()
	g.tellUplink()
	g.tellUplink()
	if got := text.String(); strings.Count(got, "\n") != 1 || !strings.Contains(got, fmt.Sprintf("not_shown=%d", changes-maxTold-1)) ||
		!strings.Contains(got, fmt.Sprintf(`reason="reason %d"`, changes-1)) {
		t.Errorf("at last: %s", got)
	}
}
