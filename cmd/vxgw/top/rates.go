package top

import (
	"strconv"

	"vxgw/gateway/api"
)

// counters are what is counted of a row: frames and bytes that came in and went out, or
// drops in the first of them.
type counters [4]uint64

// rates are counters by the second; unknown where they cannot be told.
type rates [4]float64

// The places in both.
const (
	rxPackets = iota
	rxBytes
	txPackets
	txBytes

	drops = rxPackets
)

var unknownRates = rates{unknown, unknown, unknown, unknown}

// The keys of rows: a row keeps its key from one poll to the next.
func portKey(r *api.PortRow) string { return "port " + r.Interface }
func vniKey(r *api.VNISum) string   { return "vni " + strconv.FormatUint(uint64(r.VNI), 10) }
func vtepKey(r *api.VTEPSum) string { return "vtep " + r.Address }
func dropKey(r *api.DropSum) string { return "drop " + r.Reason + " " + r.Direction }

// meter makes rates of two polls.
type meter struct {
	uptime float64 // of the gateway at the last poll, in seconds; 0: there was none
	was    map[string]counters
	now    map[string]rates
}

// take takes a poll. Its time is the gateway's own: what a poll takes on its way, or how
// long an answer is kept for others who ask, is no part of a rate. The same answer again
// changes nothing.
func (m *meter) take(o *api.Overview) {
	span := o.Uptime - m.uptime
	if span == 0 {
		return
	}
	is := countersOf(o)
	m.now = make(map[string]rates, len(is))
	// A gateway that was started anew counts anew.
	if m.uptime > 0 && span > 0 {
		for key, c := range is {
			if was, ok := m.was[key]; ok {
				m.now[key] = c.since(&was, span)
			}
		}
	}
	m.was, m.uptime = is, o.Uptime
}

// lose forgets the rates: nobody knows what they are while the gateway does not answer.
func (m *meter) lose() { m.now = nil }

// of returns the rates of a row.
func (m *meter) of(key string) rates {
	if r, ok := m.now[key]; ok {
		return r
	}
	return unknownRates
}

// since returns by how much counters grew in a time, in seconds.
func (c *counters) since(was *counters, span float64) rates {
	var r rates
	for i := range c {
		if c[i] < was[i] {
			return unknownRates // it was taken away and came back
		}
		r[i] = float64(c[i]-was[i]) / span
	}
	return r
}

func countersOf(o *api.Overview) map[string]counters {
	all := make(map[string]counters, len(o.Ports)+len(o.VNIs)+len(o.VTEPs)+len(o.Drops))
	for i := range o.Ports {
		r := &o.Ports[i]
		all[portKey(r)] = counters{r.RxPackets, r.RxBytes, r.TxPackets, r.TxBytes}
	}
	for i := range o.VNIs {
		r := &o.VNIs[i]
		all[vniKey(r)] = counters{r.RxPackets, r.RxBytes, r.TxPackets, r.TxBytes}
	}
	for i := range o.VTEPs {
		r := &o.VTEPs[i]
		all[vtepKey(r)] = counters{r.RxPackets, r.RxBytes, r.TxPackets, r.TxBytes}
	}
	for i := range o.Drops {
		all[dropKey(&o.Drops[i])] = counters{drops: o.Drops[i].Count}
	}
	return all
}
