package api

import (
	"bufio"
	"io"
	"strings"
	"unicode/utf8"
)

// sampleRows is how many rows a table looks at before it settles how wide its
// columns are. A longer table goes on from there without being held in memory.
const sampleRows = 1000

// minClip is the least that a cell is clipped to, in characters.
const minClip = 20

// column is one column of a table.
type column struct {
	head     string
	right    bool // numbers end under each other
	optional bool // left out while no row has anything in it
	clip     bool // shortened to fit the line; for the last column
}

// layout writes rows as a table whose columns stand under each other. An empty
// cell becomes a dash, so that every row has as many words as the head.
type layout struct {
	w       *bufio.Writer
	columns []column
	limit   int // characters in a line, to which a column may be clipped; 0: none

	held    [][]string
	widths  []int // nil until settled
	visible []bool
	rows    int
}

func newLayout(w io.Writer, limit int, columns ...column) *layout {
	return &layout{w: bufio.NewWriter(w), columns: columns, limit: limit}
}

// row adds one row, with a cell for each column.
func (t *layout) row(cells ...string) error {
	t.rows++
	if t.widths != nil {
		return t.write(cells)
	}
	t.held = append(t.held, cells)
	if len(t.held) < sampleRows {
		return nil
	}
	return t.settle()
}

// end writes what is still held. A table without rows writes nothing at all.
func (t *layout) end() error {
	if t.rows == 0 {
		return nil
	}
	if t.widths == nil {
		if err := t.settle(); err != nil {
			return err
		}
	}
	return t.w.Flush()
}

// settle fixes the widths by the rows so far, and writes those.
func (t *layout) settle() error {
	t.widths = make([]int, len(t.columns))
	t.visible = make([]bool, len(t.columns))
	heads := make([]string, len(t.columns))
	for i, c := range t.columns {
		heads[i] = c.head
		t.widths[i] = len(c.head)
		t.visible[i] = !c.optional
		for _, cells := range t.held {
			t.widths[i] = max(t.widths[i], utf8.RuneCountInString(cells[i]))
			t.visible[i] = t.visible[i] || cells[i] != ""
		}
	}
	if err := t.write(heads); err != nil {
		return err
	}
	for _, cells := range t.held {
		if err := t.write(cells); err != nil {
			return err
		}
	}
	t.held = nil
	return nil
}

func (t *layout) write(cells []string) error {
	var line strings.Builder
	used := 0
	last := t.last()
	for i, cell := range cells {
		if !t.visible[i] {
			continue
		}
		if used > 0 {
			line.WriteString("  ")
			used += 2
		}
		cell = oneWordAtLeast(cell)
		n := utf8.RuneCountInString(cell)
		pad := strings.Repeat(" ", max(0, t.widths[i]-n))
		switch {
		case t.columns[i].right:
			line.WriteString(pad + cell)
		case t.columns[i].clip && t.limit > 0:
			line.WriteString(clip(cell, max(minClip, t.limit-used)))
		case i == last:
			line.WriteString(cell)
		default:
			line.WriteString(cell + pad)
		}
		used += max(n, t.widths[i])
	}
	line.WriteByte('\n')
	_, err := t.w.WriteString(line.String())
	return err
}

// last is the last column that is shown.
func (t *layout) last() int {
	last := 0
	for i, v := range t.visible {
		if v {
			last = i
		}
	}
	return last
}

// oneWordAtLeast puts a dash for nothing, and keeps a cell on its line whatever
// bytes are in it: the name of an interface or a VNI is somebody else's text.
func oneWordAtLeast(cell string) string {
	if cell == "" {
		return "-"
	}
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return '?'
		}
		return r
	}, cell)
}

// clip shortens text to n characters, at a space where there is one.
func clip(text string, n int) string {
	runes := []rune(text)
	if len(runes) <= n {
		return text
	}
	short := string(runes[:n-3])
	if i := strings.LastIndexByte(short, ' '); i > n/2 {
		short = short[:i]
	}
	return strings.TrimRight(short, " ,;:(") + "..."
}
