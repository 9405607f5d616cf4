package api

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"vxgw/gateway/forward"
)

// docs is where the documentation is.
const docs = "../../docs"

// metric is one metric as it is scraped.
type metric struct {
	kind, help string
	labels     []string
}

// full is a gateway that has a sample of every metric.
func full() *fake {
	src := busy()
	src.vteps[0].PathMTU = 1500
	src.ports[0].Storm = []StormRow{{Kind: "broadcast", Direction: "rx", Limit: 1000, Dropped: 7, Active: true}}
	return src
}

// gathered returns all metrics of vxgw's own, by name.
func gathered(t *testing.T) map[string]metric {
	t.Helper()
	reg := prometheus.NewPedanticRegistry()
	reg.MustRegister(collector{src: full(), server: New(full(), Options{Commit: waits()}), version: "v1", revision: "abc"})
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	all := make(map[string]metric)
	for _, f := range families {
		m := metric{kind: strings.ToLower(f.GetType().String()), help: f.GetHelp()}
		for _, sample := range f.GetMetric() {
			for _, l := range sample.GetLabel() {
				if !slices.Contains(m.labels, l.GetName()) {
					m.labels = append(m.labels, l.GetName())
				}
			}
		}
		slices.Sort(m.labels)
		all[f.GetName()] = m
	}
	return all
}

const metricsHead = `# Metrics

What ` + "`GET /metrics`" + ` on ` + "`[api] http`" + ` has, by default ` + "`http://127.0.0.1:9279/metrics`" + `. Counters begin at
zero when the gateway starts. Beside these there are Go's own (` + "`go_*`" + `) and the
process's (` + "`process_*`" + `).

In ` + "[grafana/vxgw.json](grafana/vxgw.json)" + ` is a dashboard for Grafana that shows them, and in
` + "[prometheus/vxgw.rules.yml](prometheus/vxgw.rules.yml)" + ` are alerts for Prometheus:

` + "```yaml" + `
scrape_configs:
  - job_name: vxgw          # the alerts go by this name
    static_configs:
      - targets: ["127.0.0.1:9279"]
rule_files:
  - vxgw.rules.yml
` + "```" + `

Direction ` + "`rx`" + ` is what came in to the gateway: from the access side for a port, from the
overlay for a VNI; ` + "`tx`" + ` is what went out there. A label that is empty is one that is not
there. What a ` + "`reason`" + ` of a drop means, and what to do about it, is in the table below.

`

// metricsPage is docs/metrics.md as it ought to be.
func metricsPage(t *testing.T) string {
	var b strings.Builder
	b.WriteString(metricsHead)
	b.WriteString("| metric | type | labels | what it is |\n|---|---|---|---|\n")
	all := gathered(t)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		m := all[name]
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", name, m.kind, strings.Join(m.labels, ", "), m.help)
	}
	b.WriteString("\n## Why frames are dropped\n\nThe reasons of `vxgw_drops_total`, in the order in which a frame is questioned, with the\ndirections they occur in. `vxgw show drops` and the dashboard have the same texts.\n\n")
	b.WriteString("| reason | direction | what it means | what to do |\n|---|---|---|---|\n")
	for r := forward.None + 1; r < forward.NumReasons; r++ {
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", r, directions(r), r.Meaning(), r.Mend())
	}
	return b.String()
}

// directions lists where a reason occurs.
func directions(r forward.Reason) string {
	var where []string
	for d := range forward.NumDirections {
		if r.Occurs(d) {
			where = append(where, d.String())
		}
	}
	return strings.Join(where, ", ")
}

