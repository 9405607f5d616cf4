package xdp

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"sync/atomic"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"vxgw/l3/ip"
)

// As in bpf/layout.h.
const (
	maxLinks  = 16384
	firstVTEP = 4096
	noPort    = 0xffff
	noVRF     = 0xffff

	linkAccess   = 1
	linkUnderlay = 2

	portLive     = 1
	portUp       = 2
	portShut     = 4
	portIsolated = 8
	portTarget   = 32
	portVeth     = 64
	portFrags    = 128

	domainLive  = 1
	domainHears = 2
	domainClamp = 4

	vtepLive  = 1
	vtepHop   = 2
	vtepReady = 4
	vtepFrags = 8

	controlAllVNIs = 1
	controlQuiet   = 4
	controlLast    = 8
)

// Publish makes v what the programs decide by, all of it in one step: they go by one
// half of each table, and the other one is written.
func (p *Plane) Publish(v *View) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	// Programs that began before the last Publish may still be in the half that is
	// to be written.
	if err := p.grace.wait(); err != nil {
		return err
	}
	is := p.inForce.at[0].Half & 1
	next := 1 - is
	want := p.wantDevs(v)
	err := p.addDevs(want)
	p.setOwn(v, true)
	p.putLinks(v, p.links.half(next))
	p.putPorts(v, p.ports.half(next))
	p.putVTEPs(v, p.vteps.half(next), &hopTable{p.hops.half(next), next * uint32(len(p.hops.at)/2), 0})
	all := p.putDomains(v, p.domains.half(next), p.vnis.half(next))
	flags := p.inForce.at[0].Flags &^ (controlAllVNIs << next)
	if all {
		flags |= controlAllVNIs << next
	}
	atomic.StoreUint32(&p.inForce.at[0].Flags, flags)
	atomic.StoreUint32(&p.inForce.at[0].Half, next)
	p.setOwn(v, false)
	return errors.Join(err, p.dropDevs(want))
}

func (p *Plane) putLinks(v *View, to []fastLink) {
	clear(to)
	for _, l := range v.Links {
		is := fastLink{Mac: l.MAC.Uint64(), Ifindex: uint32(l.Index), Port: noPort, Flags: linkUnderlay}
		if l.Access {
			is.Port, is.Flags = l.Port, linkAccess
		}
		to[uint32(l.Index)%maxLinks] = is
	}
}

func (p *Plane) putPorts(v *View, to []fastPort) {
	clear(to)
	for i := range v.Ports[:min(len(v.Ports), len(to))] {
		q := &v.Ports[i]
		to[i] = fastPort{
			Domain: q.Domain, MaxFrame: q.MaxFrame, Ifindex: uint32(q.Index),
			Flags: flag(q.Live, portLive) | flag(q.Up, portUp) | flag(q.Shut, portShut) | flag(q.Isolated, portIsolated) |
				flag(q.Target && p.devs[uint32(i)] == q.Index, portTarget) | flag(q.Veth, portVeth) | flag(q.Frags, portFrags),
		}
	}
}

// flag is a flag where it is set.
func flag(set bool, f uint16) uint16 {
	if set {
		return f
	}
	return 0
}

// putDomains also fills in where VNIs are, and reports whether all of them are there.
func (p *Plane) putDomains(v *View, to []fastDomain, vnis []fastVniBucket) (all bool) {
	clear(to)
	clear(vnis)
	all = true
	for i := range v.Domains {
		d := &v.Domains[i]
		if !d.Live {
			continue
		}
		if i >= len(to) || !putVNI(vnis, vniWord(d.VNI), uint32(i)) {
			all = false
			continue
		}
		is := fastDomain{Gateway: d.Gateway.Uint64(), Vni: vniWord(d.VNI), Ageing: ageingTicks(d.Ageing), Vrf: noVRF, Flags: domainLive}
		if d.Hears {
			is.Flags |= domainHears
		}
		if d.Clamps {
			is.Flags |= domainClamp
		}
		if d.Routed && int(d.VRF) < p.sizes.VRFs {
			is.Vrf = d.VRF
		}
		to[i] = is
	}
	return all
}

