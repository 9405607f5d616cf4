package nftables

import (
	"context"
	"net/netip"
	"os/exec"
	"strings"
	"testing"

	"vxgw/test/netns"
)

var (
	own  = netip.MustParseAddr("192.0.2.17")
	vtep = netip.MustParseAddr("203.0.113.34")
	own6 = netip.MustParseAddr("2001:db8::17")
	six  = netip.MustParseAddr("2001:db8::34")
	und0 = Device{"und0", 7}
)

const port = 4789

// newNS is a namespace for rules, or the end of the test.
func newNS(t *testing.T) *netns.NS {
	t.Helper()
	netns.Require(t)
	if _, err := exec.LookPath("nft"); err != nil {
		t.Skip("needs nft; apt-get install nftables")
	}
	ns, err := netns.New("")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ns.Close() })
	return ns
}

// load gives a namespace rules, in place of those it has, and reads them.
func load(t *testing.T, ns *netns.NS, text string) *Ruleset {
	t.Helper()
	cmd := ns.Command(context.Background(), "nft", "-f", "-")
	// nft wants a line for each brace that ends a chain; here they share one.
	cmd.Stdin = strings.NewReader("flush ruleset\n" + strings.ReplaceAll(text, "} }", "}\n}") + "\n")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s\n%s", err, out, text)
	}
	var r *Ruleset
	if err := ns.Do(func() (err error) { r, err = Read(); return err }); err != nil {
		t.Fatal(err)
	}
	return r
}

// say puts an outcome into a few words.
func say(o Outcome) string {
	said := "passes"
	if o.Drops {
		said = "may drop: "
		if o.Sure {
			said = "drops: "
		}
		_, place, _ := strings.Cut(o.At.String(), "chain ")
		if o.At.Handle == 0 {
			place = "policy " + place
		}
		said += place
	}
	if o.Untracked {
		said += ", untracked"
	}
	return said
}

// input is a base chain at input.
func input(policy, rules string) string {
	return "table inet f {\n chain i { type filter hook input priority filter; policy " + policy + ";\n" + rules + "\n}\n}"
}

