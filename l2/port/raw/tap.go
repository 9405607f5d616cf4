package raw

import (
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/mdlayher/packet"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"

	"vxgw/l2/frame"
)

// tapBuffer is the size of a Tap's receive buffer in bytes.
const tapBuffer = 1 << 20

// Tap sees what comes in on all interfaces of a network namespace, and sends
// nothing. Others get their packets all the same.
type Tap struct {
	rx     receiver
	closed atomic.Bool
}

// OpenTap opens a Tap on packets of one EtherType, frame.TypeIPv4 or
// frame.TypeIPv6. filter chooses among them before they cost anything: it sees a
// packet from its IP header on, and returns how many bytes of it to keep, 0 for
// none. It is in force from the first packet on. An empty filter keeps all.
func OpenTap(etherType uint16, filter []bpf.RawInstruction) (*Tap, error) {
	conn, raw, err := listen(0, packet.Datagram, filter)
	if err != nil {
		return nil, fmt.Errorf("open tap: %w", err)
	}
	t := &Tap{}
	t.rx.init(conn, raw)
	if err := setReceiveOptions(raw); err != nil {
		return nil, errors.Join(fmt.Errorf("open tap: %w", err), t.Close())
	}
	setBuffer(raw, unix.SO_RCVBUFFORCE, unix.SO_RCVBUF, tapBuffer)
	if err := bind(raw, etherType, 0); err != nil {
		return nil, errors.Join(fmt.Errorf("open tap: %w", err), t.Close())
	}
	return t, nil
}

// ReadBatch blocks until at least one packet is there, then fills as many of
// bufs as are ready and returns their number. The bytes start with the IP
// header; FullLen is the packet's length before filter and buffer cut it short.
// The error wraps os.ErrDeadlineExceeded after Wake and net.ErrClosed after
// Close. One goroutine may call it at a time.
func (t *Tap) ReadBatch(bufs []frame.Buffer) (int, error) { return t.rx.read(bufs) }

// Wake makes a ReadBatch that waits, or else the next one, return at once.
func (t *Tap) Wake() { t.rx.wake() }

// Close ends the tap. A second Close does nothing.
func (t *Tap) Close() error {
	if t.closed.Swap(true) {
		return nil
	}
	return t.rx.close()
}