// putVNI notes where a VNI is. There are buckets enough for none to be full, but for
// bad luck.
func putVNI(buckets []fastVniBucket, vni, domain uint32) bool {
	const golden = 0x9e3779b1
	b := &buckets[vni*golden>>16&uint32(len(buckets)-1)]
	for k := range b.Vni {
		if b.Vni[k] == 0 {
			b.Vni[k], b.Domain[k] = vni, domain
			return true
		}
	}
	return false
}

func (p *Plane) putVTEPs(v *View, to []fastVtep, hops *hopTable) {
	clear(to)
	clear(hops.at)
	for i := range v.VTEPs[:min(len(v.VTEPs), len(to))] {
		t := &v.VTEPs[i]
		if !t.Addr.IsValid() {
			continue
		}
		is := fastVtep{Flags: vtepLive, Addr: addrWords(t.Addr)}
		if t.Via != nil && t.MaxFrame > 0 && hops.room() >= len(t.More) {
			is.Flags |= vtepHop
			is.MaxFrame, is.Ifindex = uint16(min(t.MaxFrame, 0xffff)), uint32(t.Via.Interface)
			p.underlay.putHead(&is, t)
			dev, ok := p.devOf(t.Via)
			is.Dev = dev
			if p.putHops(&is, t, hops) && ok && t.Target {
				is.Flags |= vtepReady
				if t.Frags {
					is.Flags |= vtepFrags
				}
			}
		}
		to[i] = is
	}
}

// hopTable is where hops are put, one VTEP's behind another's.
type hopTable struct {
	at    []fastHop
	first uint32 // number of the first
	used  int
}

func (h *hopTable) room() int { return len(h.at) - h.used }

// putHops puts the hops of a VTEP that has several where there is room for them, and
// reports whether packets can be redirected by each.
func (p *Plane) putHops(is *fastVtep, v *VTEP, to *hopTable) (all bool) {
	is.FirstHop, is.Hops = to.first+uint32(to.used), uint16(len(v.More))
	all = true
	for i := range v.More {
		h := &v.More[i]
		dev, ok := p.devOf(h)
		all = all && ok
		to.at[to.used] = fastHop{MacTo: h.To, MacFrom: h.From, Dev: dev, Ifindex: uint32(h.Interface)}
		to.used++
	}
	return all
}

// devOf returns where in devs a hop's interface is.
func (p *Plane) devOf(h *Hop) (dev uint32, ok bool) {
	for i := range uint32(maxUnderlays) {
		if dev = uint32(p.sizes.Ports) + i; p.devs[dev] == h.Interface {
			return dev, true
		}
	}
	return 0, false
}

// wantDevs returns the interfaces that frames are redirected to by v, by their numbers.
func (p *Plane) wantDevs(v *View) map[uint32]int {
	want := make(map[uint32]int)
	for i := range v.Ports[:min(len(v.Ports), p.sizes.Ports)] {
		if t := &v.Ports[i]; t.Target {
			want[uint32(i)] = t.Index
		}
	}
	p.wantUnderlays(v, want)
	return want
}

// dropDevs forgets the interfaces that nothing in force leads to any more.
func (p *Plane) dropDevs(want map[uint32]int) error {
	gone := maps.Clone(p.devs)
	maps.DeleteFunc(gone, func(dev uint32, index int) bool { return want[dev] == index })
	if len(gone) == 0 {
		return nil
	}
	errs := []error{p.grace.wait()} // a program may still be at a frame for one of them
	for dev, index := range gone {
		if err := p.maps[fastMapDevs].Delete(dev); err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
			errs = append(errs, fmt.Errorf("forget interface %d: %w", index, err))
		}
		delete(p.devs, dev)
	}
	return errors.Join(errs...)
}

