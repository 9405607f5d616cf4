package report

import (
	"fmt"
	"math"
	"slices"
	"strings"
)

// Group is figures that share a chart. They are all better when they are more, or
// all when they are less.
type Group struct {
	Name  string // of the chart's file
	Title string
}

// Chart is the ratios of a group's figures, drawn.
type Chart struct {
	Name  string // of its file, "bridged.svg"
	Title string
	SVG   string
}

// Charts returns a chart for each group, in the order of the figures. Figures that
// no device has a ratio of are in none.
func (r Report) Charts() (all []Chart) {
	seen := make(map[Group]bool)
	for _, f := range r.Figures {
		if seen[f.Group] {
			continue
		}
		seen[f.Group] = true
		p := plot{devices: r.Devices, title: r.chartTitle(f)}
		for _, other := range r.Figures {
			if other.Group == f.Group {
				p.add(other)
			}
		}
		if len(p.rows) > 0 {
			all = append(all, Chart{f.Group.Name + ".svg", p.title, p.draw()})
		}
	}
	return all
}

// chartTitle says what a chart shows that a figure is in.
func (r Report) chartTitle(f Figure) string {
	better := "more"
	if f.LessIsGood {
		better = "less"
	}
	return fmt.Sprintf("%s: times %s, %s is better", f.Group.Title, r.Devices[0], better)
}

// plot is a chart in the making. The first device is the line at 1, and each of the
// others has a bar for each figure, from that line to its ratio.
type plot struct {
	devices []string
	title   string
	rows    []row
}

// row is a figure.
type row struct {
	title string
	bars  []bar
}

// bar is a device's ratio.
type bar struct {
	device int
	Spread
}

func (p *plot) add(f Figure) {
	r := row{title: f.Title}
	for d := 1; d < len(p.devices); d++ {
		if s := f.Ratios(d); !math.IsNaN(s.Median) {
			r.bars = append(r.bars, bar{d, s})
		}
	}
	if len(r.bars) > 0 {
		p.rows = append(p.rows, r)
	}
}

// Where things are, in pixels. A character is taken for charWidth wide: which font
// there is nobody knows.
const (
	margin    = 16
	width     = 880
	plotLeft  = 340
	plotRight = width - margin - 50 // room for a ratio's digits behind the last tick
	charWidth = 7
	titleY    = margin + 14
	legendY   = titleY + 24
	swatch    = 10
	firstRow  = legendY + 18
	barHeight = 11
	barPitch  = 14
	rowGap    = 12
	axisRoom  = 34 // below the last row
)

func (p *plot) draw() string {
	var s svg
	bottom := float64(firstRow)
	for _, r := range p.rows {
		bottom += r.height()
	}
	height := bottom + axisRoom
	s.begin(width, height, p.title, style)
	s.rect("paper", 0, 0, width, height, "")
	s.text("title", start, margin, titleY, p.title)
	p.legend(&s)
	x := p.scale()
	p.axis(&s, x, bottom)
	y := float64(firstRow)
	for _, r := range p.rows {
		p.row(&s, x, y, r)
		y += r.height()
	}
	// Over the bars that begin at it.
	s.line("one", x.x(1), firstRow, x.x(1), bottom)
	return s.end()
}

func (r row) height() float64 { return float64(len(r.bars)*barPitch + rowGap) }

// scale is an axis that has room for all bars, and for digits in front of it.
func (p *plot) scale() scale {
	low, high := 1.0, 1.0
	for _, r := range p.rows {
		for _, b := range r.bars {
			low, high = min(low, b.Min), max(high, b.Max)
		}
	}
	return newScale(low, high, plotLeft+50, plotRight)
}

// legend names the devices that have bars.
func (p *plot) legend(s *svg) {
	x := float64(margin)
	for d, name := range p.devices {
		if !slices.ContainsFunc(p.rows, func(r row) bool { return r.has(d) }) {
			continue
		}
		s.rect(colour(d), x, legendY-swatch+1, swatch, swatch, "")
		x += swatch + 5
		s.text("text", start, x, legendY, name)
		x += float64(len([]rune(name))*charWidth) + 18
	}
}

func (r row) has(device int) bool {
	return slices.ContainsFunc(r.bars, func(b bar) bool { return b.device == device })
}

func (p *plot) axis(s *svg, x scale, bottom float64) {
	for _, t := range x.ticks {
		s.line("grid", x.x(t), firstRow, x.x(t), bottom+4)
		s.text("text", middle, x.x(t), bottom+18, fmt.Sprintf("%g", t))
	}
}

func (p *plot) row(s *svg, x scale, top float64, r row) {
	const baseline = 4 // below a line's middle
	s.text("text", end, plotLeft-10, top+r.height()/2+baseline, r.title)
	y := top + rowGap/2
	for _, b := range r.bars {
		centre := y + barPitch/2
		from, to := x.x(min(b.Median, 1)), x.x(max(b.Median, 1))
		s.rect(colour(b.device), from, centre-barHeight/2.0, to-from, barHeight,
			fmt.Sprintf("%s, %s: %s (%s to %s)", p.devices[b.device], r.title, ratio(b.Median), ratio(b.Min), ratio(b.Max)))
		s.line("range", x.x(b.Min), centre, x.x(b.Max), centre)
		if b.Median < 1 {
			s.text("value", end, min(from, x.x(b.Min))-4, centre+baseline, ratio(b.Median))
		} else {
			s.text("value", start, max(to, x.x(b.Max))+4, centre+baseline, ratio(b.Median))
		}
		y += barPitch
	}
}

// colours are the devices', from the second on. Each stands out from both papers.
var colours = []string{"#2f81f7", "#8250df", "#1a7f37", "#bf8700", "#7d8590", "#cf222e"}

// colour is the class of a device's bars.
func colour(device int) string { return fmt.Sprintf("device%d", (device-1)%len(colours)) }

// style has a light and a dark paper, and goes by what the reader's system prefers: an
// image in a page does not know what the page has.
var style = func() string {
	var b strings.Builder
	b.WriteString(`.paper { fill: #ffffff }
text { fill: #1f2328; font: 12px system-ui, sans-serif }
.title { font-weight: 600; font-size: 14px }
.value { font-size: 10px }
.grid { stroke: #d8dee4 }
.one { stroke: #1f2328; stroke-width: 1.5 }
.range { stroke: #57606a; stroke-width: 1.5 }
`)
	for i, c := range colours {
		fmt.Fprintf(&b, ".device%d { fill: %s }\n", i, c)
	}
	b.WriteString(`@media (prefers-color-scheme: dark) {
.paper { fill: #0d1117 }
text { fill: #e6edf3 }
.grid { stroke: #30363d }
.one { stroke: #e6edf3 }
.range { stroke: #b1bac4 }
}
`)
	return b.String()
}()
