package config

import (
	"strings"
	"testing"
)

// TestEveryProblemAtOnce has many slips in one file: all are reported, in the
// order of the file, and none of them hides another.
func TestEveryProblemAtOnce(t *testing.T) {
	checkLines(t, problemsOf(t, `colour = "red"
[gateway]
nam = "edge-1"
[underlay]
adress = "192.0.2.1"
port = "4789"
ttl = 0
dscp = 64
df = "yes"
source_ports = "9-8"
[datpath]
mode = "fast"
[[vni]]
id = 16777216
vlan = 10
flood = [
  "192.0.2.2",
  "239.1.1.1",  # a group
  7,
]
[[vni]]
id = 10020
vlan = 10
group = "192.0.2.9"
ageing = "300"
[[port]]
interface = "eth1"
[[port]]
interface = "eth1"
vlan = 4095
bpdu = 1.5
[[mac]]
address = "01:00:5e:00:00:01"
[api]
socket = "control.sock"
http = "9279"
[log]
level = "loud"
`), `
f:1:1: unknown key "colour": every key belongs in a table, [gateway], [underlay], [datapath], [[vni]], [[port]], [[mac]], [[vrf]], [api] or [log]
f:3:1: unknown key "nam": did you mean "name"?
f:4:2: [underlay] has no address: write the unicast address of a VTEP, as 192.0.2.2 or 2001:db8::2
f:5:1: unknown key "adress": did you mean "address"?
f:6:8: port = "4789" is a string: write a whole number, 1..65535
f:7:7: ttl = 0 is out of range: write 1..255
f:8:8: dscp = 64 is out of range: write "inherit", or a whole number without quotes, 0..63
f:9:6: df = "yes" is a string: write true or false, without quotes
f:10:16: source_ports = "9-8" ends before it begins: write first-last, 1..65535, as "49152-65535"
f:11:2: unknown table "datpath": did you mean [datapath]?
f:14:6: id = 16777216 is out of range: write 1..16777215
f:18:3: flood: "239.1.1.1" is a multicast address: write the unicast address of a VTEP, as 192.0.2.2 or 2001:db8::2
f:19:3: flood: 7 is a whole number: write the unicast address of a VTEP, as 192.0.2.2 or 2001:db8::2
f:23:8: vlan = 10 stands for the VNI on line 15 already: give this one another, or none and let its ports name the VNI
f:24:9: group = "192.0.2.9" is not a multicast address: write a multicast address, as 239.119.1.1 or ff0e::1
f:25:10: ageing = "300" is not a duration: write "0s" for never, or from "1s" to "1000000s"
f:26:3: [[port]] has neither vlan nor vni: write the vlan of a [[vni]], or the id of one as vni
f:29:13: interface = "eth1" is the port on line 27 too: an access port is in one VLAN
f:30:8: vlan = 4095 is out of range: write 1..4094
f:31:8: bpdu = 1.5 is a number with a fraction: write "drop", "tunnel" or "shutdown"
f:32:3: [[mac]] has neither vtep nor port: write the remote VTEP or the access port it is behind
f:32:3: [[mac]] has no vni: write a whole number, 1..16777215
f:33:11: address = "01:00:5e:00:00:01" is a multicast address: write the six bytes of one station, as 02:00:00:00:01:02
f:35:10: socket = "control.sock" is not an absolute path: write an absolute path of at most 107 bytes, as /run/vxgw/control.sock
f:36:8: http = "9279" is not host:port: write host:port, as "127.0.0.1:9279", or "" for none
f:38:9: level = "loud" is not one of its values: write "debug", "info", "warn" or "error"
`)
}

// inBase returns base with one piece replaced, or with lines after it where old is
// "".
func inBase(t *testing.T, old, new string) string {
	t.Helper()
	if old == "" {
		return base + new
	}
	if strings.Count(base, old) != 1 {
		t.Fatalf("%q is not in base once", old)
	}
	return strings.Replace(base, old, new, 1)
}

