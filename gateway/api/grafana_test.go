package api

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// grafana is what a test reads of a dashboard, of schema version 39 (Grafana 10.4).
type grafana struct {
	Title         string `json:"title"`
	UID           string `json:"uid"`
	SchemaVersion int    `json:"schemaVersion"`
	Templating    struct {
		List []struct {
			Name  string `json:"name"`
			Type  string `json:"type"`
			Query any    `json:"query"`
		} `json:"list"`
	} `json:"templating"`
	Panels []struct {
		ID          int    `json:"id"`
		Type        string `json:"type"`
		Title       string `json:"title"`
		Description string `json:"description"`
		GridPos     struct{ X, Y, W, H int }
		Datasource  struct{ UID string }
		FieldConfig struct {
			Defaults struct{ Unit string }
		}
		Targets []struct {
			Expr       string `json:"expr"`
			RefID      string `json:"refId"`
			Datasource struct{ UID string }
		} `json:"targets"`
	} `json:"panels"`
}

func dashboard(t *testing.T) (d grafana) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(docs, "grafana/vxgw.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &d); err != nil {
		t.Fatal(err)
	}
	return d
}

// TestGrafana holds that the dashboard asks for what there is, and that its panels are
// whole: Grafana shows an error in one that is not, and says nothing when it loads it.
func TestGrafana(t *testing.T) {
	d := dashboard(t)
	if d.Title == "" || d.UID == "" || d.SchemaVersion == 0 || len(d.Panels) < 10 {
		t.Errorf("%q, uid %q, schema %d, %d panels", d.Title, d.UID, d.SchemaVersion, len(d.Panels))
	}
	all := gathered(t)
	for _, v := range d.Templating.List {
		if q, ok := v.Query.(map[string]any); ok {
			checkQuery(t, "variable "+v.Name, q["query"].(string), all)
		}
	}
	ids, taken, shown := map[int]bool{}, map[[2]int]string{}, map[string]bool{}
	for _, p := range d.Panels {
		if ids[p.ID] || p.ID == 0 {
			t.Errorf("%s: id %d is there twice, or none", p.Title, p.ID)
		}
		ids[p.ID] = true
		for x := p.GridPos.X; x < p.GridPos.X+p.GridPos.W; x++ {
			for y := p.GridPos.Y; y < p.GridPos.Y+p.GridPos.H; y++ {
				if other, ok := taken[[2]int{x, y}]; ok {
					t.Fatalf("%s lies on %s", p.Title, other)
				}
				taken[[2]int{x, y}] = p.Title
			}
		}
		if p.GridPos.X+p.GridPos.W > 24 {
			t.Errorf("%s reaches beyond the right edge", p.Title)
		}
		if p.Type == "row" {
			continue
		}
		if len(p.Targets) == 0 || p.Datasource.UID != "${datasource}" || p.Description == "" {
			t.Errorf("%s lacks queries, a data source that can be chosen, or a description", p.Title)
		}
		for _, q := range p.Targets {
			checkQuery(t, p.Title, q.Expr, all)
			if q.RefID == "" || q.Datasource.UID != "${datasource}" || !strings.Contains(q.Expr, `instance=~"$instance"`) {
				t.Errorf("%s: %s has no refId, data source or instance", p.Title, q.Expr)
			}
			for _, s := range selector.FindAllStringSubmatch(q.Expr, -1) {
				shown[s[1]] = true
			}
		}
	}
	for name := range all {
		if !shown[name] {
			t.Errorf("no panel shows %s", name)
		}
	}
}
