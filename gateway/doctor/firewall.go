package doctor

import (
	"fmt"
	"net/netip"

	"vxgw/l3/underlay/path/nftables"
)

var firewallCheck = check{
	name:       "firewall",
	reads:      "nftables' rules, those of iptables-nft too (by netlink), and whether there are any of iptables-legacy: what becomes of UDP from each VTEP to the port, and of what is sent to it",
	means:      "A rule or a policy drops VXLAN. What is received and sent past the host's IP stack (`vxgw show datapath` says where) does not come by these rules; all else does: fragments, groups, and everything where that cannot be done.",
	mend:       "`nft insert rule FAMILY TABLE CHAIN udp dport 4789 accept`; `nft -a list chain FAMILY TABLE CHAIN` shows the rule by its handle",
	cost:       costly,
	needsFile:  true,
	atTheStart: true,
	run:        examineFirewall,
}

// maxRuled bounds for how many VTEPs rules are run.
const maxRuled = 64

// way is one direction of VXLAN.
type way struct {
	words string
	ask   func(*nftables.Ruleset, netip.Addr) nftables.Outcome
}

// ways are both of them, through the link that packets to a VTEP leave by.
func (e *exam) ways() []way {
	device := func(a netip.Addr) (d nftables.Device) {
		if p, err := e.path(a); err == nil {
			d = nftables.Device{Name: p.Link, Index: p.LinkIndex}
		} else if l, ok := e.underlay(); ok {
			d = nftables.Device{Name: l.Name, Index: l.Index}
		}
		return d
	}
	port := e.Config.Underlay.Port
	return []way{
		{"from", func(r *nftables.Ruleset, a netip.Addr) nftables.Outcome {
			return r.Incoming(nftables.Packet{Src: a, Dst: e.own(), DstPort: port, In: device(a)})
		}},
		{"to", func(r *nftables.Ruleset, a netip.Addr) nftables.Outcome {
			return r.Outgoing(nftables.Packet{Src: e.own(), Dst: a, DstPort: port, Out: device(a)})
		}},
	}
}

func examineFirewall(e *exam) {
	rules, err := e.once.rules()
	if err != nil {
		e.unseen("rules of nftables", err)
		return
	}
	vteps := e.anyVTEP()
	vteps = vteps[:min(len(vteps), maxRuled)]
	well := true
	for _, w := range e.ways() {
		told := make(map[nftables.Place]bool)
		for _, a := range vteps {
			if o := w.ask(rules, a); o.Drops && !told[o.At] {
				told[o.At], well = true, false
				e.tellDrop(w, a, o)
			}
		}
	}
	if tables, err := e.Machine.text("proc/net/ip_tables_names"); err == nil && tables != "" && e.own().Is4() {
		well = false
		e.warn(fmt.Sprintf("iptables-legacy -I INPUT -p udp --dport %d -j ACCEPT, where iptables-legacy -S INPUT has a rule that drops it", e.Config.Underlay.Port),
			"there are rules of iptables-legacy, which are not read here")
	}
	if well {
		e.ok("no rule of nftables drops UDP port %d", e.Config.Underlay.Port)
	}
}

func (e *exam) tellDrop(w way, a netip.Addr, o nftables.Outcome) {
	does := "drops"
	if !o.Sure {
		does = "may drop (not all of the rules can be judged)"
	}
	e.warn(fmt.Sprintf("nft insert rule %s %s %s udp dport %d accept", o.At.Family, o.At.Table, o.At.Chain, e.Config.Underlay.Port),
		"%v %s VXLAN %s %v that goes by the host's IP stack", o.At, does, w.words, a)
}

var conntrackCheck = check{
	name:      "conntrack",
	reads:     "whether nf_conntrack is there and something in this network namespace uses it, and whether a rule keeps it from the port (notrack)",
	means:     "Each flow of VXLAN that goes by the host's IP stack takes an entry of the table, one for every source port: it costs time for each packet, and a full table drops.",
	mend:      "`nft add table inet vxgw`, a chain of it with `type filter hook prerouting priority raw` (and one at output), and `nft add rule inet vxgw CHAIN udp dport 4789 notrack`",
	cost:      costly,
	needsFile: true,
	run:       examineConntrack,
}

func examineConntrack(e *exam) {
	if !e.Machine.exists("proc/sys/net/netfilter/nf_conntrack_max") {
		e.ok("nf_conntrack is not loaded")
		return
	}
	rules, err := e.once.rules()
	if err != nil {
		e.unseen("rules of nftables", err)
		return
	}
	if !rules.Tracks() {
		e.ok("no rule of nftables has connections followed here")
		return
	}
	port := e.Config.Underlay.Port
	for _, w := range e.ways() {
		if o := w.ask(rules, e.anyVTEP()[0]); !o.Untracked && !(o.Drops && o.Sure) {
			hook := map[string]string{"from": "prerouting", "to": "output"}[w.words]
			e.warn(fmt.Sprintf("nft add table inet vxgw; nft add chain inet vxgw %s '{ type filter hook %[1]s priority raw; }'; nft add rule inet vxgw %[1]s udp dport %d notrack", hook, port),
				"connections are followed, and no rule excepts UDP port %d %s VTEPs: each flow takes an entry of the table", port, w.words)
			return
		}
	}
	e.ok("connections are followed, but not on UDP port %d", port)
}
