package top

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"
	"pgregory.net/rapid"

	"vxgw/gateway/api"
	"vxgw/gateway/forward"
)

// quits reports whether a command ends the program.
func quits(cmd tea.Cmd) bool {
	if cmd == nil {
		return false
	}
	_, ok := cmd().(tea.QuitMsg)
	return ok
}

func TestQuit(t *testing.T) {
	for name, test := range map[string]struct {
		keys  []string
		quits bool
	}{
		"q":                  {[]string{"q"}, true},
		"ctrl+c":             {[]string{"ctrl+c"}, true},
		"from details":       {[]string{"enter", "q"}, true},
		"from help":          {[]string{"?", "q"}, true},
		"typed in a filter":  {[]string{"/", "q"}, false},
		"while one types":    {[]string{"/", "q", "ctrl+c"}, true},
		"after typing":       {[]string{"/", "x", "enter", "q"}, true},
		"another key":        {[]string{"down"}, false},
		"esc leaves nothing": {[]string{"esc"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, 80, 24, Options{})
			if got := quits(b.press(test.keys...)); got != test.quits {
				t.Errorf("it quits: %v", got)
			}
		})
	}
}

func TestTabs(t *testing.T) {
	for name, test := range map[string]struct {
		keys []string
		want int
	}{
		"the first":      {nil, tabPorts},
		"next":           {[]string{"tab"}, tabVNIs},
		"round":          {[]string{"tab", "tab", "tab", "tab", "tab"}, tabPorts},
		"back":           {[]string{"shift+tab"}, tabMACs},
		"by number":      {[]string{"4"}, tabDrops},
		"out of details": {[]string{"enter", "3"}, tabVTEPs},
		"out of help":    {[]string{"?", "3"}, tabPorts}, // any key leaves help, and does no more
		"not typing":     {[]string{"/", "3"}, tabPorts},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, 80, 24, Options{})
			b.press(test.keys...)
			b.has("[" + fmt.Sprint(test.want+1) + " " + tabs[test.want].name + "]")
		})
	}
}

// chosen is the first cell of the row that is chosen.
func (b *bench) chosen() string {
	b.t.Helper()
	for line := range strings.SplitSeq(b.shows(), "\n") {
		if rest, ok := strings.CutPrefix(line, "> "); ok {
			return strings.Fields(rest)[0]
		}
	}
	b.t.Fatalf("no row is chosen:\n%s", b.shows())
	return ""
}

// TestChosen holds that the choice stays with a row wherever it goes, but at the top
// while nobody has chosen.
func TestChosen(t *testing.T) {
	b := newBench(t, 80, 24, Options{})
	b.press("2") // sorted by what comes in
	b.pass(2)
	if b.chosen() != "10010" {
		t.Error(b.chosen())
	}
	b.press("r") // 10010 is the last now, and nobody has chosen it
	if b.chosen() != "10020" {
		t.Error(b.chosen())
	}
	b.press("down", "r")
	if b.chosen() != "10010" {
		t.Error(b.chosen())
	}
	b.press("down", "down", "down") // no further than the last
	if b.chosen() != "10020" {
		t.Error(b.chosen())
	}
	b.press("home", "r")
	if b.chosen() != "10020" {
		t.Error(b.chosen())
	}
	// A row that goes leaves the choice where it was.
	b.gw.rows = 50
	b.press("<", "<", "<", "<", "<", "r", "end")
	b.pass(2)
	b.press("end", "up")
	if b.chosen() != "20048" {
		t.Error(b.chosen())
	}
	b.gw.rows = 2
	b.pass(2)
	if b.chosen() != "20001" {
		t.Error(b.chosen())
	}
}

// TestDetailsOfWhatGoes holds that details say so when their row is gone, and lead back.
func TestDetailsOfWhatGoes(t *testing.T) {
	b := newBench(t, 80, 24, Options{})
	b.gw.rows = 5
	b.pass(2)
	b.press("2", "end", "enter")
	b.has("tenant-", "esc back")
	b.gw.rows = 0
	b.pass(2)
	b.has("it is not there any more")
	b.press("esc")
	b.has("10010", "> ")
}

