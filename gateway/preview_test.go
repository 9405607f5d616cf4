package gateway_test

import (
	"cmp"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	diff "github.com/google/go-cmp/cmp"

	"vxgw/config"
	"vxgw/gateway/api"
	"vxgw/l2/frame"
	"vxgw/test/fabric"
)

// office is what the rows below change.
const office = `[gateway]
name = "a"
[underlay]
address = "192.0.2.1"
interface = "und0"
[datapath]
[[vni]]
id = 1000
vlan = 10
name = "web"
flood = ["192.0.2.2", "192.0.2.3"]
vrf = "red"
gateway = ["10.1.1.1/24", "2001:db8:1::1/64"]
dhcp_servers = ["10.1.1.9"]
[[vni]]
id = 2000
vlan = 20
allowed_vteps = ["192.0.2.0/24"]
suppress_arp = true
[[vni]]
id = 3000
vlan = 30
group = "239.1.1.1"
[[port]]
interface = "e1"
vlan = 10
[[port]]
interface = "e2"
vlan = 10
[[port]]
interface = "e3"
vlan = 20
[[mac]]
vni = 1000
address = "02:00:00:00:09:09"
vtep = "192.0.2.2"
[[vrf]]
name = "red"
[[vrf.route]]
prefix = "198.18.0.0/16"
via = "10.1.1.254"
[[vrf]]
name = "blue"
[api]
[log]
`

// populate has the gateway know a MAC at each port, two behind 192.0.2.2, in 1000 and
// 2000, and one behind 192.0.2.3, in 1000.
func populate(n *fabric.Net) {
	for port, mac := range map[string]frame.MAC{"e1": fabric.H1, "e2": fabric.H2, "e3": fabric.H3} {
		n.Send("a."+port, fabric.Local(frame.Broadcast, mac))
	}
	n.Inject("192.0.2.2", "a", 1000, fabric.Local(frame.Broadcast, fabric.RA))
	n.Inject("192.0.2.3", "a", 1000, fabric.Local(frame.Broadcast, fabric.RB))
	n.Inject("192.0.2.2", "a", 2000, fabric.Local(frame.Broadcast, fabric.RA))
}

// row is a change of one field of the configuration, and all that it does.
type row struct {
	field     string // its path in config.Config
	from, to  string // in office
	does      []string
	interrupt bool // any of it

	base   string // in the place of office
	pinned int    // MACs that are learned before, and static after
}

// Configurations in which there is what office has not.
var (
	routedBoth = strings.Replace(office, "vlan = 20", "vlan = 20\nvrf = \"red\"\ngateway = [\"10.1.2.1/24\"]", 1)
	withoutMAC = strings.Replace(office, "vtep = \"192.0.2.2\"", "vtep = \"192.0.2.3\"", 1)
	onVLAN     = "[gateway]\nname = \"a\"\n[underlay]\naddress = \"192.0.2.1\"\ninterface = \"und0\"\nvlan = 77\n"
	overSix    = "[gateway]\nname = \"a\"\n[underlay]\naddress = \"2001:db8::1\"\n"
)

const waits = ": takes a restart, nothing changes before"

