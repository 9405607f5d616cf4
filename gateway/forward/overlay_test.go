package forward

import (
	"encoding/hex"
	"net/netip"
	"testing"

	"vxgw/l2/frame"
)

func TestClassifyOverlay(t *testing.T) {
	good := "08000000 0003e800"
	tests := []struct {
		name    string
		from    netip.Addr
		payload string
		outer   Outer
		strict  bool
		want    Reason
	}{
		{name: "good", payload: good},
		{name: "from an access port", payload: good, outer: Outer{Interface: 7}, want: VTEPOnAccess},
		{name: "from another interface", payload: good, outer: Outer{Interface: 8}},
		{name: "a reassembled packet", payload: good, outer: Outer{Fragmented: true}, want: OuterFragment},
		{name: "cut short", payload: good, outer: Outer{Truncated: true}, want: TooShort},
		{name: "no header", payload: "", want: TooShort},
		{name: "seven bytes", payload: "08000000 0003e8", want: TooShort},
		{name: "no I flag", payload: "00000000 0003e800", want: VXLANFlags},
		{name: "all flags but I", payload: "f7000000 0003e800", want: VXLANFlags},
		{name: "GPE without I", payload: "04000000 0003e800", want: VXLANFlags},
		{name: "reserved flag ignored", payload: "88000000 0003e800"},
		{name: "reserved flag strict", payload: "88000000 0003e800", strict: true, want: VXLANReserved},
		{name: "reserved byte strict", payload: "08000000 0003e801", strict: true, want: VXLANReserved},
		{name: "clean strict", payload: good, strict: true},
		{name: "VNI 0", payload: "08000000 00000000", want: UnknownVNI},
		{name: "VNI 999", payload: "08000000 0003e700", want: UnknownVNI},
		{name: "VNI 1001", payload: "08000000 0003e900", want: UnknownVNI},
		{name: "VNI 0xffffff", payload: "08000000 ffffff00", want: UnknownVNI},
		{name: "a VTEP that is not allowed", payload: good, from: rogue, want: VTEPNotAllowed},
		{name: "our own address", payload: "08000000 0007d000", from: netip.MustParseAddr("192.0.2.17"), want: VTEPNotAllowed},
		{name: "anyone may", payload: "08000000 0007d000", from: rogue},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := testSnapshot()
			s.Strict = tt.strict
			b, err := hex.DecodeString(stripSpaces(tt.payload))
			if err != nil {
				t.Fatal(err)
			}
			tt.outer.From = addrA
			if tt.from.IsValid() {
				tt.outer.From = tt.from
			}
			if _, got := s.ClassifyOverlay(tt.outer, b); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}

func stripSpaces(s string) string {
	var b []byte
	for i := range len(s) {
		if s[i] != ' ' {
			b = append(b, s[i])
		}
	}
	return string(b)
}

func TestFromOverlay(t *testing.T) {
	ce := func(inner string) frame.Frame {
		return eth(h1, ra, "0800 45"+inner+" 001c 0000 4000 4011 0000 0a010101 0a010102 2710 0009 0008 0000")
	}
	tests := []struct {
		name string
		dom  uint32
		from VTEPID
		tos  uint8
		f    frame.Frame
		want Verdict
	}{
		{name: "known behind a port", f: eth(h1, ra, local), want: Verdict{Kind: ToPort, Port: acc1}},
		{name: "unknown unicast", f: eth(nobody, ra, local), want: Verdict{Kind: Flood}},
		{name: "broadcast", f: eth(frame.Broadcast, ra, local), want: Verdict{Kind: Flood}},
		{name: "a new source is learned", f: eth(h1, nobody, local), want: Verdict{Kind: ToPort, Port: acc1, Learn: true}},
		{name: "a MAC moves to another VTEP", from: vtepB, f: eth(h1, ra, local), want: Verdict{Kind: ToPort, Port: acc1, Learn: true}},
		{name: "a MAC moves from a port to a VTEP", f: eth(h1, h2, local), want: Verdict{Kind: ToPort, Port: acc1, Learn: true}},
		{name: "learning is off", dom: 2000, f: eth(nobody, ra, local), want: Verdict{Kind: Flood, Domain: dom2000}},
		{name: "a VTEP without a number teaches nothing", from: NoVTEPID, f: eth(h1, nobody, local), want: Verdict{Kind: ToPort, Port: acc1}},

		{name: "nothing inside", f: frame.Frame{}, want: Verdict{Kind: Drop, Reason: TooShort}},
		{name: "13 bytes inside", f: eth(h1, ra, local)[:13], want: Verdict{Kind: Drop, Reason: TooShort}},
		{name: "802.1Q inside, source not learned", f: eth(h1, nobody, "8100 0064 0800"), want: Verdict{Kind: Drop, Reason: InnerVLAN}},
		{name: "VID 0 inside", f: eth(h1, nobody, "8100 a000 0800"), want: Verdict{Kind: Drop, Reason: InnerVLAN}},
		{name: "VID 4095 inside", f: eth(h1, nobody, "8100 0fff 0800"), want: Verdict{Kind: Drop, Reason: InnerVLAN}},
		{name: "802.1ad inside", f: eth(h1, nobody, "88a8 0064 0800"), want: Verdict{Kind: Drop, Reason: InnerVLAN}},
		{name: "0x9100 inside", f: eth(h1, nobody, "9100 0064 0800"), want: Verdict{Kind: Drop, Reason: InnerVLAN}},

		{name: "multicast source", f: eth(h1, mac("01:02:03:04:05:06"), local), want: Verdict{Kind: Drop, Reason: SourceMulticast}},
		{name: "zero source", f: eth(h1, frame.MAC{}, local), want: Verdict{Kind: Drop, Reason: SourceZero}},
		{name: "our gateway MAC from outside", f: eth(h1, gwMAC, local), want: Verdict{Kind: Drop, Reason: SourceGateway}},
		{name: "a static MAC at its VTEP", f: eth(h1, rStatic, local), want: Verdict{Kind: ToPort, Port: acc1}},
		{name: "a controller's MAC at its VTEP", f: eth(h1, rYields, local), want: Verdict{Kind: ToPort, Port: acc1}},
		{name: "a controller's MAC at another VTEP is taken and not learned", from: vtepB, f: eth(h1, rYields, local), want: Verdict{Kind: ToPort, Port: acc1}},
		{name: "a sticky one at another VTEP", from: vtepB, f: eth(h1, rSticky, local), want: Verdict{Kind: Drop, Reason: StaticMoved}},
		{name: "a static MAC at another VTEP", from: vtepB, f: eth(h1, rStatic, local), want: Verdict{Kind: Drop, Reason: StaticMoved}},
		{name: "a port's static MAC from a VTEP", f: eth(h2, pStatic, local), want: Verdict{Kind: Drop, Reason: StaticMoved}},

		{name: "split horizon: known behind another VTEP", from: vtepB, f: eth(rStatic, nobody, local), want: Verdict{Kind: Drop, Reason: SplitHorizon, Learn: true}},
		{name: "split horizon: known behind the same VTEP", f: eth(ra, nobody, local), want: Verdict{Kind: Drop, Reason: SplitHorizon, Learn: true}},
		{name: "known behind a port that is down", f: eth(hDown, ra, local), want: Verdict{Kind: Drop, Reason: PortDown}},
		{name: "no port in the VNI", dom: 3000, f: eth(frame.Broadcast, nobody, local), want: Verdict{Kind: Drop, Reason: NoPort, Learn: true, Domain: dom3000}},

		{name: "BPDU with no port that tunnels", f: eth(mac("01:80:c2:00:00:00"), ra, "0026 424203"), want: Verdict{Kind: Drop, Reason: ReservedDestination}},
		{name: "BPDU with a port that tunnels", dom: 4000, f: eth(mac("01:80:c2:00:00:00"), nobody, "0026 424203"), want: Verdict{Kind: Flood, Learn: true, Domain: dom4000}},
		{name: "LLDP inside", dom: 4000, f: eth(mac("01:80:c2:00:00:0e"), nobody, "88cc"), want: Verdict{Kind: Drop, Reason: ReservedDestination, Learn: true, Domain: dom4000}},

		{name: "CE on Not-ECT, dropped after learning", tos: 3, f: ce("00"), want: Verdict{Kind: Drop, Reason: ECN}},
		{name: "CE on ECT(0)", tos: 3, f: ce("02"), want: Verdict{Kind: ToPort, Port: acc1, SetECN: true, ECN: 3}},
		{name: "ECT(1) on ECT(0)", tos: 1, f: ce("02"), want: Verdict{Kind: ToPort, Port: acc1, SetECN: true, ECN: 1}},
		{name: "outer DSCP is not copied", tos: 0xb8, f: ce("02"), want: Verdict{Kind: ToPort, Port: acc1, ECN: 2}},
		{name: "CE stays CE", tos: 0, f: ce("03"), want: Verdict{Kind: ToPort, Port: acc1, ECN: 3}},
		{name: "CE on a frame that is not IP", tos: 3, f: eth(h1, ra, local), want: Verdict{Kind: ToPort, Port: acc1}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := testSnapshot()
			if tt.dom == 0 {
				tt.dom = 1000
			}
			checkVerdict(t, s.FromOverlay(s.VNIs[tt.dom], tt.from, tt.tos, tt.f, now), tt.want)
		})
	}
}

