package fabric

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"vxgw/gateway/api"
	"vxgw/gateway/forward"
	"vxgw/l2/frame"
	portmem "vxgw/l2/port/mem"
	"vxgw/l3/ip"
	underlay "vxgw/l3/underlay/mem"
)

// question is what gateways said would become of one frame.
type question struct {
	ingress *answer
	onward  map[*Gateway]*answer // had it come from the ingress gateway by VXLAN
}

type answer struct {
	gw *Gateway
	ex api.Explanation
}

// askPort asks what would become of a frame at a port, and at every other
// gateway that a copy reaches. What cannot be asked is not.
func (n *Net) askPort(g *Gateway, name string, vni uint32, f portmem.Frame) question {
	n.T.Helper()
	q := question{onward: make(map[*Gateway]*answer)}
	if len(f.Bytes) == 0 || !f.Offload.None() || len(f.Bytes) > frame.MaxLen || f.Tag.Present && len(f.Bytes) < frame.HeaderLen {
		return q
	}
	whole := f.Bytes
	if f.Tag.Present {
		whole = slices.Insert(bytes.Clone(f.Bytes), 12, byte(f.Tag.TPID>>8), byte(f.Tag.TPID), byte(f.Tag.TCI>>8), byte(f.Tag.TCI))
	}
	q.ingress = n.ask(g, api.ExplainRequest{Port: name, Frame: hex.EncodeToString(whole)})
	for _, o := range n.gateways {
		if o != g {
			q.onward[o] = n.ask(o, api.ExplainRequest{VTEP: g.Addr().String(), VNI: vni, Frame: hex.EncodeToString(f.Bytes)})
		}
	}
	return q
}

// askVTEP asks what would become of a packet. Explain is about inner frames:
// it cannot be told of outer headers that are out of the ordinary.
func (n *Net) askVTEP(g *Gateway, w underlay.Wire) (q question) {
	n.T.Helper()
	if len(w.Payload) <= headerLen || w.Fragmented || w.TOS&3 != 0 {
		return q
	}
	vni := binary.BigEndian.Uint32(w.Payload[4:]) >> 8
	if vni == 0 || !bytes.Equal(w.Payload[:headerLen], Header(vni)) {
		return q
	}
	q.ingress = n.ask(g, api.ExplainRequest{VTEP: w.From.String(), VNI: vni, Frame: hex.EncodeToString(w.Payload[headerLen:])})
	return q
}

func (n *Net) ask(g *Gateway, r api.ExplainRequest) *answer {
	n.T.Helper()
	ex, err := g.Explain(r)
	if err != nil {
		n.T.Fatalf("%s cannot explain %+v: %v", g.Name(), r, err)
	}
	return &answer{g, ex}
}

// check compares what was said with what happened.
func (q question) check(r *Result) {
	r.net.T.Helper()
	if q.ingress == nil {
		return
	}
	dir := forward.Overlay
	if q.onward != nil {
		dir = forward.Access
	}
	q.ingress.check(r, dir)
	for g, a := range q.onward {
		if q.reached(r, g) {
			a.check(r, forward.Overlay)
		}
	}
}

// reached reports whether just the copy that was asked about came to g.
func (q question) reached(r *Result, g *Gateway) bool {
	from, n := q.ingress.gw, 0
	r.net.mu.Lock()
	altered := r.net.alter != nil
	r.net.mu.Unlock()
	if altered {
		return false
	}
	for _, w := range r.Wires {
		if w.To != g.Addr() && !g.inGroup(w.To) {
			continue
		}
		if w.From != from.Addr() || !bytes.Equal(w.Payload, append(Header(r.vni), r.Sent...)) || !slices.Contains(q.ingress.ex.Copies, wireCopy(w)) {
			return false
		}
		n++
	}
	return n == 1 && g.attached.Load()
}

// check compares one gateway's answer with what it did in one direction.
func (a *answer) check(r *Result, dir forward.Direction) {
	r.net.T.Helper()
	if got := r.happened(a, dir); got != a.said() {
		r.net.T.Errorf("%s explained (%s)\n  %s\nand then did\n  %s\nsteps %v\nsent %x", a.gw.Name(), dir, a.said(), got, a.ex.Steps, r.Sent)
	}
}

// said is the answer in a form to compare.
func (a *answer) said() string {
	copies := slices.Sorted(slices.Values(a.ex.Copies))
	return fmt.Sprintf("%s %s %v", a.ex.Verdict, a.ex.Reason, copies)
}

