package netns

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"vxgw/l2/frame"
)

// VXLANConfig is a kernel VXLAN device, one VNI of a kernel VTEP.
type VXLANConfig struct {
	Name    string
	VNI     uint32       // 0..16777215
	Local   netip.Addr   // outer source address
	Remotes []netip.Addr // head-end replication list
	Group   netip.Addr   // multicast group, joined on Dev
	Dev     string       // underlay device; needed with Group
	Port    uint16       // UDP port; 0: 4789
	Master  string       // bridge that it becomes a port of
	MTU     int          // bytes; 0: 1500, whatever the underlay carries

	TTL         uint8         // 0: the host's default, 1 for multicast
	TOS         uint8         // 1: inherit from the inner packet
	DF          bool          // set DF on the outer IPv4 header
	UDPChecksum bool          // fill in the outer UDP checksum over IPv4
	ZeroTX6     bool          // leave the outer UDP checksum zero over IPv6
	ZeroRX6     bool          // accept a zero UDP checksum over IPv6
	NoLearning  bool          // learn no (inner MAC, outer source) pairs
	Ageing      time.Duration // of learned pairs, whole seconds; 0: the kernel's 300 s
}

// VXLAN makes a kernel VXLAN device and sets it up.
func (n *NS) VXLAN(c VXLANConfig) error {
	err := n.addVXLAN(c)
	if err != nil {
		return fmt.Errorf("%v: VXLAN device %s: %w", n, c.Name, err)
	}
	if err := n.finishVXLAN(c); err != nil {
		return errors.Join(err, n.Delete(c.Name))
	}
	return nil
}

func (n *NS) finishVXLAN(c VXLANConfig) error {
	if c.Master != "" {
		if err := n.Enslave(c.Name, c.Master); err != nil {
			return err
		}
	}
	for _, r := range c.Remotes {
		if err := n.AddFDB(c.Name, frame.MAC{}, r); err != nil {
			return err
		}
	}
	return n.SetUp(c.Name)
}

// addVXLAN writes the request by hand: netlink.Vxlan has no word for a zero UDP
// checksum over IPv4, nor for DF.
func (n *NS) addVXLAN(c VXLANConfig) error {
	underlay := 0
	if c.Dev != "" {
		link, err := n.link(c.Dev)
		if err != nil {
			return err
		}
		underlay = link.Attrs().Index
	}
	return n.Do(func() error {
		req := nl.NewNetlinkRequest(unix.RTM_NEWLINK, unix.NLM_F_CREATE|unix.NLM_F_EXCL|unix.NLM_F_ACK)
		req.AddData(nl.NewIfInfomsg(unix.AF_UNSPEC))
		req.AddData(nl.NewRtAttr(unix.IFLA_IFNAME, nl.ZeroTerminated(c.Name)))
		req.AddData(nl.NewRtAttr(unix.IFLA_MTU, nl.Uint32Attr(uint32(cmp.Or(c.MTU, 1500)))))
		info := nl.NewRtAttr(unix.IFLA_LINKINFO, nil)
		info.AddRtAttr(unix.IFLA_INFO_KIND, nl.NonZeroTerminated("vxlan"))
		c.attributes(info.AddRtAttr(unix.IFLA_INFO_DATA, nil), underlay)
		req.AddData(info)
		_, err := req.Execute(unix.NETLINK_ROUTE, 0)
		return err
	})
}

func (c VXLANConfig) attributes(data *nl.RtAttr, underlay int) {
	data.AddRtAttr(unix.IFLA_VXLAN_ID, nl.Uint32Attr(c.VNI))
	data.AddRtAttr(unix.IFLA_VXLAN_PORT, binary.BigEndian.AppendUint16(nil, cmp.Or(c.Port, 4789)))
	if underlay != 0 {
		data.AddRtAttr(unix.IFLA_VXLAN_LINK, nl.Uint32Attr(uint32(underlay)))
	}
	addAddr(data, unix.IFLA_VXLAN_LOCAL, unix.IFLA_VXLAN_LOCAL6, c.Local)
	addAddr(data, unix.IFLA_VXLAN_GROUP, unix.IFLA_VXLAN_GROUP6, c.Group)
	data.AddRtAttr(unix.IFLA_VXLAN_TTL, nl.Uint8Attr(c.TTL))
	data.AddRtAttr(unix.IFLA_VXLAN_TOS, nl.Uint8Attr(c.TOS))
	data.AddRtAttr(unix.IFLA_VXLAN_DF, flag(c.DF))
	data.AddRtAttr(unix.IFLA_VXLAN_UDP_CSUM, flag(c.UDPChecksum))
	data.AddRtAttr(unix.IFLA_VXLAN_UDP_ZERO_CSUM6_TX, flag(c.ZeroTX6))
	data.AddRtAttr(unix.IFLA_VXLAN_UDP_ZERO_CSUM6_RX, flag(c.ZeroRX6))
	data.AddRtAttr(unix.IFLA_VXLAN_LEARNING, flag(!c.NoLearning))
	if c.Ageing != 0 {
		data.AddRtAttr(unix.IFLA_VXLAN_AGEING, nl.Uint32Attr(uint32(c.Ageing/time.Second)))
	}
}

func addAddr(data *nl.RtAttr, attr4, attr6 int, a netip.Addr) {
	switch {
	case a.Is4():
		data.AddRtAttr(attr4, a.AsSlice())
	case a.Is6():
		data.AddRtAttr(attr6, a.AsSlice())
	}
}

func flag(on bool) []byte {
	if on {
		return nl.Uint8Attr(1)
	}
	return nl.Uint8Attr(0)
}

// VTEP makes a kernel VTEP for one VNI: a bridge of the given name over the
// ports and the VXLAN device.
func (n *NS) VTEP(bridge string, c VXLANConfig, ports ...string) error {
	if err := n.Bridge(bridge, ports...); err != nil {
		return err
	}
	c.Master = bridge
	if err := n.VXLAN(c); err != nil {
		return errors.Join(err, n.Delete(bridge))
	}
	return nil
}