func TestReasonsAreDocumented(t *testing.T) {
	seen := map[string]bool{}
	for r := range NumReasons {
		if r.String() == "" || r.Meaning() == "" || r != None && r.Mend() == "" {
			t.Errorf("reason %d lacks a name, a meaning or a mend: %q %q %q", r, r, r.Meaning(), r.Mend())
		}
		if seen[r.String()] {
			t.Errorf("reason %q is there twice", r)
		}
		seen[r.String()] = true
		if r != None && !r.Occurs(Access) && !r.Occurs(Overlay) && !r.Occurs(Route) {
			t.Errorf("reason %s is counted nowhere", r)
		}
	}
}

func TestAddrSetEqual(t *testing.T) {
	set := func(prefixes ...string) AddrSet {
		var all []netip.Prefix
		for _, p := range prefixes {
			all = append(all, netip.MustParsePrefix(p))
		}
		return NewAddrSet(all)
	}
	for _, c := range []struct {
		a, b AddrSet
		want bool
	}{
		{set(), set(), true},
		{set("192.0.2.1/32", "192.0.2.2/32"), set("192.0.2.2/32", "192.0.2.1/32"), true},
		{set("192.0.2.1/32"), set("192.0.2.1/32", "192.0.2.2/32"), false},
		{set("192.0.2.1/32"), set("192.0.2.2/32"), false},
		{set("192.0.2.0/24", "10.0.0.0/8"), set("192.0.2.9/24", "10.0.0.0/8"), true},
		{set("192.0.2.0/24"), set("192.0.2.0/25"), false},
		{set("192.0.2.0/24"), set(), false},
	} {
		if c.a.Equal(c.b) != c.want || c.b.Equal(c.a) != c.want {
			t.Errorf("%v and %v: not %v", c.a, c.b, c.want)
		}
	}
}