// TestMetricsDocs holds that every metric and every reason is documented.
func TestMetricsDocs(t *testing.T) {
	file, want := filepath.Join(docs, "metrics.md"), metricsPage(t)
	if *update {
		if err := os.WriteFile(file, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(file)
	if err != nil || string(got) != want {
		t.Errorf("%s is not what it ought to be (%v): go test ./gateway/api -run TestMetricsDocs -update", file, err)
	}
}

var (
	// selector is a metric of ours with its matchers.
	selector = regexp.MustCompile(`(vxgw_[a-z_]+)(?:\{([^}]*)\})?`)
	matcher  = regexp.MustCompile(`([a-z_]+)\s*(=~|!~|!=|=)\s*\\?"((?:[^"\\]|\\[^"])*)`)
	grouping = regexp.MustCompile(`\b(?:by|without|on|ignoring|group_left|group_right)\s*\(([^)]*)\)`)
)

// everywhere are the labels that Prometheus adds.
var everywhere = []string{"instance", "job"}

// checkQuery holds that a PromQL expression asks for metrics, labels and reasons that
// there are.
func checkQuery(t *testing.T, where, expr string, all map[string]metric) {
	t.Helper()
	labels := slices.Clone(everywhere)
	for _, s := range selector.FindAllStringSubmatch(expr, -1) {
		m, ok := all[s[1]]
		if !ok {
			t.Errorf("%s asks for %s, which there is not:\n%s", where, s[1], expr)
			continue
		}
		labels = append(labels, m.labels...)
		for _, l := range matcher.FindAllStringSubmatch(s[2], -1) {
			if !slices.Contains(m.labels, l[1]) && !slices.Contains(everywhere, l[1]) {
				t.Errorf("%s: %s has no label %s:\n%s", where, s[1], l[1], expr)
			}
			if l[1] == "reason" && s[1] == "vxgw_drops_total" {
				checkReasons(t, where, l[3])
			}
		}
	}
	for _, g := range grouping.FindAllStringSubmatch(expr, -1) {
		for l := range strings.FieldsFuncSeq(g[1], func(r rune) bool { return r == ',' || r == ' ' }) {
			if !slices.Contains(labels, l) {
				t.Errorf("%s groups by %s, which nothing in it has:\n%s", where, l, expr)
			}
		}
	}
}

func checkReasons(t *testing.T, where, pattern string) {
	t.Helper()
	for name := range strings.SplitSeq(pattern, "|") {
		known := false
		for r := forward.None + 1; r < forward.NumReasons; r++ {
			known = known || r.String() == name
		}
		if !known {
			t.Errorf("%s names the reason %q, which there is not", where, name)
		}
	}
}

// TestAlerts holds that the alerts ask for what there is, and say what to do.
func TestAlerts(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(docs, "prometheus/vxgw.rules.yml"))
	if err != nil {
		t.Fatal(err)
	}
	all, seen := gathered(t), 0
	for rule := range strings.SplitSeq(string(text), "- alert: ") {
		name, body, _ := strings.Cut(rule, "\n")
		if !strings.HasPrefix(name, "Vxgw") {
			continue
		}
		seen++
		_, expr, _ := strings.Cut(body, "expr:")
		expr, _, _ = strings.Cut(expr, "labels:")
		checkQuery(t, name, expr, all)
		for _, key := range []string{"severity: ", "summary: ", "description: ", "action: "} {
			if !strings.Contains(body, key) {
				t.Errorf("%s has no %s", name, key)
			}
		}
	}
	if seen < 10 {
		t.Errorf("%d alerts were found", seen)
	}
}

// TestPromtool holds that Prometheus takes the rules and the queries of the dashboard,
// and that the alerts fire when they ought to.
func TestPromtool(t *testing.T) {
	promtool, err := exec.LookPath("promtool")
	if err != nil {
		t.Skip("needs promtool, which comes with prometheus; names and labels are looked at without it")
	}
	queries := filepath.Join(t.TempDir(), "queries.yml")
	if err := os.WriteFile(queries, queryRules(t), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"check", "rules", "vxgw.rules.yml"}, {"test", "rules", "vxgw.rules.test.yml"}, {"check", "rules", "--lint=none", queries}} {
		cmd := exec.Command(promtool, args...)
		cmd.Dir = filepath.Join(docs, "prometheus")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
}

// queryRules writes the dashboard's queries as recording rules: promtool reads those,
// and JSON, which is YAML too.
func queryRules(t *testing.T) []byte {
	t.Helper()
	chosen := strings.NewReplacer("$__rate_interval", "5m", "$__range", "1h", "$instance", ".*", "$job", "vxgw")
	type record struct {
		Record string `json:"record"`
		Expr   string `json:"expr"`
	}
	var rules []record
	for _, p := range dashboard(t).Panels {
		for _, q := range p.Targets {
			rules = append(rules, record{fmt.Sprintf("panel%d:%s", p.ID, q.RefID), chosen.Replace(q.Expr)})
		}
	}
	text, err := json.Marshal(map[string]any{"groups": []any{map[string]any{"name": "dashboard", "rules": rules}}})
	if err != nil {
		t.Fatal(err)
	}
	return text
}