func TestRules(t *testing.T) {
	const (
		notVTEP = `: write the unicast address of a VTEP, as 192.0.2.2 or 2001:db8::2`
		notOwn  = `: write the address of this VTEP, and where there is a vlan its prefix length, as 192.0.2.1/24 or 2001:db8::1/64`
		notName = `: write the name of a network interface, as ` + "`ip link`" + ` shows it`
		notGW   = `: write an address with its prefix length, as 10.1.1.1/24 or 2001:db8:1::1/64`
		notMAC  = `: write the six bytes of one station, as 02:00:00:00:01:02`
		notAge  = `: write "0s" for never, or from "1s" to "1000000s"`
		notPort = `: write first-last, 1..65535, as "49152-65535"`
		notHTTP = `: write host:port, as "127.0.0.1:9279", or "" for none`
		ownAddr = `address = "192.0.2.1"`
		flood   = `flood = ["192.0.2.2"]`
		eth1    = `interface = "eth1"`
	)
	tests := []struct{ name, old, new, want string }{
		// Shapes.
		{"no underlay", "[underlay]\naddress = \"192.0.2.1\"\n", "", "f: [underlay] address is missing" + notVTEP},
		{"one vni table", "[[vni]]", "[vni]", "f:5:2: [vni] is one table: write [[vni]], once for each"},
		{"array of underlays", "[underlay]", "[[underlay]]", "f:3:3: underlay may stand only once, and is not an array: write [underlay]"},
		{"number for a table", "", "[vrf]\nname = 1\nroute = 5\n",
			"f:13:2: [vrf] is one table: write [[vrf]], once for each\nf:14:8: name = 1 is a whole number: write a name\nf:15:9: route = 5 is a whole number: write a table, [[vrf.route]]"},
		{"number in an array of tables", "", "[[vrf]]\nname='r'\nroute = [5]\n", "f:15:10: route: 5 is a whole number: write a table, [[vrf.route]]"},
		{"table for a number", "vlan = 10\nflood", "vlan = {a = 1}\nflood", "f:7:8: vlan = {...} is a table: write a whole number, 1..4094"},
		{"date for a string", `name = "gw"`, "name = 2020-01-01", "f:2:8: name = ... is a date or time: write a name"},
		{"string for a list", flood, `flood = "192.0.2.2"`, `f:8:9: flood = "192.0.2.2" is a string: write an array, ["192.0.2.2"]`},
		{"number for a list", flood, `flood = 1`, `f:8:9: flood = 1 is a whole number: write an array, [ ... ], each element the unicast address of a VTEP, as 192.0.2.2 or 2001:db8::2`},
		{"tables for a list", flood, "[[vni.flood]]", `f:8:7: flood = [...] is an array of tables: write an array, [ ... ], each element the unicast address of a VTEP, as 192.0.2.2 or 2001:db8::2`},
		{"list in a list", flood, `flood = [["192.0.2.2"]]`, "f:8:10: flood: [...] is an array" + notVTEP},

		// Unknown keys and tables.
		{"unknown key", "# more", "vlna = 10", `f:12:1: unknown key "vlna": did you mean "vlan"?`},
		{"unknown key in capitals", "# more", "MAC-Limit = 10", `f:12:1: unknown key "MAC-Limit": did you mean "mac_limit"?`},
		{"key of another table", "# more", "ttl = 10", `f:12:1: unknown key "ttl" in [[port]]: it belongs in [underlay]`},
		{"key of two other tables", "# more", "address = 10", `f:12:1: unknown key "address" in [[port]]: it belongs in [underlay] or [[mac]]`},
		{"key before the tables", "[gateway]", "ttl = 1\n[gateway]", `f:1:1: unknown key "ttl": it belongs in [underlay]`},
		{"far from every key", `name = "gw"`, "colour = 1", `f:2:1: unknown key "colour" in [gateway]: the keys there are name`},
		{"quoted unknown key", "# more", `"a\u001bb" = 1`, "f:12:1: unknown key \"a\\x1bb\" in [[port]]: the keys there are interface, vlan, vni, mac_limit, isolated, bpdu, priority_tagged"},
		{"dotted unknown key", "# more", "vlan_.x = 1", `f:12:1: unknown table "vlan_" in [[port]]: no table belongs there`},
		{"unknown table", "", "[colours]", `f:13:2: unknown table "colours": the tables are [gateway], [underlay], [datapath], [[vni]], [[port]], [[mac]], [[vrf]], [api], [log]`},
		{"unknown array of tables", "", "[[vnis]]\nx=1\n[[vnis]]", `f:13:3: unknown table "vnis": did you mean [[vni]]?`},
		{"unknown table inside", "", "[[vrf]]\nname='r'\n[[vrf.routes]]", `f:15:7: unknown table "routes": did you mean [[vrf.route]]?`},

		// Names.
		{"empty name", `name = "gw"`, `name = ""`, `f:2:8: name = "" is empty: write 1 to 64 printable characters`},
		{"control character", `name = "gw"`, `name = "g\u0007w"`, `f:2:8: name = "g\aw" has a control character: write 1 to 64 printable characters`},
		{"space at an end", `name = "gw"`, `name = "gw "`, `f:2:8: name = "gw " begins or ends with a space: write 1 to 64 printable characters`},
		{"long name", `name = "gw"`, `name = "` + strings.Repeat("n", 65) + `"`, `f:2:8: name = "` + strings.Repeat("n", 60) + `..." is too long: write 1 to 64 printable characters`},

		// Underlay.
		{"no address", ownAddr, `address = "edge"`, `f:4:11: address = "edge" is not an IP address` + notVTEP},
		{"prefix", ownAddr, `address = "192.0.2.1/24"`, `f:4:11: address = "192.0.2.1/24" has a prefix length, which goes with vlan only: write "192.0.2.1", an address that this machine holds, or name the VLAN that it is to be put on, as vlan = 77`},
		{"unspecified", ownAddr, `address = "0.0.0.0"`, `f:4:11: address = "0.0.0.0" is the unspecified address` + notVTEP},
		{"loopback", ownAddr, `address = "127.0.0.1"`, `f:4:11: address = "127.0.0.1" is a loopback address` + notVTEP},
		{"multicast", ownAddr, `address = "224.1.1.1"`, `f:4:11: address = "224.1.1.1" is a multicast address` + notVTEP},
		{"broadcast", ownAddr, `address = "255.255.255.255"`, `f:4:11: address = "255.255.255.255" is the broadcast address` + notVTEP},
		{"mapped", ownAddr, `address = "::ffff:192.0.2.1"`, `f:4:11: address = "::ffff:192.0.2.1" is an IPv4 address written as IPv6: write "192.0.2.1"`},
		{"zone", ownAddr, `address = "fe80::1%eth0"`, `f:4:11: address = "fe80::1%eth0" has a zone` + notVTEP},
		{"link-local", ownAddr, `address = "fe80::1"`, `f:4:11: address = "fe80::1" is a link-local address, which names no interface` + notVTEP},
		{"IPv6 loopback", ownAddr, `address = "::1"`, `f:4:11: address = "::1" is a loopback address` + notVTEP},
		{"ports without end", ownAddr, ownAddr + "\nsource_ports = '49152'", `f:5:16: source_ports = "49152" is not a range of ports` + notPort},
		{"ports from zero", ownAddr, ownAddr + "\nsource_ports = '0-9'", `f:5:16: source_ports = "0-9" is not a range of ports` + notPort},
		{"ports too high", ownAddr, ownAddr + "\nsource_ports = '1-65536'", `f:5:16: source_ports = "1-65536" is not a range of ports` + notPort},
		{"ttl too high", ownAddr, ownAddr + "\nttl = 256", `f:5:7: ttl = 256 is out of range: write 1..255`},
		{"quoted dscp", ownAddr, ownAddr + "\ndscp = '46'", `f:5:8: dscp = "46" is not a DSCP: write "inherit", or a whole number without quotes, 0..63`},
		{"boolean dscp", ownAddr, ownAddr + "\ndscp = true", `f:5:8: dscp = true is a boolean: write "inherit", or a whole number without quotes, 0..63`},
		{"strictness", ownAddr, ownAddr + "\nreserved_bits = 'drop'", `f:5:17: reserved_bits = "drop" is not one of its values: write "ignore" or "strict"`},

		// The VLAN of the underlay.
		{"vlan of nothing", ownAddr, ownAddr + "\nvlan = 77", `f:5:8: vlan needs an interface: name the one that carries the VLAN, as interface = "und0"`},
		{"vlan of nothing with a prefix", ownAddr, "address = \"192.0.2.1/24\"\nvlan = 77", `f:5:8: vlan needs an interface: name the one that carries the VLAN, as interface = "und0"`},
		{"vlan of a bad interface", ownAddr, "address = \"192.0.2.1/24\"\nvlan = 77\ninterface = \"\"", `f:6:13: interface = "" is empty` + notName},
		{"bad vlan", ownAddr, "address = \"192.0.2.1/24\"\nvlan = 4095\ninterface = \"und0\"", "f:5:8: vlan = 4095 is out of range: write 1..4094"},
		{"vlan zero", ownAddr, ownAddr + "\nvlan = 0\ninterface = \"und0\"", "f:5:8: vlan = 0 is out of range: write 1..4094"},
		{"vlan of lo", ownAddr, ownAddr + "\nvlan = 77\ninterface = \"lo\"", `f:6:13: interface = "lo" carries no VLANs: name the interface towards the other VTEPs`},
		{"vlan of a port", ownAddr, ownAddr + "\nvlan = 77\ninterface = \"eth1\"", `f:12:13: interface = "eth1" is the [underlay] interface: an access port needs one of its own`},
		{"vlan is a port", "address = \"192.0.2.1\"\n[[vni]]\nid = 10010\nvlan = 10\nflood = [\"192.0.2.2\"]\n[[port]]\ninterface = \"eth1\"", "address = \"192.0.2.1\"\ninterface = \"und0\"\nvlan = 77\n[[vni]]\nid = 10010\nvlan = 10\n[[port]]\ninterface = \"und0.77\"",
			`f:11:13: interface = "und0.77" is the sub-interface of [underlay] vlan: an access port needs one of its own`},

		// Interfaces.
		{"empty interface", eth1, `interface = ""`, `f:10:13: interface = "" is empty` + notName},
		{"long interface", eth1, `interface = "eth4567890123456"`, `f:10:13: interface = "eth4567890123456" is longer than 15 bytes` + notName},
		{"dots", eth1, `interface = ".."`, `f:10:13: interface = ".." is a directory` + notName},
		{"slash", eth1, `interface = "eth/1"`, `f:10:13: interface = "eth/1" has a character that no interface name has` + notName},
		{"space", eth1, `interface = "eth 1"`, `f:10:13: interface = "eth 1" has a character that no interface name has` + notName},
		{"colon", eth1, `interface = "eth1:0"`, `f:10:13: interface = "eth1:0" has a character that no interface name has` + notName},
		{"lo", eth1, `interface = "lo"`, `f:10:13: interface = "lo" is the loopback interface: write the name of the interface that faces the hosts`},
		{"no interface", eth1, ``, `f:9:3: [[port]] has no interface: write the name of an interface`},
		{"underlay is a port", ownAddr, ownAddr + "\ninterface = \"eth1\"", `f:11:13: interface = "eth1" is the [underlay] interface: an access port needs one of its own`},

		// Datapath, API, log.
		{"workers", "", "[datapath]\nworkers = 65", "f:14:11: workers = 65 is out of range: write 0..64"},
		{"no MACs", "", "[datapath]\nmac_limit = 0", "f:14:13: mac_limit = 0 is out of range: write 1..16777216"},
		{"relative socket", "", "[api]\nsocket = ''", `f:14:10: socket = "" is not an absolute path: write an absolute path of at most 107 bytes, as /run/vxgw/control.sock`},
		{"directory", "", "[api]\nsocket = '/run/'", `f:14:10: socket = "/run/" is a directory: write an absolute path of at most 107 bytes, as /run/vxgw/control.sock`},
		{"long socket", "", "[api]\nsocket = '/" + strings.Repeat("s", 107) + "'", `f:14:10: socket = "/` + strings.Repeat("s", 59) + `..." is too long for a unix socket: write an absolute path of at most 107 bytes, as /run/vxgw/control.sock`},
		{"http without port", "", "[api]\nhttp = '127.0.0.1'", `f:14:8: http = "127.0.0.1" is not host:port` + notHTTP},
		{"http port zero", "", "[api]\nhttp = '127.0.0.1:0'", `f:14:8: http = "127.0.0.1:0" has no port in 1..65535` + notHTTP},
		{"http bad address", "", "[api]\nhttp = '127.0.0.256:80'", `f:14:8: http = "127.0.0.256:80" has no host name or IP address before the port` + notHTTP},
		{"http bad host", "", "[api]\nhttp = 'a b:80'", `f:14:8: http = "a b:80" has no host name or IP address before the port` + notHTTP},
		{"log format", "", "[log]\nformat = 'xml'", `f:14:10: format = "xml" is not one of its values: write "text", "json" or "journald"`},

		// VNIs.
		{"no id", "id = 10010\n", "", "f:5:3: [[vni]] has no id: write a whole number, 1..16777215"},
		{"id zero", "id = 10010", "id = 0", "f:6:6: id = 0 is out of range: write 1..16777215"},
		{"id twice", "", "[[vni]]\nid = 10010", "f:14:6: id = 10010 is the VNI on line 6 too: every [[vni]] needs an id of its own"},
		{"vlan zero", "vlan = 10\nflood", "vlan = 0\nflood", "f:7:8: vlan = 0 is out of range: write 1..4094"},
		{"flood twice", flood, `flood = ["192.0.2.2", "192.0.2.3", "192.0.2.2"]`, `f:8:36: flood: "192.0.2.2" is listed twice, on line 8 too: write it once`},
		{"own address in flood", flood, `flood = ["192.0.2.1"]`, `f:8:10: flood: 192.0.2.1 is this gateway's own [underlay] address: list the other VTEPs only`},
		{"families in flood", flood, `flood = ["2001:db8::2"]`, `f:8:10: flood: 2001:db8::2 is IPv6 but [underlay] address is 192.0.2.1, which is IPv4: write addresses of one family`},
		{"family of the group", flood, `group = "ff0e::1"`, `f:8:9: group: ff0e::1 is IPv6 but [underlay] address is 192.0.2.1, which is IPv4: write addresses of one family`},
		{"family of who may send", flood, `allowed_vteps = ["192.0.2.0/24", "2001:db8::/32"]`, `f:8:34: allowed_vteps: 2001:db8::/32 is IPv6 but [underlay] address is 192.0.2.1, which is IPv4: write addresses of one family`},
		{"reserved group", flood, `group = "224.0.0.5"`, `f:8:9: group = "224.0.0.5" is reserved for routing protocols: write a multicast address, as 239.119.1.1 or ff0e::1`},
		{"group of one machine", flood, `group = "ff01::1"`, `f:8:9: group = "ff01::1" never leaves this machine: write a multicast address, as 239.119.1.1 or ff0e::1`},
		{"negative ageing", flood, `ageing = "-5s"`, `f:8:10: ageing = "-5s" is out of range` + notAge},
		{"ageing too short", flood, `ageing = "999ms"`, `f:8:10: ageing = "999ms" is out of range` + notAge},
		{"ageing too long", flood, `ageing = "300h"`, `f:8:10: ageing = "300h" is out of range` + notAge},
		{"ageing as a number", flood, `ageing = 300`, `f:8:10: ageing = 300 is a whole number` + notAge},
		{"host bits", flood, `allowed_vteps = ["192.0.2.1/24"]`, `f:8:18: allowed_vteps: "192.0.2.1/24" has bits set beyond its length: write "192.0.2.0/24" for the network or "192.0.2.1/32" for the one address`},
		{"no prefix", flood, `allowed_vteps = ["any"]`, `f:8:18: allowed_vteps: "any" is not a prefix: write a prefix, as 192.0.2.0/24 or 2001:db8::/32`},
		{"mapped prefix", flood, `allowed_vteps = ["::ffff:192.0.2.0/120"]`, `f:8:18: allowed_vteps: "::ffff:192.0.2.0/120" is an IPv4 prefix written as IPv6: write a prefix, as 192.0.2.0/24 or 2001:db8::/32`},
		{"multicast prefix", flood, `allowed_vteps = ["239.0.0.0/8"]`, `f:8:18: allowed_vteps: "239.0.0.0/8" is multicast, which nobody sends from: write a prefix, as 192.0.2.0/24 or 2001:db8::/32`},
		{"nobody may send", flood, `allowed_vteps = []`, `f:8:17: allowed_vteps = [] lets nobody send: list the VTEPs that may, or leave the key out`},

		// Ports.
		{"unmapped vlan", "vlan = 10\n#", "vlan = 11\n#", "f:11:8: vlan = 11 stands for no VNI: add a [[vni]] with vlan = 11, or write vni = and its id here"},
		{"both", "# more", "vni = 10010", "f:12:7: [[port]] has both vlan and vni: write one, the VNI follows from the vlan"},
		{"unknown vni", "vlan = 10\n#", "vni = 10011\n#", "f:11:7: vni = 10011 is not configured: add a [[vni]] with id = 10011"},

		// Static MACs.
		{"mac of no vni", "", "[[mac]]\nvni = 7\naddress = \"02:00:00:00:00:01\"\nport = \"eth1\"",
			"f:14:7: vni = 7 is not configured: add a [[vni]] with id = 7\nf:16:8: port = \"eth1\" is in VNI 10010, not in VNI 7: write a port of the same VNI"},
		{"zero mac", "", "[[mac]]\nvni = 10010\naddress = \"00:00:00:00:00:00\"\nport = \"eth1\"", `f:15:11: address = "00:00:00:00:00:00" is the zero address, which is no station's` + notMAC},
		{"long mac", "", "[[mac]]\nvni = 10010\naddress = \"02:00:00:00:00:00:00:01\"\nport = \"eth1\"", `f:15:11: address = "02:00:00:00:00:00:00:01" is not a MAC address` + notMAC},
		{"mac twice", "", "[[mac]]\nvni = 10010\naddress = \"02:00:00:00:00:01\"\nport = \"eth1\"\n[[mac]]\nvni = 10010\naddress = \"02-00-00-00-00-01\"\nvtep = \"192.0.2.2\"",
			`f:19:11: address = "02:00:00:00:00:01" is in VNI 10010 on line 15 already: a MAC address is in one place`},
		{"mac in two places", "", "[[mac]]\nvni = 10010\naddress = \"02:00:00:00:00:01\"\nport = \"eth1\"\nvtep = \"192.0.2.2\"", `f:17:8: [[mac]] has both vtep and port: write the one it is behind`},
		{"mac nowhere", "", "[[mac]]\nvni = 10010\naddress = \"02:00:00:00:00:01\"", `f:13:3: [[mac]] has neither vtep nor port: write the remote VTEP or the access port it is behind`},
		{"mac behind no port", "", "[[mac]]\nvni = 10010\naddress = \"02:00:00:00:00:01\"\nport = \"eth2\"", `f:16:8: port = "eth2" is no access port: add a [[port]] with interface = "eth2"`},
		{"mac behind ourselves", "", "[[mac]]\nvni = 10010\naddress = \"02:00:00:00:00:01\"\nvtep = \"192.0.2.1\"", `f:16:8: vtep = "192.0.2.1" is this gateway's own [underlay] address: write a remote one, or port`},
		{"mac behind the other family", "", "[[mac]]\nvni = 10010\naddress = \"02:00:00:00:00:01\"\nvtep = \"2001:db8::1\"",
			`f:16:8: vtep: 2001:db8::1 is IPv6 but [underlay] address is 192.0.2.1, which is IPv4: write addresses of one family`},

		// Gateways.
		{"gateway without vrf", flood, `gateway = ["10.1.1.1/24"]`, `f:8:11: gateway needs a vrf: name the [[vrf]] that this VNI is routed in`},
		{"vrf without gateway", flood, "vrf = \"red\"\n[[vrf]]\nname = \"red\"", `f:8:7: vrf = "red" needs a gateway: write the gateway's addresses in this VNI, as gateway = ["10.1.1.1/24"]`},
		{"vrf not declared", flood, "vrf = \"blue\"\ngateway = [\"10.1.1.1/24\"]", `f:8:7: vrf = "blue" is not declared: add a [[vrf]] with name = "blue"`},
		{"vrf misspelt", flood, "vrf = \"rde\"\ngateway = [\"10.1.1.1/24\"]\n[[vrf]]\nname=\"red\"", `f:8:7: vrf = "rde" is not declared: did you mean "red"?`},
		{"vrf twice", "", "[[vrf]]\nname = \"red\"\n[[vrf]]\nname = \"red\"", `f:16:8: name = "red" is the VRF on line 14 too: every [[vrf]] needs a name of its own`},
		{"gateway_mac", flood, `gateway_mac = "ff:ff:ff:ff:ff:ff"`, `f:8:15: gateway_mac = "ff:ff:ff:ff:ff:ff" is a multicast address` + notMAC},
	}
	for _, bad := range []struct{ prefix, why string }{
		{"10.1.1.1", "is not an address with a prefix length"},
		{"10.1.1.0/24", "is the network's own address"},
		{"10.1.1.255/24", "is the broadcast address"},
		{"10.1.1.3/30", "is the broadcast address"},
		{"239.1.1.1/24", "is a multicast address"},
		{"0.0.0.0/24", "is the unspecified address"},
		{"127.0.0.1/8", "is a loopback address"},
		{"10.1.1.1/0", "covers every address"},
		{"10.1.1.1/33", "is not an address with a prefix length"},
		{"2001:db8:1::/64", "is the network's own address"},
		{"fe80::1/64", "is link-local, which every gateway has already"},
		{"::1/128", "is a loopback address"},
		{"::ffff:10.1.1.1/120", "is an IPv4 prefix written as IPv6"},
	} {
		tests = append(tests, struct{ name, old, new, want string }{"gateway " + bad.prefix, flood,
			"vrf = \"red\"\ngateway = [\"" + bad.prefix + "\"]\n[[vrf]]\nname=\"red\"", `f:9:12: gateway: "` + bad.prefix + `" ` + bad.why + notGW})
	}
	for _, bad := range []struct{ prefix, why string }{
		{"192.0.2.1/33", "is not an address with a prefix length"},
		{"192.0.2.1/", "is not an address with a prefix length"},
		{"192.0.2.0/24", "is the network's own address"},
		{"192.0.2.255/24", "is the broadcast address"},
		{"239.1.1.1/24", "is a multicast address"},
		{"127.0.0.1/8", "is a loopback address"},
		{"192.0.2.1/0", "covers every address"},
		{"2001:db8::/64", "is the network's own address"},
		{"fe80::1/64", "is a link-local address, which no VTEP is reached by"},
		{"fe80::1%eth0/64", "is not an address with a prefix length"},
		{"::ffff:192.0.2.1/120", "is an IPv4 prefix written as IPv6"},
	} {
		tests = append(tests, struct{ name, old, new, want string }{"address " + bad.prefix, ownAddr,
			"address = \"" + bad.prefix + "\"\nvlan = 77\ninterface = \"und0\"", `f:4:11: address = "` + bad.prefix + `" ` + bad.why + notOwn})
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { checkLines(t, problemsOf(t, inBase(t, tt.old, tt.new)), tt.want) })
	}
}