func TestIncoming(t *testing.T) {
	ns := newNS(t)
	for _, test := range []struct{ name, rules, want string }{
		{"no rules", "", "passes"},
		{"accepted", input("drop", "udp dport 4789 accept"), "passes"},
		{"policy drop", input("drop", ""), "drops: policy inet f i"},
		{"another port", input("drop", "udp dport 4790 accept\ntcp dport 4789 accept"), "drops: policy inet f i"},
		{"dropped", input("accept", "udp dport 4789 drop"), "drops: inet f i"},
		{"rejected", input("accept", "udp dport 4789 reject"), "drops: inet f i"},
		{"the first that fits decides", input("accept", "udp dport 4789 accept\nudp dport 4789 drop"), "passes"},
		{"the first of a flow", input("drop", "ct state established,related accept"), "drops: policy inet f i"},
		{"new ones too", input("drop", "ct state { new, established } accept"), "passes"},
		{"invalid", input("accept", "ct state invalid drop"), "passes"},
		{"by state map", input("drop", "ct state vmap { new : accept, invalid : drop }"), "passes"},
		{"a set", input("drop", "udp dport { 53, 4789 } accept"), "passes"},
		{"not in the set", input("drop", "udp dport { 53, 4790 } accept"), "drops: policy inet f i"},
		{"but those of a set", input("accept", "udp dport != { 53, 67 } drop"), "drops: inet f i"},
		{"a range", input("drop", "udp dport 4000-5000 accept"), "passes"},
		{"beyond a range", input("drop", "udp dport 4000-4788 accept"), "drops: policy inet f i"},
		{"outside of a range", input("accept", "udp dport != 4000-4788 drop"), "drops: inet f i"},
		{"ranges", input("drop", "udp dport { 1-100, 4789-4790, 5000-6000 } accept"), "passes"},
		{"between ranges", input("drop", "udp dport { 1-4788, 4790-6000 } accept"), "drops: policy inet f i"},
		{"greater", input("accept", "udp dport > 1024 drop"), "drops: inet f i"},
		{"not less", input("accept", "udp dport < 4789 drop"), "passes"},
		{"verdict map", input("drop", "udp dport vmap { 53 : drop, 4780-4799 : accept }"), "passes"},
		{"verdict map, by protocol", input("accept", "meta l4proto vmap { tcp : accept, udp : drop }"), "drops: inet f i"},
		{"source", input("drop", "ip saddr 203.0.113.0/24 udp dport 4789 accept"), "passes"},
		{"another source", input("drop", "ip saddr 203.0.114.0/24 udp dport 4789 accept"), "drops: policy inet f i"},
		{"sources", input("drop", "ip saddr { 10.0.0.0/8, 203.0.113.32/28 } accept"), "passes"},
		{"another family", input("accept", "ip6 saddr ::/0 drop"), "passes"},
		{"link", input("drop", `iifname "und0" accept`), "passes"},
		{"links", input("drop", `iifname "und*" accept`), "passes"},
		{"another link", input("accept", `iifname "eth0" drop`), "passes"},
		{"not that link", input("accept", `iifname != "lo" drop`), "drops: inet f i"},
		{"counted and logged", input("accept", `udp dport 4789 counter log prefix "x" drop`), "drops: inet f i"},
		{"a limit", input("drop", "udp dport 4789 limit rate 10/second accept"), "may drop: policy inet f i"},
		{"a mark", input("accept", "meta mark 7 drop"), "may drop: inet f i"},
		{"a mark that is set", input("accept", "meta mark set 7\nudp dport 4789 drop"), "drops: inet f i"},
		{"a source port", input("accept", "udp sport 53 drop"), "may drop: inet f i"},
		{"a mark, and another port", input("accept", "udp dport 53 meta mark 7 drop"), "passes"},
		{"reverse path", input("accept", "fib saddr . iif oif missing drop"), "may drop: inet f i"},
		{"fragments", input("accept", "ip frag-off & 0x1fff != 0 drop"), "passes"},
		{"a set by address and port", input("drop", "ip saddr . udp dport { 203.0.113.34 . 4789 } accept"), "passes"},
		{"ranges of address and port", input("drop", "ip saddr . udp dport { 203.0.113.0/24 . 1-5000 } accept"), "may drop: policy inet f i"},
		{"not tracked", "table inet f { chain p { type filter hook prerouting priority raw; udp dport 4789 notrack\n }\n chain i { type filter hook input priority 0; ct state untracked drop\n } }", "drops: inet f i, untracked"},
		{"perhaps not tracked", "table inet f { chain p { type filter hook prerouting priority raw; meta mark 1 notrack\n } }", "passes"},
		{"before input", "table ip f { chain p { type filter hook prerouting priority mangle; udp dport 4789 drop\n } }", "drops: ip f p"},
		{"another hook", "table ip f { chain p { type filter hook forward priority 0; policy drop; } }", "passes"},
		{"accepted is not for the next chain", "table ip a { chain i { type filter hook input priority -10; accept\n } }\n" + input("drop", ""), "drops: policy inet f i"},
		{"NAT drops nothing", "table ip f { chain p { type nat hook prerouting priority dstnat; udp dport 4789 redirect to :53\n } }", "passes"},
		{"a jump", "table inet f { chain sub { udp dport 4789 drop\n }\n chain i { type filter hook input priority 0; jump sub\n accept\n } }", "drops: inet f sub"},
		{"a jump returns", "table inet f { chain sub { udp dport 4789 return\n drop\n }\n chain i { type filter hook input priority 0; policy drop; jump sub\n accept\n } }", "passes"},
		{"a goto does not", "table inet f { chain sub { tcp dport 1 drop\n }\n chain i { type filter hook input priority 0; policy drop; goto sub\n accept\n } }", "drops: policy inet f i"},
		{"a jump for others", "table inet f { chain sub { drop\n }\n chain i { type filter hook input priority 0; tcp dport 1 jump sub\n } }", "passes"},
		{"a jump perhaps", "table inet f { chain sub { drop\n }\n chain i { type filter hook input priority 0; meta mark 1 jump sub\n } }", "may drop: inet f sub"},
		{"perhaps a return", "table inet f { chain sub { meta mark 1 return\n drop\n }\n chain i { type filter hook input priority 0; jump sub\n } }", "may drop: inet f sub"},
		{"a named set", "table inet f { set ok { type inet_service; elements = { 4789 }\n }\n chain i { type filter hook input priority 0; policy drop; udp dport @ok accept\n } }", "passes"},
		{"an empty set", "table inet f { set ok { type inet_service; }\n chain i { type filter hook input priority 0; policy drop; udp dport @ok accept\n } }", "drops: policy inet f i"},
		{"a map to a mark", "table inet f { chain i { type filter hook input priority 0; meta mark set udp dport map { 4789 : 1 }\n drop\n } }", "drops: inet f i"},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := load(t, ns, test.rules)
			if got := say(r.Incoming(Packet{vtep, own, port, und0, Device{}})); got != test.want {
				t.Errorf("%s, want %s", got, test.want)
			}
		})
	}
}

