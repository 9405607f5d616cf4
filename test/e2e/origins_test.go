package e2e

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"vxgw/gateway/api"
	"vxgw/l2/frame"
	"vxgw/test/netns"
)

// Where a process of this test finds that it is to be a controller: what to say, and
// where.
const (
	controllerSocket = "VXGW_E2E_CONTROLLER"
	controllerWords  = "VXGW_E2E_WORDS"
)

// beController is a controller as a process of its own: it says what it has to say, and
// shows signs of life until it is killed. It returns the exit status.
func beController() int {
	var words api.OriginWords
	if err := json.Unmarshal([]byte(os.Getenv(controllerWords)), &words); err != nil {
		fmt.Println(err)
		return 1
	}
	c := api.NewClient(os.Getenv(controllerSocket))
	defer c.Close()
	o := c.Origin("evpn")
	if _, err := o.Put(context.Background(), words); err != nil {
		fmt.Println(err)
		return 1
	}
	fmt.Println("said")
	for {
		time.Sleep(200 * time.Millisecond)
		if _, err := o.Patch(context.Background(), api.OriginPatch{}); err != nil {
			fmt.Println(err)
			return 1
		}
	}
}

// controller starts one and waits until it has said everything. kill ends it as nothing
// can be prepared for.
func (g *gateway) controller(words api.OriginWords) (kill func()) {
	g.t.Helper()
	text, err := json.Marshal(words)
	must(g.t, err)
	self, err := os.Executable()
	must(g.t, err)
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), controllerSocket+"="+g.socket, controllerWords+"="+string(text))
	out, err := cmd.StdoutPipe()
	must(g.t, err)
	must(g.t, cmd.Start())
	ended := false
	kill = func() {
		if !ended {
			ended = true
			_ = cmd.Process.Signal(syscall.SIGKILL)
			_ = cmd.Wait() // it was killed
		}
	}
	g.t.Cleanup(kill)
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "said\n" {
		g.t.Fatalf("the controller says %q, %v", line, err)
	}
	return kill
}

// origin returns how the controller is.
func (g *gateway) origin() api.OriginRow {
	g.t.Helper()
	for _, r := range rows[api.OriginRow](g, "origins") {
		return r
	}
	return api.OriginRow{}
}

// numbersTo counts frames with the numbers of first to first+count-1 that were sent to a
// VTEP.
func numbersTo(t testing.TB, c *netns.Capture, to string, first, count uint32) int {
	t.Helper()
	n := 0
	for _, f := range c.Frames() {
		if k, ok := number(f); ok && k >= first && k < first+count && isUDP(f) && vxlanPacket(f).dst().String() == to {
			n++
		}
	}
	return n
}

