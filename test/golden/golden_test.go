package golden

import (
	"bytes"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"
	"go.uber.org/goleak"

	"vxgw/gateway"
	"vxgw/l3/underlay/mem"
	"vxgw/test/fabric"
)

var update = flag.Bool("update", false, "write the captures and README.md anew from the rules")

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func inFile(r rule) string  { return filepath.Join("testdata", r.file+".in.pcap") }
func outFile(r rule) string { return filepath.Join("testdata", r.file+".out.pcap") }

// pcap writes a capture; packets come a millisecond apart.
func pcap(packets [][]byte) []byte {
	var b bytes.Buffer
	w := pcapgo.NewWriter(&b)
	check(w.WriteFileHeader(65535, layers.LinkTypeEthernet))
	for i, p := range packets {
		at := time.Unix(0, int64(i)*int64(time.Millisecond)).UTC()
		check(w.WritePacket(gopacket.CaptureInfo{Timestamp: at, CaptureLength: len(p), Length: len(p)}, p))
	}
	return b.Bytes()
}

func readPcap(t *testing.T, file string) (packets [][]byte) {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatalf("%v: run go test ./test/golden -update", err)
	}
	r, err := pcapgo.NewReader(bytes.NewReader(b))
	if err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	for {
		p, _, err := r.ReadPacketData()
		if errors.Is(err, io.EOF) {
			return packets
		}
		if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		packets = append(packets, p)
	}
}

func (r rule) in() (packets [][]byte) {
	for _, x := range r.packets {
		packets = append(packets, x.in)
	}
	return packets
}

func (r rule) out() (packets [][]byte) {
	for _, x := range r.packets {
		packets = append(packets, x.out...)
	}
	return packets
}

// TestFiles checks that the captures and README.md are what the rules say, and
// that there are no others.
func TestFiles(t *testing.T) {
	want := map[string][]byte{"README.md": []byte(readme())}
	for _, r := range rules() {
		want[inFile(r)], want[outFile(r)] = pcap(r.in()), pcap(r.out())
	}
	if *update {
		check(os.RemoveAll("testdata"))
		check(os.MkdirAll("testdata", 0o755))
		for name, b := range want {
			check(os.WriteFile(name, b, 0o644))
		}
	}
	for name, b := range want {
		got, err := os.ReadFile(name)
		if err != nil {
			t.Errorf("%v: run go test ./test/golden -update", err)
		} else if !bytes.Equal(got, b) {
			t.Errorf("%s is not what the rules say: run go test ./test/golden -update, and look at what changes", name)
		}
	}
	files, err := filepath.Glob("testdata/*")
	check(err)
	for _, name := range files {
		if want[name] == nil {
			t.Errorf("%s belongs to no rule", name)
		}
	}
}

func readme() string {
	var b strings.Builder
	b.WriteString(`# Golden packets

What RFC 7348 asks of a VTEP, packet by packet: what comes in, and what must come
out, byte for byte, or under which drop counter it must be counted. Written by
` + "`go test ./test/golden -update`" + ` from the rules in rules_test.go, with gopacket and by
hand; none of the gateway's own code makes a byte of them.

A packet with an IPv4 header around VXLAN stands on the underlay, any other at an
access port. Of one packet in, the copies out are in the order of the VTEPs'
addresses and then of the ports. The topology: the gateway is 192.0.2.17, with
acc1 and acc2 in VNI 1000 and acc3 in VNI 2000; VTEP A is 192.0.2.34 and in both,
VTEP B is 192.0.2.50 and in VNI 1000. The source port is always 49374, because
the gateway is given a range of one.

| rule | in one line | in | out | dropped as |
|---|---|---|---|---|
`)
	for _, r := range rules() {
		fmt.Fprintf(&b, "| %s | %s | [%d](%s) | [%d](%s) | %s |\n", r.section, r.text, len(r.in()), inFile(r), len(r.out()), outFile(r), strings.Join(r.drops(), ", "))
	}
	return b.String()
}

// drops lists the reasons that packets of a rule are dropped for.
func (r rule) drops() (reasons []string) {
	for _, x := range r.packets {
		if _, counter, ok := strings.Cut(x.places, "!"); ok {
			_, reason, _ := strings.Cut(counter, ":")
			if reason = "`" + reason + "`"; !slices.Contains(reasons, reason) {
				reasons = append(reasons, reason)
			}
		}
	}
	return reasons
}

// topology is the configuration that the captures belong to.
func (r rule) topology() string {
	underlay, more := "", r.config
	if s, ok := strings.CutPrefix(r.config, "underlay:"); ok {
		underlay, more = s, ""
	}
	text := fmt.Sprintf(`
[gateway]
name = "gw"
[underlay]
address = %q
source_ports = "%d-%d"
%s
[datapath]
workers = 1
[[vni]]
id = 1000
vlan = 10
flood = [%q, %q]
[[vni]]
id = 2000
vlan = 20
flood = [%q]
`, own, sourcePort, sourcePort, underlay, vtepA, vtepB, vtepA)
	for _, p := range []struct {
		name string
		vlan int
	}{{"acc1", 10}, {"acc2", 10}, {"acc3", 20}} {
		text += fmt.Sprintf("[[port]]\ninterface = %q\nvlan = %d\n", p.name, p.vlan)
	}
	return text + more + "\n"
}

