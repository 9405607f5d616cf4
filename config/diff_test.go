package config

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func parsed(t *testing.T, text string) *Config {
	t.Helper()
	c, err := Parse("f", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestDiff(t *testing.T) {
	const old = `[gateway]
name = "gw"
[underlay]
address = "192.0.2.1"
[[vni]]
id = 1
vlan = 1
flood = ["192.0.2.2", "192.0.2.3"]
[[vni]]
id = 2
vlan = 2
flood = ["192.0.2.2"]
[[port]]
interface = "eth1"
vlan = 1
[[port]]
interface = "eth2"
vlan = 2
[[mac]]
vni = 1
address = "02:00:00:00:00:01"
vtep = "192.0.2.9"
[[vrf]]
name = "red"
`
	tests := []struct {
		name, from, to string
		want           []string
		restart        string
	}{
		{"nothing", "# x", "# y", nil, ""},
		{"live setting", "[gateway]", "[log]\nlevel = \"debug\"\n[gateway]", []string{"~ log.level"}, ""},
		{"setting for the next start", `address = "192.0.2.1"`, "address = \"192.0.2.7\"\nttl = 9", []string{"~ underlay.address (at the next start)", "~ underlay.ttl (at the next start)"}, "underlay.address underlay.ttl"},
		{"port added", "[[mac]]", "[[port]]\ninterface = \"eth3\"\nvlan = 1\n[[mac]]", []string{"+ port eth3"}, ""},
		{"port moved", "interface = \"eth2\"\nvlan = 2", "interface = \"eth2\"\nvlan = 1", []string{"~ port eth2"}, ""},
		{"port renamed", `"eth2"`, `"eth4"`, []string{"- port eth2", "+ port eth4"}, ""},
		{"vlan of a vni", "id = 2\nvlan = 2", "id = 2\nvlan = 3\n[[port]]\ninterface = \"eth9\"\nvlan = 3\n[[vni]]\nid = 3\nvlan = 2\nflood = [\"192.0.2.8\"]\n[[vni]]\nid = 4",
			[]string{"+ vni 3", "+ vni 4", "~ vni 2", "+ port eth9", "~ port eth2", "- vtep 192.0.2.2 in vni 2", "+ vtep 192.0.2.8 in vni 3", "+ vtep 192.0.2.2 in vni 4"}, ""},
		{"vtep taken out", `, "192.0.2.3"`, ``, []string{"~ vni 1", "- vtep 192.0.2.3 in vni 1"}, ""},
		{"mac moved", `vtep = "192.0.2.9"`, `port = "eth1"`, []string{"- vtep 192.0.2.9 in vni 1", "~ mac 02:00:00:00:00:01 in vni 1"}, ""},
		{"vrf renamed", `"red"`, `"blue"`, []string{"- vrf red", "+ vrf blue"}, ""},
		{"gateway named anew", `"gw"`, `"wg"`, []string{"~ gateway.name"}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := Diff(parsed(t, old), parsed(t, strings.Replace(old, tt.from, tt.to, 1)))
			if diff := cmp.Diff(tt.want, c.Lines()); diff != "" {
				t.Errorf("-want +got\n%s", diff)
			}
			if got := strings.Join(c.RestartNeeded, " "); got != tt.restart {
				t.Errorf("RestartNeeded = %q, want %q", got, tt.restart)
			}
			if c.Empty() != (len(tt.want) == 0) {
				t.Errorf("Empty = %v", c.Empty())
			}
		})
	}
}

func TestDiffKnowsBothSides(t *testing.T) {
	a := parsed(t, base)
	b := parsed(t, strings.Replace(base, `"192.0.2.2"`, `"192.0.2.3"`, 1))
	c := Diff(a, b)
	if len(c.VNIs.Changed) != 1 || c.VNIs.Changed[0].Old.Flood[0] != netip.MustParseAddr("192.0.2.2") || c.VNIs.Changed[0].New.Flood[0] != netip.MustParseAddr("192.0.2.3") {
		t.Errorf("VNIs = %+v", c.VNIs)
	}
	if len(c.Remotes.Added) != 1 || c.Remotes.Added[0] != (Remote{10010, netip.MustParseAddr("192.0.2.3")}) {
		t.Errorf("Remotes = %+v", c.Remotes)
	}
}

// TestSettingsAreComplete checks that Diff sees a change of any key outside of
// arrays.
func TestSettingsAreComplete(t *testing.T) {
	var want, got []string
	for _, tb := range fileTable.kids {
		for _, k := range tb.keys {
			if !tb.array {
				want = append(want, tb.name+"."+k.name)
			}
		}
	}
	for _, s := range settings(&Config{}) {
		got = append(got, s.table.name+"."+s.key)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}

// TestDiffOfEverySetting changes each of them in turn.
func TestDiffOfEverySetting(t *testing.T) {
	for key, line := range map[string]string{
		"gateway.name": "gateway.name = \"other\"", "underlay.interface": "underlay.interface = \"und0\"", "underlay.port": "underlay.port = 8472",
		"underlay.vlan": "underlay.vlan = 77", "underlay.ttl": "underlay.ttl = 9", "underlay.dscp": "underlay.dscp = 0", "underlay.df": "underlay.df = false",
		"underlay.udp_checksum": "underlay.udp_checksum = true", "underlay.source_ports": "underlay.source_ports = \"1-2\"",
		"underlay.reserved_bits": "underlay.reserved_bits = \"strict\"", "underlay.pmtu_probe": "underlay.pmtu_probe = false", "underlay.bypass": "underlay.bypass = false", "datapath.mode": "datapath.mode = \"raw\"", "datapath.workers": "datapath.workers = 1",
		"datapath.mac_limit": "datapath.mac_limit = 1", "api.socket": "api.socket = \"/s\"", "api.http": "api.http = \"\"",
		"log.level": "log.level = \"warn\"", "log.format": "log.format = \"json\"",
	} {
		own := "underlay.address = \"192.0.2.1\"\n"
		if key == "underlay.vlan" {
			own += "underlay.interface = \"und0\"\n"
		}
		if got := Diff(parsed(t, own), parsed(t, own+line)).Settings; len(got) != 1 || got[0] != key {
			t.Errorf("%s: Settings = %v", key, got)
		}
	}
}
