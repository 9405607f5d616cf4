package fabric

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"vxgw/config"
	"vxgw/gateway/api"
	"vxgw/l2/frame"
	portmem "vxgw/l2/port/mem"
	"vxgw/test/scale"
)

// numbered returns station i of a kind.
func numbered(kind byte, i int) frame.MAC {
	m := frame.MAC{2, kind}
	binary.BigEndian.PutUint32(m[2:], uint32(i))
	return m
}

// large is a gateway with a full configuration. Station i of kind 1 is behind
// port i, and of kind 2 behind the first VTEP of that port's VNI.
type large struct {
	scale.Size
	gw *Gateway
	n  *Net
}

func newLarge(n *Net) large {
	s := scale.Full
	return large{s, n.Add(conf("a", s.Sections(`ageing = "0s"`))), n}
}

func (l large) place(i int) string { return "a." + l.Interface(i) }

// floods lists where a frame goes that is flooded in the VNI of a port: to
// VTEPs, and out of another port if there is one.
func (l large) floods(port int, out ...string) string {
	for _, a := range l.Flood(l.PortVNI(port)) {
		out = append(out, "a>"+a.String())
	}
	return strings.Join(out, " ")
}

// teach has the stations of the first ports speak once.
func (l large) teach(ports int) {
	for i := range ports {
		l.n.Send(l.place(i), Local(frame.Broadcast, numbered(1, i))).Is(l.floods(i, l.place(i^1)))
		v := l.PortVNI(i)
		l.n.Inject(l.Flood(v)[0].String(), "a", l.VNI(v), Local(frame.Broadcast, numbered(2, i))).Is(l.place(i) + " " + l.place(i^1))
	}
}

// A VNI for every VLAN, 256 ports and 1,024 VTEPs: what is flooded comes out once
// everywhere it has to, and what is known at one place, in every VNI that has
// ports. All of it is shown.
func TestLargestConfiguration(t *testing.T) {
	Test(t, func(n *Net) {
		l := newLarge(n)
		l.teach(l.Ports)
		l.isShown(t)
		for i := range l.Ports {
			v := l.PortVNI(i)
			at := l.Flood(v)[0].String()
			n.Send(l.place(i), Local(numbered(1, i^1), numbered(1, i))).Is(l.place(i ^ 1))
			n.Send(l.place(i), UDP(numbered(2, i), numbered(1, i), 200)).Is("a>" + at)
			n.Send(l.place(i), Local(numbered(1, (i+2)%l.Ports), numbered(1, i))).Is(l.floods(i, l.place(i^1))) // of another VNI
			n.Inject(at, "a", l.VNI(v), UDP(numbered(1, i), numbered(2, i), 200)).Is(l.place(i))
		}
		asked := 0
		for v := 0; v < l.VNIs; v += 97 {
			asked++
			want := "a!overlay:no_port"
			if p := slices.IndexFunc(l.portVNIs(), func(of int) bool { return of == v }); p >= 0 {
				want = l.place(p) + " " + l.place(p+1)
			}
			n.Inject(l.Flood(v)[1].String(), "a", l.VNI(v), Local(frame.Broadcast, numbered(3, v))).Is(want)
		}
		n.Inject(l.VTEP(9).String(), "a", l.VNI(1), Local(frame.Broadcast, RA)).Is("a!overlay:vtep_not_allowed")
		n.Inject(l.VTEP(0).String(), "a", l.VNI(l.VNIs), Local(frame.Broadcast, RA)).Is("a!overlay:unknown_vni")
		if got := learned(l.gw); got != 2*l.Ports+asked {
			t.Errorf("%d MACs, want %d", got, 2*l.Ports+asked)
		}
	})
}

// portVNIs returns the VNI of each port.
func (l large) portVNIs() []int {
	all := make([]int, l.Ports)
	for i := range all {
		all[i] = l.PortVNI(i)
	}
	return all
}

