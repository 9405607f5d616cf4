package gateway

import (
	"vxgw/config"
	"vxgw/gateway/xdp"
)

// describe says of an interface what the fast path does there, and in which mode that
// is: "raw" where it does nothing.
func (f *fast) describe(index int) (mode, how string) {
	if !f.is() {
		if f.gw.config().Datapath.Mode == config.ModeRaw {
			return "raw", ""
		}
		return "raw", "no fast path: " + f.why
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	l := f.links[index]
	mode, how = "raw", ""
	if f.plane.Tapped(index) {
		mode, how = "tcx", "what is certain is sent on at TCX"
	} else {
		how = "nothing is sent on at TCX"
		if why := f.untapped.Load(); why != nil {
			how += ": " + *why
		}
	}
	switch {
	case l == nil:
		return mode, how
	case l.at == nil:
		return mode, how + "; no XDP: " + l.why
	}
	how = "XDP in the driver"
	if l.frags {
		how += ", jumbo frames too"
	}
	if !f.told[index] {
		how += "; frames cannot be redirected to it, and leave in other ways"
		if l.link.Driver == "veth" {
			how += ": its peer needs GRO (ethtool -K PEER gro on)"
		}
	}
	if f.heard(index) {
		how += "; whoever captures packets there does not see what XDP takes"
	}
	return "xdp", how
}

// describeFast says how the frames of an interface are moved, of which the workers'
// part is said already.
func (g *Gateway) describeFast(index int, workers string) (mode, how string) {
	mode, how = g.fast.describe(index)
	switch {
	case how == "":
		return mode, workers
	case mode == "raw":
		return mode, workers + "; " + how
	}
	return mode, how + ". All else: " + workers
}

// describeUplinkFast is describeFast for the underlay. It needs Gateway.mu.
func (g *Gateway) describeUplinkFast(workers string) (mode, how string) {
	for _, w := range g.fastWants() {
		if w.role == xdp.FacesUnderlay {
			return g.describeFast(w.link.Index, workers)
		}
	}
	return g.describeFast(0, workers)
}