// A controller that is killed takes nothing along at once: what it said is in force until
// its hold time ends, and is gone then.
func TestControllerIsKilled(t *testing.T) {
	t.Parallel()
	b := newBed(t, 2, 1600)
	b.gateway = startWith(t, b.ns, b.config(settings{vni: "learning = false"}), withHTTP).forwards()
	atHost, atPeer := capture(t, b.hosts, "h2"), captureOuter(t, b.peer, "und0")
	const hold = 8
	kill := b.controller(api.OriginWords{
		Hold:  hold,
		VTEPs: []api.OriginVTEP{{VNI: vni, Address: vtepB.String()}},
		MACs:  []api.OriginMAC{{VNI: vni, MAC: ra1MAC.String(), VTEP: vtepB.String(), Sequence: 1}},
	})
	send := from(t, b.hosts, "h1")
	// Of count frames for a station so many come to each VTEP and to the other port.
	want := func(first uint32, toA, toB, toPort int) {
		t.Helper()
		const count = 50
		send(numbered(ra1MAC, h1MAC, first, count)...)
		fence(t, h1MAC, send, atHost, atPeer)
		gotA, gotB, gotPort := numbersTo(t, atPeer, vtepA.String(), first, count), numbersTo(t, atPeer, vtepB.String(), first, count), between(t, atHost, first, count)
		if gotA != toA || gotB != toB || gotPort != toPort {
			t.Errorf("from number %d on: %d to %v, %d to %v, %d to the port; want %d, %d, %d", first, gotA, vtepA, gotB, vtepB, gotPort, toA, toB, toPort)
		}
	}
	if r := b.origin(); r.Origin != "evpn" || r.State != "leased" || r.MACs != 1 || r.VTEPs != 1 || r.Hold != hold {
		t.Errorf("the controller is %+v", r)
	}
	want(0, 0, 50, 0)
	send(numbered(frame.Broadcast, h1MAC, 100, 10)...)
	fence(t, h1MAC, send, atHost, atPeer)
	if a, bb := numbersTo(t, atPeer, vtepA.String(), 100, 10), numbersTo(t, atPeer, vtepB.String(), 100, 10); a != 10 || bb != 10 {
		t.Errorf("of 10 broadcasts %d came to %v and %d to %v", a, vtepA, bb, vtepB)
	}
	b.fromVTEP(vtepB)(numbered(frame.Broadcast, ra1MAC, 200, 10)...)
	must(t, atHost.WaitMatch(10, func(f []byte) bool { n, ok := number(f); return ok && n >= 200 && n < 210 }, patience))
	if got := b.macs()[fmt.Sprintf("%d %s", vni, ra1MAC)]; got != "vtep "+vtepB.String() {
		t.Errorf("the station is at %q", got)
	}

	kill()
	want(300, 0, 50, 0)
	if r := b.origin(); r.State != "leased" || r.Left == 0 {
		t.Errorf("the killed controller is %+v", r)
	}
	eventually(t, "the hold time ends", func() bool { return b.origin().State == "expired" })
	if m := b.macs(); len(m) != 1 { // the host's
		t.Errorf("what it said is there still: %v", m)
	}
	want(400, 50, 0, 50)
	if r := b.origin(); r.MACs != 0 || r.VTEPs != 0 || r.Swept != 1 {
		t.Errorf("the swept controller is %+v", r)
	}
	if m := metrics(t, b.ns); m[`vxgw_origin_swept_total{origin="evpn"}`] != 1 || m[`vxgw_origin_up{origin="evpn"}`] != 0 {
		t.Errorf("the metrics do not say that it was swept")
	}
	if !strings.Contains(b.log.String(), "no sign of life for its hold time") {
		t.Error("the log does not say that it was swept")
	}
	b.wantDrops(drops{})

	// It comes back, and is believed again.
	b.controller(api.OriginWords{MACs: []api.OriginMAC{{VNI: vni, MAC: ra1MAC.String(), VTEP: vtepB.String()}}})
	want(500, 0, 50, 0)
	b.wantDrops(drops{})
}

// A station that a controller has elsewhere and that is heard here is here; when the
// controller says with a new sequence number that it has moved on, it has.
func TestStationComesAndGoes(t *testing.T) {
	t.Parallel()
	b := newBed(t, 2, 1600).start(settings{})
	at1, at2, atPeer := capture(t, b.hosts, "h1"), capture(t, b.hosts, "h2"), captureOuter(t, b.peer, "und0")
	o := b.client.Origin("evpn")
	say := func(sequence uint32) {
		t.Helper()
		_, err := o.Put(context.Background(), api.OriginWords{MACs: []api.OriginMAC{{VNI: vni, MAC: h2MAC.String(), VTEP: vtepA.String(), Sequence: sequence}}})
		must(t, err)
	}
	want := func(first uint32, here, there int) {
		t.Helper()
		b.fromHost("h1", numbered(h2MAC, h1MAC, first, 20)...)
		fence(t, h1MAC, from(t, b.hosts, "h1"), at2, atPeer)
		if n, m := between(t, at2, first, 20), between(t, atPeer, first, 20); n != here || m != there {
			t.Errorf("from number %d on: %d came to the port and %d to the VTEP, want %d and %d", first, n, m, here, there)
		}
	}
	say(1)
	want(0, 0, 20)
	fence(t, h2MAC, from(t, b.hosts, "h2"), at1)
	want(100, 20, 0)
	say(1) // it has not heard of it yet
	want(200, 20, 0)
	say(2)
	want(300, 0, 20)
	b.wantDrops(drops{})
}
