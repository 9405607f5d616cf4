package control

import (
	"maps"
	"strconv"
)

// Merge is what all origins have said, and what of it counts.
type Merge struct {
	VTEPs      *Section[VTEP, Member]
	MACs       *Section[MACKey, MAC]
	Neighbours *Section[NeighbourKey, Neighbour]
	Routes     *Section[RouteKey, Route]
}

// NewMerge returns a Merge that nobody has said anything in.
func NewMerge() *Merge {
	return &Merge{
		VTEPs:      NewSection(same[Member], func(k VTEP) string { return VNIGroup(k.VNI) }),
		MACs:       NewSection(same[MAC], func(k MACKey) string { return VNIGroup(k.VNI) }),
		Neighbours: NewSection(same[Neighbour], func(k NeighbourKey) string { return VNIGroup(k.VNI) }),
		Routes:     NewSection(Route.Equal, func(k RouteKey) string { return k.VRF }),
	}
}

// VNIGroup is what entries of a VNI are counted by. Routes are by their VRF's name.
func VNIGroup(vni uint32) string { return strconv.FormatUint(uint64(vni), 10) }

func same[V comparable](a, b V) bool { return a == b }

// Changes are what counts otherwise than before.
type Changes struct {
	VTEPs      []Change[VTEP, Member]
	MACs       []Change[MACKey, MAC]
	Neighbours []Change[NeighbourKey, Neighbour]
	Routes     []Change[RouteKey, Route]
}

// Len returns how many there are.
func (c *Changes) Len() int {
	return len(c.VTEPs) + len(c.MACs) + len(c.Neighbours) + len(c.Routes)
}

// Replace returns the Edit after which an origin has said just w.
func (m *Merge) Replace(o Origin, w Words) Edit {
	var e Edit
	e.Removed.VTEPs, e.Added.VTEPs = m.VTEPs.Diff(o, w.VTEPs)
	e.Removed.MACs, e.Added.MACs = m.MACs.Diff(o, w.MACs)
	e.Removed.Neighbours, e.Added.Neighbours = m.Neighbours.Diff(o, w.Neighbours)
	e.Removed.Routes, e.Added.Routes = m.Routes.Diff(o, w.Routes)
	return e
}

// Apply does what an Edit says, and returns what then counts otherwise than before.
func (m *Merge) Apply(o Origin, e Edit) Changes {
	return Changes{
		VTEPs:      m.VTEPs.Apply(o, e.Removed.VTEPs, e.Added.VTEPs),
		MACs:       m.MACs.Apply(o, e.Removed.MACs, e.Added.MACs),
		Neighbours: m.Neighbours.Apply(o, e.Removed.Neighbours, e.Added.Neighbours),
		Routes:     m.Routes.Apply(o, e.Removed.Routes, e.Added.Routes),
	}
}

// Edits reports whether an Edit would change anything of what an origin has said.
func (m *Merge) Edits(o Origin, e *Edit) bool {
	return m.VTEPs.Edits(o, e.Removed.VTEPs, e.Added.VTEPs) || m.MACs.Edits(o, e.Removed.MACs, e.Added.MACs) ||
		m.Neighbours.Edits(o, e.Removed.Neighbours, e.Added.Neighbours) || m.Routes.Edits(o, e.Removed.Routes, e.Added.Routes)
}

// Of returns a copy of what an origin has said.
func (m *Merge) Of(o Origin) Words {
	w := NewWords()
	maps.Copy(w.VTEPs, m.VTEPs.Of(o))
	maps.Copy(w.MACs, m.MACs.Of(o))
	maps.Copy(w.Neighbours, m.Neighbours.Of(o))
	maps.Copy(w.Routes, m.Routes.Of(o))
	return w
}

// Sizes returns how much an origin has said.
func (m *Merge) Sizes(o Origin) Sizes {
	return Sizes{len(m.VTEPs.Of(o)), len(m.MACs.Of(o)), len(m.Neighbours.Of(o)), len(m.Routes.Of(o))}
}
