package nftables

import (
	"encoding/binary"

	"golang.org/x/sys/unix"
)

// xtMatch runs a match of iptables that nftables has no expression for.
func (m *machine) xtMatch(f fields) truth {
	info := f[unix.NFTA_MATCH_INFO]
	switch f.text(unix.NFTA_MATCH_NAME) {
	case "comment":
		return yes
	case "udp":
		return m.xtUDP(info)
	case "tcp":
		return no
	}
	return maybe
}

// xtUDP runs struct xt_udp (include/uapi/linux/netfilter/xt_tcpudp.h): two source
// ports, two destination ports, and which of these are inverted.
func (m *machine) xtUDP(b []byte) truth {
	const size, invertSource, invertDest = 9, 1, 2
	if len(b) < size {
		return maybe
	}
	port := func(i int) uint16 { return binary.NativeEndian.Uint16(b[2*i:]) }
	dest := truthOf(port(2) <= m.packet.DstPort && m.packet.DstPort <= port(3))
	if b[8]&invertDest != 0 {
		dest = dest.not()
	}
	source := maybe
	if port(0) == 0 && port(1) == 0xffff {
		source = yes
	}
	if b[8]&invertSource != 0 {
		source = source.not()
	}
	return min(source, dest)
}

// xtTarget runs a target of iptables.
func (m *machine) xtTarget(f fields) (truth, verdict) {
	switch f.text(unix.NFTA_TARGET_NAME) {
	case "REJECT", "DROP":
		return yes, verdict{code: verdictDrop}
	case "NFQUEUE":
		return yes, verdict{code: verdictQueue}
	case "NOTRACK":
		m.untracked = true
	case "CT": // struct xt_ct_target_info begins with its flags
		const notrack = 1
		if b := f[unix.NFTA_TARGET_INFO]; len(b) >= 2 && binary.NativeEndian.Uint16(b)&notrack != 0 {
			m.untracked = true
		}
	}
	return yes, goOn
}