// rows has every field of the configuration, TestEveryField sees to that, and the rest of
// what can be done to each.
var rows = []row{
	{"Name", `name = "a"`, `name = "z"`, []string{
		"gateway name: a -> z: the log, metrics and relayed DHCP have the new name: nothing is interrupted",
		"vni 1000: gateway_mac 02:3d:f9:d0:5e:a3 -> 02:15:56:dd:93:0f: what its hosts route is interrupted until they have heard of the new one, which is announced",
	}, true, "", 0},
	{"Underlay.Address", `"192.0.2.1"`, `"192.0.2.77"`, []string{"underlay address: 192.0.2.1 -> 192.0.2.77" + waits}, false, "", 0},
	{"Underlay.Interface", `interface = "und0"`, ``, []string{`underlay interface: und0 -> ""` + waits}, false, "", 0},
	{"Underlay.VLAN", `interface = "und0"`, "interface = \"und0\"\nvlan = 77", []string{"underlay vlan: 0 -> 77" + waits}, false, "", 0},
	{"Underlay.Assign", `"192.0.2.1"`, `"192.0.2.1/24"`, []string{"underlay address: 192.0.2.1 -> 192.0.2.1/24" + waits}, false, onVLAN, 0},
	{"Underlay.ZeroChecksum6", `"2001:db8::1"`, "\"2001:db8::1\"\nudp_checksum = false", []string{"underlay udp_checksum: true -> false" + waits}, false, overSix, 0},
	{"Underlay.Port", `interface = "und0"`, "interface = \"und0\"\nport = 8472", []string{"underlay port: 4789 -> 8472" + waits}, false, "", 0},
	{"Underlay.TTL", `interface = "und0"`, "interface = \"und0\"\nttl = 9", []string{"underlay ttl: 64 -> 9" + waits}, false, "", 0},
	{"Underlay.DSCP.Inherit", `interface = "und0"`, "interface = \"und0\"\ndscp = 0", []string{"underlay dscp: inherit -> 0" + waits}, false, "", 0},
	{"Underlay.DSCP.Value", `interface = "und0"`, "interface = \"und0\"\ndscp = 46", []string{"underlay dscp: inherit -> 46" + waits}, false, "", 0},
	{"Underlay.DF", `interface = "und0"`, "interface = \"und0\"\ndf = false", []string{"underlay df: true -> false" + waits}, false, "", 0},
	{"Underlay.Checksum", `interface = "und0"`, "interface = \"und0\"\nudp_checksum = true", []string{"underlay udp_checksum: false -> true" + waits}, false, "", 0},
	{"Underlay.SourcePorts.First", `interface = "und0"`, "interface = \"und0\"\nsource_ports = \"50000-65535\"", []string{"underlay source_ports: 49152-65535 -> 50000-65535" + waits}, false, "", 0},
	{"Underlay.SourcePorts.Last", `interface = "und0"`, "interface = \"und0\"\nsource_ports = \"49152-60000\"", []string{"underlay source_ports: 49152-65535 -> 49152-60000" + waits}, false, "", 0},
	{"Underlay.Strict", `interface = "und0"`, "interface = \"und0\"\nreserved_bits = \"strict\"", []string{"underlay reserved_bits: ignore -> strict" + waits}, false, "", 0},
	{"Underlay.ProbePMTU", `interface = "und0"`, "interface = \"und0\"\npmtu_probe = false", []string{"underlay pmtu_probe: true -> false" + waits}, false, "", 0},
	{"Underlay.Bypass", `interface = "und0"`, "interface = \"und0\"\nbypass = false", []string{"underlay bypass: true -> false" + waits}, false, "", 0},
	{"Datapath.Mode", "[datapath]", "[datapath]\nmode = \"raw\"", []string{"datapath mode: auto -> raw" + waits}, false, "", 0},
	{"Datapath.Workers", "[datapath]", "[datapath]\nworkers = 3", []string{"datapath workers: 0 -> 3" + waits}, false, "", 0},
	{"Datapath.MACLimit", "[datapath]", "[datapath]\nmac_limit = 9", []string{"datapath mac_limit: 1048576 -> 9" + waits}, false, "", 0},
	{"API.Socket", "[api]", "[api]\nsocket = \"/run/s\"", []string{"api socket: /run/vxgw/control.sock -> /run/s" + waits}, false, "", 0},
	{"API.ReadGroup", "[api]", "[api]\nread_group = \"ops\"", []string{"api read_group: vxgw-ro -> ops" + waits}, false, "", 0},
	{"API.HTTPHosts", "[api]", "[api]\nhttp_hosts = [\"edge-1.example.net\"]", []string{`api http_hosts: "" -> edge-1.example.net` + waits}, false, "", 0},
	{"API.HTTP", "[api]", "[api]\nhttp = \"\"", []string{`api http: 127.0.0.1:9279 -> ""` + waits}, false, "", 0},
	{"Log.Level", "[log]", "[log]\nlevel = \"debug\"", []string{"log level: info -> debug: nothing is interrupted"}, false, "", 0},
	{"Log.Format", "[log]", "[log]\nformat = \"json\"", []string{"log format: auto -> json" + waits}, false, "", 0},

	{"VNIs.ID", "[[port]]\ninterface = \"e1\"", "[[vni]]\nid = 4000\nvlan = 40\n[[port]]\ninterface = \"e1\"", []string{"vni 4000: added: nothing is interrupted"}, false, "", 0},
	{"VNIs.ID", "[[vni]]\nid = 3000\nvlan = 30\ngroup = \"239.1.1.1\"\n", "", []string{"vni 3000: removed: its 0 MACs are flushed, its frames are dropped (unknown_vni)"}, true, "", 0},
	{"VNIs.VLAN", "vlan = 30", "vlan = 31", []string{"vni 3000: VLAN 30 -> 31: nothing is interrupted"}, false, "", 0},
	{"VNIs.Storm.Broadcast", "vlan = 30", "vlan = 30\nstorm_control.broadcast = 5", []string{"vni 3000: storm_control broadcast 0 -> 5: flooded frames over the limit are dropped (storm): nothing else is interrupted"}, false, "", 0},
	{"Ports.Storm.Broadcast", "[[port]]\ninterface = \"e1\"", "[[port]]\ninterface = \"e1\"\nstorm_control = { broadcast = 5 }", []string{"port e1: storm_control broadcast 0 -> 5: flooded frames over the limit are dropped (storm): nothing else is interrupted"}, false, "", 0},
	{"VNIs.Storm.Multicast", "vlan = 30", "vlan = 30\nstorm_control.multicast = 5", []string{"vni 3000: storm_control multicast 0 -> 5: flooded frames over the limit are dropped (storm): nothing else is interrupted"}, false, "", 0},
	{"Ports.Storm.Multicast", "[[port]]\ninterface = \"e1\"", "[[port]]\ninterface = \"e1\"\nstorm_control = { multicast = 5 }", []string{"port e1: storm_control multicast 0 -> 5: flooded frames over the limit are dropped (storm): nothing else is interrupted"}, false, "", 0},
	{"VNIs.Storm.UnknownUnicast", "vlan = 30", "vlan = 30\nstorm_control.unknown_unicast = 5", []string{"vni 3000: storm_control unknown_unicast 0 -> 5: flooded frames over the limit are dropped (storm): nothing else is interrupted"}, false, "", 0},
	{"Ports.Storm.UnknownUnicast", "[[port]]\ninterface = \"e1\"", "[[port]]\ninterface = \"e1\"\nstorm_control = { unknown_unicast = 5 }", []string{"port e1: storm_control unknown_unicast 0 -> 5: flooded frames over the limit are dropped (storm): nothing else is interrupted"}, false, "", 0},
	{"VNIs.Storm.Broadcast", "broadcast = 5", "broadcast = 9", []string{"vni 1000: storm_control broadcast 5 -> 9: nothing is interrupted"}, false, strings.Replace(office, "vlan = 10", "vlan = 10\nstorm_control.broadcast = 5", 1), 0},
	{"VNIs.Moves.Limit", "vlan = 30", "vlan = 30\nmove_limit = 0", []string{"vni 3000: move_limit 5 -> 0: the 0 MACs held move again: nothing is interrupted"}, false, "", 0},
	{"VNIs.Moves.Window", "vlan = 30", "vlan = 30\nmove_window = \"60s\"", []string{"vni 3000: move_window 3m0s -> 1m0s: it holds for MACs that move from now on: nothing is interrupted"}, false, "", 0},
	{"VNIs.Moves.Hold", "vlan = 30", "vlan = 30\nmove_hold = \"0s\"", []string{"vni 3000: move_hold 9m0s -> 0s: it holds for MACs that move from now on: nothing is interrupted"}, false, "", 0},
	{"VNIs.Name", `"web"`, `"www"`, []string{`vni 1000: name "web" -> "www": nothing is interrupted`}, false, "", 0},
	{"VNIs.Flood", `"192.0.2.3"]`, `"192.0.2.3", "192.0.2.9"]`, []string{"vni 1000: flood list +192.0.2.9: nothing is interrupted"}, false, "", 0},
	{"VNIs.Flood", `["192.0.2.2", "192.0.2.3"]`, `["192.0.2.3", "192.0.2.2"]`, nil, false, "", 0},
	{"VNIs.Flood", `["192.0.2.2", "192.0.2.3"]`, `["192.0.2.2", "192.0.2.9"]`, []string{
		"vni 1000: flood list +192.0.2.9 -192.0.2.3: the 1 MAC is flushed that 192.0.2.3 had, and flooded frames go there no more, nor are its frames heard (vtep_not_allowed)",
	}, true, "", 0},
	{"VNIs.Flood", `["192.0.2.2", "192.0.2.3"]`, "[\"192.0.2.2\"]\nallowed_vteps = [\"192.0.2.2\", \"192.0.2.3\"]", []string{
		"vni 1000: flood list -192.0.2.3: the 1 MAC is flushed that 192.0.2.3 had, and flooded frames go there no more",
		"vni 1000: allowed_vteps as flood -> written: VTEPs that only controllers name may not send: nothing is interrupted",
	}, true, "", 0},
	{"VNIs.Flood", `["192.0.2.2", "192.0.2.3"]`, `["192.0.2.3"]`, []string{
		"vni 1000: flood list -192.0.2.2: the 1 MAC is flushed that 192.0.2.2 had, and flooded frames go there no more, nor are its frames heard (vtep_not_allowed)",
		"vtep 192.0.2.2: removed: the 1 MAC is flushed that VNIs have learned behind it without naming it",
	}, true, withoutMAC, 0},
	{"VNIs.Group", `"239.1.1.1"`, `"239.1.1.2"`, []string{"vni 3000: group 239.1.1.1 -> 239.1.1.2: flooded frames go to the new one, and what comes by the old one is heard only while another VNI has it"}, true, "", 0},
	{"VNIs.Group", "vlan = 20", "vlan = 20\ngroup = \"239.1.1.1\"", []string{"vni 2000: group +239.1.1.1: it is joined, and flooded frames go there too: nothing is interrupted"}, false, "", 0},
	{"VNIs.Group", "group = \"239.1.1.1\"", "", []string{"vni 3000: group -239.1.1.1: flooded frames go there no more, and what comes by it is heard only while another VNI has it"}, true, "", 0},
	{"VNIs.Learning", "vlan = 10", "vlan = 10\nlearning = false", []string{"vni 1000: learning on -> off: no more MACs are learned behind VTEPs, and the 2 known stay until they age: nothing is interrupted"}, false, "", 0},
	{"VNIs.Ageing", "vlan = 10", "vlan = 10\nageing = \"60s\"", []string{"vni 1000: ageing 5m0s -> 1m0s: MACs that were not heard for 60 seconds are forgotten, and flooded to until they are heard"}, false, "", 0},
	{"VNIs.Ageing", "vlan = 10", "vlan = 10\nageing = \"0s\"", []string{"vni 1000: ageing 5m0s -> 0s: nothing is interrupted"}, false, "", 0},
	{"VNIs.MACLimit", "vlan = 10", "vlan = 10\nmac_limit = 5", []string{"vni 1000: mac_limit 65536 -> 5: nothing is interrupted"}, false, "", 0},
	{"VNIs.MACLimit", "vlan = 10", "vlan = 10\nmac_limit = 4", []string{"vni 1000: mac_limit 65536 -> 4: the 4 MACs known stay, and no more are learned: nothing is interrupted"}, false, "", 0},
	{"VNIs.AllowedVTEPs", `["192.0.2.0/24"]`, `["192.0.2.3"]`, []string{"vni 2000: allowed_vteps +192.0.2.3 -192.0.2.0/24: frames of other VTEPs than these are dropped (vtep_not_allowed), and the 1 MAC is flushed that such have"}, true, "", 0},
	{"VNIs.AllowedVTEPs", `["192.0.2.0/24"]`, `["192.0.2.0/24", "198.51.100.0/24"]`, []string{"vni 2000: allowed_vteps +198.51.100.0/24: nothing is interrupted"}, false, "", 0},
	{"VNIs.AllowedVTEPs", `allowed_vteps = ["192.0.2.0/24"]`, ``, []string{"vni 2000: allowed_vteps 192.0.2.0/24 -> anyone: nothing is interrupted"}, false, "", 0},
	{"VNIs.AllowedVTEPs", "vlan = 30", "vlan = 30\nallowed_vteps = [\"192.0.2.7\"]", []string{"vni 3000: allowed_vteps anyone -> 192.0.2.7: frames of other VTEPs than these are dropped (vtep_not_allowed), and the 0 MACs are flushed that such have"}, true, "", 0},
	{"VNIs.AllowedOnly", `flood = ["192.0.2.2", "192.0.2.3"]`, "flood = [\"192.0.2.2\", \"192.0.2.3\"]\nallowed_vteps = [\"192.0.2.2\", \"192.0.2.3\"]", []string{"vni 1000: allowed_vteps as flood -> written: VTEPs that only controllers name may not send: nothing is interrupted"}, false, "", 0},
	{"VNIs.AllowedOnly", "allowed_vteps = [\"192.0.2.2\", \"192.0.2.3\"]", "", []string{"vni 1000: allowed_vteps written -> as flood: VTEPs that controllers name may send, too: nothing is interrupted"}, false, strings.Replace(office, "vrf = \"red\"", "allowed_vteps = [\"192.0.2.2\", \"192.0.2.3\"]\nvrf = \"red\"", 1), 0},
	{"VNIs.SuppressARP", "vlan = 10", "vlan = 10\nsuppress_arp = true", []string{"vni 1000: suppress_arp off -> on: ARP and ND requests for neighbours that become known are answered: nothing is interrupted"}, false, "", 0},
	{"VNIs.SuppressARP", "suppress_arp = true", "", []string{"vni 2000: suppress_arp on -> off: its 0 neighbours are forgotten, and ARP and ND requests are flooded: nothing is interrupted"}, false, "", 0},
	{"VNIs.ClampMSS", "vlan = 10", "vlan = 10\nclamp_mss = true", []string{"vni 1000: clamp_mss off -> on: it holds for TCP connections that open from now on: nothing is interrupted"}, false, "", 0},
	{"VNIs.VRF", "vlan = 20", "vlan = 20\nvrf = \"red\"\ngateway = [\"10.1.2.1/24\"]", []string{`vni 2000: vrf +"red", gateway 10.1.2.1/24: it is routed: nothing is interrupted`}, false, "", 0},
	{"VNIs.VRF", "vrf = \"red\"\ngateway = [\"10.1.2", "vrf = \"blue\"\ngateway = [\"10.1.2", []string{`vni 2000: vrf "red" -> "blue": what it routes goes by the routes of the other one`}, true, routedBoth, 0},
	{"VNIs.VRF", "vrf = \"red\"\ngateway = [\"10.1.2.1/24\"]\n", "", []string{`vni 2000: vrf -"red": it is routed no more: what it routes is interrupted`}, true, routedBoth, 0},
	{"VNIs.Gateway", `"10.1.1.1/24", `, `"10.1.1.1/24", "10.1.3.1/24", `, []string{"vni 1000: gateway +10.1.3.1/24: nothing is interrupted"}, false, "", 0},
	{"VNIs.Gateway", `"10.1.1.1/24", "2001:db8:1::1/64"`, `"10.1.1.1/24", "2001:db8:2::1/64"`, []string{"vni 1000: gateway +2001:db8:2::1/64 -2001:db8:1::1/64: who has a removed one as router, or is in a removed network, is interrupted"}, true, "", 0},
	{"VNIs.Gateway", `"10.1.1.1/24", "2001:db8:1::1/64"`, `"2001:db8:1::1/64", "10.1.1.1/24"`, []string{"vni 1000: gateway 10.1.1.1/24, 2001:db8:1::1/64 -> 2001:db8:1::1/64, 10.1.1.1/24: the first of each family is the source of relayed DHCP: nothing is interrupted"}, false, "", 0},
	{"VNIs.GatewayMAC", "vlan = 10", "vlan = 10\ngateway_mac = \"02:00:00:00:00:99\"", []string{"vni 1000: gateway_mac 02:3d:f9:d0:5e:a3 -> 02:00:00:00:00:99: what its hosts route is interrupted until they have heard of the new one, which is announced"}, true, "", 0},
	{"VNIs.DHCPServers", `["10.1.1.9"]`, `["10.1.1.8"]`, []string{"vni 1000: dhcp_servers +10.1.1.8 -10.1.1.9: DHCP is relayed to the servers of the new list: nothing is interrupted"}, false, "", 0},
	{"VNIs.DHCPServers", `dhcp_servers = ["10.1.1.9"]`, ``, []string{"vni 1000: dhcp_servers -10.1.1.9: DHCP is flooded, and relayed no more"}, false, "", 0},
	{"VNIs.RA", "vlan = 10", "vlan = 10\nra = false", []string{"vni 1000: ra on -> off: IPv6 hosts are told that the gateway is no router any more"}, true, "", 0},

	{"Ports.Interface", "[[mac]]", "[[port]]\ninterface = \"e9\"\nvlan = 30\n[[mac]]", []string{"port e9: added: nothing is interrupted"}, false, "", 0},
	{"Ports.Interface", "[[port]]\ninterface = \"e2\"\nvlan = 10\n", "", []string{"port e2: removed: its 1 MAC is flushed, its frames are interrupted"}, true, "", 0},
	{"Ports.VLAN", "\"e1\"\nvlan = 10", "\"e1\"\nvlan = 20", []string{"port e1: VLAN 10 -> 20 (VNI 1000 -> 2000): its 1 MAC is flushed, frames of it are interrupted"}, true, "", 0},
	{"Ports.VLAN", "\"e1\"\nvlan = 10", "\"e1\"\nvni = 1000", []string{"port e1: VLAN 10 -> none: it is VNI 1000 as before: nothing is interrupted"}, false, "", 0},
	{"Ports.VNI", "\"e1\"\nvlan = 10", "\"e1\"\nvni = 3000", []string{"port e1: VNI 1000 -> 3000: its 1 MAC is flushed, frames of it are interrupted"}, true, "", 0},
	{"Ports.MACLimit", "\"e1\"\n", "\"e1\"\nmac_limit = 1\n", []string{"port e1: mac_limit 1024 -> 1: the 1 MAC known stay, and no more are learned: nothing is interrupted"}, false, "", 0},
	{"Ports.Isolated", "\"e1\"\n", "\"e1\"\nisolated = true\n", []string{"port e1: isolated off -> on: frames between it and other isolated ports are dropped (isolated_port)"}, true, "", 0},
	{"Ports.BPDU", "\"e1\"\n", "\"e1\"\nbpdu = \"tunnel\"\n", []string{"port e1: bpdu drop -> tunnel: spanning tree is treated so from now on: nothing else is interrupted"}, false, "", 0},
	{"Ports.DropPriority", "\"e1\"\n", "\"e1\"\npriority_tagged = \"drop\"\n", []string{"port e1: priority_tagged accept -> drop: frames tagged VID 0 are dropped (tagged_frame)"}, true, "", 0},

	{"MACs.VNI", "[[mac]]\nvni = 1000", "[[mac]]\nvni = 2000", []string{
		"mac 02:00:00:00:09:09 in vni 1000: removed: frames to it are flooded until it is heard: nothing is interrupted",
		"mac 02:00:00:00:09:09 in vni 2000: added, behind vtep 192.0.2.2: nothing is interrupted",
	}, false, "", 0},
	{"MACs.MAC", "[[vrf]]\nname = \"blue\"", "[[mac]]\nvni = 1000\naddress = \"02:00:00:00:02:0a\"\nport = \"e1\"\n[[vrf]]\nname = \"blue\"", []string{
		"mac 02:00:00:00:02:0a in vni 1000: added, behind port e1: frames to it go there, and no more to vtep 192.0.2.2",
	}, true, "", 1},
	{"MACs.VTEP", `vtep = "192.0.2.2"`, `vtep = "192.0.2.3"`, []string{"mac 02:00:00:00:09:09 in vni 1000: behind vtep 192.0.2.2 -> vtep 192.0.2.3: frames to it go to the new place"}, true, "", 0},
	{"MACs.Port", `vtep = "192.0.2.2"`, `port = "e2"`, []string{"mac 02:00:00:00:09:09 in vni 1000: behind vtep 192.0.2.2 -> port e2: frames to it go to the new place"}, true, "", 0},

	{"VRFs.Name", "[[vrf]]\nname = \"blue\"", "[[vrf]]\nname = \"green\"", []string{"vrf blue: removed: nothing is interrupted", "vrf green: added: nothing is interrupted"}, false, "", 0},
	{"VRFs.Routes.Prefix", "via = \"10.1.1.254\"", "via = \"10.1.1.254\"\n[[vrf.route]]\nprefix = \"0.0.0.0/0\"\nvia = \"10.1.1.253\"", []string{"vrf red: route +0.0.0.0/0 via 10.1.1.253 in VNI 1000: packets to there go by it"}, true, "", 0},
	{"VRFs.Routes.Prefix", "[[vrf.route]]\nprefix = \"198.18.0.0/16\"\nvia = \"10.1.1.254\"\n", "", []string{"vrf red: route -198.18.0.0/16 via 10.1.1.254 in VNI 1000: packets to there go by a shorter prefix, or are dropped (no_route)"}, true, "", 0},
	{"VRFs.Routes.Hops.Via", `via = "10.1.1.254"`, `via = ["10.1.1.254", "10.1.1.253"]`, []string{"vrf red: route 198.18.0.0/16 via 10.1.1.254 in VNI 1000 -> via 10.1.1.254 in VNI 1000, via 10.1.1.253 in VNI 1000: packets to there go the new way"}, true, "", 0},
	{"VRFs.Routes.Hops.VNI", `"10.1.1.254"`, `"10.1.2.254"`, []string{"vrf red: route 198.18.0.0/16 via 10.1.1.254 in VNI 1000 -> via 10.1.2.254 in VNI 2000: packets to there go the new way"}, true, routedBoth, 0},
	{"VRFs.Routes.Blackhole", `via = "10.1.1.254"`, `blackhole = true`, []string{"vrf red: route 198.18.0.0/16 via 10.1.1.254 in VNI 1000 -> blackhole: packets to there go the new way"}, true, "", 0},
	{"VRFs.Routes.Unreachable", `via = "10.1.1.254"`, `unreachable = true`, []string{"vrf red: route 198.18.0.0/16 via 10.1.1.254 in VNI 1000 -> unreachable: packets to there go the new way"}, true, "", 0},
}

