package api

import (
	"cmp"
	"fmt"
	"io"
	"slices"
)

// WriteDropFrames writes dropped frames as a table for people, and under it how many of
// each reason there is no frame of. counts is what was counted; width is as View has it.
func WriteDropFrames(w io.Writer, rows []DropFrameRow, counts []DropRow, reason string, width int) error {
	if len(rows) == 0 {
		none := "no dropped frame is remembered"
		if reason != "" {
			none += " of reason " + reason
		}
		if _, err := fmt.Fprintln(w, none); err != nil {
			return err
		}
	}
	t := newLayout(w, width, column{head: "TIME"}, column{head: "REASON"}, column{head: "WHERE"}, column{head: "VNI", right: true}, column{head: "LENGTH", right: true}, column{head: "FRAME", clip: true})
	for i := range rows {
		r := &rows[i]
		if err := t.row(r.Time.Local().Format("2006-01-02 15:04:05.000"), r.Reason, r.where(), numberOrNone(r.VNI), number(r.Length), r.Summary); err != nil {
			return err
		}
	}
	if err := t.end(); err != nil {
		return err
	}
	return writeUnseen(w, rows, counts, reason)
}

// where says where a frame was seen, and that it was leaving.
func (r *DropFrameRow) where() string {
	at := r.Direction
	switch {
	case r.Port != "":
		at = r.Port
	case r.VTEP != "":
		at = r.VTEP
	}
	if r.Sent {
		return "to " + at
	}
	return at
}

// writeUnseen says of how many drops there is no frame. Each of a reason that is
// dropped often is counted, and only some are kept.
func writeUnseen(w io.Writer, rows []DropFrameRow, counts []DropRow, reason string) error {
	kept := make(map[[2]string]uint64)
	for i := range rows {
		kept[[2]string{rows[i].Reason, rows[i].Direction}]++
	}
	slices.SortStableFunc(counts, func(a, b DropRow) int { return cmp.Compare(b.Count, a.Count) })
	for _, c := range counts {
		n := kept[[2]string{c.Reason, c.Direction}]
		if c.Count <= n || reason != "" && c.Reason != reason {
			continue
		}
		if _, err := fmt.Fprintf(w, "%d more of %s (%s) were counted\n", c.Count-n, c.Reason, c.Direction); err != nil {
			return err
		}
	}
	return nil
}
