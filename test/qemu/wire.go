package qemu

import (
	"bytes"
	"net"
	"net/netip"
	"os"
	"testing"
	"time"

	"vxgw/l2/frame"
	"vxgw/l3/vxlan"
	"vxgw/test/packet"
)

// Wire is the test's end of a wire.
type Wire struct {
	conn *net.UnixConn
	to   *net.UnixAddr
}

func newWire(t testing.TB, path string) *Wire {
	t.Helper()
	_ = os.Remove(path)
	_ = os.Remove(path + ".test")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path + ".test", Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return &Wire{conn, &net.UnixAddr{Name: path, Net: "unixgram"}}
}

// Send puts a frame on the wire. Until the machine is there nobody takes it.
func (w *Wire) Send(f []byte) { _, _ = w.conn.WriteTo(f, w.to) }

// Receive returns the next frame, or nil if there is none before the deadline.
func (w *Wire) Receive(deadline time.Time) []byte {
	b := make([]byte, 1<<16)
	if err := w.conn.SetReadDeadline(deadline); err != nil {
		return nil
	}
	size, err := w.conn.Read(b)
	if err != nil {
		return nil
	}
	return b[:size]
}

// Tunnel is the VXLAN network of a machine that is a VTEP, and of another VTEP, which
// the test is.
type Tunnel struct {
	VNI         uint32
	MAC, Peer   frame.MAC
	Addr, Other netip.Addr
}

// The stations of Site, and Site itself: a machine whose second card is the underlay.
var (
	HostMAC   = frame.MAC{2, 0, 0, 0, 1, 1} // at the access port
	RemoteMAC = frame.MAC{2, 0, 0, 0, 1, 2} // behind the other VTEP

	Site = Tunnel{
		VNI: 10010,
		MAC: frame.MAC{0x52, 0x54, 0, 0, 0, 2}, Addr: netip.MustParseAddr("192.0.2.1"),
		Peer: frame.MAC{2, 0, 0, 0, 2, 2}, Other: netip.MustParseAddr("192.0.2.2"),
	}
)

// Out returns a frame as the machine is to send it to the other VTEP: no UDP checksum.
func (t *Tunnel) Out(inner []byte) []byte {
	return encapsulated(t.VNI, inner, t.MAC, t.Peer, t.Addr, t.Other)
}

// In returns a frame as the other VTEP sends it to the machine.
func (t *Tunnel) In(inner []byte) []byte {
	return encapsulated(t.VNI, inner, t.Peer, t.MAC, t.Other, t.Addr)
}

func encapsulated(vni uint32, inner []byte, from, to frame.MAC, src, dst netip.Addr) []byte {
	port := vxlan.NewEntropy(49152, 65535, vxlan.DefaultSeed).SourcePort(inner)
	b := packet.UDP(to, from, netip.AddrPortFrom(src, port), netip.AddrPortFrom(dst, 4789), packet.VXLAN(vni, inner))
	b[40], b[41] = 0, 0
	return b
}

// Exchange sends a frame again and again until another one comes out, and reports whether
// it did within the time. The other VTEP is found by ARP meanwhile.
func (t *Tunnel) Exchange(from, to *Wire, sent, want []byte, limit time.Duration) bool {
	for deadline := time.Now().Add(limit); time.Now().Before(deadline); {
		from.Send(sent)
		for until := time.Now().Add(time.Second); ; {
			got := to.Receive(until)
			if got == nil {
				break
			}
			if bytes.Equal(got, want) {
				return true
			}
			t.answer(to, got)
		}
	}
	return false
}

// answer answers who asks for the other VTEP.
func (t *Tunnel) answer(to *Wire, got []byte) {
	who := packet.ARP(frame.Broadcast, packet.ARPRequest, t.MAC, t.Addr, frame.MAC{}, t.Other)
	if len(got) >= len(who) && bytes.Equal(got[6:32], who[6:32]) && bytes.Equal(got[38:42], who[38:42]) {
		to.Send(packet.ARP(t.MAC, packet.ARPReply, t.Peer, t.Other, t.MAC, t.Addr))
	}
}
