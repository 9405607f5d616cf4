package migrate

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

const head = `# Made by "vxgw import" of the bridges and vxlan devices of this machine's kernel.
#
# What begins with "# !" is not carried over, and "->" says what to do. Not looked at
# are filters (nftables, ebtables, tc), what daemons will write later, and limits on
# rates. Look at what "vxgw check" says, too.
#
# What is different for all:
# - Frames with a VLAN tag are dropped, both ways (tagged_frame, inner_vlan), where a
#   bridge that does not filter VLANs passes them.
# - A VNI takes frames from the VTEPs it floods to, the kernel's from anybody: list
#   others in allowed_vteps.
# - Multicast is flooded, whoever has asked for it (no IGMP or MLD snooping).
# - At most 1024 MAC addresses are learned at a port, and 65536 in a VNI (mac_limit); one
#   that keeps moving is held (move_limit).
# - Nothing is fragmented: what is too long for the underlay is dropped and its sender
#   is told. Fragments of VXLAN packets are not put together.
`

// write returns the file.
func (c *converter) write() string {
	w := &writer{}
	w.WriteString(head)
	w.notes(c.notes)
	w.underlay(&c.u)
	if c.u.ttl == 0 && slices.ContainsFunc(c.vnis, func(v *vni) bool { return v.group.IsValid() }) {
		w.line("ttl = 64 # the kernel's \"ttl auto\" is 1 for what goes to a group")
	}
	for _, v := range c.vnis {
		w.vni(v)
	}
	for _, r := range c.vrfs {
		w.vrf(r)
	}
	return w.String()
}

// writer writes TOML.
type writer struct{ strings.Builder }

func (w *writer) line(format string, args ...any) { fmt.Fprintf(w, format+"\n", args...) }

// width is how long a line of a comment may be, in characters.
const width = 90

// notes writes what is not carried over.
func (w *writer) notes(all []note) {
	for _, n := range all {
		w.WriteString("\n")
		w.wrap("# ! ", "#   ", n.what)
		text, command, ok := strings.Cut(n.mend, "\n")
		w.wrap("#   -> ", "#      ", text)
		if ok {
			w.line("#      %s", oneLine(command)) // in one piece, to be copied
		}
	}
}

// wrap writes a comment in lines of at most width, where its words let it.
func (w *writer) wrap(first, further, text string) {
	line := first
	for i, word := range strings.Fields(oneLine(text)) {
		if i > 0 && utf8.RuneCountInString(line)+1+utf8.RuneCountInString(word) > width {
			w.line("%s", line)
			line = further + word
			continue
		}
		if i > 0 {
			line += " "
		}
		line += word
	}
	w.line("%s", line)
}

// oneLine keeps what the kernel has for a name from ending a comment, or a file from
// being text.
func oneLine(text string) string {
	return strings.Map(func(r rune) rune {
		if r == utf8.RuneError || !unicode.IsGraphic(r) {
			return '?'
		}
		return r
	}, text)
}

// quote writes a string. Names have been looked at before: see nameable.
func quote(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
}

func (w *writer) underlay(u *underlay) {
	w.line("\n[underlay]")
	w.line("address = %s", quote(u.address.String()))
	if u.device != "" {
		w.line("interface = %s", quote(u.device))
	}
	if u.port != 4789 {
		w.line("port = %d", u.port)
	}
	if u.ttl != 0 {
		w.line("ttl = %d", u.ttl)
	}
	if u.dscp >= 0 {
		w.line(`dscp = %d # "inherit" keeps that of the inner packet`, u.dscp)
	}
	if u.address.Is4() && !u.df {
		w.line("df = false # as the kernel's; true has routers tell what is too long instead of cutting it up")
	}
	if u.checksum != u.address.Is6() {
		w.line("udp_checksum = %t", u.checksum)
	}
	if u.ports[0] != 0 {
		w.line("source_ports = \"%d-%d\"", u.ports[0], u.ports[1])
	}
}

func (w *writer) vni(v *vni) {
	w.notes(v.notes)
	w.line("\n# %s", oneLine(v.String()))
	w.line("[[vni]]")
	w.line("id = %d", v.domain.vni)
	if v.number != 0 {
		w.line("vlan = %d", v.number)
	}
	if len(v.flood) > 0 {
		w.line("flood = [%s]", list(v.flood))
	}
	if v.group.IsValid() {
		w.line("group = %s", quote(v.group.String()))
	}
	if v.allowed != nil {
		w.line("allowed_vteps = [%s]", list(v.allowed))
	}
	if !v.learning {
		w.line("learning = false")
	}
	if v.ageing != defaultAgeing {
		w.line("ageing = \"%ds\"", int(v.ageing.Seconds()))
	}
	if v.limit != 0 {
		w.line("mac_limit = %d", v.limit)
	}
	if v.suppress {
		w.line("suppress_arp = true")
	}
	if len(v.gateway) > 0 {
		w.line("vrf = %s", quote(v.vrf.name))
		w.line("gateway = [%s]", list(v.gateway))
		if !v.gatewayMAC.IsZero() {
			w.line("gateway_mac = %q", v.gatewayMAC.String())
		}
	}
	w.ports(v)
	slices.SortFunc(v.macs, func(a, b mac) int { return slices.Compare(a.address[:], b.address[:]) }) // the kernel's tables are hashed
	for _, m := range v.macs {
		w.line("\n[[mac]]\nvni = %d\naddress = %q", v.domain.vni, m.address.String())
		if m.vtep.IsValid() {
			w.line("vtep = %s", quote(m.vtep.String()))
		} else {
			w.line("port = %s", quote(m.port))
		}
	}
}

func (w *writer) ports(v *vni) {
	in := fmt.Sprintf("vni = %d", v.domain.vni)
	if v.number != 0 {
		in = fmt.Sprintf("vlan = %d", v.number)
	}
	for _, p := range v.ports {
		w.notes(p.notes)
		w.line("\n[[port]]\ninterface = %s\n%s", quote(p.Name), in)
		if p.Port != nil && p.Port.Isolated {
			w.line("isolated = true")
		}
		if p.bpdu != "" {
			w.line("bpdu = %q", p.bpdu)
		}
	}
	for _, name := range v.trunks {
		w.line("\n#[[port]]\n#interface = %s\n#%s", quote(name), in)
	}
}

// list writes the elements of an array.
func list[T fmt.Stringer](all []T) string {
	quoted := make([]string, len(all))
	for i, v := range all {
		quoted[i] = quote(v.String())
	}
	return strings.Join(quoted, ", ")
}

func (w *writer) vrf(r *vrf) {
	if len(r.connected) == 0 {
		return
	}
	w.notes(r.notes)
	w.line("\n[[vrf]]\nname = %s", quote(r.name))
	for _, is := range r.routes {
		w.line("\n[[vrf.route]]\nprefix = %s", quote(is.Prefix.String()))
		switch {
		case is.Blackhole:
			w.line("blackhole = true")
		case is.Unreachable:
			w.line("unreachable = true")
		case len(is.vias) == 1:
			w.line("via = %s", quote(is.vias[0].String()))
		default:
			w.line("via = [%s]", list(is.vias))
		}
		if is.vni != 0 {
			w.line("vni = %d", is.vni)
		}
	}
}
