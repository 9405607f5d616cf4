package e2e

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/pcapgo"

	"vxgw/gateway/api"
	"vxgw/l2/frame"
	"vxgw/test/netns"
	"vxgw/test/packet"
)

// captured is one frame of a pcapng file.
type captured struct {
	at      string // "acc1 in", "und0 out"
	data    []byte
	length  int
	comment string
	time    int64 // nanoseconds
}

// pcapng is a file as it was read back.
type pcapng struct {
	interfaces []pcapgo.NgInterface
	frames     []captured
}

// readPcapng reads a file. live: somebody may be writing its end.
func readPcapng(t testing.TB, from io.Reader, live bool) (file pcapng) {
	t.Helper()
	r, err := pcapgo.NewNgReader(from, pcapgo.NgReaderOptions{WantMixedLinkType: true})
	must(t, err)
	for {
		data, ci, opts, err := r.ReadPacketDataWithOptions()
		if err == io.EOF || live && err == io.ErrUnexpectedEOF {
			break
		}
		if err != nil {
			t.Fatalf("after %d frames: %v", len(file.frames), err)
		}
		file.frames = append(file.frames, readFrame(t, r, data, ci, opts))
	}
	for i := range r.NInterfaces() {
		is, err := r.Interface(i)
		must(t, err)
		file.interfaces = append(file.interfaces, is)
	}
	return file
}

func readFrame(t testing.TB, r *pcapgo.NgReader, data []byte, ci gopacket.CaptureInfo, opts pcapgo.NgPacketOptions) captured {
	is, err := r.Interface(ci.InterfaceIndex)
	must(t, err)
	c := captured{at: is.Name, data: bytes.Clone(data), length: ci.Length, time: ci.Timestamp.UnixNano(), comment: strings.Join(opts.Comments, "; ")}
	switch {
	case opts.Flags == nil:
		t.Error("a frame without a direction")
	case opts.Flags.Direction == pcapgo.NgEpbFlagDirectionInbound:
		c.at += " in"
	case opts.Flags.Direction == pcapgo.NgEpbFlagDirectionOutbound:
		c.at += " out"
	}
	return c
}

// of returns the captured frames of one number, as "acc1 in", in order.
func (f *pcapng) of(n uint32) (at []string) {
	for _, c := range f.frames {
		if m, ok := number(c.data); ok && m == n {
			at = append(at, strings.TrimSpace(c.at+" "+c.comment))
		}
	}
	return at
}

// capturing is `vxgw capture` under way.
type capturing struct {
	t      testing.TB
	cmd    *netns.Cmd
	file   string
	stderr output
}

// capture runs `vxgw capture` into a file and waits until it has begun.
func (g *gateway) capture(t testing.TB, args ...string) *capturing {
	t.Helper()
	c := &capturing{t: t, file: filepath.Join(t.TempDir(), "c.pcapng")}
	c.cmd = g.ns.Command(context.Background(), program, append([]string{"capture", "--socket", g.socket, "-w", c.file}, args...)...)
	c.cmd.Stderr = &c.stderr
	must(t, c.cmd.Start())
	t.Cleanup(func() { _ = c.cmd.Process.Kill() })
	eventually(t, "the capture has begun", func() bool {
		info, err := os.Stat(c.file)
		return err == nil && info.Size() > 0
	})
	return c
}

// read returns what is in the file so far.
func (c *capturing) read(live bool) pcapng {
	c.t.Helper()
	b, err := os.ReadFile(c.file)
	must(c.t, err)
	return readPcapng(c.t, bytes.NewReader(b), live)
}

// has waits until there are so many frames in the file.
func (c *capturing) has(n int) pcapng {
	c.t.Helper()
	var file pcapng
	eventually(c.t, fmt.Sprintf("%d frames are captured", n), func() bool {
		file = c.read(true)
		return len(file.frames) >= n
	})
	return file
}

// end interrupts the capture, which ends in good order, and returns what was captured.
func (c *capturing) end() pcapng {
	c.t.Helper()
	must(c.t, c.cmd.Process.Signal(os.Interrupt))
	if err := c.cmd.Wait(); err != nil {
		c.t.Errorf("the capture: %v\n%s", err, c.stderr.String())
	}
	return c.read(false)
}

