package raw

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"vxgw/l2/frame"
)

// queues are the receive queues of a port. The kernel spreads the frames over
// them by a hash of their addresses and ports, so that a flow stays on one.
type queues struct{ all []*intake }

// Queue is one of several receive queues of a port. One goroutine may read from it.
type Queue struct{ in *intake }

// ReadBatch is as port.Port has it.
func (q Queue) ReadBatch(bufs []frame.Buffer) (int, error) { return q.in.read(bufs) }

// Wake is as port.Port has it.
func (q Queue) Wake() { q.in.wake() }

// Overflows is as port.Port has it, for this queue.
func (q Queue) Overflows() (uint64, error) { return q.in.overflows() }

func (q *queues) overflows() (n uint64, err error) {
	for _, in := range q.all {
		k, err := in.overflows()
		if err != nil {
			return n, err
		}
		n += k
	}
	return n, nil
}

func (q *queues) unreadable() (n uint64) {
	for _, in := range q.all {
		n += in.rest.unreadable.Load()
	}
	return n
}

func (q *queues) close() error {
	var errs []error
	for _, in := range q.all {
		errs = append(errs, in.close())
	}
	return errors.Join(errs...)
}

// stop has no frame come in any more when it returns. What has come is still handed
// out to those who read.
func (q *queues) stop() error {
	var errs []error
	for _, in := range q.all {
		errs = append(errs, in.deafen())
	}
	errs = append(errs, awaitReceivers())
	for _, in := range q.all {
		errs = append(errs, in.stop())
	}
	return errors.Join(errs...)
}

// awaitReceivers waits until every processor is done with the frame that it is at,
// as the kernel does when it closes a packet socket (packet_release in
// net/packet/af_packet.c).
func awaitReceivers() error {
	s, err := openSender(0)
	if err != nil {
		return err
	}
	return s.Close()
}

// fanout is the kernel's groups of sockets that share a port's frames (packet(7),
// PACKET_FANOUT). Rings are one group and the sockets beside them another, both in
// the same order: then all frames of a flow come by the same queue.
type fanout struct{ rest, ring group }

func (f *fanout) join(in *intake) error {
	if err := f.rest.join(in.rest.raw); err != nil || in.ring == nil {
		return err
	}
	return f.ring.join(in.ringSock)
}

// group is one group. The first to join has the kernel choose its number.
type group struct {
	id    int
	begun bool
}

func (g *group) join(s socket) error {
	const how = unix.PACKET_FANOUT_HASH | unix.PACKET_FANOUT_FLAG_IGNORE_OUTGOING
	return control(s, func(fd int) (err error) {
		flags := how
		if !g.begun {
			flags |= unix.PACKET_FANOUT_FLAG_UNIQUEID
		}
		if err := unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_FANOUT, g.id|flags<<16); err != nil {
			return fmt.Errorf("set PACKET_FANOUT: %w", err)
		}
		if !g.begun {
			v, err := unix.GetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_FANOUT)
			if err != nil {
				return fmt.Errorf("get PACKET_FANOUT: %w", err)
			}
			g.id, g.begun = v&0xffff, true
		}
		return nil
	})
}
