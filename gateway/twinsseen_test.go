package gateway

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/gopacket/gopacket/pcapgo"

	"vxgw/gateway/capture"
	"vxgw/gateway/xdp"
	"vxgw/test/bpf"
)

// TestTwinsAreSeenAlike: a capture has the same of a frame, as it came in and as it left
// or why it did not, whether programs carry it or workers do.
func TestTwinsAreSeenAlike(t *testing.T) {
	for _, s := range twinSettings {
		if s.underlay != "" {
			continue // what differs there is in the outer headers, which other tests compare
		}
		for _, by := range s.ways {
			t.Run(s.name+" by "+string(by), func(t *testing.T) {
				w := newTwinTopology(t, by, s.net, s.underlay)
				carried := 0
				for _, c := range slices.Concat(twinAccessCases(s.net), twinOverlayCases(w, s.net)) {
					t.Run(c.name, func(t *testing.T) {
						w.t = t
						carried += w.seenAlike(c)
					})
				}
				if carried < 5 {
					t.Errorf("the programs carried %d frames", carried)
				}
			})
		}
	}
}

// seenAlike has one frame captured on both ways, and returns 1 if the programs did
// something with it.
func (w *twins) seenAlike(c twinCase) int {
	w.t.Helper()
	role, index, work := xdp.FacesUnderlay, w.under, func() { w.workUnderlay(c.f) }
	if c.in != "" {
		id := w.port(c.in)
		role, index, work = xdp.Access, w.links[id], func() { w.workPort(id, c.f) }
	}
	var action bpf.Action
	fast := w.seen(func() { action, _ = w.decide(role, index, c.f, w.count()) })
	if action == bpf.Up {
		if len(fast) > 0 {
			w.t.Errorf("handed up, and seen: %q", fast)
		}
		return 0
	}
	if slow := w.seen(work); !slices.Equal(fast, slow) {
		w.t.Errorf("of the programs is seen\n%s\nand of the workers\n%s", strings.Join(fast, "\n"), strings.Join(slow, "\n"))
	}
	return 1
}

// seen returns what a capture has of what f does.
func (w *twins) seen(f func()) (lines []string) {
	w.t.Helper()
	s, err := w.captures.Open(capture.Spec{Anywhere: true, Snap: capture.DefaultSnap})
	if err != nil {
		w.t.Fatalf("%v", err)
	}
	f()
	s.Close()
	var file bytes.Buffer
	for err == nil {
		var b []byte
		b, err = s.Next(context.Background())
		file.Write(b)
	}
	r, err := pcapgo.NewNgReader(&file, pcapgo.DefaultNgReaderOptions)
	for err == nil {
		data, ci, opts, wrong := r.ReadPacketDataWithOptions()
		if wrong == io.EOF {
			return lines
		}
		if err = wrong; err == nil {
			at, _ := r.Interface(ci.InterfaceIndex)
			lines = append(lines, fmt.Sprintf("%s %d, %d bytes: %x %v", at.Name, opts.Flags.Direction, ci.Length, anyID(data), opts.Comments))
		}
	}
	w.t.Fatalf("%v", err)
	return nil
}