var byWorkers = way{"raw", `mode = "raw"`, "raw", false}

// Both sides of the gateway are captured, whichever way frames are carried.
func TestCaptureBothSides(t *testing.T) {
	for _, way := range append([]way{byWorkers}, fastWays...) {
		t.Run(way.name, func(t *testing.T) {
			b := newFastBed(t, fastBed{way: way})
			c := b.capture(t)
			in := packet.Numbered(ra1MAC, h1MAC, 1)
			out := packet.Numbered(h1MAC, ra1MAC, 2)
			tagged := packet.Tagged(packet.Numbered(ra1MAC, h1MAC, 3), 0x8100, 5)
			b.send("h1", in)
			b.send("peer", b.wrap(vni, out))
			b.send("h1", tagged)
			b.send("h1", packet.Numbered(h2MAC, h1MAC, 4))
			b.send("h1", packet.Numbered(frame.Broadcast, h1MAC, 5))
			c.has(2 + 2 + 1 + 2 + 4)
			file := c.end()
			for n, want := range map[uint32][]string{
				1: {"acc1 in", "und0 out"},
				2: {"und0 in", "acc1 out"},
				4: {"acc1 in", "acc2 out"},
			} {
				if got := file.of(n); !slices.Equal(got, want) {
					t.Errorf("frame %d was seen at %q, want %q", n, got, want)
				}
			}
			got := file.of(5)
			slices.Sort(got)
			if want := []string{"acc1 in", "acc2 out", "und0 out", "und0 out"}; !slices.Equal(got, want) {
				t.Errorf("the broadcast was seen at %q, want %q", got, want)
			}
			for _, f := range file.frames {
				switch n, _ := number(f.data); {
				case n == 1 && f.at == "acc1 in" && !bytes.Equal(f.data, in):
					t.Errorf("acc1 in: %x, want %x", f.data, in)
				case n == 1 && f.at == "und0 out" && !bytes.Equal(f.data[:12], append(peerMAC[:], gwMAC[:]...)):
					t.Errorf("und0 out has other MACs: %x", f.data)
				case n == 2 && f.at == "und0 in" && !bytes.Equal(f.data, b.wrap(vni, out)):
					t.Errorf("und0 in: %x, want %x", f.data, b.wrap(vni, out))
				}
			}
			i := slices.IndexFunc(file.frames, func(f captured) bool { return bytes.Equal(f.data, tagged) })
			if i < 0 || file.frames[i].comment != "dropped: tagged_frame (access)" || file.frames[i].at != "acc1 in" {
				t.Errorf("the tagged frame is not there with its reason (%d): %+v", i, file.frames)
			}
			if !strings.Contains(c.stderr.String(), fmt.Sprintf("%d frames captured, 0 dropped by the capture", len(file.frames))) {
				t.Errorf("the capture says %q of %d frames", c.stderr.String(), len(file.frames))
			}
		})
	}
}

// send sends frames from a station's place.
func (b *fastBed) send(dev string, frames ...[]byte) {
	b.t.Helper()
	if dev == "peer" {
		b.fromPeer(frames...)
		return
	}
	b.fromHost(dev, frames...)
}

// Dropped frames are remembered, with what is in them.
func TestDroppedFrames(t *testing.T) {
	t.Parallel()
	b := newBed(t, 1, 1500).start(settings{})
	b.fromHost("h1", packet.Tagged(packet.Numbered(ra1MAC, h1MAC, 3), 0x8100, 5))
	b.wantDrops(drops{"tagged_frame access": 1}) // one worker's after the other's
	b.fromPeer(outerPayload(vtepB, packet.VXLAN(vni, packet.Numbered(h1MAC, ra1MAC, 4))))
	b.wantDrops(drops{"tagged_frame access": 1, "vtep_not_allowed overlay": 1})
	rows := rows[api.DropFrameRow](b.gateway, "drops/frames")
	if len(rows) != 2 || rows[0].Reason != "tagged_frame" || rows[0].Port != "acc1" || rows[0].VNI != vni ||
		rows[1].Reason != "vtep_not_allowed" || rows[1].VTEP != vtepB.String() {
		t.Errorf("dropped frames: %+v", rows)
	}
	out, err := b.ns.Command(context.Background(), program, "show", "drops", "--frames", "--socket", b.socket).CombinedOutput()
	must(t, err)
	for _, want := range []string{"tagged_frame", "acc1", "02:00:00:00:01:01 > 02:00:00:00:02:0a VLAN 5", vtepB.String()} {
		if !strings.Contains(string(out), want) {
			t.Errorf("show drops --frames lacks %q:\n%s", want, out)
		}
	}
}

