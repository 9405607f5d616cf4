package nftables

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"

	"golang.org/x/sys/unix"
)

// Ruleset is what there is of rules.
type Ruleset struct {
	chains map[chainKey]*chain
	base   []*chain // those that packets come to by themselves, in the order of priority
	sets   map[chainKey]*set
}

// chainKey names a chain, or a set, in its table.
type chainKey struct {
	family      uint8
	table, name string
}

type chain struct {
	chainKey
	hook     uint32
	priority int32
	isBase   bool
	kind     string // "filter", "nat" or "route" of a base chain
	drops    bool   // policy drop
	rules    []rule
}

type rule struct {
	handle uint64
	exprs  []expression
}

type expression struct {
	name string
	is   fields
}

// set is a set or a map.
type set struct {
	chainKey
	flags    uint32
	elements []element
}

type element struct {
	key, end  []byte // end: of a range that is one element
	isEnd     bool   // the first key that is beyond an interval
	value     []byte // of a map
	verdict   verdict
	isVerdict bool
}

// verdict is what a rule decides.
type verdict struct {
	code  int32
	chain string
}

// Verdicts (include/uapi/linux/netfilter.h and linux/netfilter/nf_tables.h).
const (
	verdictDrop   = 0
	verdictAccept = 1
	verdictQueue  = 3
	verdictJump   = -3
	verdictGoto   = -4
	verdictReturn = -5
)

func newRuleset() *Ruleset {
	return &Ruleset{chains: make(map[chainKey]*chain), sets: make(map[chainKey]*set)}
}

func (r *Ruleset) addChain(b []byte) {
	family, f := message(b)
	c := &chain{chainKey: chainKey{family, f.text(unix.NFTA_CHAIN_TABLE), f.text(unix.NFTA_CHAIN_NAME)}}
	if hook, ok := f[unix.NFTA_CHAIN_HOOK]; ok {
		h := parse(hook)
		c.isBase = true
		c.hook, c.priority = h.number(unix.NFTA_HOOK_HOOKNUM), int32(h.number(unix.NFTA_HOOK_PRIORITY))
		c.kind = f.text(unix.NFTA_CHAIN_TYPE)
		_, has := f[unix.NFTA_CHAIN_POLICY]
		c.drops = has && f.number(unix.NFTA_CHAIN_POLICY) == verdictDrop
		r.base = append(r.base, c)
	}
	r.chains[c.chainKey] = c
}

func (r *Ruleset) addRule(b []byte) {
	family, f := message(b)
	c := r.chains[chainKey{family, f.text(unix.NFTA_RULE_TABLE), f.text(unix.NFTA_RULE_CHAIN)}]
	if c == nil {
		return // it is newer than what was read of chains
	}
	is := rule{handle: f.long(unix.NFTA_RULE_HANDLE)}
	for _, a := range list(f[unix.NFTA_RULE_EXPRESSIONS]) {
		e := parse(a.value)
		is.exprs = append(is.exprs, expression{e.text(unix.NFTA_EXPR_NAME), parse(e[unix.NFTA_EXPR_DATA])})
	}
	c.rules = append(c.rules, is)
}

func (r *Ruleset) addSet(b []byte) {
	family, f := message(b)
	s := &set{chainKey: chainKey{family, f.text(unix.NFTA_SET_TABLE), f.text(unix.NFTA_SET_NAME)}, flags: f.number(unix.NFTA_SET_FLAGS)}
	r.sets[s.chainKey] = s
}

func (s *set) addElements(b []byte) {
	const keyEnd = 10 // NFTA_SET_ELEM_KEY_END
	_, f := message(b)
	for _, a := range list(f[unix.NFTA_SET_ELEM_LIST_ELEMENTS]) {
		is := parse(a.value)
		var e element
		e.key, _, _ = is.data(unix.NFTA_SET_ELEM_KEY)
		e.end, _, _ = is.data(keyEnd)
		e.value, e.verdict, e.isVerdict = is.data(unix.NFTA_SET_ELEM_DATA)
		e.isEnd = is.number(unix.NFTA_SET_ELEM_FLAGS)&unix.NFT_SET_ELEM_INTERVAL_END != 0
		s.elements = append(s.elements, e)
	}
}

// sort brings what is asked in order into that.
func (r *Ruleset) sort() {
	slices.SortStableFunc(r.base, func(a, b *chain) int { return cmp.Compare(a.priority, b.priority) })
	for _, s := range r.sets {
		slices.SortStableFunc(s.elements, func(a, b element) int { return bytes.Compare(a.key, b.key) })
	}
}

// Tracks reports whether anything makes the kernel follow connections
// (nf_conntrack) in this namespace: a rule that asks for their state, or a chain of NAT.
func (r *Ruleset) Tracks() bool {
	for _, c := range r.chains {
		if c.isBase && c.kind == "nat" {
			return true
		}
		for i := range c.rules {
			for _, e := range c.rules[i].exprs {
				if e.name == "ct" || e.name == "flow_offload" || e.name == "connlimit" {
					return true
				}
				if name := e.is.text(unix.NFTA_MATCH_NAME); e.name == "match" && (name == "conntrack" || name == "state" || name == "connmark") {
					return true
				}
			}
		}
	}
	return false
}

// families are the names that nft has for them.
var families = map[uint8]string{unix.NFPROTO_INET: "inet", unix.NFPROTO_IPV4: "ip", unix.NFPROTO_IPV6: "ip6"}

// Place is a rule, or the policy of a chain.
type Place struct {
	Family, Table, Chain string
	Handle               uint64 // of the rule; 0: the policy
}

// String is the place as nft names it.
func (p Place) String() string {
	if p.Handle == 0 {
		return fmt.Sprintf("the policy of chain %s %s %s", p.Family, p.Table, p.Chain)
	}
	return fmt.Sprintf("rule %d of chain %s %s %s", p.Handle, p.Family, p.Table, p.Chain)
}

func (c *chain) place(handle uint64) Place {
	return Place{families[c.family], c.table, c.name, handle}
}
