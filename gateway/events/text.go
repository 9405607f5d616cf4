package events

import (
	"fmt"
	"strings"
	"time"
)

// String writes an event on one line, for people.
func (e Event) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s  %-18s", e.Time.Local().Format("15:04:05.000"), e.Type)
	word := func(name, value string) {
		if value != "" {
			b.WriteString("  " + name + " " + oneLine(value))
		}
	}
	number := func(name string, n uint64) {
		if n != 0 {
			word(name, fmt.Sprint(n))
		}
	}
	number("vni", uint64(e.VNI))
	word("mac", e.MAC)
	word("address", e.Address)
	word("port", e.Port)
	word("vtep", e.VTEP)
	word("from", e.FromPort+e.FromVTEP+e.FromMAC)
	word("kind", e.Kind)
	word("origin", e.Origin)
	word("from origin", e.FromOrigin)
	word("by", e.Table)
	word("cause", e.Cause)
	number("times", uint64(e.Times))
	word("state", e.State)
	word("reason", e.Reason)
	word("direction", e.Direction)
	number("frames", e.Frames)
	number("in all", e.Count)
	number("hold", uint64(e.Hold))
	number("entries", uint64(e.Entries))
	if e.ConfirmUntil != nil {
		word("until", e.ConfirmUntil.Local().Format(time.TimeOnly))
	}
	word("mend:", e.Mend)
	word("changes:", strings.Join(e.Changes, "; "))
	word("at the next start:", strings.Join(e.RestartNeeded, ", "))
	return b.String()
}

// oneLine keeps a value on its line: the name of an interface is somebody else's text.
func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return '?'
		}
		return r
	}, s)
}