func TestGatewaysThatAreLegal(t *testing.T) {
	for _, p := range []string{"10.1.1.0/31", "10.1.1.1/31", "10.1.1.0/32", "10.1.1.255/32", "2001:db8:1::/127", "2001:db8:1::/128", "10.1.1.254/24", "2001:db8::ffff:ffff:ffff:ffff/64", "169.254.1.1/16"} {
		t.Run(p, func(t *testing.T) {
			got := problemsOf(t, inBase(t, "vlan = 10\nflood", "vlan = 10\nvrf = \"red\"\ngateway = [\""+p+"\"]\nflood")+"[[vrf]]\nname = \"red\"\n")
			if got != "" {
				t.Error(got)
			}
		})
	}
}

// routed has 17 lines: VNI 1 is in red with 10.1.1.0/24 and 2001:db8:1::/64,
// VNI 2 in red with 10.1.2.0/24, VNI 3 in blue with 10.1.1.0/24 again.
const routed = `[underlay]
address = "192.0.2.1"
[[vni]]
id = 1
vrf = "red"
gateway = ["10.1.1.1/24", "2001:db8:1::1/64"]
[[vni]]
id = 2
vrf = "red"
gateway = ["10.1.2.1/24"]
[[vni]]
id = 3
vrf = "blue"
gateway = ["10.1.1.1/24"]
[[vrf]]
name = "blue"
[[vrf]]
name = "red"
`

