package gateway

import "vxgw/gateway/forward"

// notices is the supervisor's memory of the losses that it has told of. They are
// counted where frames move, and told of from here: no worker has to.
type notices struct {
	storms   map[stormAt]*stormSeen
	overflow [forward.NumDirections]notice
	refused  [numRefusals]notice
	drops    [forward.NumDirections][forward.NumReasons]notice
}

// notice is a counter that is told of when it has grown, once in alertEvery
// seconds.
type notice struct {
	told uint64 // the total that was told of
	next uint32 // the clock from which on it is told of again
}

// due returns by how much the total has grown, when that is to be said.
func (n *notice) due(total uint64, now uint32) (grown uint64, ok bool) {
	if total == n.told || now < n.next {
		return 0, false
	}
	grown = total - n.told
	n.told, n.next = total, now+alertEvery
	return grown, true
}

var overflowMends = [forward.NumDirections]string{
	forward.Access:  "give the gateway more CPU; `vxgw show ports` tells which port is busy",
	forward.Overlay: "give the gateway more CPU, or more [datapath] workers",
}

var refusalMends = [numRefusals]string{
	tableFull: "find who makes up addresses, or raise [datapath] mac_limit",
	vniLimit:  "find who makes up addresses, or raise mac_limit of the [[vni]]: `vxgw show vnis` counts them",
	portLimit: "find who makes up addresses, or raise mac_limit of the [[port]]: `vxgw show ports` counts them",
	vtepLimit: "set allowed_vteps, so that not everybody can be a VTEP",

	neighbourLimit: "find who makes up addresses, or raise mac_limit of the [[vni]], or of [datapath], which all VNIs with suppress_arp share",
}

// noticeLosses tells of frames that came too fast to be read, and of MACs and
// neighbours that a limit kept from being learned.
func (g *Gateway) noticeLosses() {
	now := g.edges.Clock()
	for d, mend := range overflowMends {
		if mend == "" {
			continue
		}
		if n, ok := g.notices.overflow[d].due(g.ledger.lost[d][forward.RxOverflow].Load(), now); ok {
			g.log.Warn("frames came faster than they could be read: lost as rx_overflow", "direction", forward.Direction(d), "frames", n, "mend", mend)
		}
	}
	for r, mend := range refusalMends {
		if mend == "" { // of those that are held there are lines of their own
			continue
		}
		if n, ok := g.notices.refused[r].due(g.ledger.refused[r].Load(), now); ok {
			args := []any{"limit", refusal(r), "frames", n, "mend", mend}
			if refusal(r) == neighbourLimit {
				g.log.Warn("a limit keeps IP addresses of neighbours from being learned: requests for them are flooded", args...)
				continue
			}
			g.log.Warn("a limit keeps MACs from being learned: frames for them are flooded", args...)
		}
	}
}
