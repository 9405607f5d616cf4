package gateway

import (
	"cmp"
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"strings"

	"vxgw/config"
	"vxgw/gateway/api"
	"vxgw/gateway/forward"
	"vxgw/l2/fdb"
)

// nothing is the effect of what touches no frame.
const nothing = "nothing is interrupted"

// Preview says what Reload of next would do to the traffic of now, and does nothing.
// What it does not name is not touched. The errors are Reload's.
func (g *Gateway) Preview(next *config.Config) ([]api.Impact, error) {
	g.mu.Lock() // no reload meanwhile
	defer g.mu.Unlock()
	was := g.config()
	live, err := config.Live(was, next)
	if err != nil {
		return nil, err
	}
	if err := g.tables.Fits(live); err != nil {
		return nil, err
	}
	c := config.Diff(was, next)
	p := &preview{g: g, snap: g.tables.Snapshot(), was: was, next: live, out: []api.Impact{}}
	p.settings(&c, next)
	p.vnis(&c)
	p.ports(&c)
	p.macs(&c)
	p.vrfs(&c)
	return p.out, nil
}

// preview is one Preview under way.
type preview struct {
	g         *Gateway
	snap      *forward.Snapshot
	was, next *config.Config // next: as it would run
	counts    map[place]int  // see behind
	out       []api.Impact
}

// place is where MACs are: behind a VTEP, in a bridge domain.
type place struct {
	domain fdb.Domain
	vtep   forward.VTEPID
}

func (p *preview) add(item string, e effect) {
	p.out = append(p.out, api.Impact{Item: item, Change: e.change, Effect: cmp.Or(e.then, nothing), Interrupts: e.interrupts})
}

// effect is a change and what becomes of traffic then; then is "" where nothing does,
// and change is "" where there is none.
type effect struct {
	change, then string
	interrupts   bool
}

// field says what it does to change a field of T.
type field[T any] struct {
	name string
	does func(p *preview, old, new *T) effect
}

// changed adds what the fields of an item do that are not what they were.
func changed[T any](p *preview, item string, fields []field[T], c config.Change[T]) {
	old, new := reflect.ValueOf(c.Old), reflect.ValueOf(c.New)
	for _, f := range fields {
		if reflect.DeepEqual(old.FieldByName(f.name).Interface(), new.FieldByName(f.name).Interface()) {
			continue
		}
		if e := f.does(p, &c.Old, &c.New); e.change != "" {
			p.add(item, e)
		}
	}
}

// settings adds the changed keys outside of arrays.
func (p *preview) settings(c *config.Changes, next *config.Config) {
	for _, name := range c.Settings {
		i := api.Impact{
			Item: strings.ReplaceAll(name, ".", " "), Change: arrow(p.was.Setting(name), next.Setting(name)), Effect: nothing,
			Restart: slices.Contains(c.RestartNeeded, name),
		}
		switch {
		case i.Restart:
			i.Effect = "takes a restart, nothing changes before"
		case name == "gateway.name":
			i.Effect = "the log, metrics and relayed DHCP have the new name: " + nothing
		}
		p.out = append(p.out, i)
	}
}

// behind returns how many MACs were learned in a domain behind VTEPs that go.
func (p *preview) behind(goes func(fdb.Domain, forward.VTEPID) bool) (n int) {
	if p.counts == nil {
		p.counts = make(map[place]int)
		for e := range p.g.tables.FDB().All() {
			if _, isPort := forward.HopPort(e.Hop); !isPort && e.Origin == fdb.Learned {
				p.counts[place{e.Domain, forward.HopVTEP(e.Hop)}]++
			}
		}
	}
	for at, k := range p.counts {
		if int(at.vtep) < len(p.snap.VTEPs) && goes(at.domain, at.vtep) {
			n += k
		}
	}
	return n
}

// behindIn is behind for the VTEPs of one VNI, by address.
func (p *preview) behindIn(vni uint32, goes func(netip.Addr) bool) int {
	d, ok := p.snap.VNIs[vni]
	if !ok {
		return 0
	}
	return p.behind(func(of fdb.Domain, v forward.VTEPID) bool { return of == d && goes(p.snap.VTEPs[v].Addr) })
}

// arrow writes a change of a value.
func arrow(old, new any) string { return fmt.Sprintf("%v -> %v", old, new) }

// quoted is arrow for names.
func quoted(old, new string) string { return fmt.Sprintf("%q -> %q", old, new) }

// onOff is arrow for what can be on.
func onOff(old, new bool) string {
	words := map[bool]string{true: "on", false: "off"}
	return arrow(words[old], words[new])
}

// cameAndWent returns what of new is not in old, and of old not in new.
func cameAndWent[T comparable](old, new []T) (came, went []T) {
	missing := func(from, in []T) (out []T) {
		has := make(map[T]bool, len(in))
		for _, v := range in {
			has[v] = true
		}
		for _, v := range from {
			if !has[v] {
				out = append(out, v)
			}
		}
		return out
	}
	return missing(new, old), missing(old, new)
}

// plusMinus writes a change of a list: "+192.0.2.9 -192.0.2.3". It is "" where the order
// alone changed.
func plusMinus[T comparable](came, went []T, write func(T) string) string {
	var words []string
	for _, v := range came {
		words = append(words, "+"+write(v))
	}
	for _, v := range went {
		words = append(words, "-"+write(v))
	}
	return strings.Join(words, " ")
}

// countOf writes a number of things: "1 MAC", "12 MACs".
func countOf(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// flushed says how many MACs go: "its 12 MACs are flushed". whose ends in a space.
func flushed(whose string, n int) string {
	are := "are"
	if n == 1 {
		are = "is"
	}
	return fmt.Sprintf("%s%s %s flushed", whose, countOf(n, "MAC"), are)
}
