package api

import (
	"context"
	"fmt"
	"io"
	"iter"
	"strconv"
	"strings"
	"time"
)

// listWidth is how many characters of a list a table shows before it says "+N".
const listWidth = 24

// View says how a table is made.
type View struct {
	VNI   uint32    // only this VNI; 0: all
	Zeros bool      // drops: the reasons that did not occur too
	Width int       // characters in a line, to which what a drop means is clipped; 0: no clipping
	Now   time.Time // what "ago" is counted from
}

// WriteTable asks c for a resource and writes it as a table for people. A table
// without rows says in a sentence that it has none.
func WriteTable(ctx context.Context, w io.Writer, c *Client, name string, v View) error {
	switch name {
	case "ports":
		return table(w, v, portColumns, Rows[PortRow](ctx, c, name, v.VNI), v.port, "no access ports: add a [[port]]")
	case "vnis":
		return table(w, v, vniColumns, Rows[VNIRow](ctx, c, name, v.VNI), v.vni, "no VNIs: add a [[vni]]")
	case "vteps":
		return table(w, v, vtepColumns, Rows[VTEPRow](ctx, c, name, v.VNI), v.vtep, "no remote VTEPs: none is configured, and none was heard of yet")
	case "macs":
		return table(w, v, macColumns, Rows[MACRow](ctx, c, name, v.VNI), v.mac, "no MACs learned yet")
	case "neighbours":
		return table(w, v, neighbourColumns, Rows[NeighbourRow](ctx, c, name, v.VNI), v.neighbour, "no neighbours known: they are learned in a [[vni]] with gateway, or with suppress_arp = true")
	case "routes":
		return table(w, v, routeColumns, Rows[RouteRow](ctx, c, name, v.VNI), v.route, "no routes: no VNI has vrf and gateway")
	case "origins":
		return table(w, v, originColumns, Rows[OriginRow](ctx, c, name, v.VNI), v.origin, "no controllers: none has said anything by PUT /v1/origins/{origin}")
	case "drops":
		return v.drops(w, Rows[DropRow](ctx, c, name, v.VNI))
	case "datapath":
		return table(w, v, datapathColumns, Rows[DatapathRow](ctx, c, name, v.VNI), v.datapath, "no interfaces are attached")
	case "config":
		return table(w, v, configColumns, Rows[ConfigRow](ctx, c, name, v.VNI), v.config, "this gateway has no configuration file")
	}
	return fmt.Errorf("there is no table of %q", name)
}

// table lays out rows, or writes the sentence that says there are none.
func table[T any](w io.Writer, v View, columns []column, rows iter.Seq2[T, error], cells func(T) []string, none string) error {
	t := newLayout(w, v.Width, columns...)
	for row, err := range rows {
		if err != nil {
			t.end()
			return err
		}
		if err := t.row(cells(row)...); err != nil {
			return err
		}
	}
	if t.rows == 0 {
		_, err := fmt.Fprintln(w, none+v.where())
		return err
	}
	return t.end()
}

func (v View) where() string {
	if v.VNI == 0 {
		return ""
	}
	return fmt.Sprintf(" (VNI %d)", v.VNI)
}

var trafficColumns = []column{
	{head: "RX-PACKETS", right: true}, {head: "RX-BYTES", right: true},
	{head: "TX-PACKETS", right: true}, {head: "TX-BYTES", right: true},
}

func traffic(rxPackets, rxBytes, txPackets, txBytes uint64) []string {
	return []string{number(rxPackets), number(rxBytes), number(txPackets), number(txBytes)}
}

// join puts columns or cells in a row.
func join[T any](parts ...[]T) []T {
	var all []T
	for _, p := range parts {
		all = append(all, p...)
	}
	return all
}

var portColumns = join(
	[]column{{head: "PORT"}, {head: "VLAN", right: true, optional: true}, {head: "VNI", right: true}, {head: "STATE"}},
	trafficColumns,
	[]column{{head: "MACS", right: true}, {head: "STORM", optional: true}, {head: "REASON", optional: true}},
)

func (v View) port(r PortRow) []string {
	return join(
		[]string{r.Interface, numberOrNone(r.VLAN), number(r.VNI), r.State},
		traffic(r.RxPackets, r.RxBytes, r.TxPackets, r.TxBytes),
		[]string{number(r.MACs), storms(r.Storm), r.Reason},
	)
}

var vniColumns = join(
	[]column{{head: "VNI", right: true}, {head: "VLAN", right: true, optional: true}, {head: "NAME", optional: true}, {head: "VRF", optional: true}, {head: "MACS", right: true}, {head: "HELD", right: true, optional: true}},
	trafficColumns,
	[]column{{head: "SUPPRESSED", right: true, optional: true}, {head: "STORM", optional: true}, {head: "PORTS"}, {head: "VTEPS"}},
)

func (v View) vni(r VNIRow) []string {
	return join(
		[]string{number(r.VNI), numberOrNone(r.VLAN), r.Name, r.VRF, number(r.MACs), numberOrNone(r.Held)},
		traffic(r.RxPackets, r.RxBytes, r.TxPackets, r.TxBytes),
		[]string{numberOrNone(r.Suppressed), storms(r.Storm), brief(r.Ports), brief(r.VTEPs)},
	)
}

// storms names what storm control drops at the moment.
func storms(rows []StormRow) string {
	var active []string
	for _, r := range rows {
		if r.Active {
			active = append(active, r.Direction+" "+r.Kind)
		}
	}
	return strings.Join(active, ", ")
}