func TestRouting(t *testing.T) {
	route := func(prefix, via string) string {
		return "[[vrf.route]]\nprefix = \"" + prefix + "\"\nvia = \"" + via + "\"\n"
	}
	tests := []struct{ name, add, want string }{
		{"good", route("0.0.0.0/0", "10.1.1.254") + route("::/0", "2001:db8:1::2"), ""},
		{"via of nobody", route("0.0.0.0/0", "10.9.9.9"), `f:21:7: via = "10.9.9.9" is in no gateway prefix of VRF "red": write a next hop that one of its VNIs is connected to`},
		{"via ourselves", route("0.0.0.0/0", "10.1.2.1"), `f:21:7: via = "10.1.2.1" is the gateway's own address in 10.1.2.0/24: write the address of another router there`},
		{"via the broadcast", route("0.0.0.0/0", "10.1.2.255"), `f:21:7: via = "10.1.2.255" is the broadcast address in 10.1.2.0/24: write the address of another router there`},
		{"via the network", route("0.0.0.0/0", "10.1.2.0"), `f:21:7: via = "10.1.2.0" is the network's own address in 10.1.2.0/24: write the address of another router there`},
		{"via link-local", route("::/0", "fe80::1"), `f:21:7: via = "fe80::1" is a link-local address, which is in every VNI: name the one that is meant, as vni = 10010`},
		{"via link-local in a VNI", route("::/0", "fe80::1") + "vni = 1\n", ""},
		{"via link-local without IPv6", route("::/0", "fe80::1") + "vni = 2\n", `f:22:7: vni = 2 has no IPv6 gateway, and via = "fe80::1" is a neighbour of one: write a VNI of VRF "red" with an IPv6 gateway`},
		{"via in another vrf", route("::/0", "fe80::1") + "vni = 3\n", `f:22:7: vni = 3 is not routed in VRF "red": write a VNI with vrf = "red" and gateway`},
		{"vni that via is not in", route("0.0.0.0/0", "10.1.1.254") + "vni = 2\n", `f:22:7: vni = 2 is not where via = "10.1.1.254" is: that is in VNI 1`},
		{"vni that via is in", route("0.0.0.0/0", "10.1.1.254") + "vni = 1\n", ""},
		{"several next hops", "[[vrf.route]]\nprefix = \"0.0.0.0/0\"\nvia = [\"10.1.1.254\", \"10.1.2.254\"]\n", ""},
		{"a next hop twice", "[[vrf.route]]\nprefix = \"0.0.0.0/0\"\nvia = [\"10.1.1.254\", \"10.1.1.254\"]\n", `f:21:22: via: "10.1.1.254" is listed twice, on line 21 too: write it once`},
		{"no next hop", "[[vrf.route]]\nprefix = \"0.0.0.0/0\"\nvia = []\n", `f:21:7: via = [] names no next hop: write one, or blackhole = true`},
		{"blackhole", "[[vrf.route]]\nprefix = \"0.0.0.0/0\"\nblackhole = true\n", ""},
		{"unreachable", "[[vrf.route]]\nprefix = \"0.0.0.0/0\"\nunreachable = true\n", ""},
		{"two ways", route("0.0.0.0/0", "10.1.1.254") + "blackhole = true\n", `f:19:7: [[vrf.route]] goes more than one way: write one of via, blackhole = true and unreachable = true`},
		{"families", route("::/0", "10.1.2.7"), `f:21:7: via = "10.1.2.7" is IPv4 and the prefix is not: write a next hop of the prefix's family`},
		{"prefix twice", route("0.0.0.0/0", "10.1.1.254") + route("0.0.0.0/0", "10.1.1.253"), `f:23:10: prefix = "0.0.0.0/0" has a route on line 20 already: write several next hops as via = [...]`},
		{"prefix is connected", route("10.1.2.0/24", "10.1.1.254"), `f:20:10: prefix = "10.1.2.0/24" is connected already, by the gateway on line 10: take the route out`},
		{"host bits", route("10.7.0.1/16", "10.1.1.254"), `f:20:10: prefix = "10.7.0.1/16" has bits set beyond its length: write "10.7.0.0/16" for the network or "10.7.0.1/32" for the one address`},
		{"multicast", route("224.0.0.0/4", "10.1.1.254"), `f:20:10: prefix = "224.0.0.0/4" is multicast, which is not routed: write a prefix, as 192.0.2.0/24 or 2001:db8::/32`},
		{"loopback", route("127.0.0.0/8", "10.1.1.254"), `f:20:10: prefix = "127.0.0.0/8" is loopback, which is not routed: write a prefix, as 192.0.2.0/24 or 2001:db8::/32`},
		{"no via", "[[vrf.route]]\nprefix = \"0.0.0.0/0\"\n", `f:19:7: [[vrf.route]] goes nowhere: write via, blackhole = true or unreachable = true`},
		{"same prefix in one vrf", "[[vni]]\nid = 4\nvrf = \"red\"\ngateway = [\"10.1.2.9/24\"]\n",
			`f:22:12: gateway: "10.1.2.9/24" overlaps the gateway prefix on line 10: prefixes of one VRF must be apart`},
		{"longer prefix in one vrf", "[[vni]]\nid = 4\nvrf = \"red\"\ngateway = [\"10.7.0.1/24\", \"10.1.2.129/25\"]\n",
			`f:22:27: gateway: "10.1.2.129/25" overlaps the gateway prefix on line 10: prefixes of one VRF must be apart`},
		{"shorter prefix in one vrf", "[[vni]]\nid = 4\nvrf = \"red\"\ngateway = [\"2001:db8::1/32\"]\n",
			`f:22:12: gateway: "2001:db8::1/32" overlaps the gateway prefix on line 6: prefixes of one VRF must be apart`},
		{"via of a refused gateway is not reported", route("0.0.0.0/0", "10.7.0.9") + "[[vni]]\nid = 4\nvrf = \"red\"\ngateway = [\"10.7.0.0/24\"]\n",
			`f:25:12: gateway: "10.7.0.0/24" is the network's own address: write an address with its prefix length, as 10.1.1.1/24 or 2001:db8:1::1/64`},
		{"via of a gateway in a misspelt vrf is not reported", route("0.0.0.0/0", "10.7.0.9") + "[[vni]]\nid = 4\nvrf = \"rdd\"\ngateway = [\"10.7.0.1/24\"]\n",
			`f:24:7: vrf = "rdd" is not declared: did you mean "red"?`},
		{"our own mac is no station's", "[[mac]]\nvni = 1\naddress = \"" + gatewayMAC(hostName()).String() + "\"\nvtep = \"192.0.2.2\"\n",
			`f:21:11: address = "` + gatewayMAC(hostName()).String() + `" is the gateway's own MAC in VNI 1: take it out, or change gateway_mac`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { checkLines(t, problemsOf(t, routed+tt.add), tt.want) })
	}
}

