package capture

import (
	"fmt"
	"maps"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"

	"vxgw/l2/frame"
	"vxgw/test/packet"
)

var (
	macA = frame.MAC{2, 0, 0, 0, 1, 1}
	macB = frame.MAC{2, 0, 0, 0, 1, 2}
)

func port4(s string) netip.AddrPort { return netip.MustParseAddrPort(s) }

// samples are frames of every kind that filters tell apart.
func samples() map[string][]byte {
	udp := packet.UDP(macB, macA, port4("10.1.1.10:1000"), port4("10.1.2.20:53"), make([]byte, 20))
	udp6 := packet.UDP(macB, macA, port4("[2001:db8:1::10]:1000"), port4("[2001:db8:2::20]:53"), make([]byte, 20))
	tcp := packet.Segment(macA, macB, port4("10.1.2.20:80"), port4("10.1.1.10:40000"), 1, make([]byte, 100))
	fragment := append([]byte(nil), udp...)
	fragment[20], fragment[21] = 0, 10
	icmp := append([]byte(nil), udp...)
	icmp[23] = 1
	igmp := append([]byte(nil), udp...)
	igmp[23] = 2
	return map[string][]byte{
		"udp": udp, "udp6": udp6, "tcp": tcp, "fragment": fragment, "icmp": icmp, "igmp": igmp,
		"arp":       packet.ARP(frame.Broadcast, packet.ARPRequest, macA, netip.MustParseAddr("10.1.1.10"), frame.MAC{}, netip.MustParseAddr("10.1.2.20")),
		"nd":        packet.Solicit(macA, netip.MustParseAddr("2001:db8:1::10"), netip.MustParseAddr("2001:db8:2::20")).Frame(),
		"other":     packet.Ethernet(macB, macA, 0x88b5, make([]byte, 46)),
		"multicast": packet.Ethernet(frame.MAC{1, 0, 0x5e, 0, 0, 1}, macA, 0x88b5, make([]byte, 46)),
	}
}

// expressions are filters that mean the same here and in libpcap.
var expressions = []string{
	"ip", "ip6", "arp", "tcp", "udp", "icmp", "icmp6", "igmp", "sctp",
	"host 10.1.1.10", "src host 10.1.1.10", "dst host 10.1.1.10", "src or dst host 10.1.2.20", "src and dst host 10.1.1.10",
	"ip host 10.1.1.10", "arp host 10.1.1.10", "host 2001:db8:1::10", "ip6 host 2001:db8:2::20", "src 2001:db8:1::10",
	"net 10.1.1.0/24", "src net 10.1.2.0/24", "dst net 10.0.0.0/8", "net 2001:db8:2::/48",
	"port 53", "src port 53", "dst port 53", "tcp port 80", "udp port 80", "portrange 50-60", "tcp src portrange 40000-40010", "port 53 or 80",
	"ether host 02:00:00:00:01:01", "ether src 02:00:00:00:01:02", "ether dst host 02:00:00:00:01:02", "ether proto 0x88b5", "ether proto \\arp", "ip proto 17", "ip proto \\tcp",
	"broadcast", "ether broadcast", "multicast", "ether multicast", "less 60", "greater 100",
	"not arp", "not (arp or ip6)", "! ip && ! ip6", "udp or tcp and port 80", "tcp or udp and port 53", "udp and (port 53 or port 80)", "not udp and not tcp", "not not tcp",
	"tcp port 80 or 40000", "host 10.1.1.10 and not port 53", "(((udp)))",
}

func mustParse(t testing.TB, text string) *Filter {
	t.Helper()
	f, err := ParseFilter(text, 4789)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// TestFilterAsTcpdump: an expression means what it means to tcpdump, the judge.
func TestFilterAsTcpdump(t *testing.T) {
	tcpdump, err := exec.LookPath("tcpdump")
	if err != nil {
		t.Skipf("%v; it is a package `make test` provides", err)
	}
	all := samples()
	names := slices.Sorted(maps.Keys(all))
	file := filepath.Join(t.TempDir(), "all.pcap")
	writePcap(t, file, names, all)
	for _, text := range expressions {
		out, err := exec.Command(tcpdump, "-nn", "-tt", "-r", file, text).Output()
		if err != nil {
			t.Fatalf("tcpdump %q: %v", text, err)
		}
		is := mustParse(t, text)
		for i, name := range names {
			want := strings.Contains("\n"+string(out), fmt.Sprintf("\n%d.", firstSecond+i))
			if got := is.Match(all[name], len(all[name])); got != want {
				t.Errorf("%q of %s: %v, and tcpdump says %v", text, name, got, want)
			}
		}
	}
}

// firstSecond is the time of the first frame of a file; the others follow each second.
const firstSecond = 1_000_000

func writePcap(t *testing.T, file string, names []string, all map[string][]byte) {
	t.Helper()
	to, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	defer to.Close()
	w := pcapgo.NewWriter(to)
	if err := w.WriteFileHeader(65535, layers.LinkTypeEthernet); err != nil {
		t.Fatal(err)
	}
	for i, name := range names {
		f := all[name]
		if err := w.WritePacket(gopacket.CaptureInfo{Timestamp: time.Unix(int64(firstSecond+i), 0), CaptureLength: len(f), Length: len(f)}, f); err != nil {
			t.Fatal(err)
		}
	}
}

func TestFilter(t *testing.T) {
	all := samples()
	vxlan := func(inner []byte) []byte {
		return packet.UDP(macB, macA, port4("192.0.2.1:50000"), port4("192.0.2.2:4789"), packet.VXLAN(1000, inner))
	}
	tests := []struct {
		name, text string
		frame      []byte
		want       bool
	}{
		{"nothing is asked", "", all["udp"], true},
		{"an address", "host 10.1.1.10", all["udp"], true},
		{"an address alone", "10.1.1.10", all["udp"], true},
		{"another address", "host 10.1.1.11", all["udp"], false},
		{"a packet of VXLAN", "udp port 4789", vxlan(all["tcp"]), true},
		{"the frame in it", "tcp port 80", vxlan(all["tcp"]), true},
		{"neither", "tcp port 81", vxlan(all["tcp"]), false},
		{"its length", "greater 200", vxlan(all["arp"]), false},
		{"behind a tag", "vlan 5 and host 10.1.1.10", packet.Tagged(all["udp"], 0x8100, 5), true},
		{"another tag", "vlan 6", packet.Tagged(all["udp"], 0x8100, 5), false},
		{"any tag", "vlan", packet.Tagged(all["udp"], 0x8100, 5), true},
		{"no tag", "vlan", all["udp"], false},
		{"no frame", "not tcp", nil, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := mustParse(t, tt.text).Match(tt.frame, len(tt.frame)); got != tt.want {
				t.Errorf("%q is %v, want %v", tt.text, got, tt.want)
			}
		})
	}
}

