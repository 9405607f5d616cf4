package fabric

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"vxgw/gateway"
	portmem "vxgw/l2/port/mem"
	underlay "vxgw/l3/underlay/mem"
)

// Result is where everything came out between two moments, over the whole
// network.
type Result struct {
	Sent   []byte                     // what every copy is to carry
	Frames map[string][]portmem.Frame // by place, "gateway.interface"
	Wires  []underlay.Wire            // what gateways sent to VTEPs

	net    *Net
	vni    uint32
	taken  bool // the edge it was sent to took it
	before map[*Gateway]state
	after  map[*Gateway]state
	counts map[string]int // of tokens, see Is
}

// state is what a gateway counts.
type state struct {
	accounts []gateway.Account
	refused  map[string]uint64
}

func (g *Gateway) state() state {
	s := state{accounts: g.Accounts(), refused: make(map[string]uint64)}
	for _, r := range g.LearnRefused() {
		s.refused[r.Reason] = r.Count
	}
	return s
}

func (n *Net) states() map[*Gateway]state {
	m := make(map[*Gateway]state, len(n.gateways))
	for _, g := range n.gateways {
		m[g] = g.state()
	}
	return m
}

// begin waits until nothing is under way, and throws away what nobody asked
// for.
func (n *Net) begin(sent []byte) *Result {
	n.Settle()
	for _, g := range n.gateways {
		g.drain(func(string, portmem.Frame) {})
	}
	n.mu.Lock()
	n.wires = nil
	n.mu.Unlock()
	return &Result{
		Sent: bytes.Clone(sent), Frames: make(map[string][]portmem.Frame),
		net: n, before: n.states(), counts: make(map[string]int),
	}
}

// end waits again and looks where everything is.
func (r *Result) end() {
	n := r.net
	n.Settle()
	for _, g := range n.gateways {
		g.drain(func(name string, f portmem.Frame) {
			place := g.Name() + "." + name
			r.Frames[place] = append(r.Frames[place], f)
			r.counts[place]++
		})
	}
	n.mu.Lock()
	r.Wires, n.wires = n.wires, nil
	n.mu.Unlock()
	for _, w := range r.Wires {
		r.counts[n.name(w.From)+">"+n.name(w.To)]++
	}
	r.after = n.states()
	for _, g := range n.gateways {
		r.countLosses(g)
	}
}

func (r *Result) countLosses(g *Gateway) {
	for d := range r.after[g].accounts {
		dropped, lost := r.delta(g, d)
		for reason, k := range dropped {
			r.counts[fmt.Sprintf("%s!%s:%s", g.Name(), r.after[g].accounts[d].Direction, reason)] += int(k)
		}
		for reason, k := range lost {
			r.counts[fmt.Sprintf("%s!%s:%s", g.Name(), r.after[g].accounts[d].Direction, reason)] += int(k)
		}
	}
	for why, k := range r.after[g].refused {
		if k -= r.before[g].refused[why]; k > 0 {
			r.counts[g.Name()+"?"+why] += int(k)
		}
	}
}

// add takes another result's counts and copies in.
func (r *Result) add(o *Result) {
	for k, v := range o.counts {
		r.counts[k] += v
	}
	for k, v := range o.Frames {
		r.Frames[k] = append(r.Frames[k], v...)
	}
	r.Wires = append(r.Wires, o.Wires...)
	r.vni = o.vni
}

// String lists the counts as Is reads them.
func (r *Result) String() string {
	var words []string
	for k, n := range r.counts {
		switch {
		case n == 1:
			words = append(words, k)
		case n != 0:
			words = append(words, fmt.Sprintf("%s*%d", k, n))
		}
	}
	slices.Sort(words)
	return strings.Join(words, " ")
}

// Is checks that the frame came out where want says, that often, unchanged, and
// nowhere else. want is a list of words, each a place and perhaps a number:
//
//	a.eth1            one copy out of port eth1 of gateway a
//	a>b*10            ten datagrams from VTEP a to VTEP b
//	a!access:ecn      counted as dropped or lost, in that direction, for that reason
//	a?port_limit      a MAC that was not learned
//	a.eth1~           a copy that carries something else, which the test looks at
func (r *Result) Is(want string) *Result {
	r.net.T.Helper()
	counts, changed := parseWant(want)
	w := Result{counts: counts}
	if got, want := r.String(), w.String(); got != want {
		r.net.T.Errorf("came out at\n  %s\nwant\n  %s\nsent %x", got, want, r.Sent)
		return r
	}
	r.checkBytes(changed)
	return r
}

func parseWant(want string) (counts map[string]int, changed map[string]bool) {
	counts, changed = make(map[string]int), make(map[string]bool)
	for _, word := range strings.Fields(want) {
		word, num, many := strings.Cut(word, "*")
		k := 1
		if many {
			k, _ = strconv.Atoi(num)
		}
		word, other := strings.CutSuffix(word, "~")
		changed[word] = changed[word] || other
		counts[word] += k
	}
	return counts, changed
}

// checkBytes checks every copy against what was sent, byte by byte.
func (r *Result) checkBytes(changed map[string]bool) {
	r.net.T.Helper()
	for place, frames := range r.Frames {
		for _, f := range frames {
			if !changed[place] && !bytes.Equal(f.Bytes, r.Sent) {
				r.net.T.Errorf("%s got\n%s\nsent\n%s", place, hex.Dump(f.Bytes), hex.Dump(r.Sent))
			}
		}
	}
	want := append(Header(r.vni), r.Sent...)
	for _, w := range r.Wires {
		word := r.net.name(w.From) + ">" + r.net.name(w.To)
		if !changed[word] && !bytes.Equal(w.Payload, want) {
			r.net.T.Errorf("%s carried\n%s\nwant\n%s", word, hex.Dump(w.Payload), hex.Dump(want))
		}
	}
}

// Frame returns the only frame that came out at a place.
func (r *Result) Frame(place string) []byte {
	r.net.T.Helper()
	if len(r.Frames[place]) != 1 {
		r.net.T.Fatalf("%d frames at %s, want one: %s", len(r.Frames[place]), place, r)
	}
	return r.Frames[place][0].Bytes
}

// Wire returns the only datagram that was sent.
func (r *Result) Wire() underlay.Wire {
	r.net.T.Helper()
	if len(r.Wires) != 1 {
		r.net.T.Fatalf("%d datagrams, want one: %s", len(r.Wires), r)
	}
	return r.Wires[0]
}
