package offload

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"vxgw/l2/frame"
)

// inNamespace puts the test, and every command it runs, into a network
// namespace of its own, on a thread of its own.
func inNamespace(t *testing.T) netns.NsHandle {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root for a network namespace; `make test` provides it")
	}
	runtime.LockOSThread()
	host, err := netns.Get()
	if err != nil {
		t.Fatal(err)
	}
	ns, err := netns.New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		// A thread that cannot go back stays locked and ends with the test.
		if err := netns.Set(host); err == nil {
			runtime.UnlockOSThread()
		}
		host.Close()
		ns.Close()
	})
	return ns
}

func run(t *testing.T, line string) {
	t.Helper()
	words := strings.Fields(line)
	if out, err := exec.Command(words[0], words[1:]...).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", line, err, out)
	}
}

// running waits until an interface of the thread's namespace moves frames: a
// moment after it is set up it still drops them.
func running(t *testing.T, name string) *net.Interface {
	t.Helper()
	for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		ifi, err := net.InterfaceByName(name)
		if err != nil {
			t.Fatal(err)
		}
		if ifi.Flags&net.FlagRunning != 0 {
			return ifi
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s does not come up", name)
		}
	}
}

// packetSocket opens a raw socket on an interface of the thread's namespace.
func packetSocket(t *testing.T, name string, vnet int) int {
	t.Helper()
	ifi := running(t, name)
	const all = unix.ETH_P_ALL<<8&0xff00 | unix.ETH_P_ALL>>8
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	for _, err := range []error{
		unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_VNET_HDR, vnet),
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 16<<20),
		unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 5}),
		unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: all, Ifindex: ifi.Index}),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	return fd
}

// sendOffloaded writes a frame with a virtio-net header that says what the
// kernel has to do.
func sendOffloaded(fd int, f []byte, o frame.Offload) error {
	var h [10]byte
	if o.NeedsChecksum {
		h[0] = 1 // VIRTIO_NET_HDR_F_NEEDS_CSUM
	}
	h[1] = map[frame.GSO]byte{frame.GSOTCPv4: 1, frame.GSOTCPv6: 4, frame.GSOUDP: 5}[o.GSO]
	headers := int(o.ChecksumStart) + 8
	if o.ChecksumAt == 16 {
		headers = int(o.ChecksumStart) + int(f[o.ChecksumStart+12]>>4)*4
	}
	binary.NativeEndian.PutUint16(h[2:], uint16(headers))
	binary.NativeEndian.PutUint16(h[4:], o.SegmentSize)
	binary.NativeEndian.PutUint16(h[6:], o.ChecksumStart)
	binary.NativeEndian.PutUint16(h[8:], o.ChecksumAt)
	_, err := unix.Write(fd, append(h[:], f...))
	return err
}

// receive reads frames from macA until n are there.
func receive(t *testing.T, fd, n int) (out [][]byte) {
	t.Helper()
	b := make([]byte, 1<<17)
	for len(out) < n {
		k, err := unix.Read(fd, b)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			t.Fatalf("%d of %d frames came: %v", len(out), n, err)
		}
		if k >= frame.HeaderLen && bytes.Equal(b[6:12], macA) {
			out = append(out, append([]byte(nil), b[:k]...))
		}
	}
	return out
}

// pair makes a veth pair whose sending side can do nothing by itself: what
// comes out of the other is what the kernel's software made of it.
func pair(t *testing.T) (out, in int) {
	t.Helper()
	inNamespace(t)
	run(t, "ip link add out0 type veth peer name in0")
	for _, name := range []string{"out0", "in0"} {
		run(t, "ip link set "+name+" mtu 9500 addrgenmode none up")
	}
	run(t, "ethtool -K out0 tx off sg off tso off gso off")
	run(t, "ethtool -K in0 gro off")
	return packetSocket(t, "out0", 1), packetSocket(t, "in0", 0)
}

// The segments are, byte for byte, those of the kernel.
func TestCutIsWhatTheKernelCuts(t *testing.T) {
	out, in := pair(t)
	s := NewSegmenter(headroom)
	for name, sh := range shapes() {
		f, o := sh.super(t)
		segs, ok := s.Cut(f, o)
		if !ok {
			t.Fatalf("%s: refused", name)
		}
		if err := sendOffloaded(out, f, o); errors.Is(err, unix.EINVAL) && sh.udp {
			t.Logf("%s: this kernel does not take UDP_SEGMENT from a packet socket", name)
			continue
		} else if err != nil {
			t.Errorf("%s: the kernel does not take it: %v", name, err)
			continue
		}
		sameSegments(t, name, segs, receive(t, in, len(segs)))
	}
}

