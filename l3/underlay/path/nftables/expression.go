package nftables

import (
	"bytes"
	"encoding/binary"

	"golang.org/x/sys/unix"
)

// States of conntrack, as the ct expression has them (NF_CT_STATE_BIT): the packet is
// the first of its flow.
const (
	ctNew       = 1 << 3
	ctUntracked = 1 << 6
)

var goOn = verdict{code: noVerdict}

// expression runs one expression: whether the rule goes on behind it, and with which
// verdict it ends.
func (m *machine) expression(c *chain, e *expression) (truth, verdict) {
	f := e.is
	switch e.name {
	case "counter", "log", "dynset", "last", "dup", "synproxy":
		return yes, goOn
	case "notrack":
		m.untracked = true
		return yes, goOn
	case "payload":
		m.payload(f)
	case "meta":
		m.loadMeta(f)
	case "ct":
		m.connection(f)
	case "bitwise":
		m.bitwise(f)
	case "byteorder":
		m.byteOrder(f)
	case "cmp":
		return m.compare(f), goOn
	case "range":
		return m.inRange(f), goOn
	case "lookup":
		return m.lookup(c, f)
	case "immediate":
		value, v, isVerdict := f.data(unix.NFTA_IMMEDIATE_DATA)
		if isVerdict {
			return yes, v
		}
		m.store(f.number(unix.NFTA_IMMEDIATE_DREG), known(value))
	case "reject":
		return yes, verdict{code: verdictDrop}
	case "queue":
		return yes, verdict{code: verdictQueue}
	case "match":
		return m.xtMatch(f), goOn
	case "target":
		return m.xtTarget(f)
	case "objref":
		const counter = 1
		return max(maybe, truthOf(f.number(unix.NFTA_OBJREF_IMM_TYPE) == counter)), goOn
	default:
		// Whatever it does, it may write into any register. What is left to chance
		// (limit, quota, connlimit, numgen) is as little known.
		m.registers = unknown(registerBytes)
		return maybe, goOn
	}
	return yes, goOn
}

// place is where a register begins: 1..4 have 16 bytes each, those from 8 on are the
// same room in fours.
func place(register uint32) int {
	switch {
	case register >= unix.NFT_REG_1 && register <= unix.NFT_REG_4:
		return int(register-unix.NFT_REG_1) * 16
	case register >= unix.NFT_REG32_00:
		return int(register-unix.NFT_REG32_00) * 4
	}
	return registerBytes // the verdict's
}

func (m *machine) load(register uint32, n int) partial { return m.registers.slice(place(register), n) }

// store writes into a register. What a word of it has beyond the value is zero.
func (m *machine) store(register uint32, v partial) {
	const word = 4
	for i := range (len(v.b) + word - 1) / word * word {
		switch at := place(register) + i; {
		case at >= registerBytes:
		case i < len(v.b):
			m.registers.b[at], m.registers.known[at] = v.b[i], v.known[i]
		default:
			m.registers.b[at], m.registers.known[at] = 0, true
		}
	}
}

func (m *machine) payload(f fields) {
	if _, loads := f[unix.NFTA_PAYLOAD_DREG]; !loads {
		return // it writes into the packet: checksums, DSCP
	}
	at, n := int(f.number(unix.NFTA_PAYLOAD_OFFSET)), min(int(f.number(unix.NFTA_PAYLOAD_LEN)), registerBytes)
	v := unknown(n)
	switch f.number(unix.NFTA_PAYLOAD_BASE) {
	case unix.NFT_PAYLOAD_NETWORK_HEADER:
		v = m.network.slice(at, n)
	case unix.NFT_PAYLOAD_TRANSPORT_HEADER:
		v = m.transport.slice(at, n)
	}
	m.store(f.number(unix.NFTA_PAYLOAD_DREG), v)
}

func (m *machine) loadMeta(f fields) {
	if _, loads := f[unix.NFTA_META_DREG]; loads {
		m.store(f.number(unix.NFTA_META_DREG), m.packet.meta(f.number(unix.NFTA_META_KEY)))
	}
}

