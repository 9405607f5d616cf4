package udp

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"unsafe"

	"golang.org/x/sys/unix"

	"vxgw/l2/frame"
	"vxgw/l2/mmsg"
	"vxgw/l3/underlay"
)

var errNoRoom = fmt.Errorf("a packet must hold more than the %d bytes of headroom: make packets with underlay.NewPackets", frame.Headroom)

// sockaddr has room for an IPv4 or IPv6 socket address.
type sockaddr = unix.RawSockaddrInet6

// receiver takes batches of datagrams from a UDP socket.
type receiver struct {
	receive func(fd uintptr) bool // r.tryReceive, bound once: binding it allocates

	msgs    [underlay.BatchSize]mmsg.Msg
	iovs    [underlay.BatchSize]unix.Iovec
	names   [underlay.BatchSize]sockaddr
	control [underlay.BatchSize][controlLen]byte
	asked   int        // messages that may be filled
	got     int        // messages that were filled
	errno   unix.Errno // why none was
}

func (r *receiver) init() {
	r.receive = r.tryReceive
	for i := range r.msgs {
		h := &r.msgs[i].Hdr
		h.Name = (*byte)(unsafe.Pointer(&r.names[i]))
		h.Iov = &r.iovs[i]
		h.SetIovlen(1)
		h.Control = &r.control[i][0]
	}
}

// prepare points the messages at the packets' memory.
func (r *receiver) prepare(pkts []underlay.Packet) error {
	for i := range pkts {
		mem := pkts[i].Mem
		if len(mem) <= frame.Headroom {
			return errNoRoom
		}
		r.iovs[i].Base = &mem[frame.Headroom]
		r.iovs[i].SetLen(len(mem) - frame.Headroom)
		h := &r.msgs[i].Hdr
		h.Namelen = uint32(unsafe.Sizeof(r.names[i]))
		h.SetControllen(controlLen)
		h.Flags = 0
	}
	r.asked, r.got, r.errno = len(pkts), 0, 0
	return nil
}

// tryReceive reports false when there is nothing to receive yet.
func (r *receiver) tryReceive(fd uintptr) bool {
	n, errno := mmsg.Receive(fd, r.msgs[:r.asked])
	if errno == unix.EAGAIN {
		return false
	}
	r.got, r.errno = n, errno
	return true
}

// fill describes the received messages, and returns how many of them came in
// fragments.
func (r *receiver) fill(pkts []underlay.Packet) (fragmented int) {
	for i := range pkts[:r.got] {
		p, h := &pkts[i], &r.msgs[i].Hdr
		p.Off, p.Len = frame.Headroom, int(r.msgs[i].Len)
		p.Truncated, p.FullLen = false, p.Len
		if h.Flags&unix.MSG_TRUNC != 0 {
			p.Truncated, p.FullLen = true, 0
		}
		p.Noted = false
		p.From, p.FromPort = source(&r.names[i])
		a := parseControl(r.control[i][:min(int(h.Controllen), controlLen)])
		p.TOS, p.Fragmented, p.Interface, p.Group = a.tos, a.fragmented, a.ifindex, a.group
		if a.fragmented {
			fragmented++
		}
	}
	return fragmented
}

// source reads the sender's address. The zone of a link-local one is left out:
// whoever the gateway is to know has an address without.
func source(sa *sockaddr) (netip.Addr, uint16) {
	b := (*[unsafe.Sizeof(*sa)]byte)(unsafe.Pointer(sa))
	port := binary.BigEndian.Uint16(b[2:4])
	if sa.Family == unix.AF_INET {
		return netip.AddrFrom4([4]byte(b[4:8])), port
	}
	return netip.AddrFrom16(sa.Addr).Unmap(), port
}
