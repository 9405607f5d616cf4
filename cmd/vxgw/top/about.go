package top

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"vxgw/gateway/api"
)

// facts are the lines of a row's details: "name", a tab, and what there is to say.
type facts []string

func (l *facts) add(name, value string) {
	if value != "" {
		*l = append(*l, name+"\t"+clean(value))
	}
}

func (l *facts) traffic(r rates, c counters) {
	way := func(name string, packets, bytes int) {
		l.add(name, unit(r[packets], "pps")+"  "+unit(8*r[bytes], "b/s"))
		l.add("  in all", grouped(c[packets])+" frames  "+grouped(c[bytes])+" bytes")
	}
	way("in (rx)", rxPackets, rxBytes)
	way("out (tx)", txPackets, txBytes)
}

func (l *facts) storms(all []api.StormRow) {
	for _, s := range all {
		now := ""
		if s.Active {
			now = ", and drops now"
		}
		l.add("storm control", fmt.Sprintf("%s %s: %s frames a second, %s dropped%s", s.Direction, s.Kind, grouped(uint64(s.Limit)), grouped(s.Dropped), now))
	}
}

// find returns the row with a key; nil where there is none.
func find[T any](rows []T, key string, of func(*T) string) *T {
	if i := slices.IndexFunc(rows, func(r T) bool { return of(&r) == key }); i >= 0 {
		return &rows[i]
	}
	return nil
}

func aboutPort(f *frame, key string) []string {
	p := find(f.Ports, key, portKey)
	if p == nil {
		return nil
	}
	var l facts
	l.add("port", p.Interface)
	l.add("state", p.State)
	l.add("reason", p.Reason)
	l.add("VNI", fmt.Sprint(p.VNI))
	l.add("VLAN", number(p.VLAN))
	l.add("MACs", grouped(uint64(p.MACs)))
	l.traffic(f.meter.of(key), counters{p.RxPackets, p.RxBytes, p.TxPackets, p.TxBytes})
	l.storms(p.Storm)
	for _, d := range f.Datapath {
		if d.Interface == p.Interface {
			l.add("carried by", d.Mode+": "+d.Reason)
		}
	}
	return l
}

func aboutVNI(f *frame, key string) []string {
	v := find(f.VNIs, key, vniKey)
	if v == nil {
		return nil
	}
	var l facts
	l.add("VNI", fmt.Sprint(v.VNI))
	l.add("name", v.Name)
	l.add("VLAN", number(v.VLAN))
	l.add("VRF", v.VRF)
	l.add("MACs", grouped(uint64(v.MACs)))
	l.traffic(f.meter.of(key), counters{v.RxPackets, v.RxBytes, v.TxPackets, v.TxBytes})
	l.add("suppressed", number(v.Suppressed))
	if full := f.vniRow; full != nil && full.VNI == v.VNI {
		if full.Held > 0 {
			l.add("held", fmt.Sprintf("%d MACs moved too often: `vxgw show macs --vni %d` has them, `vxgw clear mac` lets go", full.Held, v.VNI))
		}
		l.storms(full.Storm)
		l.add("ports", strings.Join(full.Ports, " "))
		l.add("VTEPs", strings.Join(full.VTEPs, " "))
	}
	return l
}

func aboutVTEP(f *frame, key string) []string {
	v := find(f.VTEPs, key, vtepKey)
	if v == nil {
		return nil
	}
	var l facts
	l.add("VTEP", v.Address)
	l.add("origin", v.Origin)
	switch {
	case v.Origin == api.OriginGroup: // it is sent to, and never heard from
	case v.LastSeen == nil:
		l.add("last seen", "never")
	default:
		l.add("last seen", api.Age(f.Time.Sub(*v.LastSeen))+" ago, "+v.LastSeen.In(f.Time.Location()).Format(time.DateTime))
	}
	l.traffic(f.meter.of(key), counters{v.RxPackets, v.RxBytes, v.TxPackets, v.TxBytes})
	l.add("MTU", number(v.MTU))
	if full := f.vtepRow; full != nil && full.Address == v.Address {
		if full.PathMTU > 0 {
			l.add("path MTU", fmt.Sprintf("%d bytes, as the %s says; it shrank %d times", full.PathMTU, full.PathMTUFrom, full.PathShrunk))
		}
		l.add("path probes", full.PathProbe)
		vnis := make([]string, len(full.VNIs))
		for i, n := range full.VNIs {
			vnis[i] = fmt.Sprint(n)
		}
		l.add("VNIs", strings.Join(vnis, " "))
	}
	return l
}

// origins says where the frames of a direction came from.
var origins = map[string]string{"access": "an access port", "overlay": "the overlay", "route": "routing"}

func aboutDrop(f *frame, key string) []string {
	d := find(f.Drops, key, dropKey)
	if d == nil {
		return nil
	}
	var l facts
	l.add("reason", d.Reason)
	l.add("from", origins[d.Direction])
	l.add("now", scaled(f.meter.of(key)[drops])+" frames/s")
	l.add("in all", grouped(d.Count))
	l.add("means", f.texts[d.Reason].meaning)
	l.add("what to do", f.texts[d.Reason].mend)
	l.add("the frames", "vxgw show drops --frames --reason "+d.Reason)
	return l
}

func aboutMAC(f *frame, key string) []string {
	m := find(f.found.Rows, key, macKey)
	if m == nil {
		return nil
	}
	var l facts
	l.add("MAC", m.MAC)
	l.add("VNI", fmt.Sprint(m.VNI))
	l.add("port", m.Port)
	l.add("VTEP", m.VTEP)
	l.add("origin", m.Origin)
	if m.Origin == api.OriginLearned {
		l.add("last frame", api.Age(time.Duration(m.Age)*time.Second)+" ago")
		l.add("to forget it", "vxgw clear mac "+m.MAC)
	}
	if m.Held {
		l.add("held", "it moved too often: there is a loop, or two hosts have this address")
	}
	return l
}
