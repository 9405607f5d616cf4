package top

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"
	"go.uber.org/goleak"

	"vxgw/gateway/api"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// noon is when every test begins.
var noon = time.Date(2025, 6, 1, 12, 0, 0, 0, time.UTC)

// standIn is a gateway whose counters grow as its time goes by.
type standIn struct {
	uptime int // seconds
	gone   error
	rows   int // further VNIs
	config *api.ConfigRow
	macs   []api.MACRow
	asked  []question
}

var errGone = errors.New("no vxgw answers on /run/vxgw/control.sock: is it running? systemctl status vxgw")

func (g *standIn) ask(_ context.Context, q question) (*poll, error) {
	g.asked = append(g.asked, q)
	if g.gone != nil {
		return nil, g.gone
	}
	p := &poll{question: q, Overview: g.overview(), config: g.config, texts: texts}
	if q.macs {
		for _, m := range g.macs {
			if strings.Contains(m.MAC+" "+m.Port, q.words) {
				p.found.Rows = append(p.found.Rows, m)
			}
		}
		if q.words == "a b" {
			p.foundNo = errors.New("a MAC is behind one port or VTEP: name one")
		}
	}
	if q.vni == 10010 {
		p.vniRow = &api.VNIRow{
			VNI: 10010, Held: 1, Ports: []string{"eth1", "eth2"}, VTEPs: []string{"192.0.2.2", "192.0.2.9", "192.0.2.10"},
			Storm: []api.StormRow{{Kind: "broadcast", Direction: "tx", Limit: 1000, Dropped: 51234, Active: true}},
		}
	}
	if q.vtep == "192.0.2.2" {
		p.vtepRow = &api.VTEPRow{Address: "192.0.2.2", VNIs: []uint32{10010, 10020}, PathMTU: 1500, PathMTUFrom: "probe", PathProbe: "complete", PathShrunk: 2}
	}
	return p, nil
}

var texts = map[string]text{
	"too_big":     {"longer than the way out carries: the underlay path after encapsulation, or the port", "make the underlay MTU the hosts' plus 50 (IPv4) or 70 (IPv6) bytes, and the port's at least the hosts'"},
	"same_port":   {"the destination is behind the port it came from", "none; the switch behind the port floods"},
	"unknown_vni": {"a VNI that no [[vni]] configures", "configure the VNI, or take this VTEP off the sender's list"},
}

func (g *standIn) overview() api.Overview {
	n := uint64(g.uptime)
	seen := noon.Add(-303 * time.Second)
	o := api.Overview{
		Name: "edge-1", Uptime: float64(n), Time: noon.Add(time.Duration(n) * time.Second),
		Underlay: api.UnderlayRow{Address: "192.0.2.1", Up: true},
		Ports: []api.PortRow{
			{Interface: "eth10", VLAN: 20, VNI: 10020, State: api.StateUp, RxPackets: 7 * n, RxBytes: 700 * n, TxPackets: n / 2, TxBytes: 50 * n, MACs: 3},
			{Interface: "eth2", VLAN: 10, VNI: 10010, State: api.StateUp, RxPackets: 1_230_000 * n, RxBytes: 1_228_750_000 * n, TxPackets: 12_300 * n, TxBytes: 1_230_000 * n, MACs: 12345},
			{Interface: "enp129s0f1np1", VNI: 16777215, State: api.StateAbsent, Reason: "there is no such interface: it is waited for"},
		},
		VNIs: []api.VNISum{
			{VNI: 10010, VLAN: 10, Name: "web\x1b[2J", VRF: "red", MACs: 12345, Ports: 2, VTEPs: 3, RxPackets: 12_300 * n, RxBytes: 1_230_000 * n, TxPackets: 1_230_000 * n, TxBytes: 1_228_750_000 * n},
			{VNI: 10020, VLAN: 20, Name: "db", MACs: 3, Ports: 1},
		},
		VTEPs: []api.VTEPSum{
			{Address: "192.0.2.2", Origin: "static", VNIs: 2, LastSeen: &seen, MTU: 1450, RxPackets: 12_300 * n, RxBytes: 1_230_000 * n, TxPackets: 1_230_000 * n, TxBytes: 1_228_750_000 * n},
			{Address: "2001:db8:1234:5678:9abc:def0:1234:5678", Origin: "learned", VNIs: 1, LastSeen: &seen},
			{Address: "239.1.1.1", Origin: api.OriginGroup, VNIs: 1},
		},
		Drops: []api.DropSum{
			{Reason: "too_big", Direction: "access", Count: 4 * n}, {Reason: "same_port", Direction: "access", Count: 1_000_000},
			{Reason: "unknown_vni", Direction: "overlay"},
		},
		MACs:     []api.MACSum{{Origin: "learned", Count: 12346}, {Origin: "static", Count: 2}},
		Datapath: []api.DatapathRow{{Interface: "eth2", Mode: "xdp", Attached: true, Reason: "frames whose way is certain stay in the kernel"}},
	}
	for i := range g.rows {
		o.VNIs = append(o.VNIs, api.VNISum{VNI: uint32(20000 + i), Name: fmt.Sprintf("tenant-%d", i)})
	}
	return o
}