// TestNoEchoes checks that one slip is not reported again wherever the thing
// is named.
func TestNoEchoes(t *testing.T) {
	tests := []struct{ name, text, want string }{
		{"bad id", "[[vni]]\nid = \"10010\"\n[[port]]\ninterface = \"eth1\"\nvni = 10010\n[[mac]]\nvni = 10010\naddress = \"02:00:00:00:00:01\"\nport = \"eth1\"\n", "f:4:6: id = \"10010\" is a string: write a whole number, 1..16777215"},
		{"bad vlan", "[[vni]]\nid = 1\nvlan = 5000\n[[port]]\ninterface = \"eth1\"\nvlan = 50\n", "f:5:8: vlan = 5000 is out of range: write 1..4094"},
		{"bad port", "[[vni]]\nid = 1\nvlan = 5\n[[port]]\ninterface = \"eth/1\"\nvlan = 5\n[[mac]]\nvni = 1\naddress = \"02:00:00:00:00:01\"\nport = \"eth1\"\n",
			"f:7:13: interface = \"eth/1\" has a character that no interface name has: write the name of a network interface, as `ip link` shows it"},
		{"bad vrf", "[[vni]]\nid = 1\nvrf = \"1\"\ngateway = [\"10.1.1.1/24\"]\n[[vrf]]\nname = 1\n", "f:8:8: name = 1 is a whole number: write a name"},
		{"bad list", "[[vni]]\nid = 1\nallowed_vteps = [1]\n", "f:5:18: allowed_vteps: 1 is a whole number: write a prefix, as 192.0.2.0/24 or 2001:db8::/32"},
		{"bad port vlan", "[[vni]]\nid = 1\n[[port]]\ninterface = \"eth1\"\nvlan = \"5\"\n", "f:7:8: vlan = \"5\" is a string: write a whole number, 1..4094"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			checkLines(t, problemsOf(t, "[underlay]\naddress = \"192.0.2.1\"\n"+tt.text), tt.want)
		})
	}
	checkLines(t, problemsOf(t, "[underlay]\naddress = 1\n[[vni]]\nid = 1\nflood = [\"192.0.2.2\"]\n"),
		"f:2:11: address = 1 is a whole number: write the unicast address of a VTEP, as 192.0.2.2 or 2001:db8::2")
}

