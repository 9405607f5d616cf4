package udp

import (
	"bytes"
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"

	"vxgw/l2/frame"
	"vxgw/l3/underlay"
	"vxgw/test/packet"
)

// superFrame is a VXLAN packet around a UDP packet with n bytes of payload.
func superFrame(n int) []byte {
	return packet.VXLAN(1000, packet.UDP(gwMAC, peerMAC, netip.MustParseAddrPort("10.1.1.1:7"), netip.MustParseAddrPort("10.1.1.2:7"), make([]byte, n)))
}

func TestRun(t *testing.T) {
	const inner = 8 + 14 + 28
	for _, tt := range []struct {
		name      string
		b         []byte
		segment   int
		truncated bool
		want      []int // lengths
		offload   frame.Offload
	}{
		{"empty", nil, 0, false, []int{0}, frame.Offload{}},
		{"one datagram", make([]byte, 100), 0, false, []int{100}, frame.Offload{}},
		{"a run of one", make([]byte, 100), 100, false, []int{100}, frame.Offload{}},
		{"a size that is longer", make([]byte, 100), 101, false, []int{100}, frame.Offload{}},
		{"a size below zero", make([]byte, 100), -1, false, []int{100}, frame.Offload{}},
		{"all of one length", make([]byte, 300), 100, false, []int{100, 100, 100}, frame.Offload{}},
		{"the last is short", make([]byte, 301), 100, false, []int{100, 100, 100, 1}, frame.Offload{}},
		{"cut off", make([]byte, 250), 100, true, []int{100, 100, 50}, frame.Offload{}},
		{"one that is cut off", make([]byte, 250), 0, true, []int{250}, frame.Offload{}},
		{"a super-frame", superFrame(1000), 400, false, []int{inner + 1000}, frame.Offload{GSO: frame.GSOUDP, SegmentSize: 400}},
		{"two packets that are alike", append(superFrame(350), superFrame(350)...), 400, false, []int{400, 400}, frame.Offload{}},
	} {
		r := newRun(tt.b, ancillary{tos: 3, ifindex: 7, segment: tt.segment}, tt.truncated)
		if r.left != len(tt.want) {
			t.Errorf("%s: %d datagrams, want %d", tt.name, r.left, len(tt.want))
			continue
		}
		var all []byte
		for i, n := range tt.want {
			var p underlay.Packet
			r.take(&p)
			cut := tt.truncated && i == len(tt.want)-1
			if p.Len != n || p.Truncated != cut || p.FullLen == 0 != (cut || n == 0) || p.TOS != 3 || p.Interface != 7 || p.Offload != tt.offload {
				t.Errorf("%s: datagram %d is %+v", tt.name, i, p)
			}
			all = append(all, p.Bytes()...)
			if k := cap(p.Mem); k != n {
				t.Errorf("%s: datagram %d has room for %d bytes of the next", tt.name, i, k-n)
			}
		}
		if !bytes.Equal(all, tt.b) {
			t.Errorf("%s: not the bytes that came", tt.name)
		}
	}
}

// fakeMessages has messages come in: of each the number of datagrams, which
// hold their number and nothing else.
func fakeMessages(r *receiver, counts ...int) {
	r.got = len(counts)
	at := byte(0)
	for i, k := range counts {
		for j := range k {
			r.mem[i*slotLen+slotStart+j] = at
			at++
		}
		r.names[i].Family = unix.AF_INET
		r.msgs[i].Len = uint32(k)
		r.msgs[i].Hdr.SetControllen(copy(r.control[i][:], message(unix.SOL_UDP, unix.UDP_GRO, number(1)...)))
	}
}

// What follows each other in a run is handed out in one go if that can be, and
// all of it in order.
func TestHand(t *testing.T) {
	for _, tt := range []struct {
		name   string
		room   int
		counts []int
		want   []int // datagrams handed out each time
		asked  int   // messages to be received the next time
	}{
		{"single ones", 8, []int{1, 1, 1}, []int{3}, 8},
		{"as many as there is room for", 3, []int{1, 1, 1}, []int{3}, 3},
		{"more than there is room for", 2, []int{1, 1, 1}, []int{2, 1}, 2},
		{"runs that fit", 8, []int{3, 4}, []int{7}, 2},
		{"a run that waits", 8, []int{5, 4, 4}, []int{5, 8}, 1},
		{"a run that is too long", 8, []int{20}, []int{8, 8, 4}, 1},
		{"runs around single ones", 8, []int{1, 7, 1, 8}, []int{8, 1, 8}, 1},
		{"one run among single ones", 8, []int{1, 1, 1, 3}, []int{6}, 4},
	} {
		r := &receiver{}
		r.init(nil)
		r.prepare(tt.room)
		fakeMessages(r, tt.counts...)
		pkts, next := make([]underlay.Packet, tt.room), byte(0)
		for i, want := range append(tt.want, 0) {
			got := r.hand(pkts)
			if got != want {
				t.Errorf("%s: %d datagrams the %d. time, want %d", tt.name, got, i+1, want)
			}
			for _, p := range pkts[:got] {
				if p.Len != 1 || p.Bytes()[0] != next {
					t.Errorf("%s: got %v, want %d", tt.name, p.Bytes(), next)
				}
				next++
			}
		}
		if r.prepare(tt.room); r.asked != tt.asked {
			t.Errorf("%s: asks for %d messages, want %d", tt.name, r.asked, tt.asked)
		}
	}
}

// FuzzRun: whatever a message holds, its datagrams are all of it, in order, and of
// one length but for the last.
func FuzzRun(f *testing.F) {
	f.Add(superFrame(1000), 400)
	f.Add(append(superFrame(350), superFrame(350)...), 400)
	f.Add([]byte{}, 1)
	f.Fuzz(func(t *testing.T, b []byte, segment int) {
		r := newRun(b, ancillary{segment: segment}, false)
		var all []byte
		var p underlay.Packet
		for r.left > 0 {
			left := r.left
			r.take(&p)
			if p.Len == 0 && len(b) > 0 || p.Len != r.size && r.left > 0 || r.left != left-1 {
				t.Fatalf("a datagram of %d bytes, of %d, %d left", p.Len, r.size, r.left)
			}
			all = append(all, p.Bytes()...)
		}
		if !bytes.Equal(all, b) {
			t.Fatal("not the bytes that came")
		}
	})
}
