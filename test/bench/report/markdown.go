package report

import (
	"fmt"
	"strings"
)

// The marks of what a run writes into a document; all around them is written by
// hand.
const (
	beginMark = "<!-- measured: begin, written by `make bench` -->"
	endMark   = "<!-- measured: end -->"
)

// Into returns a document with the report in the place of an older one, between
// the marks. Nothing else is changed. The document finds the charts in a directory.
func (r Report) Into(document, charts string) (string, error) {
	before, rest, begins := strings.Cut(document, beginMark)
	_, after, ends := strings.Cut(rest, endMark)
	if !begins || !ends {
		return "", fmt.Errorf("it has no line %q with a line %q behind it, where the figures would go", beginMark, endMark)
	}
	return before + beginMark + "\n\n" + r.Markdown(charts) + "\n" + endMark + after, nil
}

// Markdown writes the facts, the charts, a table of ratios and one of medians, the
// notes, and a table of each round's values. The charts are linked from a directory,
// and left out where that is "".
func (r Report) Markdown(charts string) string {
	var b strings.Builder
	list(&b, r.Facts)
	if charts != "" {
		for _, c := range r.Charts() {
			fmt.Fprintf(&b, "![%s](%s/%s)\n\n", c.Title, charts, c.Name)
		}
	}
	fmt.Fprintf(&b, "Ratios to %s: the median of all rounds, and in parentheses the least and the greatest:\n\n", r.Devices[0])
	r.ratios(&b)
	b.WriteString("\nMedians of the values, and how many CPUs of the machine were busy:\n\n")
	r.medians(&b)
	b.WriteString("\n")
	list(&b, r.Notes)
	b.WriteString("Each round by itself; in parentheses what was offered:\n\n")
	r.rounds(&b)
	return b.String()
}

func list(b *strings.Builder, items []string) {
	for _, i := range items {
		fmt.Fprintf(b, "- %s\n", i)
	}
	b.WriteString("\n")
}

// ratios has a line for each figure.
func (r Report) ratios(b *strings.Builder) {
	head := append([]string{"figure"}, r.Devices[1:]...)
	head = append(head, "measured by")
	writeRow(b, head)
	writeRow(b, rule(len(head)))
	for _, f := range r.Figures {
		row := []string{f.title()}
		for d := range r.Devices[1:] {
			row = append(row, f.ratioCell(d+1))
		}
		writeRow(b, append(row, "`make bench FIGURES="+f.Measurement+"`"))
	}
}

// medians has a line for each figure.
func (r Report) medians(b *strings.Builder) {
	head := append([]string{"figure"}, r.Devices...)
	writeRow(b, head)
	writeRow(b, rule(len(head)))
	for _, f := range r.Figures {
		row := []string{f.title()}
		for d := range r.Devices {
			row = append(row, f.valueCell(d))
		}
		writeRow(b, row)
	}
}

func (f Figure) title() string {
	if f.LessIsGood {
		return f.Title + " (less is better)"
	}
	return f.Title
}

func (f Figure) ratioCell(device int) string {
	s := f.Ratios(device)
	if ratio(s.Median) == none {
		return none
	}
	return fmt.Sprintf("**%s** (%s to %s)", ratio(s.Median), ratio(s.Min), ratio(s.Max))
}

// valueCell has the median, and how many CPUs it took.
func (f Figure) valueCell(device int) string {
	text := f.Unit.text(f.Values(device).Median)
	if n := f.CPUs(device); n > 0 {
		text += fmt.Sprintf(", %.1f CPUs", n)
	}
	return text
}

// rounds has a line for each figure and device that has any values.
func (r Report) rounds(b *strings.Builder) {
	head := []string{"figure", "of"}
	count := 0
	for _, f := range r.Figures {
		count = max(count, len(f.Rounds))
	}
	for n := range count {
		head = append(head, fmt.Sprintf("round %d", n+1))
	}
	writeRow(b, head)
	writeRow(b, rule(len(head)))
	for _, f := range r.Figures {
		for d, name := range r.Devices {
			if len(f.values(d, value)) == 0 {
				continue
			}
			row := []string{f.Title, name}
			for _, round := range f.Rounds {
				row = append(row, f.Unit.Sample(round[d]))
			}
			writeRow(b, row)
		}
	}
}

// Sample writes what was delivered, and in parentheses what was offered where
// that was counted.
func (u Unit) Sample(s Sample) string {
	text := u.text(s.Value)
	if s.Offered > 0 {
		text += fmt.Sprintf(" (%s)", u.text(s.Offered))
	}
	return text
}

func rule(columns int) []string {
	return strings.Split(strings.Repeat("---,", columns-1)+"---", ",")
}

func writeRow(b *strings.Builder, cells []string) {
	fmt.Fprintf(b, "| %s |\n", strings.Join(cells, " | "))
}
