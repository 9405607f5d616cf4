package config

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// The documents that are made of the schema are what it makes now.
func TestReferenceIsTheDocumented(t *testing.T) {
	golden(t, "../docs/configuration.md", Reference())
	golden(t, "../docs/vxgw.schema.json", string(JSONSchema()))
}

func TestReferenceIsComplete(t *testing.T) {
	is := Reference()
	fileTable.each(func(tb *table) {
		for _, k := range tb.keys {
			if !strings.Contains(is, "| `"+k.name+"` | "+cellText(k.doc)+" | ") {
				t.Errorf("%s %s is not in it", tb.header(), k.name)
			}
			if len(k.kind.json) == 0 {
				t.Errorf("%s %s has no JSON Schema", tb.header(), k.name)
			}
		}
	})
	for line := range strings.Lines(is) {
		if strings.HasPrefix(line, "|") && strings.Count(strings.ReplaceAll(line, `\|`, ""), "|") != 6 {
			t.Errorf("a row has not five cells: %s", line)
		}
	}
}

func compiledSchema(t testing.TB) *jsonschema.Schema {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(strings.NewReader(string(JSONSchema())))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("vxgw.schema.json", doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("vxgw.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// bySchema asks the JSON Schema about a file.
func bySchema(t testing.TB, s *jsonschema.Schema, text string) error {
	t.Helper()
	raw, err := decodeTOML(text)
	if err != nil {
		return err
	}
	asJSON, err := json.Marshal(raw)
	if err != nil {
		return err
	}
	doc, err := jsonschema.UnmarshalJSON(strings.NewReader(string(asJSON)))
	if err != nil {
		t.Fatal(err)
	}
	return s.Validate(doc)
}

// An editor accepts what the gateway accepts, and points at what it can see is wrong.
func TestJSONSchema(t *testing.T) {
	s := compiledSchema(t)
	for name, text := range map[string]string{
		"the sample": Sample(), "the sample uncommented": uncommented(Sample()), "base": base, "routed": routed,
		"a number for dscp": "[underlay]\naddress = \"192.0.2.1\"\ndscp = 46\n",
		"one hop":           "[underlay]\naddress = \"192.0.2.1\"\n[[vrf]]\nname = \"red\"\n[[vrf.route]]\nprefix = \"0.0.0.0/0\"\nvia = \"10.0.0.1\"\n",
		"two hops":          "[underlay]\naddress = \"192.0.2.1\"\n[[vrf]]\nname = \"red\"\n[[vrf.route]]\nprefix = \"0.0.0.0/0\"\nvia = [\"10.0.0.1\", \"10.0.0.2\"]\n",
	} {
		if err := bySchema(t, s, text); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	const ok = "[underlay]\naddress = \"192.0.2.1\"\n"
	for name, text := range map[string]string{
		"no underlay":          "[gateway]\nname = \"gw\"\n",
		"no address":           "[underlay]\nport = 4789\n",
		"an unknown key":       ok + "adress = \"192.0.2.1\"\n",
		"an unknown table":     ok + "[datpath]\nmode = \"raw\"\n",
		"a number as text":     ok + "port = \"4789\"\n",
		"out of range":         ok + "ttl = 0\n",
		"a fraction":           ok + "ttl = 1.5\n",
		"a DSCP out of range":  ok + "dscp = 64\n",
		"a word for a boolean": ok + "df = \"yes\"\n",
		"none of the words":    ok + "[log]\nlevel = \"loud\"\n",
		"text for a list":      ok + "[[vni]]\nid = 1\nflood = \"192.0.2.2\"\n",
		"twice in a list":      ok + "[[vni]]\nid = 1\nflood = [\"192.0.2.2\", \"192.0.2.2\"]\n",
		"a number in a list":   ok + "[[vni]]\nid = 1\nflood = [7]\n",
		"one table of many":    ok + "[vni]\nid = 1\n",
		"no id":                ok + "[[vni]]\nvlan = 1\n",
	} {
		if bySchema(t, s, text) == nil {
			t.Errorf("%s passes", name)
		}
		if _, err := Parse("f", []byte(text)); err == nil {
			t.Errorf("%s is no mistake", name)
		}
	}
}

// What Parse accepts the schema accepts.
func FuzzJSONSchema(f *testing.F) {
	for _, text := range []string{base, routed, uncommented(Sample()), "underlay = {address = \"2001:db8::1\"}\nvni = []\nport = []\n"} {
		f.Add(text)
	}
	s := compiledSchema(f)
	f.Fuzz(func(t *testing.T, text string) {
		if _, err := Parse("f", []byte(text)); err != nil {
			return
		}
		if err := bySchema(t, s, text); err != nil {
			t.Fatalf("%s\n%v", text, err)
		}
	})
}