// TestDetailsAreAskedFor holds that the whole of a row is asked for while its details are
// seen, and no longer.
func TestDetailsAreAskedFor(t *testing.T) {
	b := newBench(t, 80, 24, Options{})
	b.pass(2)
	b.press("2", "enter")
	b.has("VTEPs           192.0.2.2 192.0.2.9", "tx broadcast: 1,000 frames a second")
	b.press("esc")
	b.pass(2)
	b.press("3", "enter")
	b.has("1500 bytes, as the probe says")
	b.press("esc")
	b.pass(2)
	var got []string
	for _, q := range b.gw.asked {
		got = append(got, fmt.Sprintf("%d %s", q.vni, q.vtep))
	}
	if want := []string{"0 ", "0 ", "10010 ", "0 ", "0 192.0.2.2", "0 "}; !slices.Equal(got, want) {
		t.Errorf("asked %q, want %q", got, want)
	}
}

func TestScrollDetails(t *testing.T) {
	b := newBench(t, 80, 9, Options{})
	b.pass(2)
	b.press("3", "enter")
	b.has("VTEP            192.0.2.2", "!VNIs            10010")
	b.press("end")
	b.has("!VTEP            192.0.2.2", "path probes", "VNIs            10010")
	end := b.shows()
	if b.press("down", "pgdown"); b.shows() != end {
		t.Errorf("it scrolls beyond its end:\n%s", b.shows())
	}
	b.press("home", "up")
	b.has("VTEP            192.0.2.2")
}

func TestFilter(t *testing.T) {
	for name, test := range map[string]struct {
		keys []string
		has  []string
	}{
		"as one types":      {[]string{"2", "/", "d", "b"}, []string{"10020", "!10010", "1 of 2", "filter: db_"}},
		"kept":              {[]string{"2", "/", "d", "b", "enter"}, []string{"10020", "!10010", "filter db  1 of 2"}},
		"given up":          {[]string{"2", "/", "d", "b", "esc"}, []string{"10020", "10010", "!filter db"}},
		"given up for one":  {[]string{"2", "/", "d", "b", "enter", "/", "x", "esc"}, []string{"10020", "!10010", "filter db"}},
		"let go":            {[]string{"2", "/", "d", "b", "enter", "esc"}, []string{"10020", "10010", "!filter db"}},
		"upper case":        {[]string{"2", "/", "D", "B"}, []string{"10020", "!10010"}},
		"two words":         {[]string{"/", "u", "p", " ", "1", "0"}, []string{"eth2", "eth10", "!enp129", "2 of 3"}},
		"nothing":           {[]string{"/", "x", "y"}, []string{`nothing has "xy" in it: esc shows all`, "0 of 3"}},
		"corrected":         {[]string{"2", "/", "x", "backspace", "d", "b"}, []string{"10020", "!10010"}},
		"a word taken back": {[]string{"2", "/", "d", "b", " ", "x", "ctrl+w"}, []string{"10020", "filter: db _"}},
		"all taken back":    {[]string{"2", "/", "d", "b", "ctrl+u"}, []string{"10010", "filter: _"}},
		"by a drop's mend":  {[]string{"4", "/", "M", "T", "U"}, []string{"too_big", "!same_port", "1 of 2"}},
		"of one tab only":   {[]string{"2", "/", "d", "b", "enter", "1"}, []string{"eth2", "!filter db"}},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, 80, 24, Options{})
			b.press(test.keys...)
			b.has(test.has...)
		})
	}
}

