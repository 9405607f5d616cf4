// Package control is what controllers say to a gateway, and what is to be made of it
// where several speak: the words, whose word counts, and how long the word of one that
// has fallen silent is kept. It is pure: it has no clock, no lock and no table.
//
// An Origin is who speaks: an EVPN or OVSDB daemon, or any other program. What it has
// said of one thing, a MAC for example, is an entry. Of the entries of several origins
// for one thing the first origin's counts, see Origin.Before; when that takes it back
// the next one's does.
package control

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Origin is the name of who speaks.
type Origin string

// The origins whose word counts before that of any other, in this order.
const (
	EVPN  Origin = "evpn"
	OVSDB Origin = "ovsdb"
)

// maxName is how long a name is at most, in bytes.
const maxName = 31

// reserved are names that mean something else where origins are shown.
var reserved = []string{"static", "learned", "gateway", "group", "connected", "local", "controller"}

// ParseOrigin reads a name: [a-z][a-z0-9-]{0,30}, and none that the gateway itself uses.
func ParseOrigin(s string) (Origin, error) {
	switch {
	case s == "" || len(s) > maxName || s[0] < 'a' || s[0] > 'z' || strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789-") != "":
		return "", fmt.Errorf("%q is no name of an origin: 1 to %d of a-z, 0-9 and -, a letter first, as evpn or ovsdb", s, maxName)
	case slices.Contains(reserved, s):
		return "", fmt.Errorf("origin %q is the gateway's own: name a controller, as evpn or ovsdb", s)
	}
	return Origin(s), nil
}

// rank: evpn, ovsdb, all others.
func (o Origin) rank() int {
	switch o {
	case EVPN:
		return 0
	case OVSDB:
		return 1
	}
	return 2
}

// Compare orders origins: the one whose word counts first comes first. Those beside
// EVPN and OVSDB come by name.
func (o Origin) Compare(p Origin) int {
	return cmp.Or(cmp.Compare(o.rank(), p.rank()), cmp.Compare(o, p))
}

// Before reports whether o's word counts before p's.
func (o Origin) Before(p Origin) bool { return o.Compare(p) < 0 }
