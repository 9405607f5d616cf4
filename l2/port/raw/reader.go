package raw

import (
	"errors"
	"fmt"

	"github.com/mdlayher/packet"
	"golang.org/x/sys/unix"

	"vxgw/l2/frame"
)

// Reader takes in frames of one interface that a Split picks, and sends nothing.
// Others get them all the same.
type Reader struct{ rx intake }

// OpenReader opens a Reader on an interface in the calling thread's network
// namespace. Frames that neither filter of cfg.Split takes do not come by it. The
// error is about what a Port works without, too: the ring and virtio-net headers.
func OpenReader(cfg Config) (*Reader, error) {
	r := &Reader{}
	if err := r.open(cfg); err != nil {
		return nil, fmt.Errorf("read from %s: %w", cfg.name(), err)
	}
	return r, nil
}

func (r *Reader) open(cfg Config) error {
	index, err := cfg.index()
	if err != nil {
		return err
	}
	rx, raw, err := listen(index, packet.Raw, nil)
	if err != nil {
		return err
	}
	r.rx.rest.init(rx, raw)
	if err := r.setUp(cfg, index); err != nil {
		return errors.Join(err, r.Close())
	}
	return nil
}

func (r *Reader) setUp(cfg Config, index int) error {
	rest := &r.rx.rest
	if err := rest.setUp(cfg); err != nil {
		return err
	}
	if err := setVnetHeader(rest.raw); err != nil {
		return fmt.Errorf("set PACKET_VNET_HDR: %w", err)
	}
	rest.vnetLen = vnetLen
	setBuffer(rest.raw, unix.SO_RCVBUFFORCE, unix.SO_RCVBUF, cfg.ReceiveBuffer)
	if err := r.rx.addRing(cfg, index); err != nil {
		return err
	}
	return r.rx.bind(index)
}

// ReadBatch is as Port has it.
func (r *Reader) ReadBatch(bufs []frame.Buffer) (int, error) { return r.rx.read(bufs) }

// Wake is as Port has it.
func (r *Reader) Wake() { r.rx.wake() }

// Overflows is as Port has it.
func (r *Reader) Overflows() (uint64, error) { return r.rx.overflows() }

// Close ends the Reader. Whoever waits in ReadBatch gets net.ErrClosed.
func (r *Reader) Close() error { return r.rx.close() }
