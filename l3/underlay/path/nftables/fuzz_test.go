package nftables

import (
	"encoding/binary"
	"testing"

	"golang.org/x/sys/unix"
)

// attribute is one netlink attribute.
func attribute(typ uint16, value ...byte) []byte {
	b := binary.NativeEndian.AppendUint16(nil, uint16(4+len(value)))
	b = append(binary.NativeEndian.AppendUint16(b, typ), value...)
	for len(b)%4 != 0 {
		b = append(b, 0)
	}
	return b
}

func join(parts ...[]byte) (all []byte) {
	for _, p := range parts {
		all = append(all, p...)
	}
	return all
}

// baseChain is the message of one at input, whose policy is accept.
func baseChain() []byte {
	hook := join(attribute(unix.NFTA_HOOK_HOOKNUM, 0, 0, 0, unix.NF_INET_LOCAL_IN), attribute(unix.NFTA_HOOK_PRIORITY, 0, 0, 0, 0))
	return join([]byte{unix.NFPROTO_INET, 0, 0, 0}, attribute(unix.NFTA_CHAIN_TABLE, 'f', 0), attribute(unix.NFTA_CHAIN_NAME, 'i', 0),
		attribute(unix.NFTA_CHAIN_HOOK, hook...), attribute(unix.NFTA_CHAIN_TYPE, 'f', 'i', 'l', 't', 'e', 'r', 0), attribute(unix.NFTA_CHAIN_POLICY, 0, 0, 0, 1))
}

// oneRule is the message of a rule of that chain.
func oneRule(exprs []byte) []byte {
	return join([]byte{unix.NFPROTO_INET, 0, 0, 0}, attribute(unix.NFTA_RULE_TABLE, 'f', 0), attribute(unix.NFTA_RULE_CHAIN, 'i', 0),
		attribute(unix.NFTA_RULE_HANDLE, 0, 0, 0, 0, 0, 0, 0, 9), attribute(unix.NFTA_RULE_EXPRESSIONS, exprs...))
}

func expr(name string, data ...[]byte) []byte {
	return attribute(1, join(attribute(unix.NFTA_EXPR_NAME, append([]byte(name), 0)...), attribute(unix.NFTA_EXPR_DATA, join(data...)...))...)
}

func dropped() []byte {
	code := attribute(unix.NFTA_DATA_VERDICT, attribute(unix.NFTA_VERDICT_CODE, 0, 0, 0, 0)...)
	return expr("immediate", attribute(unix.NFTA_IMMEDIATE_DREG, 0, 0, 0, 0), attribute(unix.NFTA_IMMEDIATE_DATA, code...))
}

// What iptables-nft makes of a match that nftables has no expression for.
func TestIptablesMatches(t *testing.T) {
	udp := func(first, last uint16, invert byte) []byte {
		b := binary.NativeEndian.AppendUint16([]byte{0, 0, 0xff, 0xff}, first)
		return append(binary.NativeEndian.AppendUint16(b, last), invert)
	}
	match := func(name string, info []byte) []byte {
		return expr("match", attribute(unix.NFTA_MATCH_NAME, append([]byte(name), 0)...), attribute(unix.NFTA_MATCH_INFO, info...))
	}
	for _, test := range []struct {
		name  string
		exprs []byte
		want  string
	}{
		{"its port", match("udp", udp(4789, 4789, 0)), "drops: inet f i"},
		{"others", match("udp", udp(4790, 5000, 0)), "passes"},
		{"all but others", match("udp", udp(4790, 5000, 2)), "drops: inet f i"},
		{"all but its port", match("udp", udp(4789, 4789, 2)), "passes"},
		{"cut short", match("udp", udp(4789, 4789, 0)[:8]), "may drop: inet f i"},
		{"TCP", match("tcp", nil), "passes"},
		{"a comment", match("comment", nil), "drops: inet f i"},
		{"another match", match("hashlimit", nil), "may drop: inet f i"},
		{"an expression that there is not yet", expr("novel"), "may drop: inet f i"},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := newRuleset()
			r.addChain(baseChain())
			r.addRule(oneRule(join(test.exprs, dropped())))
			if got := say(r.Incoming(Packet{vtep, own, port, und0, Device{}})); got != test.want {
				t.Errorf("%s, want %s", got, test.want)
			}
		})
	}
}

// FuzzRules holds that no rule and no set is too strange, and that nothing is sure that
// is not so.
func FuzzRules(f *testing.F) {
	f.Add(dropped(), []byte{})
	f.Add(join(expr("payload", attribute(unix.NFTA_PAYLOAD_DREG, 0, 0, 0, 1), attribute(unix.NFTA_PAYLOAD_BASE, 0, 0, 0, 2),
		attribute(unix.NFTA_PAYLOAD_OFFSET, 0, 0, 0, 2), attribute(unix.NFTA_PAYLOAD_LEN, 0, 0, 0, 2)),
		expr("lookup", attribute(unix.NFTA_LOOKUP_SET, 's', 0), attribute(unix.NFTA_LOOKUP_SREG, 0, 0, 0, 1)), dropped()),
		attribute(1, attribute(unix.NFTA_SET_ELEM_KEY, attribute(unix.NFTA_DATA_VALUE, 0x12, 0xb5)...)...))
	f.Fuzz(func(t *testing.T, exprs, elements []byte) {
		if len(exprs) > 1<<15 || len(elements) > 1<<15 {
			return // an attribute has no room for it
		}
		r := newRuleset()
		r.addChain(baseChain())
		r.addSet(join([]byte{unix.NFPROTO_INET, 0, 0, 0}, attribute(unix.NFTA_SET_TABLE, 'f', 0), attribute(unix.NFTA_SET_NAME, 's', 0)))
		r.addRule(oneRule(exprs))
		for _, s := range r.sets {
			s.addElements(join([]byte{unix.NFPROTO_INET, 0, 0, 0}, attribute(unix.NFTA_SET_ELEM_LIST_ELEMENTS, elements...)))
		}
		r.sort()
		is := r.Incoming(Packet{vtep, own, port, und0, Device{}})
		if is.Sure && !is.Drops || is.Drops && is.At.Table != "f" {
			t.Errorf("%+v", is)
		}
		r.addRule([]byte(exprs))
		r.addChain(exprs)
	})
}