func TestOutgoing(t *testing.T) {
	ns := newNS(t)
	chain := func(rules string) string {
		return "table inet f { chain o { type filter hook output priority 0;\n" + rules + "\n } }"
	}
	for _, test := range []struct{ name, rules, want string }{
		{"to it", chain("ip daddr 203.0.113.34 drop"), "drops: inet f o"},
		{"by that link", chain(`oifname "und0" udp dport 4789 drop`), "drops: inet f o"},
		{"by another", chain(`oifname "eth0" drop`), "passes"},
		{"who sends", chain("meta skuid 0 drop"), "may drop: inet f o"},
		{"what comes in", input("drop", ""), "passes"},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := load(t, ns, test.rules)
			if got := say(r.Outgoing(Packet{own, vtep, port, Device{}, und0})); got != test.want {
				t.Errorf("%s, want %s", got, test.want)
			}
		})
	}
}

func TestIPv6(t *testing.T) {
	ns := newNS(t)
	for _, test := range []struct{ name, rules, want string }{
		{"source", input("drop", "ip6 saddr 2001:db8::/32 udp dport 4789 accept"), "passes"},
		{"IPv4 alone", input("drop", "ip saddr 0.0.0.0/0 accept"), "drops: policy inet f i"},
		{"table of IPv6", "table ip6 f { chain i { type filter hook input priority 0; udp dport 4789 drop\n } }", "drops: ip6 f i"},
		{"table of IPv4", "table ip f { chain i { type filter hook input priority 0; udp dport 4789 drop\n } }", "passes"},
		{"protocol", input("accept", "meta nfproto ipv6 drop"), "drops: inet f i"},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := load(t, ns, test.rules)
			if got := say(r.Incoming(Packet{six, own6, port, und0, Device{}})); got != test.want {
				t.Errorf("%s, want %s", got, test.want)
			}
		})
	}
}

func TestTracks(t *testing.T) {
	ns := newNS(t)
	for _, test := range []struct {
		name, rules string
		want        bool
	}{
		{"no rules", "", false},
		{"ports alone", input("drop", "udp dport 4789 accept"), false},
		{"states", input("drop", "ct state established accept"), true},
		{"NAT", "table ip n { chain p { type nat hook postrouting priority srcnat; } }", true},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := load(t, ns, test.rules).Tracks(); got != test.want {
				t.Errorf("%v, want %v", got, test.want)
			}
		})
	}
}
