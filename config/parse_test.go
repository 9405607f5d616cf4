package config

import (
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"vxgw/l2/frame"
)

// base is a file without problems and warnings, to add lines to. It has 12
// lines.
const base = `[gateway]
name = "gw"
[underlay]
address = "192.0.2.1"
[[vni]]
id = 10010
vlan = 10
flood = ["192.0.2.2"]
[[port]]
interface = "eth1"
vlan = 10
# more
`

// problemsOf returns the lines of the error.
func problemsOf(t *testing.T, text string) string {
	t.Helper()
	cfg, err := Parse("f", []byte(text))
	if err == nil {
		return ""
	}
	if cfg != nil {
		t.Error("an error and a Config")
	}
	return err.Error()
}

// warningsOf returns the lines of the warnings of a file that has no problems.
func warningsOf(t *testing.T, text string) string {
	t.Helper()
	cfg, err := Parse("f", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return Problems(cfg.Warnings).Error()
}

func checkLines(t *testing.T, got, want string) {
	t.Helper()
	if diff := cmp.Diff(strings.Split(strings.TrimSpace(want), "\n"), strings.Split(got, "\n")); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}

func mac(s string) frame.MAC {
	m, err := frame.ParseMAC(s)
	if err != nil {
		panic(err)
	}
	return m
}

func addrs(list ...string) []netip.Addr {
	var out []netip.Addr
	for _, s := range list {
		out = append(out, netip.MustParseAddr(s))
	}
	return out
}

func prefixes(list ...string) []netip.Prefix {
	var out []netip.Prefix
	for _, s := range list {
		out = append(out, netip.MustParsePrefix(s))
	}
	return out
}

var byValue = []cmp.Option{
	cmpopts.EquateComparable(netip.Addr{}, netip.Prefix{}),
	cmpopts.IgnoreFields(Config{}, "Warnings"),
}

// usualMoves is the default.
var usualMoves = Moves{Limit: 5, Window: 180 * time.Second, Hold: 540 * time.Second}

func TestParseDefaults(t *testing.T) {
	got, err := Parse("f", []byte(base))
	if err != nil {
		t.Fatal(err)
	}
	want := &Config{
		File: "f", Name: "gw", MAC: gatewayMAC("gw"),
		Underlay: Underlay{Address: netip.MustParseAddr("192.0.2.1"), Port: 4789, TTL: 64, DSCP: DSCP{Inherit: true}, DF: true,
			SourcePorts: PortRange{49152, 65535}, ProbePMTU: true, Bypass: true},
		Datapath: Datapath{Mode: ModeAuto, MACLimit: 1048576},
		VNIs: []VNI{{ID: 10010, VLAN: 10, Flood: addrs("192.0.2.2"), Learning: true, Ageing: 300 * time.Second,
			MACLimit: 65536, Moves: usualMoves, AllowedVTEPs: prefixes("192.0.2.2/32")}},
		Ports: []Port{{Interface: "eth1", VLAN: 10, VNI: 10010, MACLimit: 1024, BPDU: BPDUDrop}},
		API:   API{Socket: "/run/vxgw/control.sock", HTTP: "127.0.0.1:9279", ReadGroup: "vxgw-ro"},
		Log:   Log{Level: "info", Format: "auto"},
	}
	if diff := cmp.Diff(want, got, byValue...); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	if len(got.Warnings) > 0 {
		t.Errorf("warnings: %v", got.Warnings)
	}
}

func TestParseEveryKey(t *testing.T) {
	got, err := Parse("f", []byte(`
[gateway]
name = "edge-1"
[underlay]
address = "2001:db8::1"
interface = "und0"
port = 8472
ttl = 12
dscp = 46
df = false
udp_checksum = false
source_ports = "1024-2047"
reserved_bits = "strict"
pmtu_probe = false
[datapath]
mode = "raw"
workers = 3
mac_limit = 5000
[[vni]]
id = 10010
vlan = 10
name = "web"
flood = ["2001:db8::2", "2001:db8::3"]
group = "ff0e::1"
learning = false
ageing = "0s"
mac_limit = 7
allowed_vteps = ["2001:db8::/64", "2001:db8:1::9"]
suppress_arp = true
move_limit = 3
move_window = "1m"
move_hold = "0s"
storm_control.broadcast = 10
storm_control.unknown_unicast = 10000000
clamp_mss = true
vrf = "red"
gateway = ["10.1.1.1/24", "2001:db8:1::1/64"]
gateway_mac = "00:00:5e:00:01:01"
[[vni]]
id = 16777215
vrf = "red"
gateway = ["10.1.2.1/31"]
[[port]]
interface = "eth1"
vlan = 10
mac_limit = 9
isolated = true
bpdu = "tunnel"
priority_tagged = "drop"
storm_control = { broadcast = 1000, multicast = 2000, unknown_unicast = 500 }
[[port]]
interface = "eth2.7"
vni = 16777215
bpdu = "shutdown"
[[mac]]
vni = 10010
address = "02:00:00:00:01:02"
vtep = "2001:db8::2"
[[mac]]
vni = 16777215
address = "0200.0000.0102"
port = "eth2.7"
[[vrf]]
name = "red"
[[vrf.route]]
prefix = "0.0.0.0/0"
via = "10.1.1.254"
[[vrf.route]]
prefix = "2001:db8:ffff::/48"
via = "2001:db8:1::fe"
[api]
socket = "/tmp/s"
read_group = "ops"
http = ""
http_hosts = ["edge-1.example.net", "e"]
[log]
level = "debug"
format = "journald"
`))
	if err != nil {
		t.Fatal(err)
	}
	want := &Config{
		File: "f", Name: "edge-1", MAC: gatewayMAC("edge-1"),
		Underlay: Underlay{Address: netip.MustParseAddr("2001:db8::1"), Interface: "und0", Port: 8472, TTL: 12, DSCP: DSCP{Value: 46},
			ZeroChecksum6: true, SourcePorts: PortRange{1024, 2047}, Strict: true, Bypass: true},
		Datapath: Datapath{Mode: ModeRaw, Workers: 3, MACLimit: 5000},
		VNIs: []VNI{
			{ID: 10010, VLAN: 10, Name: "web", Flood: addrs("2001:db8::2", "2001:db8::3"), Group: netip.MustParseAddr("ff0e::1"), MACLimit: 7,
				AllowedVTEPs: prefixes("2001:db8::/64", "2001:db8:1::9/128"), AllowedOnly: true, SuppressARP: true, ClampMSS: true, VRF: "red",
				Moves: Moves{Limit: 3, Window: time.Minute}, Storm: Storm{Broadcast: 10, UnknownUnicast: 10_000_000},
				Gateway: prefixes("10.1.1.1/24", "2001:db8:1::1/64"), RA: true, GatewayMAC: mac("00:00:5e:00:01:01")},
			{ID: 16777215, Learning: true, Ageing: 5 * time.Minute, MACLimit: 65536, Moves: usualMoves, VRF: "red", Gateway: prefixes("10.1.2.1/31"), GatewayMAC: gatewayMAC("edge-1")},
		},
		Ports: []Port{
			{Interface: "eth1", VLAN: 10, VNI: 10010, MACLimit: 9, Isolated: true, BPDU: BPDUTunnel, DropPriority: true, Storm: Storm{Broadcast: 1000, Multicast: 2000, UnknownUnicast: 500}},
			{Interface: "eth2.7", VNI: 16777215, MACLimit: 1024, BPDU: BPDUShutdown},
		},
		MACs: []StaticMAC{
			{VNI: 10010, MAC: mac("02:00:00:00:01:02"), VTEP: netip.MustParseAddr("2001:db8::2")},
			{VNI: 16777215, MAC: mac("02:00:00:00:01:02"), Port: "eth2.7"},
		},
		VRFs: []VRF{{Name: "red", Routes: []Route{
			{Prefix: netip.MustParsePrefix("0.0.0.0/0"), Hops: []RouteHop{{10010, netip.MustParseAddr("10.1.1.254")}}},
			{Prefix: netip.MustParsePrefix("2001:db8:ffff::/48"), Hops: []RouteHop{{10010, netip.MustParseAddr("2001:db8:1::fe")}}},
		}}},
		API: API{Socket: "/tmp/s", ReadGroup: "ops", HTTPHosts: []string{"edge-1.example.net", "e"}},
		Log: Log{Level: "debug", Format: "journald"},
	}
	if diff := cmp.Diff(want, got, byValue...); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}

func TestChecksumDefaults(t *testing.T) {
	tests := []struct {
		name, address, line string
		sum, zero6          bool
	}{
		{"IPv4", "192.0.2.1", "", false, false},
		{"IPv4 on", "192.0.2.1", "udp_checksum = true", true, false},
		{"IPv4 off", "192.0.2.1", "udp_checksum = false", false, false},
		{"IPv6", "2001:db8::1", "", true, false},
		{"IPv6 on", "2001:db8::1", "udp_checksum = true", true, false},
		{"IPv6 off", "2001:db8::1", "udp_checksum = false", false, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, err := Parse("f", []byte("[underlay]\naddress = \""+tt.address+"\"\n"+tt.line))
			if err != nil {
				t.Fatal(err)
			}
			if c.Underlay.Checksum != tt.sum || c.Underlay.ZeroChecksum6 != tt.zero6 {
				t.Errorf("Checksum %v, ZeroChecksum6 %v", c.Underlay.Checksum, c.Underlay.ZeroChecksum6)
			}
		})
	}
}

