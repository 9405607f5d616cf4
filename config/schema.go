package config

// Limits of the numbers in a file.
const (
	maxVNI   = 1<<24 - 1 // RFC 7348 section 5: 24 bits
	maxVLAN  = 4094      // IEEE 802.1Q table 9-2: 0 and 4095 are no VLANs
	maxMACs  = 1 << 24   // entries, about 1 GiB of FDB
	maxWorks = 64
)

// The defaults that code asks for by name; the others stand in the schema only.
const (
	defaultMACs = 1 << 20
	defaultHTTP = "127.0.0.1:9279"
)

// table is one table of the file format.
type table struct {
	name  string
	array bool // [[name]]: any number of them
	doc   string
	keys  []key
	kids  []*table
}

// key is one key of a table.
type key struct {
	name     string
	kind     kind
	def      any // what a file would say; nil: no default, or one that Parse works out
	required bool
	restart  bool // a change takes effect at the next start only
	doc      string
}

func (t *table) key(name string) *key {
	for i := range t.keys {
		if t.keys[i].name == name {
			return &t.keys[i]
		}
	}
	return nil
}

func (t *table) kid(name string) *table {
	for _, k := range t.kids {
		if k.name == name {
			return k
		}
	}
	return nil
}

// header returns the table as the file opens it.
func (t *table) header() string {
	name := t.name
	if t == routeTable {
		name = "vrf." + name
	}
	if t.array {
		return "[[" + name + "]]"
	}
	return "[" + name + "]"
}

// fileTable is the whole file format: what is not here is refused, and the
// sample and the hints for a misspelt key are made of it.
var fileTable = &table{kids: []*table{
	gatewayTable, underlayTable, datapathTable, vniTable, portTable, macTable, vrfTable, apiTable, logTable,
}}

var gatewayTable = &table{name: "gateway", doc: "This gateway.", keys: []key{
	{name: "name", kind: text("a name", label(1)), doc: "name in logs and metrics; default: the host name"},
}}

var underlayTable = &table{name: "underlay", doc: "The IP network between the VTEPs.", keys: []key{
	{name: "address", kind: text(wantVTEP, ownVTEP), required: true, restart: true, doc: "this VTEP, IPv4 or IPv6: an address this machine holds; written 192.0.2.1/24 it is put on the sub-interface of `vlan`"},
	{name: "interface", kind: text("the name of an interface", interfaceName), restart: true, doc: "default: the interface that holds `address`"},
	{name: "vlan", kind: integer(1, maxVLAN), restart: true, doc: "802.1Q VLAN of the underlay, on `interface`: its sub-interface, here und0.77, is made where there is none"},
	{name: "port", kind: integer(1, 65535), def: int64(4789), restart: true, doc: "UDP port of VXLAN, the same on every VTEP"},
	{name: "ttl", kind: integer(1, 255), def: int64(64), restart: true, doc: "outer TTL, or hop limit"},
	{name: "dscp", kind: dscp(), def: "inherit", restart: true, doc: "outer DSCP; \"inherit\": that of the inner packet"},
	{name: "df", kind: boolean(), def: true, restart: true, doc: "set DF on the outer IPv4 header"},
	{name: "udp_checksum", kind: boolean(), restart: true, doc: "outer UDP checksum; default: false on IPv4, true on IPv6, where false also accepts zero"},
	{name: "source_ports", kind: text(wantPorts, portRange), def: "49152-65535", restart: true, doc: "outer source ports, one for each flow"},
	{name: "reserved_bits", kind: choice("ignore", "strict"), def: "ignore", restart: true, doc: "\"strict\": drop VXLAN headers with reserved bits set"},
	{name: "pmtu_probe", kind: boolean(), def: true, restart: true, doc: "find out by ICMP echo how much the path to each VTEP carries (RFC 8899), where no router says so"},
	{name: "bypass", kind: boolean(), def: true, restart: true, doc: "VXLAN packets go past the host's IP stack and its firewall where they can, which is faster; false: never"},
}}

var datapathTable = &table{name: "datapath", doc: "How frames are moved.", keys: []key{
	{name: "mode", kind: choice(string(ModeAuto), string(ModeRaw), string(ModeXDP)), def: string(ModeAuto), restart: true, doc: "the way frames take: raw by packet sockets, xdp by XDP where that can be, auto by XDP where it can be and pays"},
	{name: "workers", kind: integer(0, maxWorks), def: int64(0), restart: true, doc: "workers for each direction: receive queues of the underlay, and of the access ports together; 0: one per CPU, half of them for each"},
	{name: "mac_limit", kind: integer(1, maxMACs), def: int64(defaultMACs), restart: true, doc: "MAC addresses in all"},
}}

