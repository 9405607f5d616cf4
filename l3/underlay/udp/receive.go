package udp

import (
	"encoding/binary"
	"net/netip"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"

	"vxgw/l2/frame"
	"vxgw/l2/mmsg"
	"vxgw/l3/underlay"
)

// sockaddr has room for an IPv4 or IPv6 socket address.
type sockaddr = unix.RawSockaddrInet6

const (
	// slotStart is where a message starts in its slot, in bytes: the inner IP
	// header is then on a 4-byte boundary.
	slotStart = frame.Headroom

	// slotLen is the room for one message, in bytes.
	slotLen = (slotStart + underlay.MaxPayload + 63) &^ 63
)

// receiver takes batches of messages from UDP sockets, into memory of its own. A
// message is a datagram, or a run of them.
type receiver struct {
	// Set once.
	receive   func(fd uintptr) bool // r.tryReceive, bound once: binding it allocates
	fragments *atomic.Uint64        // counts packets that came in fragments; nil: nobody wants to know

	mem     []byte // a slot for each message; what none touches costs nothing
	msgs    [underlay.BatchSize]mmsg.Msg
	iovs    [underlay.BatchSize]unix.Iovec
	names   [underlay.BatchSize]sockaddr
	control [underlay.BatchSize][controlLen]byte
	asked   int        // messages that may be filled
	got     int        // messages that were filled
	errno   unix.Errno // why none was

	next int // the message after run
	run  run // of which some is not handed out yet, unless it is empty

	datagrams  int // handed out of what was got
	perMessage int // datagrams in a message of the last batch, rounded up
}

func (r *receiver) init(fragments *atomic.Uint64) {
	r.receive, r.fragments, r.perMessage = r.tryReceive, fragments, 1
	r.mem = make([]byte, len(r.msgs)*slotLen)
	for i := range r.msgs {
		r.iovs[i].Base = &r.mem[i*slotLen+slotStart]
		r.iovs[i].SetLen(underlay.MaxPayload)
		h := &r.msgs[i].Hdr
		h.Name = (*byte)(unsafe.Pointer(&r.names[i]))
		h.Iov = &r.iovs[i]
		h.SetIovlen(1)
		h.Control = &r.control[i][0]
	}
}

// prepare makes messages ready, about as many as it takes to fill that many
// packets. Of runs that is few: more would only push each other out of the
// cache before they are looked at.
func (r *receiver) prepare(packets int) {
	r.asked, r.got, r.errno = max(1, packets/r.perMessage), 0, 0
	r.next, r.datagrams = 0, 0
	for i := range r.msgs[:r.asked] {
		h := &r.msgs[i].Hdr
		h.Namelen = uint32(unsafe.Sizeof(r.names[i]))
		h.SetControllen(controlLen)
		h.Flags = 0
	}
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

// hand fills pkts with datagrams that were received, and returns their number; 0
// says that it is time to receive again. A run stays together where it can: one
// that there is no room left for waits for the next call, and only one that is
// longer than pkts is taken apart.
func (r *receiver) hand(pkts []underlay.Packet) (n int) {
	for n < len(pkts) {
		if r.run.left == 0 && !r.load() {
			r.perMessage = max(1, (r.datagrams+r.got-1)/max(1, r.got))
			break
		}
		if n > 0 && n+r.run.left > len(pkts) {
			break
		}
		for n < len(pkts) && r.run.left > 0 {
			r.run.take(&pkts[n])
			n++
		}
	}
	r.datagrams += n
	return n
}

// load goes on to the next message, and reports whether there is one.
func (r *receiver) load() bool {
	if r.next == r.got {
		return false
	}
	i := r.next
	r.next++
	h := &r.msgs[i].Hdr
	a := parseControl(r.control[i][:min(int(h.Controllen), controlLen)])
	if a.fragmented && r.fragments != nil {
		r.fragments.Add(1)
	}
	b := r.mem[i*slotLen+slotStart:][:r.msgs[i].Len]
	r.run = newRun(b, a, h.Flags&unix.MSG_TRUNC != 0)
	r.run.each.From, r.run.each.FromPort = source(&r.names[i])
	return true
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
