package config

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// skeleton is the sample without its explanations, which come from the schema.
// A key that is commented out stands at its default, or is an example where it
// has none. Uncommented as it is, the whole is valid too.
const skeleton = `
[gateway]
#name = "edge-1"

[underlay]
address = "192.0.2.1"
#interface = "und0"
#vlan = 77
#port = 4789
#ttl = 64
#dscp = "inherit"
#df = true
#udp_checksum = false
#source_ports = "49152-65535"
#reserved_bits = "ignore"
#pmtu_probe = true
#bypass = true

[datapath]
#mode = "auto"
#workers = 0
#mac_limit = 1048576

[[vni]]
id = 10010
vlan = 10
name = "web"
flood = ["192.0.2.2", "192.0.2.3"]
#group = "239.119.1.1"
#learning = true
#ageing = "300s"
#mac_limit = 65536
#allowed_vteps = ["192.0.2.0/24"]
#suppress_arp = false
#clamp_mss = false
#vrf = "red"
#gateway = ["10.1.1.1/24", "2001:db8:1::1/64"]
#dhcp_servers = ["10.9.9.9"]
#ra = true
#gateway_mac = "00:00:5e:00:01:01"

[[port]]
interface = "eth1"
vlan = 10
#mac_limit = 1024
#isolated = false
#bpdu = "drop"
#priority_tagged = "accept"

#[[port]]
#interface = "eth2"
#vni = 10010

#[[mac]]
#vni = 10010
#address = "02:00:00:00:01:02"
#vtep = "192.0.2.2"

#[[mac]]
#vni = 10010
#address = "02:00:00:00:01:03"
#port = "eth1"

#[[vrf]]
#name = "red"

#[[vrf.route]]
#prefix = "0.0.0.0/0"
#via = "10.1.1.254"

#[[vrf.route]]
#prefix = "10.0.0.0/8"
#blackhole = true

#[[vrf.route]]
#prefix = "172.16.0.0/12"
#unreachable = true

#[[vrf.route]]
#prefix = "2001:db8:2::/48"
#via = ["fe80::1", "fe80::2"]
#vni = 10010

[api]
#socket = "/run/vxgw/control.sock"
#http = "127.0.0.1:9279"

[log]
#level = "info"
#format = "text"
`

const sampleHead = `# The configuration of vxgw, a gateway between VLANs and VXLAN, at its usual
# place ` + DefaultFile + `.
#
# A key behind # stands at its default, or is an example where it has none.
# What is marked "restart" takes effect at the next start, all else at
# ` + "`vxgw reload`. `vxgw check`" + ` says what a file would do.
`

// sampleColumn is where the explanations begin, in characters from 0.
const sampleColumn = 48

// Sample returns a commented configuration with every key of the file format.
// It is valid as it is, and with every key uncommented.
func Sample() string {
	var b strings.Builder
	b.WriteString(sampleHead)
	told := map[*key]bool{}
	saw := map[*table]bool{}
	var t *table
	for line := range strings.Lines(skeleton) {
		line = strings.TrimSuffix(line, "\n")
		plain := strings.TrimPrefix(line, "#")
		name, _, isKey := strings.Cut(plain, " = ")
		switch {
		case strings.HasPrefix(plain, "["):
			t = tableOf(plain)
			if !saw[t] {
				b.WriteString("# " + t.doc + "\n")
				saw[t] = true
			}
		case isKey && !told[t.key(name)]:
			told[t.key(name)] = true
			line = explain(line, t.key(name))
		}
		b.WriteString(line + "\n")
	}
	return b.String()
}

// tableOf returns the table of a header.
func tableOf(header string) *table {
	t := fileTable
	for _, name := range strings.Split(strings.Trim(header, "[]"), ".") {
		t = t.kid(name)
	}
	return t
}

// explain puts behind a key what it means, its limits and what it does when it
// is not written.
func explain(line string, k *key) string {
	notes := []string{k.doc}
	if k.kind.limits != "" {
		notes = append(notes, k.kind.limits)
	}
	if k.required {
		notes = append(notes, "required")
	}
	if k.restart {
		notes = append(notes, "restart")
	}
	pad := max(sampleColumn-utf8.RuneCountInString(line), 1)
	return fmt.Sprintf("%s%*s# %s", line, pad, "", strings.Join(notes, "; "))
}
