package doctor

import (
	"bufio"
	"fmt"
	"io"
	"strings"

	"vxgw/gateway/api"
)

// words are the verdicts as they are written.
var words = map[string]string{api.CheckOK: "OK", api.CheckNote: "NOTE", api.CheckWarn: "WARN", api.CheckFail: "FAIL"}

// Write writes findings, one to a line, each with what mends it below, and counts them.
func Write(to io.Writer, all []api.Check) error {
	wide := 0
	for _, c := range all {
		wide = max(wide, len(c.Name))
	}
	w := bufio.NewWriter(to)
	count := make(map[string]int)
	for _, c := range all {
		count[c.State]++
		fmt.Fprintf(w, "%-4s  %-*s  %s\n", words[c.State], wide, c.Name, c.Says)
		if c.Mend != "" {
			fmt.Fprintf(w, "%s-> %s\n", strings.Repeat(" ", 4+2+wide+2), c.Mend)
		}
	}
	fmt.Fprintf(w, "%d OK, %d WARN, %d FAIL", count[api.CheckOK], count[api.CheckWarn], count[api.CheckFail])
	if n := count[api.CheckNote]; n > 0 {
		fmt.Fprintf(w, ", %d not known", n)
	}
	fmt.Fprintln(w)
	return w.Flush()
}
