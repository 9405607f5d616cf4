package top

import (
	"cmp"
	"math"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/charmbracelet/x/ansi"
	"pgregory.net/rapid"

	"vxgw/gateway/api"
)

func TestNatural(t *testing.T) {
	want := []string{"", "192.0.2.9", "192.0.2.10", "192.0.10.1", "a", "eth", "eth2", "eth10", "eth10a"}
	for i, a := range want {
		for j, b := range want {
			if got := natural(a, b); got != cmp.Compare(i, j) {
				t.Errorf("%q to %q is %d", a, b, got)
			}
		}
	}
	if natural("eth007", "eth7") != 0 {
		t.Error("zeros in front count")
	}
	// Names with one number sort as the number does, however long it is.
	rapid.Check(t, func(t *rapid.T) {
		number := rapid.StringMatching(`[0-9]{1,30}`)
		a, b := number.Draw(t, "a"), number.Draw(t, "b")
		x, _ := new(big.Int).SetString(a, 10)
		y, _ := new(big.Int).SetString(b, 10)
		if natural("p"+a+"x", "p"+b+"x") != x.Cmp(y) {
			t.Errorf("%s to %s", a, b)
		}
	})
}

// TestOrder holds that a table is in order by its column, and the same each time.
func TestOrder(t *testing.T) {
	columns := []column{{head: "A"}, {head: "B", right: true}, {head: "C", right: true, id: true}}
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(0, 20).Draw(t, "rows")
		rows := make([]row, n)
		for i := range rows {
			v := float64(rapid.IntRange(0, 3).Draw(t, "number"))
			if v == 3 {
				v = unknown
			}
			rows[i] = row{key: strconv.Itoa(i), cells: []cell{word(rapid.StringMatching(`[ab]{0,2}`).Draw(t, "text")), {"", v}, {"", float64(rapid.IntRange(0, 2).Draw(t, "id"))}}}
		}
		by, reverse := rapid.IntRange(0, 2).Draw(t, "by"), rapid.Bool().Draw(t, "reverse")
		again := slices.Clone(rows)
		slices.Reverse(again)
		order(rows, columns, by, reverse)
		order(again, columns, by, reverse)
		for i := range rows {
			if rows[i].key != again[i].key {
				t.Fatalf("row %d is %s and %s", i, rows[i].key, again[i].key)
			}
			if i == 0 {
				continue
			}
			a, b := rows[i-1].cells[by], rows[i].cells[by]
			ok := a.text <= b.text
			if by == 1 {
				ok = !(a.by < b.by) && !(math.IsNaN(a.by) && !math.IsNaN(b.by))
			} else if by == 2 {
				ok = a.by <= b.by
			}
			if reverse {
				ok = ok && compare(columns[by], a, b) == 0 || !ok
			}
			if !ok {
				t.Fatalf("%+v before %+v", a, b)
			}
		}
	})
}

// TestFit holds that a line is never longer than its place while there is anything left
// to leave out, that nothing is left out without need, and that what stays is whole
// unless it may be shortened.
func TestFit(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 8).Draw(t, "columns")
		columns, cells := make([]column, n), make([]cell, n)
		heads := make([]string, n)
		sum, least := margin-2, margin-2
		for i := range columns {
			c := column{head: "HEAD", right: rapid.Bool().Draw(t, "right"), spare: rapid.IntRange(0, 3).Draw(t, "spare")}
			if rapid.Bool().Draw(t, "may be shortened") {
				c.clip = 8
			}
			columns[i], heads[i] = c, c.head
			cells[i] = word(strings.Repeat("x", rapid.IntRange(0, 30).Draw(t, "length")))
			w := max(4, len(cells[i].text))
			sum += w + 2
			if c.spare == 0 {
				if c.clip > 0 {
					w = min(w, c.clip)
				}
				least += w + 2
			}
		}
		width := rapid.IntRange(1, 200).Draw(t, "width")
		l := fit(columns, heads, []row{{cells: cells}}, width)
		line := l.line("  ", func(i int) string { return cells[i].text })
		if got := ansi.StringWidth(line); got > max(width, least) {
			t.Errorf("%d characters of %d: %q", got, width, line)
		}
		for i, w := range l.widths {
			switch {
			case sum <= width && w == 0:
				t.Errorf("column %d is left out where all have room", i)
			case w == 0 && columns[i].spare == 0:
				t.Errorf("column %d is left out", i)
			case w > 0 && columns[i].clip == 0 && w < len(cells[i].text):
				t.Errorf("column %d is cut", i)
			}
		}
	})
}

func TestFiltered(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		texts := rapid.SliceOf(rapid.StringMatching(`[abAB]{0,3}`)).Draw(t, "rows")
		words := rapid.SliceOfN(rapid.StringMatching(`[abAB]{1,2}`), 0, 2).Draw(t, "words")
		var rows []row
		var want []string
		for _, s := range texts {
			rows = append(rows, row{key: s, cells: []cell{word(s)}})
			if !slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(strings.ToLower(s), strings.ToLower(w)) }) {
				want = append(want, s)
			}
		}
		var got []string
		for _, r := range filtered(rows, strings.Join(words, "  ")) {
			got = append(got, r.key)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%q, want %q", got, want)
		}
	})
}