// isShown checks that what `show` and the metrics answer is the whole of it, row
// by row.
func (l large) isShown(t *testing.T) {
	t.Helper()
	ports := l.gw.Ports()
	for i, p := range ports {
		if p.Interface != l.Interface(i) || p.VNI != l.VNI(l.PortVNI(i)) || p.State != api.StateUp || p.MACs != 1 || p.RxPackets != 1 {
			t.Errorf("%+v", p)
		}
	}
	vnis := l.gw.VNIs()
	for i, v := range vnis {
		var names []string
		for _, a := range l.Flood(i) {
			names = append(names, a.String())
		}
		slices.Sort(names)
		slices.Sort(v.VTEPs)
		if v.VNI != l.VNI(i) || int(v.VLAN) != i+1 || !slices.Equal(v.VTEPs, names) {
			t.Errorf("%+v", v)
		}
	}
	vteps := l.gw.VTEPs()
	in := make(map[string][]uint32)
	for i := range l.VNIs {
		for _, a := range l.Flood(i) {
			in[a.String()] = append(in[a.String()], l.VNI(i))
		}
	}
	for _, v := range vteps {
		if v.Origin != "static" || !slices.Equal(v.VNIs, in[v.Address]) {
			t.Errorf("%+v", v)
		}
	}
	if len(ports) != l.Ports || len(vnis) != l.VNIs || len(vteps) != l.VTEPs {
		t.Errorf("%d ports, %d VNIs, %d VTEPs", len(ports), len(vnis), len(vteps))
	}
	macs := 0
	for range l.gw.MACs(0) {
		macs++
	}
	if macs != 2*l.Ports || len(l.gw.MACCounts()) != 2*l.VNIs || len(l.gw.Datapath()) != l.Ports+1 {
		t.Errorf("%d MACs, %d counts, %d rows of datapath", macs, len(l.gw.MACCounts()), len(l.gw.Datapath()))
	}
}

// While VNIs, VTEPs and ports come and go, what no reload touches loses no frame
// and doubles none.
func TestLargestConfigurationIsReloaded(t *testing.T) {
	const each, talkers = 1500, 16
	Test(t, func(n *Net) {
		l := newLarge(n)
		l.teach(talkers)
		less := l.Size
		less.VNIs, less.Ports = l.VNIs-500, l.Ports-32 // the pairs of ports that remain stay where they are
		var without strings.Builder
		without.WriteString(conf("a", scale.Size{VNIs: less.VNIs, VTEPs: l.VTEPs}.Sections(`ageing = "0s"`)))
		for i := range less.Ports {
			fmt.Fprintf(&without, "[[port]]\ninterface = %q\nvlan = %d\n", l.Interface(i), l.PortVNI(i)+1)
		}
		smaller, err := config.Parse("smaller.toml", []byte(without.String()))
		must(err)
		r := n.begin(nil)
		var senders sync.WaitGroup
		var want []string
		for i := range talkers {
			f := Local(numbered(1, i^1), numbered(1, i))
			far := UDP(numbered(2, i), numbered(1, i), 100)
			senders.Go(func() {
				for range each {
					l.gw.put(l.Interface(i), portmem.Frame{Bytes: f})
					l.gw.put(l.Interface(i), portmem.Frame{Bytes: far})
				}
			})
			want = append(want, fmt.Sprintf("%s~*%d", l.place(i^1), each), fmt.Sprintf("a>%s~*%d", l.Flood(l.PortVNI(i))[0], each))
		}
		for _, next := range []*config.Config{smaller, l.gw.Config, smaller, l.gw.Config} {
			_, err := l.gw.Reload(next)
			must(err)
		}
		senders.Wait()
		r.end()
		r.Is(strings.Join(want, " "))
		n.Tick()
		last := l.Ports - 1 // came back
		n.Send(l.place(last), Local(frame.Broadcast, numbered(1, last))).Is(l.floods(last, l.place(last^1)))
	})
}
