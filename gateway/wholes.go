package gateway

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"vxgw/gateway/xdp"
	"vxgw/l2/frame"
	"vxgw/l2/port/raw"
)

// cutHere is what it means that super-frames do not go whole.
const cutHere = "TCP super-frames towards VTEPs are cut before they are sent, which is slower"

var (
	errEncapPassed = errors.New("another program at TCX egress of the interface takes frames before this one's does (bpftool net)")
	errEncapFailed = errors.New("the kernel cannot put outer headers in front of a super-frame on this interface")
)

// wholes sends super-frames with outer headers by one interface, uncut. A packet
// socket sends the inner super-frame, and a program at the interface's egress puts
// the outer headers in front.
type wholes struct {
	encap *xdp.Encap
	lanes []wholeLane
	lacks func(error)
	ended atomic.Bool // it does not work after all
}

// wholeLane is a socket and the slot for the headers of what it sends: sending
// returns when the program has run.
type wholeLane struct {
	mu     sync.Mutex // guards all
	slot   xdp.Slot
	tx     *raw.Marked
	closed bool
}

func openWholes(index int, o UnderlayOptions) (*wholes, error) {
	n := min(max(o.Queues, 1), xdp.MaxSlots)
	encap, err := xdp.NewEncap(index, n, o.Address.Is6())
	if err != nil {
		return nil, err
	}
	w := &wholes{encap: encap, lanes: make([]wholeLane, n), lacks: o.Lacks}
	for i := range w.lanes {
		l := &w.lanes[i]
		l.slot = encap.Slot(i)
		if l.tx, err = raw.OpenMarked(index, l.slot.Mark); err != nil {
			return nil, errors.Join(err, w.close())
		}
	}
	return w, nil
}

// CarriesOffload is as udp.Link has it.
func (l *wireLink) CarriesOffload() bool { return l.whole != nil && !l.whole.ended.Load() }

// SendWhole is as udp.Link has it.
func (l *wireLink) SendWhole(lane int, outer, vxlan, f []byte, o frame.Offload) unix.Errno {
	w := l.whole
	errno, err := w.lanes[lane%len(w.lanes)].send(outer, vxlan, f, o)
	if err != nil && !w.ended.Swap(true) {
		w.lacks(fmt.Errorf("%s: %w", cutHere, err))
	}
	return errno
}

// send sends one super-frame. The error says that there is no sense in sending
// more: the program did not see it, or could do nothing with it.
func (l *wholeLane) send(outer, vxlan, f []byte, o frame.Offload) (unix.Errno, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return unix.ENETDOWN, nil
	}
	wasDone, wasFailed := l.slot.Outcome()
	l.slot.Put(outer, vxlan, f)
	errno := l.tx.Send(f, o)
	done, failed := l.slot.Outcome()
	switch {
	case failed != wasFailed:
		return unix.ENOBUFS, errEncapFailed
	case errno == 0 && done == wasDone:
		return unix.ENOBUFS, errEncapPassed
	}
	return errno, nil
}

func (w *wholes) close() error {
	w.ended.Store(true)
	var errs []error
	for i := range w.lanes {
		errs = append(errs, w.lanes[i].close())
	}
	return errors.Join(append(errs, w.encap.Close())...)
}

func (l *wholeLane) close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed || l.tx == nil {
		return nil
	}
	l.closed = true
	return l.tx.Close()
}