func TestPreview(t *testing.T) {
	for _, r := range rows {
		t.Run(strings.ReplaceAll(r.field+" "+r.to, "\n", " "), func(t *testing.T) {
			fabric.Test(t, func(n *fabric.Net) {
				base := cmp.Or(r.base, office)
				g := n.Add(base)
				if strings.Contains(base, "id = 1000") {
					populate(n)
				}
				if !strings.Contains(base, r.from) {
					t.Fatalf("the configuration has no %q", r.from)
				}
				next, err := config.Parse("next.toml", []byte(strings.Replace(base, r.from, r.to, 1)))
				if err != nil {
					t.Fatal(err)
				}
				if was, is := leaves(reflect.ValueOf(*g.Config)), leaves(reflect.ValueOf(*next)); was[r.field] == is[r.field] {
					t.Errorf("%s is not changed: %s", r.field, was[r.field])
				}
				impacts, err := g.Preview(next)
				if err != nil {
					t.Fatal(err)
				}
				r.check(t, impacts)
				learned := learnedMACs(g)
				if again, err := g.Preview(next); err != nil || !reflect.DeepEqual(again, impacts) || learnedMACs(g) != learned {
					t.Errorf("asked again: %v, %v", again, err)
				}
				// What it says is what a reload does.
				changes, err := g.Reload(next)
				if err != nil {
					t.Fatal(err)
				}
				if changes.Empty() != (len(impacts) == 0) {
					t.Errorf("%v changed", changes.Lines())
				}
				if gone := learned - learnedMACs(g); gone != claimed(impacts)+r.pinned {
					t.Errorf("%d MACs are flushed", gone)
				}
				left, err := g.Preview(next)
				if err != nil {
					t.Fatal(err)
				}
				waiting := slices.DeleteFunc(slices.Clone(impacts), func(i api.Impact) bool { return !i.Restart })
				if d := diff.Diff(waiting, left); d != "" && len(waiting)+len(left) > 0 {
					t.Errorf("left to do (-want +got):\n%s", d)
				}
			})
		})
	}
}

