package config

import "testing"

func TestDescribe(t *testing.T) {
	small := parsed(t, base)
	golden(t, "testdata/small.txt", small.Describe())

	big, err := Parse("vxgw.toml", []byte(`
[gateway]
name = "edge-1"
[underlay]
address = "192.0.2.1"
interface = "und0"
dscp = 46
reserved_bits = "strict"
[datapath]
workers = 4
[[vni]]
id = 10010
vlan = 10
name = "web"
flood = ["192.0.2.2", "192.0.2.3", "192.0.2.4", "192.0.2.5", "192.0.2.6"]
group = "239.119.1.1"
allowed_vteps = ["192.0.2.0/24"]
vrf = "red"
gateway = ["10.1.1.1/24", "2001:db8:1::1/64"]
gateway_mac = "00:00:5e:00:01:01"
storm_control.broadcast = 1000
move_limit = 0
[[vni]]
id = 16777215
name = "backup"
learning = false
ageing = "0s"
move_hold = "0s"
[[port]]
interface = "eth1"
vlan = 10
[[port]]
interface = "enp129s0f1np1.7"
vni = 16777215
isolated = true
priority_tagged = "drop"
bpdu = "shutdown"
mac_limit = 4
storm_control = { broadcast = 100, multicast = 200, unknown_unicast = 10000000 }
[[mac]]
vni = 10010
address = "02:00:00:00:01:02"
vtep = "192.0.2.2"
[[mac]]
vni = 16777215
address = "02:00:00:00:01:03"
port = "enp129s0f1np1.7"
[[vrf]]
name = "red"
[[vrf.route]]
prefix = "0.0.0.0/0"
via = "10.1.1.254"
[[vrf]]
name = "blue"
[api]
http = ""
`))
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "testdata/big.txt", big.Describe())

	golden(t, "testdata/vlan.txt", parsed(t, inBase(t, `address = "192.0.2.1"`, "address = \"192.0.2.1/24\"\ninterface = \"und0\"\nvlan = 77")).Describe())
	golden(t, "testdata/long.txt", parsed(t, inBase(t, `address = "192.0.2.1"`, "address = \"192.0.2.1\"\ninterface = \"enp129s0f1np1\"\nvlan = 77")).Describe())
	golden(t, "testdata/bare.txt", parsed(t, "[gateway]\nname = \"gw\"\n[underlay]\naddress = \"2001:db8::1\"\n").Describe())
}
