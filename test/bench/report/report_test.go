package report

import (
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func TestSpread(t *testing.T) {
	nan := math.NaN()
	for _, tc := range []struct {
		values []float64
		want   Spread
	}{
		{nil, Spread{nan, nan, nan}},
		{[]float64{3}, Spread{3, 3, 3}},
		{[]float64{4, 1}, Spread{2.5, 1, 4}},
		{[]float64{9, 1, 2}, Spread{2, 1, 9}},
		{[]float64{5, 1, 9, 3}, Spread{4, 1, 9}},
	} {
		if got := spread(tc.values); !cmp.Equal(got, tc.want, cmpopts.EquateNaNs()) {
			t.Errorf("spread(%v) = %v, want %v", tc.values, got, tc.want)
		}
	}
}

func TestSpreadLeavesValuesInOrder(t *testing.T) {
	values := []float64{3, 1, 2}
	spread(values)
	if !cmp.Equal(values, []float64{3, 1, 2}) {
		t.Errorf("now %v", values)
	}
}

func TestPercentile(t *testing.T) {
	hundred := make([]int, 100)
	for i := range hundred {
		hundred[i] = 100 - i
	}
	for _, tc := range []struct {
		values []int
		p      float64
		want   int
	}{
		{[]int{7}, 1, 7},
		{[]int{7}, 99, 7},
		{[]int{2, 1}, 50, 1},
		{[]int{3, 1, 2}, 50, 2},
		{[]int{3, 1, 2}, 99, 3},
		{hundred, 1, 1},
		{hundred, 50, 50},
		{hundred, 99, 99},
		{hundred, 99.5, 100},
		{hundred, 100, 100},
	} {
		if got := Percentile(tc.values, tc.p); got != tc.want {
			t.Errorf("the %v th percentile of %d values is %d, want %d", tc.p, len(tc.values), got, tc.want)
		}
	}
}

func TestText(t *testing.T) {
	for _, tc := range []struct {
		u    Unit
		v    float64
		want string
	}{
		{FramesPerSecond, 0, "0.00 /s"},
		{FramesPerSecond, 352123, "352 k/s"},
		{FramesPerSecond, 1412345, "1.41 M/s"},
		{FramesPerSecond, 999.4, "999 /s"},
		{FramesPerSecond, 999600, "1.00 M/s"},
		{FramesPerSecond, 12345e6, "12345 M/s"},
		{BitsPerSecond, 13.84e9, "13.8 Gb/s"},
		{Seconds, 14.25e-6, "14.2 µs"},
		{Seconds, 0.0352, "35.2 ms"},
		{Seconds, 2, "2.00 s"},
		{Seconds, 350e-9, "350 ns"},
		{CPUs, 0.0035, "0.35 %"},
		{CPUs, 1.5, "150 %"},
		{Bytes, 38.5 * 1024 * 1024, "38.5 MiB"},
		{Bytes, 1023.9, "1.00 KiB"},
		{Bytes, math.NaN(), "-"},
	} {
		if got := tc.u.text(tc.v); got != tc.want {
			t.Errorf("%v in unit %d is %q, want %q", tc.v, tc.u, got, tc.want)
		}
	}
}

func TestRatio(t *testing.T) {
	for v, want := range map[float64]string{
		4.123: "4.12", 20: "20.00", 1: "1.00", 0.256: "0.26", 0.0904: "0.09", 0.00697: "0.007", 0.00029: "0.00029", 0: "0.00",
		math.Inf(1): "-", math.NaN(): "-",
	} {
		if got := ratio(v); got != want {
			t.Errorf("%v is %q, want %q", v, got, want)
		}
	}
}

// sample is a report of two rounds, of three devices.
func sample() Report {
	return Report{
		Facts:   []string{"Linux 6.1, a CPU", "two rounds"},
		Devices: []string{"Linux", "one", "two"},
		Notes:   []string{"`small`: small frames", "`idle`: nothing at all"},
		Figures: []Figure{
			{
				Measurement: "small", Group: Group{"frames", "Frames"}, Title: "60-byte frames", Unit: FramesPerSecond,
				Rounds: [][]Sample{
					{{400e3, 500e3, 1}, {100e3, 500e3, 2}, {1600e3, 1700e3, 1}},
					{{200e3, 500e3, 1.04}, {100e3, 400e3, 1.9}, {400e3, 0, 1}},
				},
			},
			{
				Measurement: "idle", Group: Group{"idle", "Idle"}, Title: "memory", Unit: Bytes, LessIsGood: true,
				Rounds: [][]Sample{
					{Absent(), {Value: 10 << 20}, {Value: 30 << 20}},
					{Absent(), {Value: 20 << 20}, {Value: 30 << 20}},
				},
			},
			{
				Measurement: "idle", Group: Group{"idle", "Idle"}, Title: "CPU", Unit: CPUs, LessIsGood: true,
				Rounds: [][]Sample{
					{{Value: 0}, {Value: 0.01}, {Value: 0.02}},
					{{Value: 0.001}, {Value: 0.02}, {Value: 0.04}},
				},
			},
		},
	}
}

func TestMarkdown(t *testing.T) {
	want, err := os.ReadFile(filepath.Join("testdata", "report.md"))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), sample().Markdown("charts")); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// What is printed alone has no charts beside it.
func TestMarkdownWithoutCharts(t *testing.T) {
	with, without := sample().Markdown("charts"), sample().Markdown("")
	var kept []string
	for line := range strings.Lines(with) {
		if !strings.HasPrefix(line, "![") {
			kept = append(kept, line)
		}
	}
	if got := strings.ReplaceAll(strings.Join(kept, ""), "\n\n\n\n", "\n\n"); got != without || strings.Contains(without, "![") {
		t.Errorf("-with charts +without:\n%s", cmp.Diff(got, without))
	}
}

func TestRatios(t *testing.T) {
	r := sample()
	if got, want := r.Figures[0].Ratios(1), (Spread{0.375, 0.25, 0.5}); got != want {
		t.Errorf("ratios %v, want %v: each is of one round", got, want)
	}
	if got := r.Figures[1].Ratios(1); !math.IsNaN(got.Median) {
		t.Errorf("ratios to nothing: %v", got)
	}
	if got, want := r.Figures[2].Ratios(1), (Spread{20, 20, 20}); got != want {
		t.Errorf("ratios %v, want %v: there is none to zero", got, want)
	}
}

func TestInto(t *testing.T) {
	r := sample()
	document := "# By hand\n\n" + beginMark + "\n\nold\n" + endMark + "\n\nalso by hand\n"
	got, err := r.Into(document, "charts")
	if err != nil {
		t.Fatal(err)
	}
	want := "# By hand\n\n" + beginMark + "\n\n" + r.Markdown("charts") + "\n" + endMark + "\n\nalso by hand\n"
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if again, err := r.Into(got, "charts"); err != nil || again != got {
		t.Errorf("a second time it is another document, %v", err)
	}
	for name, bad := range map[string]string{
		"no marks":      "# By hand\n",
		"no end":        beginMark + "\n",
		"the wrong way": endMark + "\n" + beginMark + "\n",
	} {
		if _, err := r.Into(bad, "charts"); err == nil || !strings.Contains(err.Error(), "measured: begin") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
