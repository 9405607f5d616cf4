// Package nftables reads the packet filter of this host, and finds out what its rules do
// with a packet: it runs them as the kernel does, as far as the packet is known. What is
// not known (a mark, a counter of a limit, an expression that is not understood) makes a
// verdict a possible one and never a certain one.
//
// Rules that iptables-nft made are among them. Those of iptables-legacy are not.
package nftables

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// dumpTries is how often a dump that changed under the reading is begun anew.
const dumpTries = 3

// Read reads all chains, rules and sets of the calling thread's network namespace. A
// kernel without nftables has none. The error wraps unix.EPERM without CAP_NET_ADMIN.
func Read() (*Ruleset, error) {
	r := newRuleset()
	for _, q := range []struct {
		ask  uint16
		take func([]byte)
	}{
		{unix.NFT_MSG_GETCHAIN, r.addChain},
		{unix.NFT_MSG_GETRULE, r.addRule},
		{unix.NFT_MSG_GETSET, r.addSet},
	} {
		all, err := dump(q.ask, nil, 0)
		if errors.Is(err, unix.EPROTONOSUPPORT) || errors.Is(err, unix.EINVAL) || errors.Is(err, unix.EOPNOTSUPP) {
			return newRuleset(), nil // there is no nftables
		} else if err != nil {
			return nil, fmt.Errorf("read the rules of nftables: %w", err)
		}
		for _, b := range all {
			q.take(b)
		}
	}
	for _, s := range r.sets {
		all, err := dump(unix.NFT_MSG_GETSETELEM, s, s.family)
		if errors.Is(err, unix.ENOENT) {
			continue // it is gone
		} else if err != nil {
			return nil, fmt.Errorf("read set %s of nftables: %w", s.name, err)
		}
		for _, b := range all {
			s.addElements(b)
		}
	}
	r.sort()
	return r, nil
}

// dump returns the bodies of the answers to one question, about a set where one is
// given. 0 asks about all families.
func dump(ask uint16, of *set, family uint8) (all [][]byte, err error) {
	for range dumpTries {
		req := nl.NewNetlinkRequest(unix.NFNL_SUBSYS_NFTABLES<<8|int(ask), unix.NLM_F_DUMP)
		req.AddData(&nl.Nfgenmsg{NfgenFamily: family})
		if of != nil {
			req.AddData(nl.NewRtAttr(unix.NFTA_SET_ELEM_LIST_TABLE, nl.ZeroTerminated(of.table)))
			req.AddData(nl.NewRtAttr(unix.NFTA_SET_ELEM_LIST_SET, nl.ZeroTerminated(of.name)))
		}
		all, err = req.Execute(unix.NETLINK_NETFILTER, 0)
		if !errors.Is(err, netlink.ErrDumpInterrupted) {
			break
		}
	}
	return all, err
}

// fields are the attributes of a message or of an attribute that has some, by type.
type fields map[uint16][]byte

// parse takes attributes apart; what follows one that lies about its length is left out.
func parse(b []byte) fields {
	f := make(fields)
	for _, a := range list(b) {
		f[a.typ] = a.value
	}
	return f
}

// typeMask takes NLA_F_NESTED and NLA_F_NET_BYTEORDER off a type.
const typeMask = 0x3fff

// attr is one attribute.
type attr struct {
	typ   uint16
	value []byte
}

// list takes attributes apart. The library's way to do so takes none that lies about its
// length.
func list(b []byte) (all []attr) {
	const head = unix.SizeofRtAttr
	for len(b) >= head {
		n := int(binary.NativeEndian.Uint16(b))
		if n < head || n > len(b) {
			break
		}
		all = append(all, attr{binary.NativeEndian.Uint16(b[2:]) & typeMask, b[head:n]})
		b = b[min((n+3)&^3, len(b)):]
	}
	return all
}

// message takes a message apart: struct nfgenmsg (family, version, resource) and
// attributes.
func message(b []byte) (family uint8, f fields) {
	if len(b) < nl.SizeofNfgenmsg {
		return 0, nil
	}
	return b[0], parse(b[nl.SizeofNfgenmsg:])
}

// text, number and long read values, which are in network order; what is too short is
// zero.
func (f fields) text(typ uint16) string { return unix.ByteSliceToString(f[typ]) }

func (f fields) number(typ uint16) uint32 {
	if b := f[typ]; len(b) >= 4 {
		return binary.BigEndian.Uint32(b)
	}
	return 0
}

func (f fields) long(typ uint16) uint64 {
	if b := f[typ]; len(b) >= 8 {
		return binary.BigEndian.Uint64(b)
	}
	return 0
}

// data reads a value of struct nft_data: bytes, or a verdict.
func (f fields) data(typ uint16) (value []byte, v verdict, isVerdict bool) {
	d := parse(f[typ])
	if b, ok := d[unix.NFTA_DATA_VERDICT]; ok {
		said := parse(b)
		return nil, verdict{int32(said.number(unix.NFTA_VERDICT_CODE)), said.text(unix.NFTA_VERDICT_CHAIN)}, true
	}
	return d[unix.NFTA_DATA_VALUE], verdict{}, false
}