func (r *row) check(t *testing.T, impacts []api.Impact) {
	t.Helper()
	var lines []string
	interrupts := false
	for _, i := range impacts {
		lines = append(lines, i.String())
		interrupts = interrupts || i.Interrupts
		if i.Restart != strings.HasSuffix(i.Effect, waits[2:]) || i.Restart && i.Interrupts {
			t.Errorf("%+v", i)
		}
	}
	if d := diff.Diff(r.does, lines); d != "" {
		t.Errorf("-want +got\n%s", d)
	}
	if interrupts != r.interrupt {
		t.Errorf("interrupts: %t", interrupts)
	}
}

func learnedMACs(g *fabric.Gateway) (n int) {
	for m := range g.MACs(0) {
		if m.Origin == api.OriginLearned {
			n++
		}
	}
	return n
}

var flushes = regexp.MustCompile(`(\d+) MACs? (?:is|are) flushed`)

// claimed is how many MACs are flushed by what is said. A VNI that goes takes those of
// its ports along, which say so too: rows do not do both.
func claimed(impacts []api.Impact) (n int) {
	for _, i := range impacts {
		for _, m := range flushes.FindAllStringSubmatch(i.Effect, -1) {
			k, _ := strconv.Atoi(m[1])
			n += k
		}
	}
	return n
}