// happened tells in the same form what the gateway did. A copy that an edge
// refused was sent by the verdict all the same: it counts as a copy that was
// named and not seen.
func (r *Result) happened(a *answer, dir forward.Direction) string {
	g := a.gw
	before, after := r.before[g].accounts[dir], r.after[g].accounts[dir]
	if after.Routed > before.Routed {
		dir = forward.Route
		before, after = r.before[g].accounts[dir], r.after[g].accounts[dir]
	}
	if n := r.after[g].accounts[forward.Route].Released - r.before[g].accounts[forward.Route].Released; n > 0 {
		return a.said() // frames came out that waited before
	}
	dropped, lost := r.delta(g, int(dir))
	verdict, reason := "?", ""
	switch {
	case after.Frames()-before.Frames() != 1:
		verdict = fmt.Sprintf("%d verdicts", after.Frames()-before.Frames())
	case after.Drop > before.Drop:
		verdict = "drop"
		for why := range dropped {
			reason += why.String()
		}
	case after.Flooded > before.Flooded:
		verdict = "flood"
	case after.Suppressed > before.Suppressed:
		verdict = "answer"
	case after.Local > before.Local:
		verdict = "local"
	case after.Held > before.Held:
		verdict = "hold"
	default:
		verdict = "forward"
	}
	if dir == forward.Route && verdict == "drop" || verdict == "local" || verdict == "hold" || dropped[forward.GatewayClaimed] > 0 {
		return fmt.Sprintf("%s %s []", verdict, reason) // what comes out is the gateway's own
	}
	answers := int(after.Answered - before.Answered)
	copies := r.copiesOf(g, answers)
	if sum(lost) > 0 {
		copies = addLost(copies, a, lost)
	}
	slices.Sort(copies)
	return fmt.Sprintf("%s %s %v", verdict, reason, copies)
}

// copiesOf lists what came out of a gateway as Explain writes it, but for its
// answers to the sender.
func (r *Result) copiesOf(g *Gateway, answers int) (copies []string) {
	for place, frames := range r.Frames {
		gw, port, _ := strings.Cut(place, ".")
		for _, f := range frames {
			switch {
			case gw != g.Name():
			case answers > 0 && !bytes.Equal(f.Bytes, r.Sent):
				answers--
			case r.advertised(f.Bytes):
			default:
				copies = append(copies, "port "+port)
			}
		}
	}
	for _, w := range r.Wires {
		if w.From == g.Addr() && !r.advertised(w.Payload[min(headerLen, len(w.Payload)):]) {
			copies = append(copies, wireCopy(w))
		}
	}
	return copies
}

// advertised reports whether a frame is what the router said of itself beside, and no
// copy of what was sent.
func (r *Result) advertised(f []byte) bool { return isRA(f) && !bytes.Equal(f, r.Sent) }

// isRA reports whether a frame is a router advertisement (RFC 4861 section 4.2).
func isRA(f []byte) bool {
	return len(f) > 54 && frame.Frame(f).Type() == frame.TypeIPv6 && f[14+6] == ip.ProtoICMPv6 && f[54] == 134
}

func wireCopy(w underlay.Wire) string {
	kind := "vtep"
	if w.To.IsMulticast() {
		kind = "group"
	}
	return fmt.Sprintf("%s %s sport %d tos 0x%02x", kind, w.To, w.FromPort, w.TOS)
}

// addLost adds the copies that were named and not seen, if there are as many as
// were counted as lost. Of VTEPs that are not named as copies, those behind an
// underlay that is down are counted too, those whose path is narrow once for all of
// them, and those over a limit of storm control each.
func addLost(copies []string, a *answer, lost map[forward.Reason]uint64) []string {
	n, narrow := int(sum(lost)), 0
	for _, s := range a.ex.Steps {
		switch {
		case s.Question != "no copy":
		case strings.Contains(s.Answer, "its path carries"):
			narrow = 1
		case strings.Contains(s.Answer, "the underlay is down"):
			n--
		case strings.Contains(s.Answer, "into the overlay: storm"):
			n -= int(lost[forward.Storm])
		}
	}
	n -= narrow
	missing := slices.Clone(a.ex.Copies)
	for _, c := range copies {
		if i := slices.Index(missing, c); i >= 0 {
			missing = slices.Delete(missing, i, i+1)
		}
	}
	if len(missing) != n {
		return append(copies, fmt.Sprintf("%d lost", n))
	}
	return append(copies, missing...)
}

func sum(m map[forward.Reason]uint64) (n uint64) {
	for _, k := range m {
		n += k
	}
	return n
}

// delta returns what a gateway counted in one direction between two moments.
func (r *Result) delta(g *Gateway, d int) (dropped, lost map[forward.Reason]uint64) {
	before, after := r.before[g].accounts[d], r.after[g].accounts[d]
	return minus(after.Dropped, before.Dropped), minus(after.Lost, before.Lost)
}

func minus(a, b map[forward.Reason]uint64) map[forward.Reason]uint64 {
	m := make(map[forward.Reason]uint64)
	for r, n := range a {
		if n != b[r] {
			m[r] = n - b[r]
		}
	}
	return m
}
