package forward

import (
	"encoding/hex"
	"net/netip"
	"strings"
	"testing"

	"vxgw/gateway/counters"
	"vxgw/l2/fdb"
	"vxgw/l2/frame"
)

// The reference topology of the tests: VNI 1000 with ports acc1, acc2, two
// isolated ones and one that is down, VTEPs A and B; VNI 2000 with port acc3
// and nobody remote; VNI 3000 with no port.
const (
	acc1 PortID = iota
	acc2
	acc3
	iso1
	iso2
	down
	tunnel // in VNI 4000, with bpdu = "tunnel"
	tunnel2
	guard // in VNI 4000, with bpdu = "shutdown"
	strictPrio
	shut  // in VNI 4000, heard spanning tree
	mixed // in VNI 6000, with a narrow and a wide path
)

const (
	vtepA VTEPID = iota
	vtepB
	vtepC // in VNI 5000, whose path is narrow
)

const (
	dom1000 fdb.Domain = iota
	dom2000
	dom3000
	dom4000
	dom5000
	dom6000
)

const now = 1000

var (
	h1      = mac("02:00:00:00:01:01")
	h2      = mac("02:00:00:00:01:02")
	hIso    = mac("02:00:00:00:01:0e")
	hDown   = mac("02:00:00:00:01:0d")
	hMoved  = mac("02:00:00:00:01:0f") // learned in VNI 1000 at a port of another
	hLater  = mac("02:00:00:00:01:1f") // at a port with a number beyond the snapshot
	rLater  = mac("02:00:00:00:02:1f") // behind such a VTEP
	ra      = mac("02:00:00:00:02:0a") // behind A
	rStatic = mac("02:00:00:00:02:0b") // pinned behind A
	pStatic = mac("02:00:00:00:01:0b") // pinned behind acc1
	rYields = mac("02:00:00:00:02:0c") // behind A, a controller says
	rSticky = mac("02:00:00:00:02:0d") // behind A, a controller says, and that it stays there
	nobody  = mac("de:ad:be:ef:13:37")
	gwMAC   = mac("00:00:5e:00:01:01")
	addrA   = netip.MustParseAddr("192.0.2.34")
	addrB   = netip.MustParseAddr("192.0.2.50")
	rogue   = netip.MustParseAddr("203.0.113.66")
)

func mac(s string) frame.MAC {
	m, err := frame.ParseMAC(s)
	if err != nil {
		panic(err)
	}
	return m
}