func TestRules(t *testing.T) {
	for _, r := range rules() {
		t.Run(r.file, func(t *testing.T) {
			in, want := readPcap(t, inFile(r)), readPcap(t, outFile(r))
			if len(in) != len(r.packets) {
				t.Fatalf("%s has %d packets, the rule %d", inFile(r), len(in), len(r.packets))
			}
			fabric.Test(t, func(n *fabric.Net) {
				g := n.AddOn(r.topology(), func(h *fabric.Host) {
					if r.narrow > 0 {
						h.SetPath(netip.MustParseAddr(vtepA), r.narrow)
					}
				})
				n.NameVTEP("A", netip.MustParseAddr(vtepA))
				n.NameVTEP("B", netip.MustParseAddr(vtepB))
				var got [][]byte
				for i, p := range in {
					res := send(t, n, g, p)
					if res.String() != r.packets[i].places {
						t.Errorf("packet %d came out at %s, want %s", i+1, res, r.packets[i].places)
					}
					got = append(got, render(g, res)...)
				}
				compare(t, got, want)
			})
		})
	}
}

func compare(t *testing.T, got, want [][]byte) {
	t.Helper()
	if len(got) != len(want) {
		t.Errorf("%d packets came out, want %d", len(got), len(want))
	}
	for i := range min(len(got), len(want)) {
		if !bytes.Equal(got[i], want[i]) {
			t.Errorf("packet %d out is\n%swant\n%s", i+1, hex.Dump(got[i]), hex.Dump(want[i]))
		}
	}
}

// send has a packet come in: from the underlay where it is addressed to the
// uplink, and at the port of its source otherwise.
func send(t *testing.T, n *fabric.Net, g *fabric.Gateway, b []byte) *fabric.Result {
	t.Helper()
	p := gopacket.NewPacket(b, layers.LayerTypeEthernet, gopacket.Default)
	eth := p.Layer(layers.LayerTypeEthernet).(*layers.Ethernet)
	if eth.DstMAC.String() != uplinkMAC {
		port := "acc1"
		if eth.SrcMAC.String() == h3 {
			port = "acc3"
		}
		return n.Send("gw."+port, b)
	}
	ip, udp := p.Layer(layers.LayerTypeIPv4).(*layers.IPv4), p.Layer(layers.LayerTypeUDP).(*layers.UDP)
	if got := g.Options().Port; uint16(udp.DstPort) != got || ip.DstIP.String() != own {
		t.Fatalf("for %s:%d, and the gateway listens on %s:%d", ip.DstIP, udp.DstPort, own, got)
	}
	return n.InjectWire(ip.SrcIP.String(), "gw", mem.Wire{FromPort: uint16(udp.SrcPort), TOS: ip.TOS, Payload: udp.Payload})
}

// render returns what came out as it would stand on the wires. The outer headers
// are made of what the gateway asked its underlay for.
func render(g *fabric.Gateway, r *fabric.Result) (packets [][]byte) {
	slices.SortStableFunc(r.Wires, func(a, b mem.Wire) int { return a.To.Compare(b.To) })
	for _, w := range r.Wires {
		packets = append(packets, renderOuter(g.Options(), w))
	}
	var places []string
	for place := range r.Frames {
		places = append(places, place)
	}
	slices.Sort(places)
	for _, place := range places {
		for _, f := range r.Frames[place] {
			packets = append(packets, f.Bytes)
		}
	}
	return packets
}

func renderOuter(o gateway.UnderlayOptions, w mem.Wire) []byte {
	ip := &layers.IPv4{Version: 4, TOS: w.TOS, TTL: o.TTL, Protocol: layers.IPProtocolUDP, SrcIP: net.IP(w.From.AsSlice()), DstIP: net.IP(w.To.AsSlice())}
	if o.DF {
		ip.Flags = layers.IPv4DontFragment
	}
	udp := &layers.UDP{SrcPort: layers.UDPPort(w.FromPort), DstPort: layers.UDPPort(o.Port)}
	check(udp.SetNetworkLayerForChecksum(ip))
	b := serialize(
		&layers.Ethernet{DstMAC: mac(nextHopMAC), SrcMAC: mac(uplinkMAC), EthernetType: layers.EthernetTypeIPv4},
		ip, udp, gopacket.Payload(w.Payload),
	)
	if !o.Checksum {
		b[checksumAt], b[checksumAt+1] = 0, 0
	}
	return b
}

// TestBuilders checks the builders against what was written down by hand.
func TestBuilders(t *testing.T) {
	if got := fromA(vxlan(1000), g1Inner()); !bytes.Equal(got, g1()) {
		t.Errorf("built\n%swant\n%s", hex.Dump(got), hex.Dump(g1()))
	}
	if sum := summed(g1())[checksumAt:][:2]; sum[0] != 0xa8 || sum[1] != 0x33 {
		t.Errorf("UDP checksum %x, want a833", sum)
	}
	if k := len(reservedBits()); k != 39 {
		t.Errorf("%d reserved bits, want 39", k)
	}
}
