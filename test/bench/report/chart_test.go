package report

import (
	"encoding/xml"
	"errors"
	"io"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// drawn is a report of what charts can show: more and less than the first device,
// much more, nothing at all, devices that are left out, names that XML has other
// uses for.
func drawn() Report {
	frames, times := Group{"frames", "Frames <60 bytes> & more"}, Group{"times", "Times"}
	of := func(values ...float64) (all []Sample) {
		for _, v := range values {
			all = append(all, Sample{Value: v})
		}
		return all
	}
	nan := math.NaN()
	return Report{
		Devices: []string{"Linux", "one", `"two" & <more>`, "nobody"},
		Figures: []Figure{
			{Measurement: "small", Group: frames, Title: "faster, slower", Unit: FramesPerSecond, Rounds: [][]Sample{of(100, 150, 50, nan), of(100, 170, 40, nan), of(100, 130, 90, nan)}},
			{Measurement: "rtt", Group: times, Title: "round trip", Unit: Seconds, LessIsGood: true, Rounds: [][]Sample{of(1, 7, 1, nan)}},
			{Measurement: "big", Group: frames, Title: "much faster & none", Unit: FramesPerSecond, Rounds: [][]Sample{of(100, 1100, 0, nan)}},
			{Measurement: "part", Group: frames, Title: "of one only", Unit: FramesPerSecond, Rounds: [][]Sample{of(100, nan, 100, nan)}},
			{Measurement: "idle", Group: times, Title: "of none", Unit: Bytes, LessIsGood: true, Rounds: [][]Sample{of(nan, 1, 2, nan)}},
			{Measurement: "idle", Group: Group{"empty", "Empty"}, Title: "nothing to compare", Unit: Bytes, Rounds: [][]Sample{of(nan, 1, 2, nan)}},
		},
	}
}

func TestCharts(t *testing.T) {
	charts := drawn().Charts()
	var names []string
	for _, c := range charts {
		names = append(names, c.Name)
		want, err := os.ReadFile(filepath.Join("testdata", c.Name))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), c.SVG); diff != "" {
			t.Errorf("%s: -want +got:\n%s", c.Name, diff)
		}
	}
	if diff := cmp.Diff([]string{"frames.svg", "times.svg"}, names); diff != "" {
		t.Errorf("charts: -want +got:\n%s", diff)
	}
	if got, want := charts[1].Title, "Times: times Linux, less is better"; got != want {
		t.Errorf("the title is %q, want %q", got, want)
	}
}

// element is one of a document, with its attributes and the text in it.
type element struct {
	name string
	attr map[string]string
	text string
}

// parse reads a document, which is well-formed or the test fails.
func parse(t rapid.TB, document string) (all []element) {
	t.Helper()
	d := xml.NewDecoder(strings.NewReader(document))
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatalf("%v in\n%s", err, document)
		}
		switch token := token.(type) {
		case xml.StartElement:
			e := element{name: token.Name.Local, attr: make(map[string]string)}
			for _, a := range token.Attr {
				e.attr[a.Name.Local] = a.Value
			}
			all = append(all, e)
		case xml.CharData:
			if len(all) > 0 {
				all[len(all)-1].text += string(token)
			}
		}
	}
}

// number returns an attribute that is one.
func (e element) number(t rapid.TB, name string) float64 {
	t.Helper()
	v, err := strconv.ParseFloat(e.attr[name], 64)
	if err != nil || math.IsNaN(v) || math.IsInf(v, 0) {
		t.Fatalf("%s: %s is %q", e.name, name, e.attr[name])
	}
	return v
}

