package frame

// GSO is the kind of a super-frame: one frame that stands for many segments
// (virtio 1.2, section 5.1.6, gso_type).
type GSO uint8

// The kinds of super-frame the gateway can cut.
const (
	GSONone  GSO = iota
	GSOTCPv4     // TCP over IPv4
	GSOTCPv6     // TCP over IPv6
	GSOUDP       // UDP_SEGMENT: each segment is a datagram of its own
	GSOOther     // anything else; it cannot be cut
)

// Offload is what the kernel left undone in a frame (virtio-net header).
type Offload struct {
	NeedsChecksum bool   // the L4 checksum holds only the pseudo-header's sum
	ChecksumStart uint16 // where summing starts, in bytes from the frame's start
	ChecksumAt    uint16 // where the checksum goes, in bytes from ChecksumStart
	GSO           GSO
	SegmentSize   uint16 // L4 payload bytes a segment; 0 unless GSO is set

	// Tunnelled says that the super-frame belongs to a tunnel. It is a packet of
	// a host's own, cut by the TCP connection inside, and ChecksumStart is
	// where that one's header is; or it is UDP that came out of a kernel VTEP
	// of this machine. No edge carries it; it is cut here.
	Tunnelled bool
}

// None reports whether the frame is ready for the wire as it is.
func (o Offload) None() bool { return !o.NeedsChecksum && o.GSO == GSONone }

// Buffer carries one received frame. A reader fills it; everything it holds is
// borrowed until the next ReadBatch into it.
type Buffer struct {
	Mem []byte // the whole slot, Headroom included
	Off int    // where the frame starts in Mem
	Len int    // frame bytes

	Tag       Tag
	Offload   Offload
	Truncated bool // the frame was longer than the slot; its end is lost
	FullLen   int  // bytes before any were cut off; 0 where the reader cannot tell
}

// Bytes returns the frame. It is borrowed from the buffer.
func (b *Buffer) Bytes() []byte { return b.Mem[b.Off : b.Off+b.Len] }

// Prepend returns n writable bytes in front of the frame followed by the
// frame, without changing the buffer. It panics when n is more than b.Off.
func (b *Buffer) Prepend(n int) []byte { return b.Mem[b.Off-n : b.Off+b.Len] }

// NewBuffers returns n empty buffers for frames of up to size bytes, all in one
// piece of memory. Pages that no frame touches cost nothing.
func NewBuffers(n, size int) []Buffer {
	slot := (Headroom + size + 63) &^ 63
	mem := make([]byte, n*slot)
	bufs := make([]Buffer, n)
	for i := range bufs {
		bufs[i].Mem = mem[i*slot : (i+1)*slot : (i+1)*slot]
		bufs[i].Off = Headroom
	}
	return bufs
}

// Out is one frame on its way to a port. Bytes is borrowed for the duration of
// the WriteBatch it is handed to.
type Out struct {
	Bytes   []byte
	Offload Offload // what the receiver of Bytes still has to do

	// Status is written by WriteBatch.
	Status Status
}

// Status is what became of one frame or datagram handed to a WriteBatch.
type Status uint8

// What can become of a frame. Sent is the zero value.
const (
	Sent    Status = iota
	Failed         // the kernel refused it: no buffer, no route, a firewall
	TooBig         // longer than the device takes
	Down           // the device or the socket is gone or down
	Refused        // it needs an offload that this edge does not carry
)
