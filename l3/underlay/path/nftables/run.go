package nftables

import (
	"golang.org/x/sys/unix"
)

// Outcome is what becomes of a packet.
type Outcome struct {
	// Drops is whether it is dropped: for certain where Sure, and otherwise as far as
	// can be told. At is what drops it.
	Drops, Sure bool
	At          Place

	// Untracked is whether a rule keeps conntrack from it.
	Untracked bool
}

// Incoming finds out what becomes of a packet to this host, before somebody gets it.
func (r *Ruleset) Incoming(p Packet) Outcome {
	return r.ask(p, unix.NF_INET_PRE_ROUTING, unix.NF_INET_LOCAL_IN)
}

// Outgoing finds out what becomes of a packet of this host, before it leaves.
func (r *Ruleset) Outgoing(p Packet) Outcome {
	return r.ask(p, unix.NF_INET_LOCAL_OUT, unix.NF_INET_POST_ROUTING)
}

// ask puts the packet through the base chains of the hooks. Who accepts it in one has
// said nothing about the next.
func (r *Ruleset) ask(p Packet, hooks ...uint32) Outcome {
	m := &machine{rules: r, packet: &p, network: p.network(), transport: p.transport()}
	for _, hook := range hooks {
		for _, c := range r.base {
			// NAT changes where a packet goes to, and drops none.
			if c.hook != hook || c.kind == "nat" || c.family != unix.NFPROTO_INET && c.family != p.family() {
				continue
			}
			if m.base(c); m.out.Sure {
				m.out.Untracked = m.untracked
				return m.out
			}
		}
	}
	m.out.Untracked = m.untracked
	return m.out
}

// machine runs rules for one packet.
type machine struct {
	rules              *Ruleset
	packet             *Packet
	network, transport partial
	registers          partial // as the rule at hand has them
	untracked          bool
	out                Outcome

	mayAccept bool // in the base chain at hand something may have accepted the packet
	depth     int
}

const (
	// maxDepth is how deep chains may jump in the kernel (NFT_JUMP_STACK_SIZE).
	maxDepth = 16

	registerBytes = 64
)

// truth is what is known of whether something matches.
type truth uint8

const (
	no truth = iota
	maybe
	yes
)

func (t truth) not() truth { return yes - t }

func truthOf(is bool) truth {
	if is {
		return yes
	}
	return no
}

// base runs a base chain with its policy. A drop that follows what may have accepted
// the packet is a possible one.
func (m *machine) base(c *chain) {
	m.mayAccept, m.depth = false, 0
	if m.chain(c, yes) == goesOn && c.drops {
		m.drop(c.place(0), yes)
	}
}

// end is how a chain ends for a packet.
type end uint8

const (
	goesOn end = iota // its rules are through, or one says return
	done              // it is dropped or accepted for certain
)

// chain runs the rules of a chain that the packet comes to, for certain or maybe.
func (m *machine) chain(c *chain, comes truth) end {
	if m.depth++; m.depth > maxDepth {
		m.depth--
		m.mayAccept = true // the kernel would not have it
		return goesOn
	}
	defer func() { m.depth-- }()
	for i := range c.rules {
		was := m.untracked
		v, matches := m.rule(c, &c.rules[i])
		if matches = min(matches, comes); matches != yes {
			m.untracked = was
		}
		if matches == no {
			continue
		}
		switch v.code {
		case verdictDrop:
			if m.drop(c.place(c.rules[i].handle), matches); matches == yes {
				return done
			}
		case verdictAccept:
			if matches == yes {
				return done
			}
			m.mayAccept = true
		case verdictQueue: // a program decides
			m.mayAccept = true
		case verdictJump, verdictGoto:
			to := m.rules.chains[chainKey{c.family, c.table, v.chain}]
			if to == nil {
				m.mayAccept = true
				continue
			}
			if m.chain(to, matches) == done {
				return done
			}
			if v.code == verdictGoto && matches == yes {
				return goesOn
			}
		case verdictReturn:
			if matches == yes {
				return goesOn
			}
			// The rest of this chain may not be come to.
			comes = maybe
		}
	}
	return goesOn
}

// drop notes the first drop: what comes after it is not asked.
func (m *machine) drop(at Place, matches truth) {
	if m.out.Drops && m.out.Sure {
		return
	}
	sure := matches == yes && !m.mayAccept
	if m.out.Drops && !sure {
		return
	}
	m.out.Drops, m.out.Sure, m.out.At = true, sure, at
}

// noVerdict is that of a rule that decides nothing.
const noVerdict = -1 // NFT_CONTINUE

// rule runs one rule, and returns its verdict and whether it is come to.
func (m *machine) rule(c *chain, r *rule) (v verdict, matches truth) {
	m.registers = unknown(registerBytes)
	matches = yes
	for _, e := range r.exprs {
		is, said := m.expression(c, &e)
		if matches = min(matches, is); matches == no {
			return verdict{code: noVerdict}, no
		}
		if said.code != noVerdict {
			return said, matches
		}
	}
	return verdict{code: noVerdict}, matches
}
