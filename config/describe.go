package config

import (
	"fmt"
	"net/netip"
	"strings"
	"time"
	"unicode/utf8"
)

// cellWidth is where a list in a table goes on to the next row, in characters.
const cellWidth = 36

// Describe returns what a gateway with this configuration does, for people:
// aligned lines of at most some 120 characters, ending in a line break.
func (c *Config) Describe() string {
	var b strings.Builder
	u := c.Underlay
	fmt.Fprintf(&b, "Gateway %s: VTEP %s, UDP port %d, %s\n\n", c.Name, u.Address, u.Port, c.carries())
	writeGrid(&b, "", c.facts())

	writeGrid(&b, "Access ports", c.portGrid())
	writeGrid(&b, "Bridge domains", c.vniGrid())
	writeGrid(&b, "Static MAC addresses", c.macGrid())
	writeGrid(&b, "Routing", c.routeGrid())

	if len(c.Warnings) > 0 {
		b.WriteString("Warnings\n")
		for _, w := range c.Warnings {
			b.WriteString("  " + w.String() + "\n")
		}
	}
	return strings.TrimRight(b.String(), "\n") + "\n"
}

func (c *Config) carries() string {
	return count(len(c.Ports), "access port") + ", " + count(len(c.VNIs), "VNI")
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// facts are the settings outside of arrays.
func (c *Config) facts() [][]cell {
	u, d := c.Underlay, c.Datapath
	http := c.API.HTTP
	if http == "" {
		http = "off"
	}
	rows := [][]cell{{one("underlay"), one(u.through() + ", " + u.header())}}
	if u.VLAN != 0 {
		rows = append(rows, []cell{one("VLAN"), one(u.onVLAN())})
	}
	return append(rows, [][]cell{
		{one("source ports"), one(fmt.Sprintf("%d-%d", u.SourcePorts.First, u.SourcePorts.Last))},
		{one("datapath"), one(fmt.Sprintf("%s, at most %d MAC addresses", d.moves(), d.MACLimit))},
		{one("control"), one(c.API.Socket)},
		{one("http"), one(http)},
		{one("log"), one(c.Log.Level + ", as " + c.Log.Format)},
	}...)
}

// moves says how frames are moved.
func (d Datapath) moves() string {
	workers := "one worker per CPU"
	if d.Workers > 0 {
		workers = count(d.Workers, "worker")
	}
	return string(d.Mode) + ", " + workers
}

func (u Underlay) through() string {
	if u.Interface == "" {
		return "the interface that holds " + u.Address.String()
	}
	return "interface " + u.Device()
}

// onVLAN says what becomes of the sub-interface.
func (u Underlay) onVLAN() string {
	s := fmt.Sprintf("%d on %s; the sub-interface is made where there is none, and ", u.VLAN, u.Interface)
	if u.Assign.IsValid() {
		return s + "given " + u.Assign.String()
	}
	return s + "has to be given " + u.Address.String()
}

// header describes the outer header.
func (u Underlay) header() string {
	parts := []string{fmt.Sprintf("TTL %d", u.TTL), "DSCP of the inner packet"}
	if !u.DSCP.Inherit {
		parts[1] = fmt.Sprintf("DSCP %d", u.DSCP.Value)
	}
	if u.Address.Is4() {
		parts = append(parts, choose(u.DF, "DF set", "DF clear"))
	}
	parts = append(parts, choose(u.Checksum, "UDP checksum filled in", "UDP checksum zero"))
	if u.Strict {
		parts = append(parts, "reserved bits refused")
	}
	return strings.Join(parts, ", ")
}

func choose(yes bool, a, b string) string {
	if yes {
		return a
	}
	return b
}

func (c *Config) portGrid() [][]cell {
	if len(c.Ports) == 0 {
		return nil
	}
	names := map[uint32]string{}
	for _, v := range c.VNIs {
		names[v.ID] = v.Name
	}
	rows := [][]cell{heads("PORT", "VLAN", "VNI", "NAME", "MAX MACS", "BPDU", "OPTIONS")}
	for _, p := range c.Ports {
		var options []string
		if p.Isolated {
			options = append(options, "isolated")
		}
		if p.DropPriority {
			options = append(options, "drops priority tags")
		}
		rows = append(rows, []cell{one(p.Interface), one(vlanOf(p.VLAN)), one(fmt.Sprint(p.VNI)), one(dash(names[p.VNI])),
			one(fmt.Sprint(p.MACLimit)), one(string(p.BPDU)), list(options)})
	}
	return rows
}

func (c *Config) vniGrid() [][]cell {
	if len(c.VNIs) == 0 {
		return nil
	}
	rows := [][]cell{heads("VNI", "VLAN", "NAME", "FLOODS TO", "ACCEPTS FROM", "MAX MACS", "AGEING", "LEARNS", "ARP/ND")}
	for _, v := range c.VNIs {
		floods := words(v.Flood)
		if v.Group.IsValid() {
			floods = append(floods, "group "+v.Group.String())
		}
		accepts := cell{"anyone"}
		if v.AllowedVTEPs != nil {
			accepts = list(hosts(v.AllowedVTEPs))
		}
		rows = append(rows, []cell{one(fmt.Sprint(v.ID)), one(vlanOf(v.VLAN)), one(dash(v.Name)), list(floods), accepts,
			one(fmt.Sprint(v.MACLimit)), one(ageingOf(v.Ageing)), one(choose(v.Learning, "yes", "no")),
			one(choose(v.SuppressARP, "answered", "flooded"))})
	}
	return rows
}

func (c *Config) macGrid() [][]cell {
	if len(c.MACs) == 0 {
		return nil
	}
	rows := [][]cell{heads("VNI", "MAC", "BEHIND")}
	for _, m := range c.MACs {
		behind := "port " + m.Port
		if m.VTEP.IsValid() {
			behind = "VTEP " + m.VTEP.String()
		}
		rows = append(rows, []cell{one(fmt.Sprint(m.VNI)), one(m.MAC.String()), one(behind)})
	}
	return rows
}

// routeGrid lists what each VRF is connected to and its static routes.
func (c *Config) routeGrid() [][]cell {
	if len(c.VRFs) == 0 {
		return nil
	}
	rows := [][]cell{heads("VRF", "PREFIX", "BY")}
	for _, r := range c.VRFs {
		name := r.Name
		for _, v := range c.VNIs {
			for _, p := range v.Gateway {
				if v.VRF == r.Name {
					rows = append(rows, []cell{one(name), one(p.Masked().String()), one(fmt.Sprintf("VNI %d, as %s (%s)", v.ID, p.Addr(), v.GatewayMAC))})
					name = ""
				}
			}
		}
		for _, s := range r.Routes {
			rows = append(rows, []cell{one(name), one(s.Prefix.String()), list(s.by())})
			name = ""
		}
	}
	return rows
}

// By says how a route goes on, in words.
func (r Route) By() string { return strings.Join(r.by(), ", ") }

// by says how a route goes on.
func (r Route) by() []string {
	switch {
	case r.Blackhole:
		return []string{"blackhole"}
	case r.Unreachable:
		return []string{"unreachable"}
	}
	var out []string
	for _, h := range r.Hops {
		out = append(out, fmt.Sprintf("via %s in VNI %d", h.Via, h.VNI))
	}
	return out
}

func vlanOf(v uint16) string {
	if v == 0 {
		return "-"
	}
	return fmt.Sprint(v)
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

func ageingOf(d time.Duration) string {
	if d == 0 {
		return "never"
	}
	s := strings.TrimSuffix(d.String(), "m0s")
	if s != d.String() {
		s += "m"
	}
	return s
}

func words[T fmt.Stringer](list []T) []string {
	out := make([]string, len(list))
	for i, v := range list {
		out[i] = v.String()
	}
	return out
}

// hosts writes prefixes of one address as the address.
func hosts(list []netip.Prefix) []string {
	out := make([]string, len(list))
	for i, p := range list {
		out[i] = p.String()
		if p.IsSingleIP() {
			out[i] = p.Addr().String()
		}
	}
	return out
}

// cell is the lines of one field of a table.
type cell []string

func one(s string) cell { return cell{s} }

func heads(names ...string) []cell {
	out := make([]cell, len(names))
	for i, n := range names {
		out[i] = one(n)
	}
	return out
}

// list breaks a list into lines of at most cellWidth, or of one item.
func list(items []string) cell {
	if len(items) == 0 {
		return cell{"-"}
	}
	var c cell
	line := items[0]
	for _, s := range items[1:] {
		if utf8.RuneCountInString(line)+len(", ")+utf8.RuneCountInString(s) > cellWidth {
			c = append(c, line+",")
			line = s
			continue
		}
		line += ", " + s
	}
	return append(c, line)
}

// writeGrid writes rows with their columns aligned, under a title.
func writeGrid(b *strings.Builder, title string, rows [][]cell) {
	if len(rows) == 0 {
		return
	}
	if title != "" {
		b.WriteString(title + "\n")
	}
	widths := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, c := range row {
			for _, s := range c {
				widths[i] = max(widths[i], utf8.RuneCountInString(s))
			}
		}
	}
	for _, row := range rows {
		writeRow(b, row, widths)
	}
	b.WriteString("\n")
}

func writeRow(b *strings.Builder, row []cell, widths []int) {
	height := 0
	for _, c := range row {
		height = max(height, len(c))
	}
	for y := range height {
		var line strings.Builder
		for i, c := range row {
			s := ""
			if y < len(c) {
				s = c[y]
			}
			fmt.Fprintf(&line, "  %-*s", widths[i], s)
		}
		b.WriteString(strings.TrimRight(line.String(), " ") + "\n")
	}
}
