// Package underlay is the edge of the gateway that faces the IP network
// between VTEPs: what the forwarding code asks of it, whichever way it is made.
package underlay

import (
	"fmt"
	"net/netip"

	"vxgw/l2/frame"
)

// BatchSize is the number of datagrams a reader asks for at once.
const BatchSize = 64

// MaxPayload is the longest UDP payload there is, in bytes (RFC 768: a 16-bit
// length that counts the 8-byte header).
const MaxPayload = 65535 - 8

// Packet is one datagram that came in on the VXLAN port. The embedded Buffer's
// Bytes is the UDP payload: VXLAN header and inner frame. Its Offload says that
// the inner frame is a super-frame whose segments its bytes do not tell: what
// else is undone can be inferred, and is not told.
type Packet struct {
	frame.Buffer
	From     netip.Addr // outer source, never an IPv4-mapped address
	FromPort uint16
	TOS      uint8 // outer TOS or traffic class: DSCP and ECN

	// Group is the multicast group that it was sent to; the zero Addr when that
	// is the VTEP's own address.
	Group netip.Addr

	// Interface is the index of the interface that it came in by; 0: not known.
	Interface int

	// Outer is how many bytes in front of the payload are the packet's outer headers
	// as they came, from Ethernet on; 0: they are not there.
	Outer int

	// Noted says that Offload is known. It is of the inner frame, and counts from
	// where that starts. Otherwise what a VTEP on this machine has left undone
	// must be found out.
	Noted bool

	// Fragmented says that the kernel put it together from IP fragments. They
	// are in Refused.Fragment already: whoever drops the packet for that
	// reason does not count it again.
	Fragmented bool
}

// NewPackets returns n empty packets with room for size bytes of UDP payload.
func NewPackets(n, size int) []Packet {
	bufs := frame.NewBuffers(n, size)
	pkts := make([]Packet, n)
	for i := range pkts {
		pkts[i].Buffer = bufs[i]
	}
	return pkts
}

// Datagram is one VXLAN packet on its way out. Head and Body together are the
// UDP payload; Body may be empty. Both are borrowed for the duration of the
// WriteBatch, and many Datagrams may share them: head-end replication
// encapsulates once and addresses many times.
type Datagram struct {
	To         netip.Addr
	Via        *Hop   // where to send it on the link; nil: the host's stack finds out
	SourcePort uint16 // flow entropy
	TOS        uint8  // DSCP and ECN
	Head, Body []byte

	// Offload is what the kernel is to do with Body, which is then the whole
	// inner frame, and Head the VXLAN header: only where CarriesOffload says so.
	Offload frame.Offload

	// Status is written by WriteBatch.
	Status frame.Status
}

// Hop is the next hop to a VTEP: where on which link a packet goes. It never
// changes once made.
type Hop struct {
	Interface int       // index of the interface that it leaves by
	From, To  frame.MAC // of the Ethernet header
}

// Refused counts what the kernel's stack or the socket refused before a packet
// could be read. All are totals since the Conn was made.
type Refused struct {
	Overflow  uint64 // the receive buffer was full; packets that the kernel had put together count once
	Checksum  uint64 // UDP checksum wrong, or zero on IPv6 where it must not be
	Fragment  uint64 // IP fragments addressed to the VTEP; where they go unseen, packets made of them
	Malformed uint64 // IP or UDP headers that lie
}

// Reader is one receive queue. ReadBatch is called by one goroutine.
type Reader interface {
	// ReadBatch blocks until at least one packet is there, then fills as many
	// of pkts as are ready and returns their number. The packets' memory may
	// be exchanged for the reader's own: either way the bytes are the caller's
	// until the next ReadBatch, those in front of a packet are not: of those Outer
	// may be read. The error wraps os.ErrDeadlineExceeded after Wake and
	// net.ErrClosed after Close.
	ReadBatch(pkts []Packet) (int, error)

	// Wake makes a ReadBatch that waits return at once.
	Wake()

	Close() error
}

// Conn is one receive queue and the transmit side of the underlay. WriteBatch is
// called by any number of goroutines.
type Conn interface {
	Reader

	// CarriesOffload reports whether WriteBatch takes a TCP super-frame whole, as
	// a Datagram by this hop with n bytes of UDP payload. Its checksum must be
	// left to be filled in, and no tunnel of a host's own be around it.
	CarriesOffload(via *Hop, n int) bool

	// WriteBatch sends the datagrams in order and writes each one's Status.
	// The error is the last one the kernel gave, nil when all were sent.
	WriteBatch(dgrams []Datagram) error
}

// Membership is which multicast groups a VTEP belongs to, and where.
type Membership struct {
	// Interface is the index of the interface that the groups are joined on and
	// sent to by; 0: none, and then none is joined and none can be sent to.
	Interface int

	// Epoch is a number of the caller's. When it changes all groups are joined
	// anew: switches and routers may have forgotten.
	Epoch uint64

	Groups []netip.Addr // each once
}

// GroupError is why a multicast group could not be joined.
type GroupError struct {
	Group  netip.Addr
	Err    error
	Others int // groups that could not be joined either
}

// Error says what happened.
func (e *GroupError) Error() string {
	if e.Others > 0 {
		return fmt.Sprintf("join group %v, and %d more: %v", e.Group, e.Others, e.Err)
	}
	return fmt.Sprintf("join group %v: %v", e.Group, e.Err)
}

// Unwrap returns Err.
func (e *GroupError) Unwrap() error { return e.Err }

// Underlay is a VTEP's whole attachment: its queues and what was refused.
type Underlay interface {
	// Queues returns the receive queues; the kernel spreads flows over them.
	// Packets to multicast groups do not come in by these.
	Queues() []Conn
	// GroupQueue returns the queue that packets to all groups come in by, but
	// for those that this VTEP has sent.
	GroupQueue() Reader
	// SetGroups makes m the VTEP's groups: it joins and leaves what is new or
	// gone. The error is a *GroupError when some could not be joined; to call
	// it again tries those again, and costs little where nothing has changed.
	SetGroups(m Membership) error
	// UseLinks names the interfaces, by index, that packets go by past the
	// host's IP stack: Datagrams with a Hop out, and unicast packets in where
	// that can be done. It returns the receive queues of those that are new;
	// they end with the interface, or when it is not named any more. What goes
	// by other ways goes by the stack. The error says which could not be opened;
	// to call it again tries those again, and costs little where nothing has
	// changed.
	UseLinks(interfaces []int) ([]Reader, error)
	// Refused returns the totals of all queues.
	Refused() Refused
	Close() error
}
