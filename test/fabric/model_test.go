package fabric

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"pgregory.net/rapid"

	"vxgw/l2/frame"
)

// model is a slow and obvious network of bridges, each with VTEPs as further
// ports: who must get a copy of a frame.
type model struct {
	bridges map[string]*bridge
	group   bool // what is flooded goes to a group and to no list
}

// bridge is one gateway of the model. Its places are "a.p1" for a port and "b"
// for the VTEP of that name.
type bridge struct {
	name     string
	vni      map[string]int // by port
	isolated map[string]bool
	down     map[string]bool
	peers    []string
	known    map[string]string // by VNI and MAC: place
}

func key(vni int, m frame.MAC) string { return fmt.Sprintf("%d %s", vni, m) }

// send lists where a frame from a host turns up, as Result.Is has it.
func (m model) send(place string, src, dst frame.MAC) string {
	gw, _, _ := strings.Cut(place, ".")
	b := m.bridges[gw]
	vni := b.vni[place]
	if b.down[place] {
		return ""
	}
	b.known[key(vni, src)] = place
	if at, ok := b.known[key(vni, dst)]; ok && !dst.IsMulticast() {
		switch {
		case at == place:
			return gw + "!access:same_port"
		case b.isolated[at] && b.isolated[place]:
			return gw + "!access:isolated_port"
		case strings.Contains(at, "."):
			return at
		}
		return gw + ">" + at + " " + m.arrive(at, gw, vni, src, dst)
	}
	var out []string
	why := "no_remote"
	for p, v := range b.vni {
		switch {
		case v != vni || p == place:
		case b.isolated[p] && b.isolated[place]:
			why = "isolated_port"
		case b.down[p]:
			why = "port_down"
		default:
			out = append(out, p)
		}
	}
	if m.group {
		out = append(out, gw+">"+group)
	}
	for _, peer := range b.peers {
		if !m.group {
			out = append(out, gw+">"+peer)
		}
		out = append(out, m.arrive(peer, gw, vni, src, dst))
	}
	if len(out) == 0 {
		return gw + "!access:" + why
	}
	return strings.Join(out, " ")
}

// arrive lists what becomes of a frame that comes to a gateway from a VTEP.
func (m model) arrive(gw, from string, vni int, src, dst frame.MAC) string {
	b := m.bridges[gw]
	b.known[key(vni, src)] = from
	if at, ok := b.known[key(vni, dst)]; ok && !dst.IsMulticast() {
		if strings.Contains(at, ".") {
			return at
		}
		return gw + "!overlay:split_horizon"
	}
	var out []string
	for p, v := range b.vni {
		if v == vni && !b.down[p] {
			out = append(out, p)
		}
	}
	if len(out) == 0 {
		return gw + "!overlay:port_down"
	}
	return strings.Join(out, " ")
}

// setDown takes a port down, which forgets who is behind it, or up.
func (m model) setDown(place string, down bool) {
	gw, _, _ := strings.Cut(place, ".")
	b := m.bridges[gw]
	b.down[place] = down
	for k, at := range b.known {
		if at == place {
			delete(b.known, k)
		}
	}
}

// modelNet is three gateways of three ports each, and their model: p1 and p2
// are in VNI 1000 and p3 in VNI 1000 or 2000, as the test draws.
func modelNet(n *Net, isolated bool, third int, inGroup bool) model {
	m := model{bridges: make(map[string]*bridge), group: inGroup}
	all := []string{"a", "b", "c"}
	for _, name := range all {
		var peers []string
		for _, p := range all {
			if p != name {
				peers = append(peers, p)
			}
		}
		flood, line := strings.Join(peers, " "), ""
		if inGroup {
			flood, line = "", `group = "`+group+`"`
		}
		n.Add(conf(name, vni(1000, flood, line), vni(2000, flood, line),
			ports(10, "p1 p2", fmt.Sprintf("isolated = %v", isolated)), ports(third/100, "p3")))
		b := &bridge{
			name: name, peers: peers, known: make(map[string]string), down: make(map[string]bool),
			vni:      map[string]int{name + ".p1": 1000, name + ".p2": 1000, name + ".p3": third},
			isolated: map[string]bool{name + ".p1": isolated, name + ".p2": isolated},
		}
		m.bridges[name] = b
	}
	return m
}

// act is one thing that happens to a network: a host sends, or a port goes down
// or up.
type act struct {
	place    string
	link     bool
	down     bool
	src, dst frame.MAC
}

func drawActs(t *rapid.T) (acts []act) {
	macs := []frame.MAC{H1, H2, H3, RA}
	dsts := append(slices.Clone(macs), Nobody, frame.Broadcast, MAC("33:33:00:00:00:01"))
	for range rapid.IntRange(1, 40).Draw(t, "acts") {
		a := act{
			place: rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "gateway") + "." + rapid.SampledFrom([]string{"p1", "p2", "p3"}).Draw(t, "port"),
			link:  rapid.IntRange(0, 9).Draw(t, "what") == 0,
		}
		if a.link {
			a.down = rapid.Bool().Draw(t, "down")
		} else {
			a.src = rapid.SampledFrom(macs).Draw(t, "src")
			a.dst = rapid.SampledFrom(dsts).Draw(t, "dst")
		}
		acts = append(acts, a)
	}
	return acts
}

// play does to a network and its model the same.
func play(n *Net, m model, acts []act) {
	for _, a := range acts {
		gw, port := n.at(a.place)
		switch {
		case a.link && a.down != m.bridges[gw.Name()].down[a.place]:
			m.setDown(a.place, a.down)
			gw.Host.SetUp(port, !a.down)
			n.Settle()
		case !a.link && a.src != a.dst:
			n.Send(a.place, Local(a.dst, a.src)).Is(m.send(a.place, a.src, a.dst))
		}
	}
}

// recorder keeps what a test has to say until its bubble has ended.
type recorder struct{ failures []string }

func (r *recorder) Helper()                   {}
func (r *recorder) Logf(string, ...any)       {}
func (r *recorder) Fatalf(f string, a ...any) { panic(fmt.Sprintf(f, a...)) }
func (r *recorder) Errorf(f string, a ...any) { r.failures = append(r.failures, fmt.Sprintf(f, a...)) }

// Whatever is sent, and whichever ports go down and up, every copy is where the
// model says, and nowhere else.
func TestAgainstModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		isolated := rapid.Bool().Draw(rt, "isolated")
		third := rapid.SampledFrom([]int{1000, 2000}).Draw(rt, "third")
		inGroup := rapid.Bool().Draw(rt, "group")
		acts := drawActs(rt)
		var rec recorder
		synctest.Test(t, func(*testing.T) {
			n := New(&rec)
			defer n.Stop()
			play(n, modelNet(n, isolated, third, inGroup), acts)
			n.CheckAccounts()
		})
		if len(rec.failures) > 0 {
			rt.Fatalf("%s", strings.Join(rec.failures, "\n"))
		}
	})
}