// A host's VXLAN over the veth pair: its super-frames reach a packet socket with
// the tunnel around them. The segments are those that the kernel makes when it
// may not leave them to the device; only the first ID of the outer header is
// drawn anew for each.
func TestCutInsideATunnelIsWhatTheKernelCuts(t *testing.T) {
	for _, tc := range []struct{ name, options string }{
		{"IPv4", "local 192.0.2.2 remote 192.0.2.1 noudpcsum"},
		{"IPv4 with checksum", "local 192.0.2.2 remote 192.0.2.1 udpcsum"},
		{"IPv6", "local 2001:db8::2 remote 2001:db8::1"},
		{"IPv6 without checksum", "local 2001:db8::2 remote 2001:db8::1 udp6zerocsumtx"},
	} {
		t.Run(tc.name, func(t *testing.T) { cutInsideATunnel(t, tc.options) })
	}
}

func cutInsideATunnel(t *testing.T, options string) {
	inNamespace(t)
	run(t, "ip link add out0 type veth peer name in0")
	for _, name := range []string{"out0", "in0"} {
		run(t, "ip link set "+name+" mtu 9500 addrgenmode none up")
	}
	run(t, "ip link set out0 address "+macA.String())
	run(t, "ip addr add 192.0.2.2/24 dev out0")
	run(t, "ip addr add 2001:db8::2/64 dev out0 nodad")
	run(t, "ip neigh add 192.0.2.1 lladdr "+macB.String()+" dev out0")
	run(t, "ip neigh add 2001:db8::1 lladdr "+macB.String()+" dev out0")
	run(t, "ip link add vtep0 type vxlan id 1000 dstport 4789 "+options)
	run(t, "ip link set vtep0 mtu 9000 addrgenmode none up")
	run(t, "ethtool -K in0 gro off")
	running(t, "out0")
	vtep, in := packetSocket(t, "vtep0", 1), packetSocket(t, "in0", 1)

	s := NewSegmenter(headroom)
	for name, sh := range map[string]shape{"TCP over IPv4": tcp4(20000), "TCP over IPv6": tcp6(20001), "UDP over IPv4": udp4(5000), "UDP over IPv6": udp6(5001)} {
		inner, o := sh.super(t)
		run(t, "ethtool -K out0 tx on sg on tso on gso on")
		if err := sendOffloaded(vtep, inner, o); errors.Is(err, unix.EINVAL) && sh.udp {
			t.Logf("%s: this kernel does not take UDP_SEGMENT from a packet socket", name)
			continue
		} else if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		whole := receiveOffloaded(t, in)
		run(t, "ethtool -K out0 tx off sg off tso off gso off")
		if err := sendOffloaded(vtep, inner, o); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		var want [][]byte
		for range sh.segments(t) {
			want = append(want, receiveOffloaded(t, in)[10:])
		}
		f, note := whole[10:], o
		note.ChecksumStart = binary.NativeEndian.Uint16(whole[6:])
		if note.ChecksumStart <= o.ChecksumStart {
			t.Fatalf("%s: the kernel did not leave the tunnel's frame whole", name)
		}
		if frame.Frame(f).Type() == frame.TypeIPv4 {
			copyID(f, want[0])
		}
		segs, ok := s.Cut(f, note)
		if !ok {
			t.Fatalf("%s: refused", name)
		}
		sameSegments(t, name, segs, want)
	}
}

// copyID gives the IPv4 packet in f the ID of the one in from.
func copyID(f, from []byte) {
	copy(f[14+4:14+6], from[14+4:14+6])
	f[14+10], f[14+11] = 0, 0
	binary.BigEndian.PutUint16(f[14+10:], ^slowSum(f[14:34]))
}

// receiveOffloaded reads the next VXLAN packet with a frame from macA inside, with
// the virtio-net header in front of it.
func receiveOffloaded(t *testing.T, fd int) []byte {
	t.Helper()
	b := make([]byte, 1<<17)
	for {
		n, err := unix.Read(fd, b)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		at := 10 + 14 + 20 + 8 + 8 // the frame inside
		if n > 100 && b[10+12] == 0x86 {
			at += 20
		}
		if n > 100 && bytes.Equal(b[at+6:at+12], macA) {
			return b[:n]
		}
	}
}

