package raw

import (
	"encoding/binary"
	"errors"
	"net"
	"os"
	"testing"

	"golang.org/x/net/bpf"

	"vxgw/l2/frame"
	"vxgw/l2/port"
	"vxgw/test/netns"
)

// fragments keeps 256 bytes of each IPv4 fragment.
func fragments(t *testing.T) []bpf.RawInstruction {
	t.Helper()
	raw, err := bpf.Assemble([]bpf.Instruction{
		bpf.LoadAbsolute{Off: 6, Size: 2},
		bpf.JumpIf{Cond: bpf.JumpBitsNotSet, Val: 0x3fff, SkipTrue: 1},
		bpf.RetConstant{Val: 256},
		bpf.RetConstant{Val: 0},
	})
	must(t, err)
	return raw
}

func openTapIn(t *testing.T, ns *netns.NS, etherType uint16, filter []bpf.RawInstruction) *Tap {
	t.Helper()
	var tap *Tap
	must(t, ns.Do(func() (err error) { tap, err = OpenTap(etherType, filter); return err }))
	t.Cleanup(func() { must(t, tap.Close()) })
	return tap
}

// discard has somebody listen to port 9, so that no sender hears of refusals.
func discard(t *testing.T, ns *netns.NS) {
	t.Helper()
	must(t, ns.Do(func() error {
		c, err := net.ListenPacket("udp", ":9")
		if err == nil {
			t.Cleanup(func() { _ = c.Close() })
		}
		return err
	}))
}

func TestTapSeesWhatItsFilterPicks(t *testing.T) {
	w := newWire(t)
	const second = "acc2"
	must(t, netns.Veth(w.a, second, w.b, second, netns.VethOptions{}))
	for prefix, name := range map[string]string{"10.1.0.": dev, "10.2.0.": second} {
		must(t, w.a.AddAddr(name, prefix+"1/24"))
		must(t, w.b.AddAddr(name, prefix+"2/24"))
	}
	discard(t, w.a)
	discard(t, w.b)
	here := openTapIn(t, w.b, frame.TypeIPv4, fragments(t))
	there := openTapIn(t, w.a, frame.TypeIPv4, fragments(t))

	r := &reader{t: t, port: here, bufs: frame.NewBuffers(port.BatchSize, 512)}
	for _, to := range []string{"10.1.0.2:9", "10.2.0.2:9"} {
		c := dialIn(t, w.a, "udp", to)
		_, err := c.Write([]byte("whole"))
		must(t, err)
		_, err = c.Write(make([]byte, 4000))
		must(t, err)
		for i, want := range []int{1500, 1500, 4008 - 2*1480 + 20} {
			got := r.next(func(*frame.Buffer) bool { return true })
			if got.Len != 256 || got.FullLen != want || !got.Truncated || got.Tag.Present {
				t.Errorf("fragment %d to %s: %d of %d bytes, want 256 of %d", i, to, got.Len, got.FullLen, want)
			}
			if b := got.Bytes(); b[0] != 0x45 || int(binary.BigEndian.Uint16(b[6:])&0x1fff) != i*1480/8 {
				t.Errorf("fragment %d to %s: % x", i, to, b[:20])
			}
		}
	}

	// Who sent the fragments has heard none of them.
	there.Wake()
	if n, err := there.ReadBatch(r.bufs); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("heard %d outgoing packets, %v", n, err)
	}
	// A Wake comes first; what is queued comes now.
	c := dialIn(t, w.b, "udp", "10.1.0.1:9")
	_, err := c.Write(make([]byte, 1600))
	must(t, err)
	r = &reader{t: t, port: there, bufs: r.bufs}
	if got := r.next(func(*frame.Buffer) bool { return true }); got.FullLen != 1500 {
		t.Errorf("heard %d bytes", got.FullLen)
	}
}

func TestTapOfIPv6WithoutFilter(t *testing.T) {
	w := newWire(t)
	h := hosts["IPv6"]
	must(t, w.a.AddAddr(dev, h.a+h.prefix))
	must(t, w.b.AddAddr(dev, h.b+h.prefix))
	discard(t, w.b)
	tap := openTapIn(t, w.b, frame.TypeIPv6, nil)
	c := dialIn(t, w.a, "udp", net.JoinHostPort(h.b, "9"))
	_, err := c.Write([]byte("seen"))
	must(t, err)
	r := &reader{t: t, port: tap, bufs: frame.NewBuffers(port.BatchSize, 512)}
	got := r.next(func(b *frame.Buffer) bool { return b.Bytes()[6] == protoUDP })
	if got.Len != 52 || got.FullLen != 52 || got.Truncated || string(got.Bytes()[48:]) != "seen" {
		t.Errorf("got %+v", got)
	}
}

func TestTapCloses(t *testing.T) {
	tap := openTapIn(t, newNS(t), frame.TypeIPv4, nil)
	done := make(chan error, 1)
	go func() {
		_, err := tap.ReadBatch(frame.NewBuffers(1, 100))
		done <- err
	}()
	must(t, tap.Close())
	if err := <-done; !errors.Is(err, net.ErrClosed) {
		t.Errorf("reading: %v", err)
	}
	tap.Wake()
	must(t, tap.Close())
}

func TestTapRefusesABadFilter(t *testing.T) {
	ns := newNS(t)
	err := ns.Do(func() error {
		tap, err := OpenTap(frame.TypeIPv4, []bpf.RawInstruction{{Op: 0xffff}})
		if err == nil {
			_ = tap.Close()
		}
		return err
	})
	if err == nil {
		t.Error("accepted")
	}
}
