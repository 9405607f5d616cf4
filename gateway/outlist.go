package gateway

import (
	"vxgw/gateway/forward"
	"vxgw/l2/frame"
)

// outList collects the frames of one batch by the port they leave from, in the
// order in which they came. It belongs to one worker and keeps its memory.
type outList struct {
	frames  []frame.Out
	next    []int32 // the following frame for the same port, or none
	chains  []chain // by PortID
	touched []forward.PortID
	gather  []frame.Out
}

// chain is the frames of one port: indices into outList.frames.
type chain struct{ head, tail int32 }

const none = int32(-1)

// add appends one frame. b is borrowed until flush.
func (l *outList) add(to forward.PortID, b []byte, o frame.Offload) {
	for int(to) >= len(l.chains) {
		l.chains = append(l.chains, chain{none, none})
	}
	i := int32(len(l.frames))
	l.frames = append(l.frames, frame.Out{Bytes: b, Offload: o})
	l.next = append(l.next, none)
	c := &l.chains[to]
	if c.head == none {
		c.head = i
		l.touched = append(l.touched, to)
	} else {
		l.next[c.tail] = i
	}
	c.tail = i
}

// flush hands each port its frames and starts again empty. send may write the
// frames' Status.
func (l *outList) flush(send func(forward.PortID, []frame.Out)) {
	for _, to := range l.touched {
		c := &l.chains[to]
		l.gather = l.gather[:0]
		for i := c.head; i != none; i = l.next[i] {
			l.gather = append(l.gather, l.frames[i])
		}
		*c = chain{none, none}
		send(to, l.gather)
	}
	clear(l.gather)
	clear(l.frames) // let go of the buffers
	l.frames, l.next, l.touched = l.frames[:0], l.next[:0], l.touched[:0]
}