func TestGatewayMAC(t *testing.T) {
	a, b := gatewayMAC("edge-1"), gatewayMAC("edge-2")
	if a == b || a != gatewayMAC("edge-1") {
		t.Errorf("%v and %v: want one address for each name", a, b)
	}
	if a[0] != 0x02 {
		t.Errorf("%v is not locally administered", a)
	}
	// The address is part of what peers have learned: it must stay.
	if want := mac("02:da:28:50:bf:c3"); a != want {
		t.Errorf("gatewayMAC(edge-1) = %v, want %v", a, want)
	}
	c, err := Parse("f", []byte("[underlay]\naddress = \"192.0.2.1\"\n"))
	if err != nil {
		t.Fatal(err)
	}
	if host, _ := os.Hostname(); host != "" && c.Name != host {
		t.Errorf("Name = %q, want the host name %q", c.Name, host)
	}
}

func TestLoad(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return file
	}
	tests := []struct{ name, file, want string }{
		{"absent", filepath.Join(dir, "none"), ": there is no such file: name the right one with -c, or write it; `vxgw sample` prints a commented one"},
		{"directory", dir, ": is a directory: name the file inside it"},
		{"empty", write("empty", ""), ": the file is empty: it needs at least [underlay] address; `vxgw sample` prints a commented one"},
		{"comments only", write("comments", "# nothing\n\n"), ": the file is empty: it needs at least [underlay] address; `vxgw sample` prints a commented one"},
		{"huge", write("huge", strings.Repeat("#", MaxFile+1)), ": larger than 2097152 bytes: this is not a configuration of vxgw"},
		{"syntax", write("syntax", "[underlay]\naddress = 192.0.2.1\n"), ":2:11: not valid TOML: Invalid float value: \"192.0.2.1\": write text and addresses in \"double quotes\""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, err := Load(tt.file)
			if err == nil || c != nil || err.Error() != tt.file+tt.want {
				t.Errorf("got  %v\nwant %s", err, tt.file+tt.want)
			}
			if ps, ok := err.(Problems); !ok || len(ps) != 1 {
				t.Errorf("%T is not one Problem", err)
			}
		})
	}
	if c, err := Load(write("good", base)); err != nil || c.File != filepath.Join(dir, "good") {
		t.Errorf("a good file: %v, %v", c, err)
	}
}

