// Package raw is an access port over AF_PACKET sockets. The kernel's notes about
// a frame come along with its bytes: the VLAN tag it stripped, the checksum it
// has not filled in, the segments a super-frame stands for.
//
// A port has two sockets. The kernel reports an error of a packet socket once,
// to whoever calls next: with one socket a sender would take away the reader's
// news that the link went down, and an unreadable frame would look to a sender
// as if one of its own had been refused.
package raw

import (
	"errors"
	"fmt"
	"sync/atomic"

	"vxgw/l2/frame"
	"vxgw/l2/port"
)

// DefaultBuffer is the size of a socket buffer where Config names none, in
// bytes. The kernel counts the memory that holds the frames, about twice their
// length when they are full-sized and more when they are short.
const DefaultBuffer = 4 << 20

// Config says which interface becomes a port, and how.
type Config struct {
	Interface string // its name; with Index given, for messages alone
	Index     int    // 0: the one of that name

	// Promiscuous has the device pass up frames for any address. An access
	// port needs it on every device that filters by address.
	Promiscuous bool

	ReceiveBuffer int // bytes; 0: DefaultBuffer
	SendBuffer    int // bytes; 0: DefaultBuffer

	// Split loads the filters that share out frames between a ring and a socket
	// beside it. It is called once. nil: there is no ring, and every frame is read
	// by system calls.
	Split func(room int) (Split, error)

	// Express has frames sent by AF_XDP where the kernel lets them, past the
	// interface's queueing discipline.
	Express bool

	RingBytes int // memory of the rings of all queues; 0: DefaultBuffer
	MTU       int // the device's, which slots of the ring are to take; 0: 1500

	// Queues is how many receive queues there are to be; 0: 1. There are fewer when
	// there is no memory for the rings of all. With more than one
	// the device must be up (Linux has no PACKET_FANOUT for one that is down).
	Queues int
}

// Split is two socket filters, as descriptors of loaded eBPF programs. Of all
// frames Ring takes those that are no super-frames and not longer than room
// bytes, and Rest takes the others. They are the caller's to close, once Open has
// returned.
type Split struct{ Ring, Rest int }

// Features is what the kernel granted of what Open asked for.
type Features struct {
	// Offload is nil when frames carry their checksum and super-frame notes in
	// both directions. Otherwise it says why not and what to do about it.
	Offload error

	// Ring is nil when ordinary frames are read from memory shared with the
	// kernel. Otherwise it says why they are not: more of them cost more.
	Ring error

	ReceiveBuffer int // bytes, on the scale of Config
	SendBuffer    int // bytes, on the scale of Config
}

// Port is an access port. It implements port.Port.
type Port struct {
	// Set once.
	rx       queues
	tx       *Sender
	features Features

	closed atomic.Bool
}

var _ port.Port = (*Port)(nil)

// Open makes a port of an interface in the calling thread's network namespace.
// The interface may be down: then the first ReadBatch says so, and frames come
// when it is up. The error wraps unix.ENODEV when there is no such interface and
// unix.EPERM without CAP_NET_RAW.
func Open(cfg Config) (*Port, error) {
	p, err := open(cfg, setVnetHeader)
	if err != nil {
		return nil, fmt.Errorf("open port %s: %w", cfg.name(), err)
	}
	return p, nil
}

// ReadBatch is as port.Port has it. A buffer needs more than frame.Headroom
// bytes; those in front of the frame are overwritten. With a ring the buffers are
// pointed to memory of the port's own instead. The frames that Unreadable counts
// are passed over.
//
// A super-frame's Offload agrees with its IP header, and a checksum that a frame
// needs lies within the frame. Where the kernel said otherwise GSO is GSOOther.
func (p *Port) ReadBatch(bufs []frame.Buffer) (int, error) { return p.rx.all[0].read(bufs) }

// Wake is as port.Port has it. When no ReadBatch waits the next one returns.
func (p *Port) Wake() { p.rx.all[0].wake() }

// Unreadable returns how many frames there were, in all, that the kernel could
// not hand over: super-frames of a kind that it has no words for, which are
// UDP_SEGMENT before Linux 6.2, and SCTP.
func (p *Port) Unreadable() uint64 { return p.rx.unreadable() }

// Overflows is as port.Port has it.
func (p *Port) Overflows() (uint64, error) {
	return p.rx.overflows()
}

// Queues is as port.Port has it.
func (p *Port) Queues() []port.Reader {
	readers := []port.Reader{p}
	for _, in := range p.rx.all[1:] {
		readers = append(readers, Queue{in})
	}
	return readers
}

// CarriesOffload is as port.Port has it.
func (p *Port) CarriesOffload() bool { return p.features.Offload == nil }

// Lacks is as port.Port has it.
func (p *Port) Lacks() error {
	if f := p.features; f.Offload != nil {
		return f.Offload
	} else if f.Ring != nil {
		return fmt.Errorf("frames are read by system calls, which is slower: %w", f.Ring)
	}
	return nil
}

// Features returns what the kernel granted.
func (p *Port) Features() Features { return p.features }

// Close ends the port. Whoever waits in ReadBatch gets net.ErrClosed. A second
// Close does nothing.
func (p *Port) Close() error {
	if p.closed.Swap(true) {
		return nil
	}
	return errors.Join(p.rx.close(), p.tx.Close())
}
