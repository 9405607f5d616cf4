package gateway

import (
	"bytes"
	"slices"
	"testing"

	"vxgw/gateway/forward"
	"vxgw/gateway/tables"
	"vxgw/l2/frame"
	"vxgw/l3/ip"
	"vxgw/l3/underlay"
	"vxgw/l3/vxlan"
)

// wholeConn takes super-frames, and notes what it is handed.
type wholeConn struct {
	underlay.Conn
	most   int // bytes of UDP payload that it carries whole; 0: none
	status frame.Status
	sent   []sentDatagram
}

type sentDatagram struct {
	payload []byte
	offload frame.Offload
}

func (c *wholeConn) CarriesOffload(via *underlay.Hop, n int) bool { return via != nil && n <= c.most }

func (c *wholeConn) WriteBatch(out []underlay.Datagram) error {
	for i := range out {
		d := &out[i]
		c.sent = append(c.sent, sentDatagram{slices.Concat(d.Head, d.Body), d.Offload})
		d.Status = c.status
	}
	return nil
}

// wholeBench is a bench whose VTEP is sent to by a link.
func wholeBench(t *testing.T, c *wholeConn, maxFrame int) *bench {
	t.Helper()
	b := newBench(t)
	b.tables.SetUplinks([]underlay.Conn{c})
	v, _ := b.tables.VTEP(peerAddr)
	b.tables.SetPaths(map[forward.VTEPID]tables.Path{v: {MaxFrame: maxFrame, Via: &underlay.Hop{Interface: 1}}})
	return b
}

// fromHost has frames come in at the first port as one batch.
func (b *bench) fromHost(frames ...frame.Out) {
	for i, f := range frames {
		buf := &b.access.bufs[i]
		buf.Off, buf.Len = frame.Headroom, copy(buf.Mem[frame.Headroom:], f.Bytes)
		buf.Tag, buf.Offload, buf.Truncated = frame.Tag{}, f.Offload, false
	}
	b.access.batch(b.access.bufs[:len(frames)])
}

func (s superFrame) out() frame.Out {
	f, o := s.build()
	return frame.Out{Bytes: f, Offload: o}
}

func TestSuperFramesGoWholeInTheirPlace(t *testing.T) {
	c := &wholeConn{most: underlay.MaxPayload}
	b := wholeBench(t, c, 1514)
	plain := frame.Out{Bytes: dataFrame(remote, here)}
	four := superFrame{size: 20000, mss: 1400, flags: ip.ACK}.out()
	six := superFrame{v6: true, size: 20000, mss: 1400, flags: ip.ACK}.out()
	all := []frame.Out{plain, four, plain, six, six, plain}
	b.fromHost(all...)
	if len(c.sent) != len(all) {
		t.Fatalf("%d datagrams, want %d", len(c.sent), len(all))
	}
	for i, f := range all {
		head := make([]byte, vxlanHeader)
		vxlan.Put(head, 1000)
		if d := c.sent[i]; d.offload != f.Offload || !bytes.Equal(d.payload, append(head, f.Bytes...)) {
			t.Errorf("datagram %d: %d bytes with %+v, want %d with %+v", i, len(d.payload), d.offload, vxlanHeader+len(f.Bytes), f.Offload)
		}
	}
}

func TestSuperFramesAllocateNothing(t *testing.T) {
	b := wholeBench(t, nil, 1514)
	b.tables.SetUplinks([]underlay.Conn{sinkConn{sink: &b.sink}})
	f := superFrame{size: 20000, mss: 1400, flags: ip.ACK}.out()
	batch := fromPort(f.Bytes, f.Offload)
	batch(b)
	if b.sink.dgrams != len(b.access.bufs) {
		t.Fatalf("%d datagrams, want %d", b.sink.dgrams, len(b.access.bufs))
	}
	if k := testing.AllocsPerRun(100, func() { batch(b) }); k != 0 {
		t.Errorf("%v allocations for a batch, want none", k)
	}
}

func TestSuperFramesThatAreCutAllTheSame(t *testing.T) {
	change := func(s superFrame, f func(*frame.Out)) frame.Out {
		o := s.out()
		f(&o)
		return o
	}
	s := superFrame{size: 5000, mss: 1400, flags: ip.ACK}
	tests := []struct {
		name     string
		out      frame.Out
		most     int
		segments int
	}{
		{"nothing is carried", s.out(), 0, 4},
		{"too long for one packet", s.out(), vxlanHeader + 5000, 4},
		{"one segment", superFrame{size: 1400, mss: 1400, flags: ip.ACK}.out(), underlay.MaxPayload, 1},
		{"flooded to several", change(s, func(o *frame.Out) { copy(o.Bytes, frame.Broadcast[:]) }), underlay.MaxPayload, 3 * 4},
		{"checksum complete", change(s, func(o *frame.Out) {
			o.Offload.NeedsChecksum, o.Offload.ChecksumStart, o.Offload.ChecksumAt = false, 0, 0
		}), underlay.MaxPayload, 4},
		{"segments too long for the path", superFrame{size: 5000, mss: 2000, flags: ip.ACK}.out(), underlay.MaxPayload, 0},
		{"lengths that lie", change(s, func(o *frame.Out) { o.Bytes = o.Bytes[:len(o.Bytes)-1] }), underlay.MaxPayload, 0},
	}
	for _, tt := range tests {
		c := &wholeConn{most: tt.most}
		b := wholeBench(t, c, 1514)
		b.fromHost(tt.out)
		if len(c.sent) != tt.segments {
			t.Errorf("%s: %d datagrams, want %d", tt.name, len(c.sent), tt.segments)
		}
		for _, d := range c.sent {
			if !d.offload.None() {
				t.Errorf("%s: one goes with %+v", tt.name, d.offload)
			}
		}
	}
}

// What is counted is the segments, whoever cuts, and all of them when a whole
// super-frame is lost.
func TestWholeCountsAsItsSegments(t *testing.T) {
	count := func(c *wholeConn) (packets, bytes, vni, lost uint64) {
		b := wholeBench(t, c, 1514)
		b.fromHost(superFrame{size: 20001, mss: 1400, flags: ip.ACK}.out(), superFrame{v6: true, size: 1401, mss: 1400, flags: ip.ACK}.out())
		s := b.tables.Snapshot()
		v, _ := b.tables.VTEP(peerAddr)
		to, domain := s.VTEPs[v].Traffic, s.Domains[s.VNIs[1000]].Traffic
		return to.TxPackets.Load(), to.TxBytes.Load(), domain.TxPackets.Load(), b.ledger.total(forward.Access, forward.TxFailed)
	}
	const packets, bytes = 15 + 2, 20001 + 15*54 + 1401 + 2*74
	for name, c := range map[string]*wholeConn{"cut": {}, "whole": {most: underlay.MaxPayload}} {
		if p, n, vni, lost := count(c); p != packets || n != bytes || vni != packets || lost != 0 {
			t.Errorf("%s: %d packets, %d bytes, %d of the VNI, %d lost; want %d, %d, %[6]d, 0", name, p, n, vni, lost, packets, bytes)
		}
		c.status = frame.Failed
		if p, n, vni, lost := count(c); p != 0 || n != 0 || vni != 0 || lost != packets {
			t.Errorf("%s and refused: %d packets, %d bytes, %d of the VNI, %d lost; want 0, 0, 0, %d", name, p, n, vni, lost, packets)
		}
	}
}
