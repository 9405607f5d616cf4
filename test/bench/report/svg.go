package report

import (
	"encoding/xml"
	"fmt"
	"strconv"
	"strings"
)

// svg writes an SVG 1.1 document. Lengths are in pixels.
type svg struct{ b strings.Builder }

// begin opens a document of a size, with a title for who cannot see it, and a style.
func (s *svg) begin(width, height float64, title, style string) {
	fmt.Fprintf(&s.b, `<svg xmlns="http://www.w3.org/2000/svg" width="%s" height="%s" viewBox="0 0 %[1]s %[2]s" role="img">`+"\n", px(width), px(height))
	fmt.Fprintf(&s.b, "<title>%s</title>\n<style>\n%s</style>\n", escape(title), style)
}

// end returns the document.
func (s *svg) end() string {
	s.b.WriteString("</svg>\n")
	return s.b.String()
}

// rect draws a rectangle. What it says, where that is not "", is shown by who points
// at it.
func (s *svg) rect(class string, x, y, width, height float64, says string) {
	fmt.Fprintf(&s.b, `<rect class="%s" x="%s" y="%s" width="%s" height="%s"`, escape(class), px(x), px(y), px(width), px(height))
	if says == "" {
		s.b.WriteString("/>\n")
		return
	}
	fmt.Fprintf(&s.b, "><title>%s</title></rect>\n", escape(says))
}

func (s *svg) line(class string, x1, y1, x2, y2 float64) {
	fmt.Fprintf(&s.b, `<line class="%s" x1="%s" y1="%s" x2="%s" y2="%s"/>`+"\n", escape(class), px(x1), px(y1), px(x2), px(y2))
}

// anchor is which end of a text is at the place given for it.
type anchor string

const (
	start  anchor = "start"
	middle anchor = "middle"
	end    anchor = "end"
)

func (s *svg) text(class string, at anchor, x, y float64, text string) {
	fmt.Fprintf(&s.b, `<text class="%s" text-anchor="%s" x="%s" y="%s">%s</text>`+"\n", escape(class), at, px(x), px(y), escape(text))
}

// px writes a length with one digit behind the point at most, and the same way on
// every machine.
func px(v float64) string {
	return strings.TrimSuffix(strconv.FormatFloat(v, 'f', 1, 64), ".0")
}

// escape makes text of XML of any text. What XML has no character for becomes U+FFFD.
func escape(text string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(text)) // a Builder takes everything
	return b.String()
}
