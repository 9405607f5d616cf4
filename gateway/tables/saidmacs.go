package tables

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"

	"vxgw/gateway/control"
	"vxgw/gateway/forward"
	"vxgw/l2/fdb"
)

// originOf is what the FDB calls an origin.
func originOf(o control.Origin) fdb.Origin {
	switch o {
	case control.EVPN:
		return fdb.EVPN
	case control.OVSDB:
		return fdb.OVSDB
	}
	return fdb.Controller
}

func macPart(k control.MACKey) int { return int(k.MAC[5]) % saidParts }

// wantMAC returns what the FDB is to have for a station by the words of controllers; why,
// for people, where that is nothing.
func (t *Tables) wantMAC(s *forward.Snapshot, k control.MACKey) (is placedMAC, why string) {
	said := t.said.merge.MACs.Counts(k)
	to, sticky := said.Value.VTEP, said.Value.Sticky
	is.origin = said.Origin
	if !said.IsThere() {
		// A router stays behind its VTEP: it is not a host that moves.
		routers := t.said.routers[k]
		if len(routers) == 0 {
			return is, "nobody says so any more"
		}
		to, sticky = slices.MinFunc(slices.Collect(maps.Keys(routers)), netip.Addr.Compare), true
		is.origin = routers[to].origin()
	}
	d, ok := s.VNIs[k.VNI]
	if !ok {
		return is, noVNI(k.VNI)
	}
	if _, static := t.pinned[macKey{d, k.MAC}]; static {
		return is, "a [[mac]] of the configuration is about it"
	}
	if !s.Domains[d].Gateway.IsZero() && s.Domains[d].Gateway == k.MAC {
		return is, fmt.Sprintf("it is the gateway's own MAC in VNI %d", k.VNI)
	}
	hop, ok := t.hopOf(to)
	if !ok {
		return is, noNumber
	}
	is.entry = fdb.Entry{Domain: d, MAC: k.MAC, Hop: hop, Origin: originOf(is.origin)}
	if sticky {
		is.entry.Origin |= fdb.Sticky
	}
	return is, ""
}

func noVNI(vni uint32) string { return fmt.Sprintf("no VNI %d is configured", vni) }

// noNumber is why an entry is of no use when there are too many VTEPs.
var noNumber = fmt.Sprintf("there are more than %d VTEPs", forward.MaxVTEPs)

// settleMAC brings the FDB into line with what is said of a station. anew says that it
// was said just now: then it counts before what was learned here.
func (t *Tables) settleMAC(s *forward.Snapshot, k control.MACKey, anew bool) {
	placed := t.said.macs[macPart(k)]
	was, had := placed[k]
	is, why := t.wantMAC(s, k)
	if had && (why != "" || was.entry.Domain != is.entry.Domain) {
		t.takeBack(was.entry)
	}
	if had {
		t.said.inFDB[inFDB{was.entry.Domain, was.origin}]--
		delete(placed, k)
	}
	if why != "" {
		return
	}
	placed[k] = is
	t.said.inFDB[inFDB{is.entry.Domain, is.origin}]++
	if anew || was != is {
		t.fdb.Set(is.entry)
	}
}

// takeBack takes an entry out of the FDB, unless somebody else has put one in its place.
func (t *Tables) takeBack(e fdb.Entry) {
	if is, ok := t.fdb.Lookup(e.Domain, e.MAC, 0); ok && is.Origin.IsController() {
		t.fdb.Remove(e.Domain, e.MAC)
	}
}

// restate puts what is pinned in domains into the FDB once more, where no station that is
// here has taken its place: who may send to these has changed, and a copy of the FDB is
// told of that by the entries.
func (t *Tables) restate(of map[fdb.Domain]bool) {
	if len(of) == 0 {
		return
	}
	for k := range t.pinned {
		if e, ok := t.fdb.Lookup(k.domain, k.mac, 0); ok && of[k.domain] {
			t.fdb.Set(e)
		}
	}
	for i := range t.said.macs {
		for _, p := range t.said.macs[i] {
			if !of[p.entry.Domain] {
				continue
			}
			if e, ok := t.fdb.Lookup(p.entry.Domain, p.entry.MAC, 0); ok && e.Origin == p.entry.Origin {
				t.fdb.Set(e)
			}
		}
	}
}

// isHere reports whether a station is behind a port of this gateway.
func isHere(e fdb.Entry) bool {
	_, isPort := forward.HopPort(e.Hop)
	return isPort
}

// mendEach is how many entries Mend looks at, about. At once a second a hundred thousand
// are looked at in five seconds, and it costs some milliseconds.
const mendEach = 20000

// Mend puts entries of controllers back that stations which are not here any more had
// taken the place of: those that are known no longer, and those that were learned behind
// a VTEP since, held there or not. It looks at some of them at a time, and is to be called once a
// second. now is the gateway's clock in seconds.
func (t *Tables) Mend(now uint32) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for n, parts := 0, 0; n < mendEach && parts < saidParts; parts++ {
		macs, hosts := t.said.macs[t.said.next], t.said.hosts[t.said.next]
		t.said.next = (t.said.next + 1) % saidParts
		n += len(macs) + len(hosts)
		for _, p := range macs {
			if e, there := t.fdb.Lookup(p.entry.Domain, p.entry.MAC, now); !there || e.Origin == fdb.Learned && !isHere(e) {
				t.fdb.Set(p.entry)
			}
		}
		for k, p := range hosts {
			t.mendHost(k, p, now)
		}
	}
}