func TestLoadForbidden(t *testing.T) {
	if got := unreadable(os.ErrPermission).Error(); !strings.Contains(got, "run as root") {
		t.Errorf("got %q", got)
	}
	if got := unreadable(&os.PathError{Op: "open", Path: "f", Err: os.ErrClosed}).Error(); got != "cannot be read: file already closed" {
		t.Errorf("got %q", got)
	}
}

func TestNotTOML(t *testing.T) {
	tests := []struct{ name, text, want string }{
		{"zero byte", "a = 1\n\x00", "f:2:1: has a zero byte: save the file as UTF-8 text, not UTF-16"},
		{"UTF-16", "\xff\xfea\x00", "f:1:4: has a zero byte: save the file as UTF-8 text, not UTF-16"},
		{"bad UTF-8", "a = 1\nb = \"x\xff\"\n", "f:2:7: byte 0xff is not UTF-8: save the file as UTF-8 text"},
		{"half a character", "a = \"ä\xc3", "f:1:7: byte 0xc3 is not UTF-8: save the file as UTF-8 text"},
		{"word that begins as a number", "[log]\nlevel = info\n", "f:2:12: not valid TOML: expected the end of the line, but got 'o' instead: write one key = value on a line, and text in \"double quotes\""},
		{"word", "[log]\nlevel = warn\n", "f:2:9: not valid TOML: expected value but found \"warn\" instead: write text and addresses in \"double quotes\""},
		{"capital", "[underlay]\ndf = True\n", "f:2:6: not valid TOML: expected value but found \"True\" instead: write true or false, in small letters"},
		{"no value", "[underlay]\nttl =\n", "f:2:6: not valid TOML: expected value but found the end of the line instead: write a value after the ="},
		{"open string", "[log]\r\nlevel = \"info\r\n", "f:2:14: not valid TOML: strings cannot contain newlines: close the string with its quote"},
		{"open string of wide characters", "\"울", "f:1:2: not valid TOML: unexpected end of the file; expected '\"'"},
		{"key twice", "[log]\nlevel = \"info\"\nlevel = \"warn\"\n", "f:3:1: not valid TOML: Key 'log.level' has already been defined. Write it once"},
		{"table twice", "[log]\n[api]\n[log]\n", "f:3:2: not valid TOML: Key 'log' has already been defined. Write it once"},
		{"colon", "[log]\nlevel: info\n", "f:2:6: not valid TOML: expected '.' or '=', but got ':' instead: write key = value"},
		{"open header", "[log\nlevel = 1\n", "f:1:5: not valid TOML: expected '.' or ']' to end table name, but got the end of the line instead"},
		{"large number", "[underlay]\nport = 99999999999999999999\n", "f:2:8: port = 99999999999999999999 is too large a number: write a whole number, 1..65535"},
		{"large number in an array of tables", "[[vni]]\nid = 99999999999999999999\n", "f:2:6: id = 99999999999999999999 is too large a number: write a whole number, 1..16777215"},
		{"large number of no key", "[underlay]\nx = -99999999999999999999\n", "f:2:5: x = -99999999999999999999 is too small a number: write at most 64 bits"},
		{"after a mark", "\xef\xbb\xbfa = z", "f:1:5: not valid TOML: expected value but found \"z\" instead: write text and addresses in \"double quotes\""},
		{"nested", "a = " + strings.Repeat("[", 1000), "f:1:21: nested more than 16 deep: no key of this file is; `vxgw sample` prints a commented one"},
		{"long key", strings.Repeat("a.", 1000) + "a = 1", "f:1:33: nested more than 16 deep: no key of this file is; `vxgw sample` prints a commented one"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { checkLines(t, problemsOf(t, tt.text), tt.want) })
	}
}

func TestMarkAndCarriageReturns(t *testing.T) {
	for name, text := range map[string]string{
		"mark":             "\xef\xbb\xbf" + base,
		"carriage returns": strings.ReplaceAll(base, "\n", "\r\n"),
		"both":             "\xef\xbb\xbf" + strings.ReplaceAll(base, "\n", "\r\n"),
	} {
		t.Run(name, func(t *testing.T) {
			if got := problemsOf(t, text); got != "" {
				t.Error(got)
			}
			lines := strings.Split(text, "\n")
			lines[3] = strings.Replace(lines[3], "192.0.2.1", "ä", 1)
			checkLines(t, problemsOf(t, strings.Join(lines, "\n")),
				`f:4:11: address = "ä" is not an IP address: write the unicast address of a VTEP, as 192.0.2.2 or 2001:db8::2`)
		})
	}
}