func TestFilterErrors(t *testing.T) {
	for text, want := range map[string]string{
		"tcp prot 80":                     `at word 2: "prot" is too much here`,
		"host":                            "host what?",
		"host example.org":                "names are not looked up",
		"host 10.0.0.0/8":                 "write net 10.0.0.0/8",
		"net 10.0.0.1/8":                  "write 10.0.0.0/8",
		"port http":                       "names are not looked up",
		"port 65536":                      "0 to 65535",
		"portrange 5":                     "portrange N-M",
		"icmp port 5":                     "icmp has no ports",
		"tcp host 10.0.0.1":               "write tcp and host 10.0.0.1",
		"(tcp":                            "a ) is missing",
		"tcp)":                            "too much here",
		"tcp and":                         "something is missing",
		"ether":                           "ether what?",
		"ether host 10.0.0.1":             "is no MAC",
		"vlan 5000":                       "0 to 4095",
		"less many":                       "no length",
		"tcp[13] = 2":                     "is not known",
		strings.Repeat("(", 200):          "nested more than 100 deep",
		strings.Repeat("! ", 200) + "tcp": "more than 100 times",
		strings.Repeat("x", 5000):         "longer than 4096",
	} {
		if _, err := ParseFilter(text, 4789); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.40q: %v, want %q in it", text, err, want)
		}
	}
}

// FuzzFilter: whatever is written and whatever comes, a filter answers, and its negation
// the opposite.
func FuzzFilter(f *testing.F) {
	for _, text := range expressions {
		f.Add(text, samples()["udp"])
	}
	for _, b := range samples() {
		f.Add("port 53", b)
	}
	f.Fuzz(func(t *testing.T, text string, b []byte) {
		is, err := ParseFilter(text, 4789)
		if err != nil || is == nil {
			return
		}
		not, err := ParseFilter("not ("+text+")", 4789)
		if err != nil {
			if len(text)+6 <= maxFilter && !strings.Contains(err.Error(), "100") {
				t.Fatalf("%q can be read, and its negation not: %v", text, err)
			}
			return
		}
		d := dissect(b, len(b))
		if is.match(&d) == not.match(&d) {
			t.Errorf("%q and its negation are the same of %x", text, b)
		}
	})
}

// FuzzSummary: whatever comes is summed up in one line.
func FuzzSummary(f *testing.F) {
	for _, b := range samples() {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		for n := range min(len(b), 80) {
			if s := Summary(b[:n], len(b)); s == "" || strings.ContainsAny(s, "\n\r") {
				t.Errorf("%x: %q", b[:n], s)
			}
		}
	})
}

func TestSummary(t *testing.T) {
	all := samples()
	for name, want := range map[string]string{
		"udp":      "02:00:00:00:01:01 > 02:00:00:00:01:02 10.1.1.10:1000 > 10.1.2.20:53 UDP",
		"udp6":     "02:00:00:00:01:01 > 02:00:00:00:01:02 [2001:db8:1::10]:1000 > [2001:db8:2::20]:53 UDP",
		"arp":      "02:00:00:00:01:01 > ff:ff:ff:ff:ff:ff ARP who has 10.1.2.20, tell 10.1.1.10",
		"fragment": "02:00:00:00:01:01 > 02:00:00:00:01:02 10.1.1.10 > 10.1.2.20 UDP, a later fragment",
		"icmp":     "02:00:00:00:01:01 > 02:00:00:00:01:02 10.1.1.10 > 10.1.2.20 ICMP type 3 code 232",
		"other":    "02:00:00:00:01:01 > 02:00:00:00:01:02 EtherType 0x88b5",
	} {
		if got := Summary(all[name], len(all[name])); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	if got, want := Summary(packet.Tagged(all["other"], 0x8100, 5), 64), "02:00:00:00:01:01 > 02:00:00:00:01:02 VLAN 5 EtherType 0x88b5"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if got, want := Summary([]byte{1, 2, 3}, 3), "3 bytes, which is no Ethernet header"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}
