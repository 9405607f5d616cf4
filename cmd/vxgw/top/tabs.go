package top

import (
	"fmt"
	"strings"
	"time"

	"vxgw/gateway/api"
)

// frame is what is shown: a poll, and the rates that it leads to.
type frame struct {
	*poll
	meter meter
}

// tab is one of the tables.
type tab struct {
	name    string
	columns []column
	by      int // the column that it is sorted by at first
	rows    func(f *frame, zeros bool) []row
	about   func(f *frame, key string) []string // the details of a row; nil: it is gone
	none    string                              // what it says without rows
}

// The tabs, in their order.
const (
	tabPorts = iota
	tabVNIs
	tabVTEPs
	tabDrops
	tabMACs
	numTabs
)

var tabs = []tab{
	tabPorts: {"ports", join([]column{{head: "PORT"}, {head: "VLAN", right: true, id: true, spare: 3, empty: true}, {head: "VNI", right: true, id: true}, {head: "STATE"}},
		rateColumns, []column{{head: "MACS", right: true, spare: 2}, {head: "NOTE", clip: 8, spare: 4, empty: true}}),
		0, portRows, aboutPort, "no access ports: add a [[port]] to the configuration"},
	tabVNIs: {"VNIs", join([]column{{head: "VNI", right: true, id: true}, {head: "VLAN", right: true, id: true, spare: 3, empty: true}, {head: "NAME", clip: 8, spare: 1, empty: true}, {head: "VRF", clip: 8, spare: 6, empty: true}},
		rateColumns, []column{{head: "MACS", right: true, spare: 2}, {head: "PORTS", right: true, spare: 5}, {head: "VTEPS", right: true, spare: 4}}),
		5, vniRows, aboutVNI, "no VNIs: add a [[vni]] to the configuration"},
	tabVTEPs: {"VTEPs", join([]column{{head: "VTEP", clip: 26}, {head: "ORIGIN", spare: 3}, {head: "SEEN", right: true}, {head: "MTU", right: true, spare: 1, empty: true}},
		rateColumns, []column{{head: "VNIS", right: true, spare: 2}}),
		5, vtepRows, aboutVTEP, "no remote VTEPs: none is configured, and none was heard of yet"},
	tabDrops: {"drops", []column{{head: "REASON"}, {head: "FROM"}, {head: "NOW/S", right: true}, {head: "COUNT", right: true}, {head: "MEANING", clip: 16, spare: 1}},
		2, dropRows, aboutDrop, "nothing was dropped: a lists the reasons that are counted"},
	tabMACs: {"MACs", []column{{head: "MAC"}, {head: "VNI", right: true, id: true}, {head: "PORT", clip: 8, empty: true}, {head: "VTEP", clip: 15, empty: true}, {head: "ORIGIN"}, {head: "AGE", right: true}, {head: "HELD", empty: true}},
		0, macRows, aboutMAC, "no MACs are known"},
}

var rateColumns = []column{
	{head: "RX-PPS", right: true}, {head: "RX-BIT/S", right: true}, {head: "TX-PPS", right: true}, {head: "TX-BIT/S", right: true},
}

// join puts columns or cells in a row.
func join[T any](parts ...[]T) []T {
	var all []T
	for _, p := range parts {
		all = append(all, p...)
	}
	return all
}

func (r rates) cells() []cell {
	return []cell{rate(r[rxPackets]), rate(8 * r[rxBytes]), rate(r[txPackets]), rate(8 * r[txBytes])}
}

func portRows(f *frame, _ bool) []row {
	var rows []row
	for i := range f.Ports {
		p := &f.Ports[i]
		note := p.Reason
		if s := storming(p.Storm); note == "" && s != "" {
			note = "storm: " + s
		}
		rows = append(rows, row{
			key: portKey(p), bad: p.State != api.StateUp || storming(p.Storm) != "",
			cells: join([]cell{word(p.Interface), {number(p.VLAN), float64(p.VLAN)}, {fmt.Sprint(p.VNI), float64(p.VNI)}, word(p.State)},
				f.meter.of(portKey(p)).cells(), []cell{count(p.MACs), word(note)}),
		})
	}
	return rows
}

// storming names what storm control drops at the moment.
func storming(all []api.StormRow) string {
	var kinds []string
	for _, s := range all {
		if s.Active {
			kinds = append(kinds, s.Direction+" "+s.Kind)
		}
	}
	return strings.Join(kinds, ", ")
}

func vniRows(f *frame, _ bool) []row {
	var rows []row
	for i := range f.VNIs {
		v := &f.VNIs[i]
		rows = append(rows, row{
			key: vniKey(v),
			cells: join([]cell{{fmt.Sprint(v.VNI), float64(v.VNI)}, {number(v.VLAN), float64(v.VLAN)}, word(v.Name), word(v.VRF)},
				f.meter.of(vniKey(v)).cells(), []cell{count(v.MACs), count(v.Ports), count(v.VTEPs)}),
		})
	}
	return rows
}

func vtepRows(f *frame, _ bool) []row {
	var rows []row
	for i := range f.VTEPs {
		v := &f.VTEPs[i]
		seen := cell{"never", unknown}
		switch {
		case v.Origin == api.OriginGroup: // sent to, and never heard from
			seen.text = "-"
		case v.LastSeen != nil:
			ago := f.Time.Sub(*v.LastSeen)
			seen = cell{api.Age(ago), ago.Seconds()}
		}
		rows = append(rows, row{
			key: vtepKey(v),
			cells: join([]cell{word(v.Address), word(v.Origin), seen, {number(v.MTU), float64(v.MTU)}},
				f.meter.of(vtepKey(v)).cells(), []cell{count(v.VNIs)}),
		})
	}
	return rows
}

func dropRows(f *frame, zeros bool) []row {
	var rows []row
	for i := range f.Drops {
		d := &f.Drops[i]
		if d.Count == 0 && !zeros {
			continue
		}
		now, means := f.meter.of(dropKey(d))[drops], f.texts[d.Reason]
		rows = append(rows, row{
			key: dropKey(d), bad: now > 0, more: means.mend,
			cells: []cell{word(d.Reason), word(d.Direction), rate(now), count(d.Count), word(means.meaning)},
		})
	}
	return rows
}

func macKey(r *api.MACRow) string { return fmt.Sprintf("mac %d %s", r.VNI, r.MAC) }

func macRows(f *frame, _ bool) []row {
	var rows []row
	for i := range f.found.Rows {
		m := &f.found.Rows[i]
		old, held := cell{"-", unknown}, ""
		if m.Origin == api.OriginLearned {
			old = cell{api.Age(time.Duration(m.Age) * time.Second), float64(m.Age)}
		}
		if m.Held {
			held = "held"
		}
		rows = append(rows, row{
			key: macKey(m), bad: m.Held,
			cells: []cell{word(m.MAC), {fmt.Sprint(m.VNI), float64(m.VNI)}, word(m.Port), word(m.VTEP), word(m.Origin), old, word(held)},
		})
	}
	return rows
}