// TestSearch holds that the gateway is asked for MACs as one types, and for the last
// words when an answer comes back late.
func TestSearch(t *testing.T) {
	b := newBench(t, 80, 24, Options{})
	if b.has("3 VTEPs"); b.gw.asked[0].macs {
		t.Error("MACs are searched that nobody sees")
	}
	b.press("5")
	b.has("02:00:00:00:01:01", "02:00:00:00:01:03")
	b.press("/", "1", "0")
	b.has("02:00:00:00:01:03", "!02:00:00:00:01:01", "search for digits of a MAC")
	b.press("ctrl+u", "a", " ", "b")
	b.has("a MAC is behind one port or VTEP: name one")
	b.press("esc")
	b.has("02:00:00:00:01:01")

	// Two keys while an answer is on its way: the last counts.
	b.press("/")
	_, first := b.Update(press("e"))
	for _, k := range []string{"t", "h", "2"} {
		if _, cmd := b.Update(press(k)); cmd != nil {
			t.Error("a second question while one is on its way")
		}
	}
	b.answer(first)
	b.has("02:00:00:00:01:01", "!02:00:00:00:01:03", "1 found")
	if last := b.gw.asked[len(b.gw.asked)-1]; last.words != "eth2" {
		t.Errorf("asked last for %q", last.words)
	}
	b.Update(tea.PasteMsg{Content: "x\x1b[2J"})
	b.has("search for digits of a MAC, a port, a VTEP: eth2x?[2J_")
}

// TestSearchIsCut holds that one who sees only the first MACs knows it.
func TestSearchIsCut(t *testing.T) {
	b := newBench(t, 80, 24, Options{Tab: "macs"})
	b.shown.found.More = true
	b.has("the first 3 found: narrow the search")
}

// TestPause holds that nothing moves while it is paused, but that what is asked for
// comes, and that a roll-back which is near is still told of.
func TestPause(t *testing.T) {
	b := newBench(t, 80, 24, Options{})
	b.pass(2)
	b.press("p")
	was := b.shows()
	b.gw.rows = 7
	b.pass(10)
	if b.has("PAUSED"); b.shows() != was {
		t.Errorf("it moves:\n%s", b.shows())
	}
	until := noon.Add(3 * time.Minute)
	b.gw.config = &api.ConfigRow{State: api.ConfigUnconfirmed, ConfirmUntil: &until}
	b.pass(10)
	b.has("PAUSED", "rolled back in 58s unless `vxgw confirm` follows")
	b.press("5")
	b.has("PAUSED", "02:00:00:00:01:01")
	b.pass(10)
	b.gw.config, b.gw.gone = nil, errGone
	b.press("1")
	b.pass(10)
	b.has("PAUSED", "trying again", "1.23M")
	b.press("space")
	b.has("!PAUSED", "!1.23M")
	b.gw.gone = nil
	b.pass(10)
	b.has("12:02:32", "!trying again")
}

// TestPace holds that the time between polls goes up and down its steps, and that a
// change counts at once.
func TestPace(t *testing.T) {
	b := newBench(t, 80, 24, Options{Every: 3 * time.Second})
	for _, step := range []struct{ key, want string }{
		{"-", "every 5s"}, {"-", "every 10s"}, {"-", "every 30s"}, {"-", "every 1m0s"}, {"-", "every 1m0s"},
		{"+", "every 30s"}, {"+", "every 10s"}, {"+", "every 5s"}, {"+", "every 2s"}, {"+", "every 1s"}, {"+", "every 1s"},
	} {
		b.press(step.key)
		b.has(step.want)
	}
	was := b.round
	b.Update(tick(was - 1))
	if b.asking {
		t.Error("a wait that was given up ends in a poll")
	}
	b.Update(tick(was))
	if !b.asking {
		t.Error("nothing is asked")
	}
	b.Update(tick(b.round))
	if n := len(b.gw.asked); n != 1 {
		t.Errorf("%d polls at once", n)
	}
}

// TestGone holds that a gateway that goes is told of and asked again, that no rate is
// made up meanwhile, and that one that comes back counts anew.
func TestGone(t *testing.T) {
	b := newBench(t, 80, 24, Options{Every: time.Minute})
	b.pass(60)
	b.has("1.23M", "!trying again")
	b.gw.gone = errGone
	for range 3 {
		b.pass(60)
		b.has("is it running?", "what is shown is of 12:02:40, trying again", "!1.23M", "eth2")
	}
	if d := b.rest(); d != retry {
		t.Errorf("asked again after %v", d)
	}
	b.gw.gone, b.gw.uptime = nil, 1 // started anew
	b.pass(1)
	b.has("!trying again", "in - pps", "running 2s")
	if d := b.rest(); d != time.Minute {
		t.Errorf("asked again after %v", d)
	}
	b.pass(2)
	b.has("1.23M", "running 4s")
}