// addDevs has frames redirected to interfaces.
func (p *Plane) addDevs(want map[uint32]int) error {
	var errs []error
	for dev, index := range want {
		if p.devs[dev] == index {
			continue
		}
		err := p.maps[fastMapDevs].Put(dev, uint32(index))
		if err == nil {
			p.devs[dev] = index
		} else if !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENODEV) {
			errs = append(errs, fmt.Errorf("redirect to interface %d: %w", index, err))
		}
	}
	return errors.Join(errs...)
}

// wantUnderlays adds the interfaces of hops, each where it is already.
func (p *Plane) wantUnderlays(v *View, want map[uint32]int) {
	used := make(map[int]bool)
	for i := range v.VTEPs {
		if t := &v.VTEPs[i]; t.Via != nil && t.Target {
			used[t.Via.Interface] = true
			for k := range t.More {
				used[t.More[k].Interface] = true
			}
		}
	}
	first := uint32(p.sizes.Ports)
	for dev, index := range p.devs {
		if dev >= first && used[index] {
			want[dev] = index
			delete(used, index)
		}
	}
	for index := range used {
		if dev, ok := p.freeDev(want); ok {
			want[dev] = index
		}
	}
}

// freeDev returns a number for an interface of the underlay: one that is not in force, if
// there is any.
func (p *Plane) freeDev(want map[uint32]int) (dev uint32, ok bool) {
	first := uint32(p.sizes.Ports)
	for n := first; n < first+maxUnderlays; n++ {
		if want[n] != 0 {
			continue
		}
		if p.devs[n] == 0 {
			return n, true
		}
		dev, ok = n, true
	}
	return dev, ok
}

// putHead writes the headers of what goes to a VTEP: all of them but lengths, checksums,
// source port, TOS and VNI.
func (u *Underlay) putHead(to *fastVtep, v *VTEP) {
	b := to.Head[:0]
	b = append(b, v.Via.To[:]...)
	b = append(b, v.Via.From[:]...)
	if u.VLAN != 0 {
		b = binary.BigEndian.AppendUint16(b, 0x8100)
		b = binary.BigEndian.AppendUint16(b, u.VLAN)
	}
	var sum uint64
	if v.Addr.Is6() {
		b = binary.BigEndian.AppendUint16(b, 0x86dd)
		at := len(b)
		b = b[:at+ip.IPv6HeaderLen]
		ip.IPv6(b[at:]).Encode(ip.IPv6Fields{NextHeader: ip.ProtoUDP, HopLimit: u.TTL, Src: u.Address.As16(), Dst: v.Addr.As16()})
		sum = sumWords(b[at+8:]) + uint64(inOrder(ip.ProtoUDP))
	} else {
		b = binary.BigEndian.AppendUint16(b, 0x0800)
		at := len(b)
		b = b[:at+ip.IPv4HeaderLen]
		ip.IPv4(b[at:]).Encode(ip.IPv4Fields{DontFragment: u.DF, TTL: u.TTL, Protocol: ip.ProtoUDP, Src: u.Address.As4(), Dst: v.Addr.As4()})
		clear(b[at+2 : at+6])
		clear(b[at+10 : at+12])
		b[at+1] = 0
		sum = sumWords(b[at:])
	}
	for sum > 0xffff {
		sum = sum&0xffff + sum>>16
	}
	to.Sum = uint32(sum)
	b = binary.BigEndian.AppendUint16(b, 0)
	b = binary.BigEndian.AppendUint16(b, u.Port)
	const lengthAndChecksum = 4
	to.Head[len(b)+lengthAndChecksum] = 8 // the I flag (RFC 7348 section 5)
}

// sumWords sums up 16-bit words as they are in memory.
func sumWords(b []byte) (sum uint64) {
	for ; len(b) > 1; b = b[2:] {
		sum += uint64(binary.NativeEndian.Uint16(b))
	}
	return sum
}