// What the programs in the kernel carry is captured too: every frame once as it came in
// and once as it left, with the same bytes as on the wires.
func TestCaptureWhatTheKernelCarries(t *testing.T) {
	const count = 300
	for _, w := range fastWays {
		for _, routed := range []bool{false, true} {
			b := newFastBed(t, fastBed{way: w, routed: routed})
			for _, j := range journeys() {
				if j.routed != routed || !b.carries(j) {
					continue
				}
				t.Run(w.name+" "+j.name, func(t *testing.T) {
					f := b.flow(t, j, 2*count)
					c := b.capture(t)
					b.isFast(t, f)
					f.send(count)
					c.has(2 * f.sent)
					b.wantJourney(t, c.end(), j, f.sent)
				})
			}
		}
	}
}

// wantJourney wants the first n frames of a journey's flow in a capture.
func (b *fastBed) wantJourney(t *testing.T, file pcapng, j journey, n int) {
	t.Helper()
	const number = 14 + 20 + 8
	in, out, outVNI := "acc"+j.from[1:]+" in", "acc"+j.to[1:]+" out", j.vni
	if j.routed {
		outVNI = vni + otherVNI - j.vni
	}
	if j.from == "peer" {
		in = "und0 in"
	}
	if j.to == "peer" {
		out = "und0 out"
	}
	seen := make(map[string][]bool)
	for _, f := range file.frames {
		inner, has, wantVNI := f.data, uint32(0), uint32(0)
		if strings.HasPrefix(f.at, "und0") && len(f.data) > b.outerLen() {
			if wantVNI = j.vni; f.at == "und0 out" {
				wantVNI = outVNI
			}
			has = binary.BigEndian.Uint32(f.data[b.outerLen()-4:]) >> 8
			inner = f.data[b.outerLen():]
		}
		if len(inner) != len(j.inner) || f.length != len(f.data) {
			continue // the gateway asks, and is answered
		}
		k := int(binary.BigEndian.Uint32(inner[number:])) - firstNumber
		if k < 0 || k >= n {
			continue
		}
		if seen[f.at] == nil {
			seen[f.at] = make([]bool, n)
		}
		if seen[f.at][k] {
			t.Fatalf("frame %d was seen twice at %s", k, f.at)
		}
		seen[f.at][k] = true
		if has != wantVNI {
			t.Fatalf("%s: VNI %d, want %d", f.at, has, wantVNI)
		}
		want := bytes.Clone(j.inner)
		binary.BigEndian.PutUint32(want[number:], uint32(firstNumber+k))
		from := 0
		if j.routed && f.at == out {
			from = 26 // MACs, TTL and header checksum have changed: the rest has not
			if inner[22] != want[22]-1 {
				t.Fatalf("a routed frame left with TTL %d, and came with %d", inner[22], want[22])
			}
		}
		if !bytes.Equal(inner[from:], want[from:]) {
			t.Fatalf("%s: %x, want %x", f.at, inner, want)
		}
		if f.comment != "" {
			t.Fatalf("frame %d at %s: %q", k, f.at, f.comment)
		}
	}
	for _, at := range []string{in, out} {
		if i := slices.Index(seen[at], false); seen[at] == nil || i >= 0 {
			t.Errorf("frame %d of %d was not seen at %s", i, n, at)
		}
	}
	if len(seen) != 2 {
		t.Errorf("frames were seen at %v", slices.Sorted(maps.Keys(seen)))
	}
}
