package config

import (
	"crypto/sha256"
	"net/netip"
	"os"

	"vxgw/l2/frame"
)

// builder makes a Config of a decoded file. Whatever is wrong is reported and
// passed over, so that the rest is checked too.
type builder struct {
	*reader
	cfg *Config

	underlay section
	vnis     []section // as cfg.VNIs
	ports    []section // as cfg.Ports
	macs     []section // as cfg.MACs
	vrfs     []section // as cfg.VRFs

	vniByID    map[uint32]int // index in cfg.VNIs
	vniByVLAN  map[uint16]int
	portByName map[string]int // index in cfg.Ports
	vrfByName  map[string]*domain

	// A reference to what is not there says nothing where the thing may be
	// there with a bad name.
	badIDs, badVRFs    map[string]bool // by what was refused: see written
	badVLANs, badPorts bool

	stray gateways // of VNIs whose VRF is not known
}

func (b *builder) build(raw map[string]any, root *node) *Config {
	b.cfg = &Config{File: b.src.file}
	file := b.section(fileTable, raw, root)
	one := func(t *table) section { return file.kids[t.name][0] }
	b.gateway(one(gatewayTable))
	b.readUnderlay(one(underlayTable))
	b.datapath(one(datapathTable))
	b.readVRFs(file.kids[vrfTable.name])
	b.readVNIs(file.kids[vniTable.name])
	b.readPorts(file.kids[portTable.name])
	b.readMACs(file.kids[macTable.name])
	b.checkOverlaps()
	b.readRoutes()
	b.api(one(apiTable))
	b.log(one(logTable))

	b.warnSurprises()
	sortProblems(b.warnings)
	b.cfg.Warnings = b.warnings
	return b.cfg
}

func (b *builder) gateway(s section) {
	b.cfg.Name = get[string](s, "name")
	if b.cfg.Name == "" {
		b.cfg.Name = hostName()
	}
	b.cfg.MAC = gatewayMAC(b.cfg.Name)
}

// hostName returns the name of this machine.
func hostName() string {
	if name, err := os.Hostname(); err == nil && name != "" {
		return name
	}
	return "vxgw"
}

// gatewayMAC makes the default gateway MAC address from the gateway's name, so
// that it stays the same over restarts and differs between gateways: 02, which
// is locally administered (IEEE 802c, AAI), and 40 bits of a hash.
func gatewayMAC(name string) frame.MAC {
	sum := sha256.Sum256([]byte("vxgw gateway MAC " + name))
	m := frame.MAC(sum[:6])
	m[0] = 0x02
	return m
}

func (b *builder) readUnderlay(s section) {
	b.underlay = s
	u := &b.cfg.Underlay
	own := get[ownAddress](s, "address")
	u.Address, u.Assign = own.addr, own.assign
	u.Interface = get[string](s, "interface")
	u.VLAN = uint16(get[int64](s, "vlan"))
	b.checkVLAN(s)
	u.Port = uint16(get[int64](s, "port"))
	u.TTL = uint8(get[int64](s, "ttl"))
	u.DSCP = get[DSCP](s, "dscp")
	u.DF = get[bool](s, "df")
	u.SourcePorts = get[PortRange](s, "source_ports")
	u.Strict = get[string](s, "reserved_bits") == "strict"
	u.ProbePMTU = get[bool](s, "pmtu_probe")
	u.Bypass = get[bool](s, "bypass")

	// RFC 7348 section 4: zero on IPv4 is usual. RFC 8200 section 8.1: IPv6
	// needs the checksum, but for tunnels that both ends agree on (RFC 6935).
	u.Checksum = get[bool](s, "udp_checksum")
	if u.Address.Is6() {
		u.ZeroChecksum6 = s.has("udp_checksum") && !u.Checksum
		u.Checksum = !u.ZeroChecksum6
	}
}

func (b *builder) datapath(s section) {
	b.cfg.Datapath = Datapath{
		Mode:     Mode(get[string](s, "mode")),
		Workers:  int(get[int64](s, "workers")),
		MACLimit: int(get[int64](s, "mac_limit")),
	}
}

func (b *builder) api(s section) {
	b.cfg.API = API{Socket: get[string](s, "socket"), HTTP: get[string](s, "http")}
}

func (b *builder) log(s section) {
	b.cfg.Log = Log{Level: get[string](s, "level"), Format: get[string](s, "format")}
}

// sameFamily reports an address whose family is not that of the underlay.
func (b *builder) sameFamily(name string, e elem, a netip.Addr) bool {
	own := b.cfg.Underlay.Address
	if !own.IsValid() || own.Is4() == a.Is4() {
		return true
	}
	b.fail(e.node.val, "%s: %s is %s but [underlay] address is %s, which is %s: write addresses of one family",
		name, e.val, family(a), own, family(own))
	return false
}

func family(a netip.Addr) string {
	if a.Is4() {
		return "IPv4"
	}
	return "IPv6"
}