// Whatever was measured and whatever it is called, a chart is well-formed, nothing
// in it is outside of it, bars do not lie on each other, and each begins or ends at 1.
func TestChartHolds(t *testing.T) {
	value := rapid.OneOf(rapid.Float64Range(0, 1e9), rapid.SampledFrom([]float64{0, math.NaN(), 1, 1e-300, 1e300}))
	rapid.Check(t, func(t *rapid.T) {
		r := Report{Devices: rapid.SliceOfN(rapid.StringN(0, 12, -1), 2, 7).Draw(t, "devices")}
		for range rapid.IntRange(1, 4).Draw(t, "figures") {
			f := Figure{Title: rapid.String().Draw(t, "title")}
			for range rapid.IntRange(1, 3).Draw(t, "rounds") {
				var round []Sample
				for range r.Devices {
					round = append(round, Sample{Value: value.Draw(t, "value")})
				}
				f.Rounds = append(f.Rounds, round)
			}
			r.Figures = append(r.Figures, f)
		}
		for _, c := range r.Charts() {
			wantWithin(t, parse(t, c.SVG))
		}
	})
}

func wantWithin(t rapid.TB, elements []element) {
	t.Helper()
	width, height := elements[0].number(t, "width"), elements[0].number(t, "height")
	one, below := math.NaN(), 0.0 // where the line at 1 is, and where the last bar ended
	for _, e := range elements {
		if e.name == "line" && e.attr["class"] == "one" {
			one = e.number(t, "x1")
		}
	}
	for _, e := range elements {
		for _, x := range []string{"x", "x1", "x2"} {
			if _, ok := e.attr[x]; ok && (e.number(t, x) < 0 || e.number(t, x) > width) {
				t.Fatalf("%v is outside of %v pixels", e, width)
			}
		}
		for _, y := range []string{"y", "y1", "y2"} {
			if _, ok := e.attr[y]; ok && (e.number(t, y) < 0 || e.number(t, y) > height) {
				t.Fatalf("%v is outside of %v pixels", e, height)
			}
		}
		if e.name != "rect" || !strings.HasPrefix(e.attr["class"], "device") || e.number(t, "y") < firstRow {
			continue
		}
		left, right := e.number(t, "x"), e.number(t, "x")+e.number(t, "width")
		if math.Abs(left-one) > 0.2 && math.Abs(right-one) > 0.2 {
			t.Fatalf("%v neither begins nor ends at 1, which is %v", e, one)
		}
		if e.number(t, "y") < below {
			t.Fatalf("%v begins above %v, where the last one ended", e, below)
		}
		below = e.number(t, "y") + e.number(t, "height")
	}
}

func TestScale(t *testing.T) {
	for _, tc := range []struct {
		name      string
		low, high float64
		want      []float64
	}{
		{"1 is in the middle", 1, 1, []float64{0.5, 1, 2}},
		{"what there is decides", 0.3, 7, []float64{0.2, 0.5, 1, 2, 5, 10}},
		{"a tick that is reached is enough", 0.2, 5, []float64{0.2, 0.5, 1, 2, 5}},
		{"there is an end", 0, 1e6, []float64{0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := newScale(tc.low, tc.high, 100, 300)
			if !cmp.Equal(s.ticks, tc.want) {
				t.Errorf("ticks %v, want %v", s.ticks, tc.want)
			}
		})
	}
	s := newScale(0.5, 2, 100, 300)
	for ratio, want := range map[float64]float64{0: 100, 0.5: 100, 1: 200, 2: 300, 1e9: 300} {
		if got := s.x(ratio); math.Abs(got-want) > 1e-9 {
			t.Errorf("%v is at %v, want %v", ratio, got, want)
		}
	}
}

func TestEscape(t *testing.T) {
	for given, want := range map[string]string{
		"plain, µs":    "plain, µs",
		`<a href="&">`: "&lt;a href=&#34;&amp;&#34;&gt;",
		"it's":         "it&#39;s",
		"bell\a":       "bell\uFFFD",
		"\xff":         "\uFFFD",
	} {
		if got := escape(given); got != want {
			t.Errorf("%q becomes %q, want %q", given, got, want)
		}
	}
}

func TestPx(t *testing.T) {
	for v, want := range map[float64]string{0: "0", 12: "12", 12.04: "12", 12.05: "12.1", 12.25: "12.2", 880: "880"} {
		if got := px(v); got != want {
			t.Errorf("%v is %q, want %q", v, got, want)
		}
	}
}