// leaves returns what every field has, by path, those of the items of a list together.
func leaves(v reflect.Value) map[string]string {
	out := make(map[string]string)
	var walk func(path string, v reflect.Value)
	walk = func(path string, v reflect.Value) {
		switch {
		case v.Kind() == reflect.Struct && v.Type().PkgPath() == "vxgw/config":
			for i := range v.NumField() {
				walk(strings.TrimPrefix(path+"."+v.Type().Field(i).Name, "."), v.Field(i))
			}
		case v.Kind() == reflect.Slice && v.Type().Elem().PkgPath() == "vxgw/config":
			for i := range v.Len() {
				walk(path, v.Index(i))
			}
			if v.Len() == 0 { // its fields, without values
				walk(path, reflect.Zero(v.Type().Elem()))
			}
		default:
			out[path] += fmt.Sprintf("%v;", v)
		}
	}
	walk("", v)
	return out
}

// notSettings are fields that say nothing of what a gateway does.
var notSettings = map[string]string{
	"File":             "where it was read",
	"MAC":              "made of Name, and told of in each VNI that has it",
	"Warnings.File":    "for people",
	"Warnings.Line":    "for people",
	"Warnings.Col":     "for people",
	"Warnings.Message": "for people",
}

// A field that is new in the configuration has a row that says what it does to change it.
func TestEveryField(t *testing.T) {
	for field := range leaves(reflect.ValueOf(config.Config{})) {
		has := slices.ContainsFunc(rows, func(r row) bool { return r.field == field })
		if _, not := notSettings[field]; has == not {
			t.Errorf("%s: a row %t, no setting %t", field, has, not)
		}
	}
	for _, r := range rows {
		if _, there := leaves(reflect.ValueOf(config.Config{}))[r.field]; !there {
			t.Errorf("there is no field %s", r.field)
		}
	}
}
