package api

import (
	"fmt"
	"io"
	"strings"
)

// WriteText writes the explanation for people: the questions with their answers,
// the verdict, and where the copies go or what to do.
func (e Explanation) WriteText(w io.Writer) error {
	width := 0
	for _, s := range e.Steps {
		width = max(width, len(s.Question))
	}
	var b strings.Builder
	for i, s := range e.Steps {
		fmt.Fprintf(&b, "%2d. %-*s  %s\n", i+1, width, s.Question, s.Answer)
	}
	b.WriteString("verdict: " + e.Verdict)
	if e.Reason != "" {
		b.WriteString(" (" + e.Reason + ")")
	}
	b.WriteByte('\n')
	for _, c := range e.Copies {
		b.WriteString("  copy to " + c + "\n")
	}
	if e.Mend != "" {
		b.WriteString("mend: " + e.Mend + "\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}