func TestScaled(t *testing.T) {
	for n, want := range map[float64]string{
		0: "0", 0.04: "<0.1", 0.5: "0.5", 3: "3", 9.94: "9.9", 9.96: "10", 12.3: "12", 999: "999", 999.6: "1.00k", 1000: "1.00k", 1234: "1.23k",
		9996: "10.0k", 12345: "12.3k", 99960: "100k", 123456: "123k", 999499: "999k", 999500: "1.00M", 9.83e9: "9.83G", 1e15: "1.00P", 1.2e20: "120E",
	} {
		if got := scaled(n); got != want {
			t.Errorf("%v is %s, want %s", n, got, want)
		}
	}
	if scaled(unknown) != "-" || unit(unknown, "pps") != "- pps" || unit(12345, "pps") != "12.3 kpps" || unit(0.04, "pps") != "<0.1 pps" {
		t.Error("units")
	}
	// What is read is what was meant, to three digits.
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.Float64Range(0.1, 1e18).Draw(t, "n")
		text := scaled(n)
		factor := 1.0
		if i := strings.IndexByte("kMGTPE", text[len(text)-1]); i >= 0 {
			factor, text = math.Pow(1000, float64(i+1)), text[:len(text)-1]
		}
		got, err := strconv.ParseFloat(text, 64)
		off := 0.0051 * n
		if n < 1000 {
			off = 0.51 // of what is counted nobody wants halves
		}
		if err != nil || len(text) > 4 || math.Abs(got*factor-n) > off {
			t.Errorf("%v is %s", n, scaled(n))
		}
	})
}

func TestWords(t *testing.T) {
	for n, want := range map[uint64]string{0: "0", 999: "999", 1000: "1,000", 1234567: "1,234,567", math.MaxUint64: "18,446,744,073,709,551,615"} {
		if got := grouped(n); got != want {
			t.Errorf("%d is %s", n, got)
		}
	}
	if got := clean("a\x1b[2J\nb\u202e\u009bc é"); got != "a?[2J?b??c é" {
		t.Errorf("%q", got)
	}
}

// TestMeter holds that rates are what the counters grew by in the gateway's own time, and
// that none is made up.
func TestMeter(t *testing.T) {
	of := func(uptime float64, packets uint64, names ...string) *api.Overview {
		o := &api.Overview{Uptime: uptime}
		for _, n := range names {
			o.Ports = append(o.Ports, api.PortRow{Interface: n, RxPackets: packets})
		}
		return o
	}
	var m meter
	at := func(name string) string { return scaled(m.of("port " + name)[rxPackets]) }
	for _, step := range []struct {
		name string
		take *api.Overview
		want string // of a and of b
	}{
		{"one poll is none", of(10, 100, "a"), "- -"},
		{"two polls", of(12, 150, "a"), "25 -"},
		{"the same answer again", of(12, 150, "a"), "25 -"},
		{"a row that is new", of(14, 150, "a", "b"), "0 -"},
		{"both", of(18, 550, "a", "b"), "100 100"},
		{"one that went", of(20, 550, "b"), "- 0"},
		{"... and came back, and counts anew", of(22, 100, "a", "b"), "- -"},
		{"goes on", of(24, 300, "a", "b"), "100 100"},
		{"a gateway that was started anew", of(1, 400, "a", "b"), "- -"},
		{"... goes on", of(2, 500, "a", "b"), "100 100"},
	} {
		m.take(step.take)
		if got := at("a") + " " + at("b"); got != step.want {
			t.Errorf("%s: %s, want %s", step.name, got, step.want)
		}
	}
	if m.lose(); at("a") != "-" {
		t.Error("a rate of a gateway that is gone")
	}
}

func TestOptions(t *testing.T) {
	for name, test := range map[string]struct {
		o    Options
		want string
	}{
		"as they are":       {Options{Every: time.Second}, ""},
		"too often":         {Options{Every: 999 * time.Millisecond}, "asked once in 1s at the most"},
		"another tab":       {Options{Every: time.Second, Tab: "VTEPs"}, ""},
		"no tab":            {Options{Every: time.Second, Tab: "cables"}, `no table of "cables": there is ports, vnis, vteps, drops, macs`},
		"a column":          {Options{Every: time.Second, Tab: "drops", Sort: "count"}, ""},
		"another's column":  {Options{Every: time.Second, Tab: "drops", Sort: "mtu"}, `drops have no column "mtu": there is reason, from, now/s, count, meaning`},
		"the first table's": {Options{Every: time.Second, Sort: "rx-pps"}, ""},
	} {
		err := test.o.Check()
		if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