var vtepColumns = join(
	[]column{{head: "VTEP"}, {head: "ORIGIN"}, {head: "SEEN", right: true}, {head: "MTU", right: true, optional: true}},
	trafficColumns,
	[]column{{head: "VNIS"}},
)

func (v View) vtep(r VTEPRow) []string {
	vnis := make([]string, len(r.VNIs))
	for i, n := range r.VNIs {
		vnis[i] = number(n)
	}
	seen := "never"
	if r.LastSeen != nil {
		seen = Age(v.Now.Sub(*r.LastSeen))
	}
	return join(
		[]string{r.Address, r.Origin, seen, numberOrNone(r.MTU)},
		traffic(r.RxPackets, r.RxBytes, r.TxPackets, r.TxBytes),
		[]string{brief(vnis)},
	)
}

var macColumns = []column{{head: "VNI", right: true}, {head: "MAC"}, {head: "PORT"}, {head: "VTEP"}, {head: "ORIGIN"}, {head: "AGE", right: true}, {head: "HELD", optional: true}}

func (v View) mac(r MACRow) []string {
	old := ""
	if r.Origin == OriginLearned {
		old = Age(time.Duration(r.Age) * time.Second)
	}
	held := ""
	if r.Held {
		held = "held"
	}
	return []string{number(r.VNI), r.MAC, r.Port, r.VTEP, r.Origin, old, held}
}

var neighbourColumns = []column{{head: "VNI", right: true}, {head: "VRF", optional: true}, {head: "ADDRESS"}, {head: "MAC"}, {head: "STATE"}, {head: "ORIGIN"}}

func (v View) neighbour(r NeighbourRow) []string {
	return []string{number(r.VNI), r.VRF, r.Address, r.MAC, r.State, r.Origin}
}

var routeColumns = []column{{head: "VRF"}, {head: "PREFIX"}, {head: "VNI", right: true}, {head: "VIA"}, {head: "ORIGIN"}}

func (v View) route(r RouteRow) []string {
	via := r.Via
	if r.Kind == "blackhole" || r.Kind == "unreachable" {
		via = r.Kind
	}
	return []string{r.VRF, r.Prefix, numberOrNone(r.VNI), via, r.Origin}
}

var originColumns = []column{
	{head: "ORIGIN"}, {head: "STATE"}, {head: "LEFT", right: true}, {head: "HEARD", right: true}, {head: "VTEPS", right: true},
	{head: "MACS", right: true}, {head: "NEIGHBOURS", right: true}, {head: "ROUTES", right: true}, {head: "UNUSED", right: true},
}

func (v View) origin(r OriginRow) []string {
	heard := "never"
	if r.LastHeard != nil {
		heard = Age(v.Now.Sub(*r.LastHeard))
	}
	return []string{
		r.Origin, r.State, Age(time.Duration(r.Left) * time.Second), heard, number(r.VTEPs),
		number(r.MACs), number(r.Neighbours), number(r.Routes), number(r.Unused),
	}
}

var datapathColumns = []column{{head: "INTERFACE"}, {head: "MODE"}, {head: "ATTACHED"}, {head: "REASON"}}

func (v View) datapath(r DatapathRow) []string {
	attached := "no"
	if r.Attached {
		attached = "yes"
	}
	return []string{r.Interface, r.Mode, attached, r.Reason}
}

var dropColumns = []column{{head: "REASON"}, {head: "DIRECTION"}, {head: "COUNT", right: true}, {head: "MEANING", clip: true}}

// drops lists what occurred and the sum of it; with Zeros what did not, too.
func (v View) drops(w io.Writer, rows iter.Seq2[DropRow, error]) error {
	t := newLayout(w, v.Width, dropColumns...)
	var total uint64
	for r, err := range rows {
		if err != nil {
			return err
		}
		if total += r.Count; r.Count == 0 && !v.Zeros {
			continue
		}
		if err := t.row(r.Reason, r.Direction, number(r.Count), r.Meaning); err != nil {
			return err
		}
	}
	if t.rows == 0 {
		_, err := fmt.Fprintln(w, "nothing was dropped (--all lists what is counted)")
		return err
	}
	if err := t.row("total", "", number(total), "all of the above"); err != nil {
		return err
	}
	return t.end()
}

// integer is any whole number that a row has.
type integer interface {
	~int | ~uint16 | ~uint32 | ~uint64
}

func number[T integer](n T) string { return strconv.FormatUint(uint64(n), 10) }

func numberOrNone[T integer](n T) string {
	if n == 0 {
		return ""
	}
	return number(n)
}

// Age writes a duration as 12s, 5m3s, 2h5m or 3d4h: two units are enough.
func Age(d time.Duration) string {
	s := max(0, int64(d/time.Second))
	switch {
	case s < 60:
		return fmt.Sprintf("%ds", s)
	case s < 3600:
		return fmt.Sprintf("%dm%ds", s/60, s%60)
	case s < 86400:
		return fmt.Sprintf("%dh%dm", s/3600, s/60%60)
	}
	return fmt.Sprintf("%dd%dh", s/86400, s/3600%24)
}

// brief writes a list, and only its beginning where it is long: 192.0.2.2 +3
func brief(list []string) string {
	whole := strings.Join(list, ",")
	if len(whole) <= listWidth || len(list) == 1 {
		return whole
	}
	return fmt.Sprintf("%s +%d", list[0], len(list)-1)
}
