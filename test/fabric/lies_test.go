package fabric

import (
	"encoding/binary"
	"fmt"
	"strings"
	"testing"

	"vxgw/l2/frame"
	portmem "vxgw/l2/port/mem"
)

// Notes beside a frame that contradict it, as a broken driver or a hostile
// hypervisor may send them: nothing of it leaves, each is counted once for every
// place that it was to go to, one line tells of all of them, and the next good
// frame passes.
func TestNotesThatLie(t *testing.T) {
	const start4, start6 = 34, 54
	put := binary.BigEndian.PutUint16
	for _, c := range []struct {
		name string
		v6   bool
		lie  func(*portmem.Frame)
	}{
		{"a kind that nobody knows", false, func(f *portmem.Frame) { f.Offload.GSO = frame.GSOOther }},
		{"the kind of the other IP version", false, func(f *portmem.Frame) { f.Offload.GSO = frame.GSOTCPv6 }},
		{"the kind of the other IP version, over IPv6", true, func(f *portmem.Frame) { f.Offload.GSO = frame.GSOTCPv4 }},
		{"TCP named UDP", false, func(f *portmem.Frame) { f.Offload.GSO, f.Offload.ChecksumAt = frame.GSOUDP, 6 }},
		{"no IP at all", false, func(f *portmem.Frame) { put(f.Bytes[12:], 0x88b5) }},
		{"a segment size of none", false, func(f *portmem.Frame) { f.Offload.SegmentSize = 0 }},
		{"a segment size of one byte in 10,500", false, func(f *portmem.Frame) { f.Offload.SegmentSize = 1 }},
		{"a checksum beyond the frame", false, func(f *portmem.Frame) {
			f.Bytes = f.Bytes[:1200]
			put(f.Bytes[16:], 1186)
			f.Offload.ChecksumStart = 65535
		}},
		{"a checksum field beyond the frame", false, func(f *portmem.Frame) { f.Offload.ChecksumAt = 65535 }},
		{"a checksum in the Ethernet header", false, func(f *portmem.Frame) { f.Offload.ChecksumStart = 4 }},
		{"a checksum in the payload", false, func(f *portmem.Frame) { f.Offload.ChecksumStart += 100 }},
		{"an IP length that is too short", false, func(f *portmem.Frame) { put(f.Bytes[16:], 1000) }},
		{"an IP length that is too long", false, func(f *portmem.Frame) { put(f.Bytes[16:], 65535) }},
		{"an IP length of none", false, func(f *portmem.Frame) { put(f.Bytes[16:], 0) }},
		{"a payload length that is too short", true, func(f *portmem.Frame) { put(f.Bytes[18:], 100) }},
		{"a TCP header beyond the frame", false, func(f *portmem.Frame) {
			f.Bytes = f.Bytes[:start4+20]
			put(f.Bytes[16:], 40)
			f.Bytes[start4+12] = 0xf0
		}},
		{"a TCP header of nothing", true, func(f *portmem.Frame) { f.Bytes[start6+12] = 0 }},
		{"an IPv4 header beyond the frame", false, func(f *portmem.Frame) { f.Bytes = f.Bytes[:start4+2]; f.Bytes[14] = 0x4f }},
		{"a fragment", false, func(f *portmem.Frame) { put(f.Bytes[20:], 0x2000) }},
		{"no super-frame, a checksum beyond the frame", false, func(f *portmem.Frame) {
			f.Bytes = f.Bytes[:100]
			put(f.Bytes[16:], 86)
			f.Offload = frame.Offload{NeedsChecksum: true, ChecksumStart: 99, ChecksumAt: 16}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			Test(t, func(n *Net) {
				a := alone(n)
				teach(n)
				n.Send("a.e2", Local(frame.Broadcast, H2))
				a.Cable("e2").SetCarriesOffload(false)
				for dst, copies := range map[frame.MAC]int{RA: 1, H2: 1, Nobody: 2} { // to a VTEP, to a port, to both VTEPs and a port
					f := superFrame(c.v6, dst, H1, 10500)
					c.lie(&f)
					n.SendFrame("a.e1", f).Is(fmt.Sprintf("a!access:tx_failed*%d", copies))
				}
				if got := strings.Count(a.Log(), "offload notes that do not describe it"); got != 1 {
					t.Errorf("it is said %d times:\n%s", got, a.Log())
				}
				n.SendFrame("a.e1", superFrame(c.v6, RA, H1, 10500)).Is("a>192.0.2.2~*11")
			})
		})
	}
}

// A segment size larger than the frame is no lie that harms: it is one segment,
// and finished like any other.
func TestSegmentSizeBeyondTheFrame(t *testing.T) {
	for _, v6 := range []bool{false, true} {
		Test(t, func(n *Net) {
			alone(n)
			teach(n)
			f := superFrame(v6, RA, H1, 800)
			f.Offload.SegmentSize = 65535
			r := n.SendFrame("a.e1", f).Is("a>192.0.2.2~")
			checkSegments(t, f, [][]byte{r.Wire().Payload[headerLen:]})
		})
	}
}

// The most segments that a frame is cut into, and one more.
func TestMostSegments(t *testing.T) {
	const most = 2048
	for segments, want := range map[int]string{most: fmt.Sprintf("a>192.0.2.2~*%d", most), most + 1: "a!access:tx_failed"} {
		Test(t, func(n *Net) {
			alone(n)
			teach(n)
			f := superFrame(false, RA, H1, segments*20)
			f.Offload.SegmentSize = 20
			n.SendFrame("a.e1", f).Is(want)
		})
	}
}
