package capture

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"vxgw/l2/frame"
)

// maxFilter bounds an expression, in bytes, and maxDepth its parentheses.
const (
	maxFilter = 4096
	maxDepth  = 100
)

// language is what there is, for who wrote something else.
const language = "there is host, net, port, portrange (with src or dst and with ip, ip6, arp, tcp, udp, ether before it), " +
	"ip, ip6, arp, tcp, udp, icmp, icmp6, igmp, sctp, ether proto N, ip proto N, vlan [N], broadcast, multicast, less N, greater N, and, or, not, ( )"

// ParseFilter reads an expression of pcap-filter(7). vxlan is the UDP port of VXLAN:
// a filter is asked of the frames in its packets too. Names of hosts and services are
// not looked up, and there is no arithmetic; a VLAN tag is looked behind. An empty
// expression is the nil Filter. The error says where it is wrong.
func ParseFilter(text string, vxlan uint16) (*Filter, error) {
	if len(text) > maxFilter {
		return nil, fmt.Errorf("the filter is longer than %d characters", maxFilter)
	}
	p := parser{words: split(text)}
	if len(p.words) == 0 {
		return nil, nil
	}
	t, err := p.expression()
	if err == nil && p.word() != "" {
		err = p.errorf("%q is too much here", p.word())
	}
	if err != nil {
		return nil, fmt.Errorf("filter %q: %w", text, err)
	}
	return &Filter{match: t, vxlan: vxlan}, nil
}

// split cuts an expression into words. && || and ! are other names.
func split(text string) []string {
	text = strings.NewReplacer("(", " ( ", ")", " ) ", "&&", " and ", "||", " or ", "!", " not ").Replace(text)
	return strings.Fields(text)
}

// parser reads an expression word by word: and and or bind alike, from the left, and not
// binds closer, as in pcap-filter(7).
type parser struct {
	words []string
	at    int
	depth int

	last *qualifiers // of the primitive before: they hold for a value that has none
}

// qualifiers are what stands before a value.
type qualifiers struct {
	proto string // "": any that the kind has
	dir   direction
	kind  string // "host", "net", "port", "portrange"
}

func (p *parser) word() string {
	if p.at < len(p.words) {
		return p.words[p.at]
	}
	return ""
}

// accept reads a word that is one of these.
func (p *parser) accept(words ...string) bool {
	w := p.word()
	for _, is := range words {
		if w == is && w != "" {
			p.at++
			return true
		}
	}
	return false
}

func (p *parser) errorf(format string, args ...any) error {
	return fmt.Errorf("at word %d: %w", min(p.at, len(p.words)-1)+1, fmt.Errorf(format, args...))
}

func (p *parser) expression() (test, error) {
	if p.depth++; p.depth > maxDepth {
		return nil, p.errorf("parentheses are nested more than %d deep", maxDepth)
	}
	defer func() { p.depth-- }()
	t, err := p.term()
	for err == nil {
		var next test
		switch {
		case p.accept("and"):
			if next, err = p.term(); err == nil {
				t = both(t, next)
			}
		case p.accept("or"):
			if next, err = p.term(); err == nil {
				t = either(t, next)
			}
		default:
			return t, nil
		}
	}
	return nil, err
}

func (p *parser) term() (test, error) {
	switch {
	case p.accept("not"):
		if p.depth++; p.depth > maxDepth {
			return nil, p.errorf("more than %d times not", maxDepth)
		}
		defer func() { p.depth-- }()
		t, err := p.term()
		if err != nil {
			return nil, err
		}
		return not(t), nil
	case p.accept("("):
		t, err := p.expression()
		if err == nil && !p.accept(")") {
			err = p.errorf("a ) is missing")
		}
		return t, err
	}
	return p.primitive()
}

func (p *parser) primitive() (test, error) {
	switch {
	case p.word() == "":
		return nil, p.errorf("something is missing behind it: %s", language)
	case p.accept("broadcast"):
		return isGroup(true), nil
	case p.accept("multicast"):
		return isGroup(false), nil
	case p.accept("vlan"):
		return p.vlan()
	case p.accept("less"), p.accept("greater"):
		return p.size(p.words[p.at-1] == "less")
	}
	return p.qualified()
}

func (p *parser) vlan() (test, error) {
	n, err := strconv.Atoi(p.word())
	if err != nil {
		return hasVLAN(-1), nil
	}
	if n < 0 || n > 4095 {
		return nil, p.errorf("vlan %d: a VLAN id is a number from 0 to 4095", n)
	}
	p.at++
	return hasVLAN(n), nil
}

func (p *parser) size(less bool) (test, error) {
	n, err := strconv.Atoi(p.word())
	if err != nil || n < 0 {
		return nil, p.errorf("%q is no length in bytes", p.word())
	}
	p.at++
	if less {
		return func(d *dissection) bool { return d.length <= n }, nil
	}
	return func(d *dissection) bool { return d.length >= n }, nil
}