func (m *machine) connection(f fields) {
	if _, loads := f[unix.NFTA_CT_DREG]; !loads {
		return
	}
	v := unknown(16)
	if f.number(unix.NFTA_CT_KEY) == unix.NFT_CT_STATE {
		state := uint32(ctNew)
		if m.untracked {
			state = ctUntracked
		}
		v = known(binary.NativeEndian.AppendUint32(nil, state))
	}
	m.store(f.number(unix.NFTA_CT_DREG), v)
}

// bitwise is (source & mask) ^ xor. A bit that the mask takes away is known whatever the
// source has.
func (m *machine) bitwise(f fields) {
	const opAttr, sreg2 = 6, 8 // NFTA_BITWISE_OP, NFTA_BITWISE_SREG2
	n := min(int(f.number(unix.NFTA_BITWISE_LEN)), registerBytes)
	v := m.load(f.number(unix.NFTA_BITWISE_SREG), n)
	mask, _, _ := f.data(unix.NFTA_BITWISE_MASK)
	xor, _, _ := f.data(unix.NFTA_BITWISE_XOR)
	if _, two := f[sreg2]; two || f.number(opAttr) != 0 || len(mask) < n || len(xor) < n {
		v = unknown(n)
	} else {
		for i := range n {
			v.b[i] = v.b[i]&mask[i] ^ xor[i]
			v.known[i] = v.known[i] || mask[i] == 0
			if mask[i] == 0 {
				v.b[i] = xor[i]
			}
		}
	}
	m.store(f.number(unix.NFTA_BITWISE_DREG), v)
}

func (m *machine) byteOrder(f fields) {
	n, size := min(int(f.number(unix.NFTA_BYTEORDER_LEN)), registerBytes), int(f.number(unix.NFTA_BYTEORDER_SIZE))
	v := m.load(f.number(unix.NFTA_BYTEORDER_SREG), n)
	one := uint16(1)
	if little := byte(one) == binary.NativeEndian.AppendUint16(nil, one)[0]; little && size > 0 {
		out := unknown(n)
		for i := range n {
			if from := i - i%size + size - 1 - i%size; from < n {
				out.b[i], out.known[i] = v.b[from], v.known[from]
			}
		}
		v = out
	}
	m.store(f.number(unix.NFTA_BYTEORDER_DREG), v)
}

// equal compares as far as bytes are known: one that differs is enough.
func equal(v partial, with []byte) truth {
	is := yes
	for i := range min(len(with), len(v.b)) {
		switch {
		case !v.known[i]:
			is = maybe
		case v.b[i] != with[i]:
			return no
		}
	}
	return is
}

func (m *machine) compare(f fields) truth {
	with, _, _ := f.data(unix.NFTA_CMP_DATA)
	v := m.load(f.number(unix.NFTA_CMP_SREG), len(with))
	op := f.number(unix.NFTA_CMP_OP)
	switch op {
	case unix.NFT_CMP_EQ:
		return equal(v, with)
	case unix.NFT_CMP_NEQ:
		return equal(v, with).not()
	}
	if !v.isKnown() {
		return maybe
	}
	order := bytes.Compare(v.b, with)
	switch op {
	case unix.NFT_CMP_LT:
		return truthOf(order < 0)
	case unix.NFT_CMP_LTE:
		return truthOf(order <= 0)
	case unix.NFT_CMP_GT:
		return truthOf(order > 0)
	case unix.NFT_CMP_GTE:
		return truthOf(order >= 0)
	}
	return maybe
}

func (m *machine) inRange(f fields) truth {
	from, _, _ := f.data(unix.NFTA_RANGE_FROM_DATA)
	to, _, _ := f.data(unix.NFTA_RANGE_TO_DATA)
	v := m.load(f.number(unix.NFTA_RANGE_SREG), len(from))
	if !v.isKnown() {
		return maybe
	}
	is := truthOf(bytes.Compare(v.b, from) >= 0 && bytes.Compare(v.b, to) <= 0)
	if f.number(unix.NFTA_RANGE_OP) == unix.NFT_RANGE_NEQ {
		return is.not()
	}
	return is
}