// TestOnlyEchoesAreSilent checks that an invalid entry hides nothing but what
// may refer to it.
func TestOnlyEchoesAreSilent(t *testing.T) {
	const (
		refs    = "[[port]]\ninterface = \"eth1\"\nvni = 78\n[[mac]]\nvni = 77\naddress = \"02:00:00:00:00:01\"\nvtep = \"192.0.2.2\"\n"
		port    = "vni = 78 is not configured: add a [[vni]] with id = 78"
		mac     = "vni = 77 is not configured: add a [[vni]] with id = 77"
		zz      = "[[vni]]\nid = 1\nvrf = \"zz\"\ngateway = [\"10.1.1.1/24\"]\n"
		noVRF   = "f:5:7: vrf = \"zz\" is not declared: add a [[vrf]] with name = \"zz\""
		route   = "[[vrf]]\nname = \"red\"\n[[vrf.route]]\nprefix = \"0.0.0.0/0\"\nvia = \"10.9.9.9\"\n[[vni]]\nid = 1\nvrf = \"red\"\n"
		outside = "f:7:7: via = \"10.9.9.9\" is in no gateway prefix of VRF \"red\": write a next hop that one of its VNIs is connected to\n"
		notGW   = ": write an address with its prefix length, as 10.1.1.1/24 or 2001:db8:1::1/64"
		noLen   = " is not an address with a prefix length" + notGW
	)
	tests := []struct{ name, text, want string }{
		{"id out of range", "[[vni]]\nid = 0\n" + refs, "f:4:6: id = 0 is out of range: write 1..16777215\nf:7:7: " + port + "\nf:9:7: " + mac},
		{"id missing", "[[vni]]\nvlan = 7\n" + refs, "f:3:3: [[vni]] has no id: write a whole number, 1..16777215\nf:7:7: " + port + "\nf:9:7: " + mac},
		{"id of a wrong type", "[[vni]]\nid = true\n" + refs, "f:4:6: id = true is a boolean: write a whole number, 1..16777215\nf:7:7: " + port + "\nf:9:7: " + mac},
		{"id in quotes", "[[vni]]\nid = \"78\"\n" + refs, "f:4:6: id = \"78\" is a string: write a whole number, 1..16777215\nf:9:7: " + mac},
		{"id with a fraction", "[[vni]]\nid = 77.0\n" + refs, "f:4:6: id = 77 is a number with a fraction: write a whole number, 1..16777215\nf:7:7: " + port},
		{"large id with a fraction", "[[vni]]\nid = 10010000.0\n[[port]]\ninterface = \"eth1\"\nvni = 10010000\n", "f:4:6: id = 1.001e+07 is a number with a fraction: write a whole number, 1..16777215"},
		{"vrf empty", zz + "[[vrf]]\nname = \"\"\n", noVRF + "\nf:8:8: name = \"\" is empty: write 1 to 64 printable characters"},
		{"vrf of a wrong type", zz + "[[vrf]]\nname = 1\n", noVRF + "\nf:8:8: name = 1 is a whole number: write a name"},
		{"vrf without a name", zz + "[[vrf]]\n", noVRF + "\nf:7:3: [[vrf]] has no name: write a name"},
		{"vrf with a space", zz + "[[vrf]]\nname = \"zz \"\n", "f:8:8: name = \"zz \" begins or ends with a space: write 1 to 64 printable characters"},

		{"gateway elsewhere", route + "gateway = [\"10.7.0.0/24\"]\n", outside + "f:11:12: gateway: \"10.7.0.0/24\" is the network's own address" + notGW},
		{"gateway that holds it", route + "gateway = [\"10.9.9.0/24\"]\n", "f:11:12: gateway: \"10.9.9.0/24\" is the network's own address" + notGW},
		{"gateway without length elsewhere", route + "gateway = [\"10.7.0.1\"]\n", outside + "f:11:12: gateway: \"10.7.0.1\"" + noLen},
		{"gateway without length", route + "gateway = [\"10.9.9.1\"]\n", "f:11:12: gateway: \"10.9.9.1\"" + noLen},
		{"gateway too long", route + "gateway = [\"10.9.9.1/33\"]\n", "f:11:12: gateway: \"10.9.9.1/33\"" + noLen},
		{"gateway written as IPv6", route + "gateway = [\"::ffff:10.9.9.1/120\"]\n", "f:11:12: gateway: \"::ffff:10.9.9.1/120\" is an IPv4 prefix written as IPv6" + notGW},
		{"gateway not a list", route + "gateway = \"10.9.9.1/24\"\n", "f:11:11: gateway = \"10.9.9.1/24\" is a string: write an array, [\"10.9.9.1/24\"]"},
		{"no gateway can be read", route + "gateway = [\"x\"]\n", "f:11:12: gateway: \"x\"" + noLen},
		{"one gateway can be read", route + "gateway = [\"10.7.0.1/24\", \"x\"]\n", outside + "f:11:27: gateway: \"x\"" + noLen},
		{"gateway of another vrf", route + "gateway = [\"10.7.0.1/24\"]\n[[vrf]]\nname = \"blue\"\n[[vni]]\nid = 2\nvrf = \"blue\"\ngateway = [\"10.9.9.0/24\"]\n",
			outside + "f:17:12: gateway: \"10.9.9.0/24\" is the network's own address" + notGW},
		{"gateway of no vrf", route + "gateway = [\"10.7.0.1/24\"]\n[[vni]]\nid = 2\ngateway = [\"10.8.0.1/24\"]\n",
			outside + "f:14:11: gateway needs a vrf: name the [[vrf]] that this VNI is routed in"},
		{"gateway of no vrf that holds it", route + "gateway = [\"10.7.0.1/24\"]\n[[vni]]\nid = 2\ngateway = [\"10.9.9.1/24\"]\n",
			"f:14:11: gateway needs a vrf: name the [[vrf]] that this VNI is routed in"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			checkLines(t, problemsOf(t, "[underlay]\naddress = \"192.0.2.1\"\n"+tt.text), tt.want)
		})
	}
}

