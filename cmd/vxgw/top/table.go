package top

import (
	"cmp"
	"math"
	"slices"
	"strings"

	"github.com/charmbracelet/x/ansi"
)

// column is one column of a table.
type column struct {
	head  string
	right bool // numbers end under each other, and are sorted from the largest
	id    bool // ... but these, which only name something
	clip  int  // a text that may be shortened to so many characters; 0: it may not
	spare int  // where there is no room: those with the highest go first; 0: never
	empty bool // left out while no row has anything in it
}

// cell is what a row has in a column.
type cell struct {
	text string
	by   float64 // what a number is sorted by
}

func word(s string) cell { return cell{text: clean(s)} }

func count[T ~int | ~uint16 | ~uint32 | ~uint64](n T) cell {
	return cell{grouped(uint64(n)), float64(n)}
}

func rate(n float64) cell { return cell{scaled(n), n} }

// row is one row of a table. Its key stays from one poll to the next.
type row struct {
	key   string
	cells []cell
	more  string // what the filter looks at beside the cells
	bad   bool   // something is wrong with it
}

// has reports whether a row has all of these words in it, in lower case.
func (r *row) has(words []string) bool {
	var b strings.Builder
	for _, c := range r.cells {
		b.WriteString(c.text + " ")
	}
	b.WriteString(r.more)
	all := strings.ToLower(b.String())
	return !slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(all, w) })
}

// filtered keeps the rows that have all words of a filter in them.
func filtered(rows []row, filter string) []row {
	words := strings.Fields(strings.ToLower(filter))
	return slices.DeleteFunc(rows, func(r row) bool { return !r.has(words) })
}

// order sorts rows by a column. Rows that are alike there stay in the order of the first
// column, so that they do not change places at every poll.
func order(rows []row, columns []column, by int, reverse bool) {
	slices.SortStableFunc(rows, func(a, b row) int {
		n := compare(columns[by], a.cells[by], b.cells[by])
		if reverse {
			n = -n
		}
		return cmp.Or(n, compare(columns[0], a.cells[0], b.cells[0]), strings.Compare(a.key, b.key))
	})
}

func compare(c column, a, b cell) int {
	switch {
	case c.falls():
		return cmp.Compare(known(b.by), known(a.by))
	case c.right:
		return cmp.Compare(a.by, b.by)
	}
	return natural(a.text, b.text)
}

// falls reports whether rows are sorted from the largest.
func (c column) falls() bool { return c.right && !c.id }

// known puts what is not known below all that is.
func known(n float64) float64 {
	if math.IsNaN(n) {
		return -1
	}
	return n
}

// natural compares texts with the numbers in them by their value: eth2 before eth10, and
// 192.0.2.9 before 192.0.2.10.
func natural(a, b string) int {
	for a != "" && b != "" {
		x, restA := digits(a)
		y, restB := digits(b)
		if x == "" || y == "" {
			if a[0] != b[0] {
				return cmp.Compare(a[0], b[0])
			}
			a, b = a[1:], b[1:]
			continue
		}
		x, y = strings.TrimLeft(x, "0"), strings.TrimLeft(y, "0")
		if n := cmp.Or(cmp.Compare(len(x), len(y)), strings.Compare(x, y)); n != 0 {
			return n
		}
		a, b = restA, restB
	}
	return cmp.Compare(len(a), len(b))
}

// digits cuts off the digits that a text begins with.
func digits(s string) (number, rest string) {
	n := 0
	for n < len(s) && s[n] >= '0' && s[n] <= '9' {
		n++
	}
	return s[:n], s[n:]
}

// margin is what stands in front of a row: the mark of the one that is chosen.
const margin = 2

// layout is how wide each column is; 0: it is left out.
type layout struct {
	columns []column
	widths  []int
}

// sorted is the head of the column that rows are sorted by.
func (c column) sorted(reverse bool) string {
	if c.falls() != reverse {
		return c.head + "▼"
	}
	return c.head + "▲"
}

// fit finds a layout in which rows have room in a line. heads are those of the columns.
func fit(columns []column, heads []string, rows []row, width int) layout {
	l := layout{columns, make([]int, len(columns))}
	for i, c := range columns {
		filled := !c.empty
		for _, r := range rows {
			l.widths[i] = max(l.widths[i], ansi.StringWidth(r.cells[i].text))
		}
		if filled = filled || l.widths[i] > 0; filled {
			l.widths[i] = max(l.widths[i], ansi.StringWidth(heads[i]))
		}
	}
	for over := l.total() - width; over > 0; over = l.total() - width {
		if !l.shorten(over) && !l.drop() {
			break // lines are cut
		}
	}
	return l
}

func (l layout) total() int {
	n := margin
	for _, w := range l.widths {
		if w > 0 {
			n += w + 2
		}
	}
	return n - 2
}

// shorten makes room in the widest column that may be shortened.
func (l layout) shorten(over int) bool {
	widest, room := -1, 0
	for i, c := range l.columns {
		if r := l.widths[i] - c.clip; c.clip > 0 && l.widths[i] > 0 && r > room {
			widest, room = i, r
		}
	}
	if widest < 0 {
		return false
	}
	l.widths[widest] -= min(over, room)
	return true
}

// drop leaves out the column that is needed least.
func (l layout) drop() bool {
	least := -1
	for i, c := range l.columns {
		if l.widths[i] > 0 && c.spare > 0 && (least < 0 || c.spare > l.columns[least].spare) {
			least = i
		}
	}
	if least < 0 {
		return false
	}
	l.widths[least] = 0
	return true
}

// line writes texts in their columns, without blanks at the end.
func (l layout) line(mark string, texts func(i int) string) string {
	var b strings.Builder
	b.WriteString(mark)
	used := margin
	for i, w := range l.widths {
		if w == 0 {
			continue
		}
		if used > margin {
			b.WriteString("  ")
		}
		used += w
		text := shorten(texts(i), w)
		pad := strings.Repeat(" ", w-ansi.StringWidth(text))
		if l.columns[i].right {
			b.WriteString(pad + text)
		} else {
			b.WriteString(text + pad)
		}
	}
	return strings.TrimRight(b.String(), " ")
}

// shorten cuts a text to so many characters, and shows that it did.
func shorten(text string, width int) string {
	tail := "..."
	if width < 8 {
		tail = ""
	}
	return ansi.Truncate(text, width, tail)
}