func testSnapshot() *Snapshot {
	t := fdb.New(fdb.Config{Limit: 1000, Hops: MaxHops})
	for d := range fdb.Domain(8) {
		t.SetDomain(d, 1000, 300)
	}
	s := &Snapshot{
		Access: map[int]struct{}{7: {}},
		Local:  netip.MustParseAddr("192.0.2.17"),
		FDB:    t,
		VNIs:   map[uint32]fdb.Domain{1000: dom1000, 2000: dom2000, 3000: dom3000, 4000: dom4000, 5000: dom5000, 6000: dom6000},
		Ports: []Port{
			acc1: {Name: "acc1", Domain: dom1000, Up: true}, acc2: {Name: "acc2", Domain: dom1000, Up: true},
			acc3:       {Name: "acc3", Domain: dom2000, Up: true},
			iso1:       {Name: "iso1", Domain: dom1000, Up: true, Isolated: true},
			iso2:       {Name: "iso2", Domain: dom1000, Up: true, Isolated: true},
			down:       {Name: "down", Domain: dom1000},
			tunnel:     {Name: "tunnel", Domain: dom4000, Up: true, BPDU: BPDUTunnel},
			tunnel2:    {Name: "tunnel2", Domain: dom4000, Up: true, BPDU: BPDUTunnel},
			guard:      {Name: "guard", Domain: dom4000, Up: true, BPDU: BPDUShutdown},
			shut:       {Name: "shut", Domain: dom4000, BPDU: BPDUShutdown, Shut: true},
			mixed:      {Name: "mixed", Domain: dom6000, Up: true},
			strictPrio: {Name: "prio", Domain: dom5000, Up: true, DropPriority: true},
		},
		VTEPs: []VTEP{vtepA: {Addr: addrA}, vtepB: {Addr: addrB}, vtepC: {Addr: netip.MustParseAddr("192.0.2.66"), MaxFrame: 1464}},
		Domains: []Domain{
			dom1000: {VNI: 1000, Ports: []PortID{acc1, acc2, iso1, iso2, down}, Flood: []VTEPID{vtepA, vtepB}, Learning: true,
				Allowed: NewAddrSet([]netip.Prefix{netip.PrefixFrom(addrA, 32), netip.PrefixFrom(addrB, 32)}), Gateway: gwMAC},
			dom2000: {VNI: 2000, Ports: []PortID{acc3}, Anyone: true},
			dom3000: {VNI: 3000, Anyone: true, Learning: true},
			dom4000: {VNI: 4000, Ports: []PortID{tunnel, tunnel2, guard}, Flood: []VTEPID{vtepA}, Anyone: true, Learning: true},
			dom5000: {VNI: 5000, Ports: []PortID{strictPrio}, Flood: []VTEPID{vtepC}, Anyone: true, Learning: true},
			dom6000: {VNI: 6000, Ports: []PortID{mixed}, Flood: []VTEPID{vtepA, vtepC}, Anyone: true, Learning: true},
		},
	}
	for i := range s.Ports {
		s.Ports[i].Traffic = new(counters.Traffic)
	}
	t.Learn(dom1000, h1, PortHop(acc1), now)
	t.Learn(dom1000, h2, PortHop(acc2), now)
	t.Learn(dom1000, hIso, PortHop(iso2), now)
	t.Learn(dom1000, hMoved, PortHop(acc3), now)
	t.Learn(dom1000, hLater, PortHop(99), now)
	t.Learn(dom1000, rLater, VTEPHop(99), now)
	t.Learn(dom1000, hDown, PortHop(down), now)
	t.Learn(dom1000, ra, VTEPHop(vtepA), now)
	t.Learn(dom5000, ra, VTEPHop(vtepC), now)
	t.Set(fdb.Entry{Domain: dom1000, MAC: rStatic, Hop: VTEPHop(vtepA), Origin: fdb.Static})
	t.Set(fdb.Entry{Domain: dom1000, MAC: rYields, Hop: VTEPHop(vtepA), Origin: fdb.EVPN})
	t.Set(fdb.Entry{Domain: dom1000, MAC: rSticky, Hop: VTEPHop(vtepA), Origin: fdb.EVPN | fdb.Sticky})
	t.Set(fdb.Entry{Domain: dom1000, MAC: pStatic, Hop: PortHop(acc1), Origin: fdb.Static})
	return s
}

// eth makes a frame: addresses, then anything in hexadecimal from the EtherType
// on, padded to 60 bytes.
func eth(dst, src frame.MAC, rest string) frame.Frame {
	b, err := hex.DecodeString(strings.ReplaceAll(rest, " ", ""))
	if err != nil {
		panic(err)
	}
	f := append(append(append([]byte{}, dst[:]...), src[:]...), b...)
	for len(f) < 60 {
		f = append(f, 0)
	}
	return f
}

const (
	local = "88b5 00" // an EtherType for experiments: no IP
	ipv4  = "0800 4500 001c 0000 4000 4011 0000 0a010101 0a010102 2710 0009 0008 0000"
)

func checkVerdict(t *testing.T, got, want Verdict) {
	t.Helper()
	if want.Port == 0 && want.Kind != ToPort {
		want.Port = NoPortID
	}
	if want.VTEP == 0 && want.Kind != ToVTEP {
		want.VTEP = NoVTEPID
	}
	if got != want {
		t.Errorf("verdict\n got %+v (%s)\nwant %+v (%s)", got, got.Reason, want, want.Reason)
	}
}