// TestPlaces has the ways TOML can write the same thing.
func TestPlaces(t *testing.T) {
	checkLines(t, problemsOf(t, `underlay.address = "192.0.2.1"
underlay.port = 0
"underlay".'ttl' = 0
datapath = { mode = "raw", workers = -1 }
vni = [ { id = 1, flood = ["a",
   "b"] },
  { id = 2,  vlan = """5""" } ]
`), `
f:2:17: port = 0 is out of range: write 1..65535
f:3:20: ttl = 0 is out of range: write 1..255
f:4:38: workers = -1 is out of range: write 0..64
f:5:28: flood: "a" is not an IP address: write the unicast address of a VTEP, as 192.0.2.2 or 2001:db8::2
f:6:4: flood: "b" is not an IP address: write the unicast address of a VTEP, as 192.0.2.2 or 2001:db8::2
f:7:21: vlan = "5" is a string: write a whole number, 1..4094
`)
}

func TestWarnings(t *testing.T) {
	tests := []struct{ name, old, new, want string }{
		{"none", "# more", "# less", ""},
		{"anyone", `flood = ["192.0.2.2"]`, "", `
f:6:6: VNI 10010 has no flood and no group: unknown and broadcast frames stay on its ports
f:6:6: anyone who reaches UDP port 4789 may send frames into VNI 10010: list the VTEPs that may in allowed_vteps`},
		{"anyone, on purpose", `flood = ["192.0.2.2"]`, "flood = [\"192.0.2.2\"]\nallowed_vteps = [\"0.0.0.0/0\"]", ""},
		{"group", `flood = ["192.0.2.2"]`, "flood = [\"192.0.2.2\"]\ngroup = \"239.1.1.1\"", `
f:6:6: anyone who reaches UDP port 4789 may send frames into VNI 10010: list the VTEPs that may in allowed_vteps`},
		{"group with ttl 1", `address = "192.0.2.1"`, "address = \"192.0.2.1\"\nttl = 1\n[[vni]]\nid = 7\ngroup = \"239.1.1.1\"\nallowed_vteps = [\"192.0.2.0/24\"]\n[[port]]\ninterface = \"eth7\"\nvni = 7", `
f:5:7: ttl = 1 keeps multicast on this link: no VTEP behind a router hears the group`},
		{"not allowed", `flood = ["192.0.2.2"]`, "flood = [\"192.0.2.2\"]\nallowed_vteps = [\"192.0.2.128/25\"]",
			"f:8:10: flood: 192.0.2.2 is not in allowed_vteps: VNI 10010 sends to it and drops what it answers"},
		{"static mac not allowed", "", "[[mac]]\nvni = 10010\naddress = \"02:00:00:00:00:01\"\nvtep = \"192.0.2.9\"",
			`f:16:8: vtep = "192.0.2.9" may not send into VNI 10010: its frames to this MAC address are dropped`},
		{"no port", "[[port]]\ninterface = \"eth1\"\nvlan = 10\n", "", "f:6:6: VNI 10010 has no port: nothing here is connected to it"},
		{"one source port", `address = "192.0.2.1"`, "address = \"192.0.2.1\"\nsource_ports = \"7-7\"",
			`f:5:16: source_ports = "7-7" is one port: the underlay cannot spread the flows over its paths`},
		{"gateway_mac alone", `flood = ["192.0.2.2"]`, "flood = [\"192.0.2.2\"]\ngateway_mac = \"02:00:00:00:00:01\"", "f:9:15: gateway_mac does nothing without gateway"},
		{"suppress_arp", `flood = ["192.0.2.2"]`, "flood = [\"192.0.2.2\"]\nsuppress_arp = true", ""},
		{"suppress_arp off", `flood = ["192.0.2.2"]`, "flood = [\"192.0.2.2\"]\nsuppress_arp = false", ""},
		{"xdp", "", "[datapath]\nmode = \"xdp\"", ""},
		{"workers", "", "[datapath]\nworkers = 2", ""},
		{"workers as they are", "", "[datapath]\nworkers = 0\nmode = \"raw\"", ""},
		{"routing, counted", `flood = ["192.0.2.2"]`, "flood = [\"192.0.2.2\"]\nvrf = \"red\"\ngateway = [\"10.1.1.1/24\"]\n" +
			"[[vni]]\nid = 8\nvrf = \"red\"\ngateway = [\"10.1.2.1/24\"]\nflood = [\"192.0.2.2\"]\n[[port]]\ninterface = \"eth8\"\nvni = 8\n[[vrf]]\nname = \"red\"\n[[vrf]]\nname = \"blue\"", `
f:22:8: VRF "blue" has no VNI: no [[vni]] names it`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { checkLines(t, warningsOf(t, inBase(t, tt.old, tt.new)), tt.want) })
	}
	checkLines(t, warningsOf(t, "[underlay]\naddress = \"192.0.2.1\"\n"), "f: there is no [[vni]]: the gateway carries nothing")
}

func TestNearest(t *testing.T) {
	known := []string{"address", "vlan", "vni", "mac_limit", "udp_checksum"}
	for word, want := range map[string]string{
		"adress": "address", "addres": "address", "Address": "address", "addr": "", "valn": "vlan", "vlans": "vlan", "vn": "vni",
		"mac-limit": "mac_limit", "maclimit": "mac_limit", "udp_csum": "udp_checksum", "x": "", "": "", "colour": "", "äddress": "address",
	} {
		if got := Nearest(word, known); got != want {
			t.Errorf("Nearest(%q) = %q, want %q", word, got, want)
		}
	}
}