// qualified reads [protocol] [direction] [kind] value, or a protocol alone.
func (p *parser) qualified() (test, error) {
	q, begin := qualifiers{}, p.at
	if w := p.word(); w == "ether" || protocols[w] != nil {
		q.proto = w
		p.at++
	}
	switch {
	case q.proto == "ether" && p.accept("broadcast"):
		return isGroup(true), nil
	case q.proto == "ether" && p.accept("multicast"):
		return isGroup(false), nil
	case (q.proto == "ether" || q.proto == "ip" || q.proto == "ip6") && p.accept("proto"):
		return p.protoNumber(q.proto)
	}
	directed, err := p.direction(&q)
	if err != nil {
		return nil, err
	}
	if p.accept("host", "net", "port", "portrange") {
		q.kind = p.words[p.at-1]
	}
	switch {
	case q.kind != "" || directed:
		return p.value(&q)
	case q.proto == "ether":
		return nil, p.errorf("ether what? host MAC, proto N, broadcast or multicast")
	case q.proto != "":
		return protocols[q.proto], nil // alone
	}
	// A value alone has the qualifiers of the one before: port 80 or 443.
	if p.at = begin; p.last != nil && !isWord(p.word()) {
		again := *p.last
		return p.value(&again)
	}
	if _, err := parsePrefix(p.word()); err == nil {
		return p.value(&qualifiers{kind: "host"})
	}
	return nil, p.errorf("%q is not known: %s", p.word(), language)
}

// isWord reports whether w is one of the language's own.
func isWord(w string) bool {
	switch w {
	case "and", "or", "not", "(", ")", "":
		return true
	}
	return false
}

// direction reads src, dst, "src or dst" or "src and dst".
func (p *parser) direction(q *qualifiers) (given bool, err error) {
	switch {
	case p.accept("src"):
		q.dir = srcOnly
		for _, how := range []struct {
			word string
			dir  direction
		}{{"or", srcOrDst}, {"and", srcAndDst}} {
			if p.word() == how.word && p.at+1 < len(p.words) && p.words[p.at+1] == "dst" {
				p.at += 2
				q.dir = how.dir
			}
		}
	case p.accept("dst"):
		q.dir = dstOnly
	default:
		return false, nil
	}
	if q.proto == "icmp" || q.proto == "icmp6" || q.proto == "igmp" {
		return true, p.errorf("%s has no ports: write %s and src host ADDRESS", q.proto, q.proto)
	}
	return true, nil
}

// value reads what qualifiers are for.
func (p *parser) value(q *qualifiers) (test, error) {
	if q.kind == "" {
		q.kind = "host"
	}
	w := p.word()
	if isWord(w) {
		return nil, p.errorf("%s what? A value is missing", q.kind)
	}
	var t test
	var err error
	switch q.kind {
	case "host", "net":
		t, err = addressTest(q, w)
	default:
		t, err = portTest(q, w)
	}
	if err != nil {
		return nil, p.errorf("%w", err)
	}
	p.at++
	p.last = q
	return t, nil
}

func addressTest(q *qualifiers, w string) (test, error) {
	if q.proto == "ether" {
		m, err := frame.ParseMAC(w)
		if err != nil || q.kind != "host" {
			return nil, fmt.Errorf("%q is no MAC: write ether host 02:00:00:00:01:02", w)
		}
		return isMAC(q.dir, m), nil
	}
	prefix, err := parsePrefix(w)
	switch {
	case err != nil:
		return nil, err
	case q.kind == "host" && !prefix.IsSingleIP():
		return nil, fmt.Errorf("%q is no host: write net %s", w, w)
	case prefix != prefix.Masked():
		return nil, fmt.Errorf("%q has bits behind its length: write %s", w, prefix.Masked())
	case q.proto == "tcp", q.proto == "udp", q.proto == "sctp", q.proto == "icmp", q.proto == "icmp6", q.proto == "igmp":
		return nil, fmt.Errorf("%s has no %s: write %s and %s %s", q.proto, q.kind, q.proto, q.kind, w)
	}
	t := inPrefix(q.dir, prefix)
	if q.proto != "" {
		t = both(protocols[q.proto], t)
	}
	return t, nil
}

// parsePrefix reads an address, or a network as 10.0.0.0/8. Names are not looked up: a
// gateway that waits for a name server is of no use when there is none.
func parsePrefix(w string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(w); err == nil && a.Zone() == "" {
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	p, err := netip.ParsePrefix(w)
	if err != nil {
		return p, fmt.Errorf("%q is neither an IP address nor a network as 10.0.0.0/8; names are not looked up", w)
	}
	return p, nil
}

func portTest(q *qualifiers, w string) (test, error) {
	switch q.proto {
	case "", "tcp", "udp", "sctp", "ip", "ip6":
	default:
		return nil, fmt.Errorf("%s has no ports", q.proto)
	}
	first, last, isRange := strings.Cut(w, "-")
	if isRange != (q.kind == "portrange") {
		return nil, fmt.Errorf("%q: write port N, or portrange N-M", w)
	}
	if !isRange {
		last = first
	}
	a, errA := strconv.ParseUint(first, 10, 16)
	b, errB := strconv.ParseUint(last, 10, 16)
	switch {
	case errors.Join(errA, errB) != nil:
		return nil, fmt.Errorf("%q is no port: a port is a number from 0 to 65535; names are not looked up", w)
	case a > b:
		a, b = b, a
	}
	t := portBetween(q.dir, uint16(a), uint16(b))
	if q.proto != "" {
		t = both(protocols[q.proto], t)
	}
	return t, nil
}

// protoNumber reads what is behind ether proto and ip proto.
func (p *parser) protoNumber(of string) (test, error) {
	w := strings.TrimPrefix(p.word(), "\\")
	if t := protocols[w]; t != nil {
		p.at++
		if of == "ether" {
			return t, nil
		}
		return both(protocols[of], t), nil
	}
	bits := 8
	if of == "ether" {
		bits = 16
	}
	n, err := strconv.ParseUint(w, 0, bits)
	if err != nil {
		return nil, p.errorf("%q is no protocol of %s: give its number", w, of)
	}
	p.at++
	if of == "ether" {
		return hasType(uint16(n)), nil
	}
	return both(protocols[of], hasProto(uint8(n))), nil
}