// TestSize holds that there is no size that it cannot be drawn in, and that a resize
// draws anew.
func TestSize(t *testing.T) {
	for _, keys := range [][]string{{"1"}, {"2"}, {"3"}, {"4"}, {"5"}, {"2", "enter"}, {"4", "enter"}, {"?"}, {"/", "e"}} {
		b := newBench(t, 80, 24, Options{look: colours()})
		b.gw.rows = 60
		b.pass(2)
		b.press(keys...)
		for width := 1; width <= 140; width += 3 {
			for height := 1; height <= 50; height += 7 {
				b.Update(tea.WindowSizeMsg{Width: width, Height: height})
				b.shows()
			}
		}
		b.Update(tea.WindowSizeMsg{})
		_ = b.View()
	}
}

// TestEveryReasonHasRoom holds that at 80x24 the whole of what a drop means, and of what
// to do, is below the table.
func TestEveryReasonHasRoom(t *testing.T) {
	for r := forward.None + 1; r < forward.NumReasons; r++ {
		t.Run(r.String(), func(t *testing.T) {
			b := newBench(t, 80, 24, Options{Tab: "drops"})
			b.shown.Drops = []api.DropSum{{Reason: r.String(), Direction: "access", Count: 1}}
			b.shown.texts = map[string]text{r.String(): {r.Meaning(), r.Mend()}}
			b.settle()
			screen := strings.Join(strings.Fields(b.shows()), "")
			for _, part := range []string{r.String() + ": " + r.Meaning(), "what to do: " + r.Mend()} {
				if !strings.Contains(screen, strings.ReplaceAll(part, " ", "")) {
					t.Errorf("%q is not whole:\n%s", part, b.shows())
				}
			}
		})
	}
}

// TestAnyKeys holds, whatever is pressed and happens, that the screen is whole and what
// is chosen is on it.
func TestAnyKeys(t *testing.T) {
	all := []string{
		"enter", "esc", "tab", "shift+tab", "up", "down", "pgup", "pgdown", "home", "end", "left", "right", "backspace", "space", "ctrl+u", "ctrl+w",
		"1", "2", "3", "4", "5", "/", "r", "a", "p", "+", "-", "?", "e", "x", "é",
	}
	rapid.Check(t, func(rt *rapid.T) {
		b := newBench(t, rapid.IntRange(1, 150).Draw(rt, "width"), rapid.IntRange(1, 60).Draw(rt, "height"), Options{look: colours()})
		for _, step := range rapid.SliceOfN(rapid.IntRange(0, len(all)+4), 1, 40).Draw(rt, "steps") {
			switch step - len(all) {
			case 0:
				b.gw.rows = rapid.IntRange(0, 80).Draw(rt, "rows")
			case 1:
				b.gw.gone = errGone
			case 2:
				b.gw.gone = nil
			case 3:
				b.Update(tea.WindowSizeMsg{Width: rapid.IntRange(1, 150).Draw(rt, "width"), Height: rapid.IntRange(1, 60).Draw(rt, "height")})
			case 4:
				b.Update(tick(b.round))
				b.asking = false // its answer never comes
			default:
				b.press(all[step])
			}
			screen := b.shows()
			if b.mode == browsing && len(b.rows) > 0 && b.page() > 0 && !strings.Contains(screen, "\n>") {
				rt.Fatalf("nothing is chosen:\n%s", screen)
			}
			if v := b.view(); v.index < 0 || v.index > max(0, len(b.rows)-1) || v.offset < 0 {
				rt.Fatalf("%+v of %d rows", v, len(b.rows))
			}
		}
		if t.Failed() {
			rt.Fatal("see above")
		}
	})
}