var vniTable = &table{name: "vni", array: true, doc: "A bridge domain: a VLAN on this side, a VNI on the other.", keys: []key{
	{name: "id", kind: integer(1, maxVNI), required: true, doc: "VXLAN network identifier, unique"},
	{name: "vlan", kind: integer(1, maxVLAN), doc: "the port VLAN that stands for it, unique; may be absent where every port names the VNI"},
	{name: "name", kind: text("a name", label(0)), doc: "for people"},
	{name: "flood", kind: listOf(text(wantVTEP, vtepAddress)), doc: "remote VTEPs: broadcast, unknown unicast and multicast go to each, once"},
	{name: "group", kind: text(wantGroup, groupAddress), doc: "multicast group for the same, joined; beside it `flood` is for VTEPs that do not hear the group"},
	{name: "learning", kind: boolean(), def: true, doc: "learn which VTEP a MAC address is behind"},
	{name: "ageing", kind: text(wantAgeing, ageing), def: "300s", doc: "forget a silent MAC address after this long, 1s..1000000s; \"0s\": never"},
	{name: "mac_limit", kind: integer(1, maxMACs), def: int64(65536), doc: "MAC addresses of this VNI"},
	{name: "allowed_vteps", kind: listOf(text(wantPrefix, sourcePrefix)), doc: "who may send to this VNI; default: `flood` where it is set and there is no `group`, else anyone"},
	{name: "suppress_arp", kind: boolean(), def: false, doc: "answer ARP and ND for known neighbours instead of flooding"},
	{name: "clamp_mss", kind: boolean(), def: false, doc: "lower the MSS that hosts announce when they open TCP connections to what the path to the VTEP carries"},
	{name: "vrf", kind: text("the name of a [[vrf]]", label(1)), doc: "with `gateway`: route this VNI, in this [[vrf]]"},
	{name: "gateway", kind: listOf(text(wantGateway, gatewayPrefix)), doc: "addresses of the gateway in this VNI, with the length of their subnets"},
	{name: "dhcp_servers", kind: listOf(text(wantServer, serverAddress)), doc: "DHCP of the hosts is relayed to these, by the routes of `vrf`, and flooded no more"},
	{name: "ra", kind: boolean(), def: true, doc: "advertise the gateway and its prefixes to IPv6 hosts"},
	{name: "gateway_mac", kind: text(wantMAC, stationMAC), doc: "MAC address of the gateway; default: one made of [gateway] name, the same on every VNI"},
}}

var portTable = &table{name: "port", array: true, doc: "An access port: it speaks untagged frames.", keys: []key{
	{name: "interface", kind: text("the name of an interface", accessName), required: true, doc: "network interface, unique"},
	{name: "vlan", kind: integer(1, maxVLAN), doc: "access VLAN: untagged frames belong to it, and to the VNI with this `vlan`"},
	{name: "vni", kind: integer(1, maxVNI), doc: "in the place of `vlan`, where one VLAN means different VNIs on different ports"},
	{name: "mac_limit", kind: integer(1, maxMACs), def: int64(1024), doc: "MAC addresses behind this port"},
	{name: "isolated", kind: boolean(), def: false, doc: "isolated ports do not talk to each other"},
	{name: "bpdu", kind: choice(string(BPDUDrop), string(BPDUTunnel), string(BPDUShutdown)), def: string(BPDUDrop), doc: "what to do with spanning tree"},
	{name: "priority_tagged", kind: choice("accept", "drop"), def: "accept", doc: "frames tagged VID 0; \"accept\": the tag is stripped"},
}}

var macTable = &table{name: "mac", array: true, doc: "A MAC address that is not learned: it never ages or moves.", keys: []key{
	{name: "vni", kind: integer(1, maxVNI), required: true, doc: "where it is"},
	{name: "address", kind: text(wantMAC, stationMAC), required: true, doc: "the MAC address"},
	{name: "vtep", kind: text(wantVTEP, vtepAddress), doc: "the remote VTEP it is behind"},
	{name: "port", kind: text("the interface of a [[port]]", interfaceName), doc: "in the place of `vtep`: the access port it is behind"},
}}

var vrfTable = &table{name: "vrf", array: true, doc: "A routing table of its own; VNIs name it.", kids: []*table{routeTable}, keys: []key{
	{name: "name", kind: text("a name", label(1)), required: true, doc: "unique"},
}}

var routeTable = &table{name: "route", array: true, doc: "A static route of the [[vrf]] above.", keys: []key{
	{name: "prefix", kind: text(wantPrefix, routePrefix), required: true, doc: "destination"},
	{name: "via", kind: oneOrMore(text(wantVia, viaAddress)), doc: "next hop, in the prefix of a gateway of this [[vrf]]; an array of up to 16: flows are spread over them"},
	{name: "vni", kind: integer(1, maxVNI), doc: "the VNI that `via` is in: needed where that is a link-local address"},
	{name: "blackhole", kind: boolean(), doc: "in the place of `via`: discard silently"},
	{name: "unreachable", kind: boolean(), doc: "in the place of `via`: discard, and tell the sender"},
}}

var apiTable = &table{name: "api", doc: "Where the gateway can be asked.", keys: []key{
	{name: "socket", kind: text("an absolute path", socketPath), def: "/run/vxgw/control.sock", restart: true, doc: "control API and command line; mode 0660, group vxgw"},
	{name: "http", kind: text(wantHTTP, httpAddress), def: defaultHTTP, restart: true, doc: "metrics and dashboard, read-only; \"\": off"},
}}

var logTable = &table{name: "log", doc: "What the gateway tells.", keys: []key{
	{name: "level", kind: choice("debug", "info", "warn", "error"), def: "info", doc: "least weight of what is told"},
	{name: "format", kind: choice("text", "json", "journald"), def: "text", restart: true, doc: "how it is written"},
}}
