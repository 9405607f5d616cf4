package config

import (
	"cmp"
	"fmt"
	"net/netip"
	"reflect"
	"slices"

	"vxgw/l2/frame"
)

// Changes is the difference between two configurations. The order in which a
// file lists things is no difference.
type Changes struct {
	VNIs    Delta[VNI]
	Ports   Delta[Port]
	MACs    Delta[StaticMAC]
	VRFs    Delta[VRF]
	Remotes Delta[Remote] // never Changed

	// Settings are the keys outside of arrays that changed, as
	// "underlay.ttl".
	Settings []string
	// RestartNeeded are those of Settings that take effect at the next start
	// only.
	RestartNeeded []string
}

// Delta is what happened to the items of one kind.
type Delta[T any] struct {
	Added, Removed []T
	Changed        []Change[T]
}

// Change is one item before and after.
type Change[T any] struct{ Old, New T }

// Empty reports whether nothing happened.
func (d Delta[T]) Empty() bool { return len(d.Added)+len(d.Removed)+len(d.Changed) == 0 }

// Remote is a VTEP as one VNI knows it by configuration: from its flood list or
// as the place of a static MAC address.
type Remote struct {
	VNI  uint32
	VTEP netip.Addr
}

// Empty reports whether the two configurations do the same.
func (c Changes) Empty() bool {
	return c.VNIs.Empty() && c.Ports.Empty() && c.MACs.Empty() && c.VRFs.Empty() && c.Remotes.Empty() && len(c.Settings) == 0
}

// Diff returns what to do to a gateway that runs old so that it runs new.
func Diff(old, new *Config) Changes {
	c := Changes{
		VNIs:  delta(old.VNIs, new.VNIs, func(v VNI) uint32 { return v.ID }),
		Ports: delta(old.Ports, new.Ports, func(p Port) string { return p.Interface }),
		MACs: delta(old.MACs, new.MACs, func(m StaticMAC) any {
			return struct {
				vni uint32
				mac frame.MAC
			}{m.VNI, m.MAC}
		}),
		VRFs:    delta(old.VRFs, new.VRFs, func(v VRF) string { return v.Name }),
		Remotes: delta(old.Remotes(), new.Remotes(), func(r Remote) Remote { return r }),
	}
	before := settings(old)
	for i, s := range settings(new) {
		if s.val == before[i].val {
			continue
		}
		name := s.table.name + "." + s.key
		c.Settings = append(c.Settings, name)
		if s.table.key(s.key).restart {
			c.RestartNeeded = append(c.RestartNeeded, name)
		}
	}
	return c
}

// delta compares two lists of items that have a key each.
func delta[T any, K comparable](old, new []T, keyOf func(T) K) Delta[T] {
	var d Delta[T]
	before := make(map[K]T, len(old))
	for _, o := range old {
		before[keyOf(o)] = o
	}
	for _, n := range new {
		o, found := before[keyOf(n)]
		switch {
		case !found:
			d.Added = append(d.Added, n)
		case !reflect.DeepEqual(o, n):
			d.Changed = append(d.Changed, Change[T]{o, n})
		}
		delete(before, keyOf(n))
	}
	for _, o := range old {
		if _, gone := before[keyOf(o)]; gone {
			d.Removed = append(d.Removed, o)
		}
	}
	return d
}

// Remotes returns every VTEP that the configuration names, once for each VNI,
// in the order of VNI and address. Those that allowed_vteps lets in are not
// among them.
func (c *Config) Remotes() []Remote {
	var out []Remote
	for _, v := range c.VNIs {
		for _, a := range v.Flood {
			out = append(out, Remote{v.ID, a})
		}
	}
	for _, m := range c.MACs {
		if m.VTEP.IsValid() {
			out = append(out, Remote{m.VNI, m.VTEP})
		}
	}
	slices.SortFunc(out, func(a, b Remote) int {
		return cmp.Or(cmp.Compare(a.VNI, b.VNI), a.VTEP.Compare(b.VTEP))
	})
	return slices.Compact(out)
}

// setting is the value of one key outside of arrays.
type setting struct {
	table *table
	key   string
	val   any // comparable
}

// settings returns them in the order of the schema.
func settings(c *Config) []setting {
	u := c.Underlay
	return []setting{
		{gatewayTable, "name", c.Name},
		{underlayTable, "address", ownAddress{u.Address, u.Assign}},
		{underlayTable, "interface", u.Interface},
		{underlayTable, "vlan", u.VLAN},
		{underlayTable, "port", u.Port},
		{underlayTable, "ttl", u.TTL},
		{underlayTable, "dscp", u.DSCP},
		{underlayTable, "df", u.DF},
		{underlayTable, "udp_checksum", [2]bool{u.Checksum, u.ZeroChecksum6}},
		{underlayTable, "source_ports", u.SourcePorts},
		{underlayTable, "reserved_bits", u.Strict},
		{underlayTable, "pmtu_probe", u.ProbePMTU},
		{underlayTable, "bypass", u.Bypass},
		{datapathTable, "mode", c.Datapath.Mode},
		{datapathTable, "workers", c.Datapath.Workers},
		{datapathTable, "mac_limit", c.Datapath.MACLimit},
		{apiTable, "socket", c.API.Socket},
		{apiTable, "http", c.API.HTTP},
		{logTable, "level", c.Log.Level},
		{logTable, "format", c.Log.Format},
	}
}

// Lines returns the changes for people, one a line: "+ port eth1",
// "- vni 10010", "~ underlay.ttl", and those that wait for a restart marked.
func (c Changes) Lines() []string {
	var out []string
	for _, s := range c.Settings {
		if slices.Contains(c.RestartNeeded, s) {
			s += " (at the next start)"
		}
		out = append(out, "~ "+s)
	}
	out = append(out, lines(c.VNIs, func(v VNI) string { return fmt.Sprintf("vni %d", v.ID) })...)
	out = append(out, lines(c.Ports, func(p Port) string { return "port " + p.Interface })...)
	out = append(out, lines(c.Remotes, func(r Remote) string { return fmt.Sprintf("vtep %s in vni %d", r.VTEP, r.VNI) })...)
	out = append(out, lines(c.MACs, func(m StaticMAC) string { return fmt.Sprintf("mac %s in vni %d", m.MAC, m.VNI) })...)
	return append(out, lines(c.VRFs, func(v VRF) string { return "vrf " + v.Name })...)
}

func lines[T any](d Delta[T], name func(T) string) []string {
	var out []string
	for _, v := range d.Removed {
		out = append(out, "- "+name(v))
	}
	for _, v := range d.Added {
		out = append(out, "+ "+name(v))
	}
	for _, v := range d.Changed {
		out = append(out, "~ "+name(v.New))
	}
	return out
}