// The checksums are, byte for byte, those of the kernel.
func TestFinishChecksumIsWhatTheKernelFills(t *testing.T) {
	out, in := pair(t)
	for name, sh := range map[string]shape{
		"TCP over IPv4": tcp4(1000), "TCP over IPv6": tcp6(1000), "UDP over IPv4": udp4(1000), "UDP over IPv6": udp6(999),
		"extension headers": options6(udp6(500)), "no payload": tcp4(0), "SCTP": udp4(100),
	} {
		f := sh.whole(t)
		o := sh.partial(f)
		if name == "SCTP" {
			f[14+9], f[14+10], f[14+11] = 132, 0, 0
			binary.BigEndian.PutUint16(f[14+10:], ^slowSum(f[14:34]))
			o.ChecksumAt = 8
		}
		if err := sendOffloaded(out, f, o); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		want := receive(t, in, 1)[0]
		if !FinishChecksum(f, o) {
			t.Errorf("%s: refused", name)
		}
		if name == "SCTP" {
			// To the kernel too it is an Internet checksum here: the header of
			// a packet socket cannot say otherwise. Ours is SCTP's.
			copy(want[34+8:34+12], f[34+8:])
		}
		if !bytes.Equal(f, want) {
			t.Errorf("%s:\ngot  % x\nwant % x", name, f, want)
		}
	}
}

// A kernel VTEP in the same machine hands a socket the inner frame as it is:
// checksum unfinished, not cut. That is what Infer is for.
func TestInferBehindAKernelVTEP(t *testing.T) {
	far := inNamespace(t)
	near, err := netns.New()
	if err != nil {
		t.Fatal(err)
	}
	defer near.Close()

	run(t, fmt.Sprintf("ip link add in0 type veth peer name out0 netns /proc/%d/fd/%d", os.Getpid(), int(far)))
	run(t, "ip addr add 192.0.2.1/24 dev in0")
	run(t, "ip link set in0 up")
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IP{192, 0, 2, 1}, Port: 4789})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()

	if err := netns.Set(far); err != nil {
		t.Fatal(err)
	}
	run(t, "ip addr add 192.0.2.2/24 dev out0")
	run(t, "ip link set out0 up")
	run(t, "ip link add vtep0 type vxlan id 1000 local 192.0.2.2 remote 192.0.2.1 dstport 4789 noudpcsum")
	run(t, "ip link set vtep0 mtu 1450 addrgenmode none up")
	running(t, "out0")
	vtep := packetSocket(t, "vtep0", 1)

	segmenter := NewSegmenter(headroom)
	for name, in := range map[string]shape{
		"TCP over IPv4": tcp4(1000), "TCP over IPv6": tcp6(1000), "UDP over IPv4": udp4(1000), "UDP over IPv6": udp6(1000),
		"super-frame over IPv4": tcp4(30000), "super-frame over IPv6": tcp6(30000),
	} {
		in.size = 1450 - (in.l4() - 14) - 20 - in.options // an MTU's worth
		f, o := in.super(t)
		if len(in.data) <= in.size {
			o.GSO, o.SegmentSize = frame.GSONone, 0
		}
		if err := sendOffloaded(vtep, f, o); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		got := readInner(t, conn)
		if !bytes.Equal(got, f) {
			t.Fatalf("%s: the kernel VTEP finished the frame after all: %d bytes, sent %d", name, len(got), len(f))
		}
		inferred := Infer(got, 1450)
		if inferred != o {
			t.Errorf("%s: inferred %+v, want %+v", name, inferred, o)
			continue
		}
		if o.GSO == frame.GSONone {
			if !FinishChecksum(got, inferred) || !bytes.Equal(got, in.whole(t)) {
				t.Errorf("%s: not mended", name)
			}
			continue
		}
		segs, ok := segmenter.Cut(got, inferred)
		if !ok {
			t.Fatalf("%s: refused", name)
		}
		sameSegments(t, name, segs, in.segments(t))
	}
}

// readInner reads the next VXLAN packet that carries a frame from macA.
func readInner(t *testing.T, conn *net.UDPConn) []byte {
	t.Helper()
	if err := conn.SetReadDeadline(time.Now().Add(5 * time.Second)); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 1<<17)
	for {
		n, err := conn.Read(b)
		if err != nil {
			t.Fatal(err)
		}
		if n >= 8+frame.HeaderLen && bytes.Equal(b[8+6:8+12], macA) {
			return b[8:n]
		}
	}
}