// bench is a Model that is driven by hand: time passes, and answers come, when a test
// says so.
type bench struct {
	*Model
	t  *testing.T
	gw *standIn
}

func newBench(t *testing.T, width, height int, o Options) *bench {
	t.Helper()
	gw := &standIn{uptime: 100, macs: []api.MACRow{
		{VNI: 10010, MAC: "02:00:00:00:01:02", VTEP: "192.0.2.2", Origin: "static"},
		{VNI: 10010, MAC: "02:00:00:00:01:01", Port: "eth2", Origin: api.OriginLearned, Age: 75},
		{VNI: 10020, MAC: "02:00:00:00:01:03", Port: "eth10", Origin: api.OriginLearned, Age: 3, Held: true},
	}}
	if o.Every == 0 {
		o.Every = 2 * time.Second
	}
	if err := o.Check(); err != nil {
		t.Fatal(err)
	}
	p, err := gw.ask(t.Context(), question{macs: o.tab == tabMACs, words: o.Filter})
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{newModel(t.Context(), gw, o, p), t, gw}
	b.Update(tea.WindowSizeMsg{Width: width, Height: height})
	return b
}

// pass lets so many seconds pass, and the gateway be asked then.
func (b *bench) pass(seconds int) {
	b.t.Helper()
	b.gw.uptime += seconds
	_, cmd := b.Update(tick(b.round))
	if !b.asking {
		b.t.Fatal("nothing is asked")
	}
	b.answer(cmd)
}

// answer brings the answers of what is asked, until nothing is.
func (b *bench) answer(cmd tea.Cmd) {
	b.t.Helper()
	for b.asking {
		a, ok := cmd().(answer)
		if !ok {
			b.t.Fatal("it does not ask")
		}
		_, cmd = b.Update(a)
	}
}

// press presses keys: words are names of keys, and others are typed.
func (b *bench) press(all ...string) tea.Cmd {
	b.t.Helper()
	var cmd tea.Cmd
	for _, k := range all {
		if _, cmd = b.Update(press(k)); b.asking && cmd != nil {
			b.answer(cmd)
		}
	}
	return cmd
}

var named = map[string]rune{
	"enter": tea.KeyEnter, "esc": tea.KeyEscape, "tab": tea.KeyTab, "backspace": tea.KeyBackspace, "space": tea.KeySpace,
	"up": tea.KeyUp, "down": tea.KeyDown, "left": tea.KeyLeft, "right": tea.KeyRight, "pgup": tea.KeyPgUp, "pgdown": tea.KeyPgDown, "home": tea.KeyHome, "end": tea.KeyEnd,
}

func press(k string) tea.KeyPressMsg {
	if name, ok := strings.CutPrefix(k, "ctrl+"); ok {
		return tea.KeyPressMsg{Code: rune(name[0]), Mod: tea.ModCtrl}
	}
	if name, ok := strings.CutPrefix(k, "shift+"); ok {
		return tea.KeyPressMsg{Code: named[name], Mod: tea.ModShift}
	}
	if code, ok := named[k]; ok {
		return tea.KeyPressMsg{Code: code}
	}
	return tea.KeyPressMsg{Text: k, Code: []rune(k)[0]}
}

// shows returns what is on the screen, and holds that it is as large as the terminal.
func (b *bench) shows() string {
	b.t.Helper()
	lines := strings.Split(b.View().Content, "\n")
	if len(lines) != max(1, b.height) {
		b.t.Errorf("%d lines on a screen of %d", len(lines), b.height)
	}
	for i, line := range lines {
		if w := ansi.StringWidth(line); w > b.width {
			b.t.Errorf("line %d has %d characters of %d: %q", i+1, w, b.width, line)
		}
		lines[i] = strings.TrimRight(ansi.Strip(line), " ")
	}
	return strings.Join(lines, "\n") + "\n"
}

// has holds that the screen has texts, or with a ! before them that it has not.
func (b *bench) has(all ...string) {
	b.t.Helper()
	screen := b.shows()
	for _, text := range all {
		text, not := strings.CutPrefix(text, "!")
		if strings.Contains(screen, text) == not {
			b.t.Errorf("%q: it is there: %v, in\n%s", text, not, screen)
		}
	}
}

func (b *bench) golden(name string) {
	b.t.Helper()
	file := "testdata/" + name + ".txt"
	got := b.shows()
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			b.t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil || got != string(want) {
		b.t.Errorf("%s is not what it was (%v): look, and if it is right: go test ./cmd/vxgw/top -update\n%s", file, err, got)
	}
}
