package api

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"vxgw/gateway/forward"
)

// Between these docs/operations.md has the reasons.
const (
	reasonsBegin = "<!-- reasons: begin, written by `go test ./gateway/api -run TestOperationsDocs -update` -->\n"
	reasonsEnd   = "<!-- reasons: end -->\n"
)

// ofReasons is how an alert names the reasons that it is for, or with !~ those that it is
// not for.
var ofReasons = regexp.MustCompile(`vxgw_drops_total\{reason(=~|=|!~)"([^"]*)"\}`)

// alertsOfReasons returns which alert fires for each reason, and the reasons that none
// does because they are by design.
func alertsOfReasons(t *testing.T) (alerts map[string]string, byDesign []string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(docs, "prometheus/vxgw.rules.yml"))
	if err != nil {
		t.Fatal(err)
	}
	alerts = map[string]string{}
	for rule := range strings.SplitSeq(string(text), "- alert: ") {
		name, body, _ := strings.Cut(rule, "\n")
		if strings.Contains(body, "vxgw_storm_active") {
			alerts["storm"] = name // by a metric of its own
		}
		for _, m := range ofReasons.FindAllStringSubmatch(body, -1) {
			reasons := strings.Split(m[2], "|")
			if m[1] == "!~" {
				byDesign = append(byDesign, reasons...)
				continue
			}
			for _, r := range reasons {
				alerts[r] = name
			}
		}
	}
	if len(alerts) < 10 || len(byDesign) == 0 {
		t.Fatalf("%d reasons have alerts, %d are by design", len(alerts), len(byDesign))
	}
	return alerts, byDesign
}

func reasonsTable(t *testing.T) string {
	alerts, byDesign := alertsOfReasons(t)
	var b strings.Builder
	b.WriteString("\n| reason | direction | what it means | what to do | alert |\n|---|---|---|---|---|\n")
	for r := forward.None + 1; r < forward.NumReasons; r++ {
		alert := "-"
		if name := alerts[r.String()]; name != "" {
			alert = "`" + name + "`"
		} else if slices.Contains(byDesign, r.String()) {
			alert = "*by design*"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s |\n", r, directions(r), r.Meaning(), r.Mend(), alert)
	}
	return b.String() + "\n"
}

// TestOperationsDocs holds that docs/operations.md has every reason, as the gateway
// explains it, with the alert that fires.
func TestOperationsDocs(t *testing.T) {
	file := filepath.Join(docs, "operations.md")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, begins := strings.Cut(string(text), reasonsBegin)
	_, after, ends := strings.Cut(rest, reasonsEnd)
	if !begins || !ends {
		t.Fatalf("%s has no place for the reasons", file)
	}
	want := before + reasonsBegin + reasonsTable(t) + reasonsEnd + after
	if *update {
		if err := os.WriteFile(file, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if string(text) != want {
		t.Errorf("%s is not what it ought to be: go test ./gateway/api -run TestOperationsDocs -update", file)
	}
}
