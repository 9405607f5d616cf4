package main

import (
	"context"
	"fmt"
	"net/netip"
	"strings"

	"vxgw/l2/frame"
	"vxgw/test/netns"
)

// The addresses of a bed: documentation prefixes (RFC 5737) and locally
// administered MACs.
var (
	h1Addr   = netip.MustParseAddr("198.51.100.1")
	h2Addr   = netip.MustParseAddr("198.51.100.2")
	gwVTEP   = netip.MustParseAddr("192.0.2.1")
	peerVTEP = netip.MustParseAddr("192.0.2.2")

	h1MAC   = frame.MAC{2, 0, 0, 0, 1, 1}
	h2MAC   = frame.MAC{2, 1, 0, 0, 0, 0} // and the remote MACs from here on
	gwMAC   = frame.MAC{2, 0, 0, 0, 0xf0, 1}
	peerMAC = frame.MAC{2, 0, 0, 0, 0xf0, 2}

	// routerAddr and routerMAC are the device's, where it routes.
	routerAddr = netip.MustParseAddr("198.51.100.254")
	routerMAC  = frame.MAC{0, 0, 0x5e, 0, 1, 1}
)

const (
	firstVNI  = 10000
	vxlanPort = 4789

	// underlayMTU leaves room for the hosts' 1500 bytes and 50 of overhead.
	underlayMTU = 1600

	underlay = "und0"
)

// access names the access port of VNI firstVNI + i, and hostDev the device of
// host h1 that it is wired to.
func access(i int) string  { return fmt.Sprintf("acc%d", i) }
func hostDev(i int) string { return fmt.Sprintf("eth%d", i) }

// each returns the names of n devices.
func each(n int, name func(int) string) []string {
	names := make([]string, n)
	for i := range names {
		names[i] = name(i)
	}
	return names
}

// site is where a device is put: a namespace with the underlay on und0, and the
// access ports acc0, acc1 and so on, one for each VNI from firstVNI on.
type site struct {
	ns            *netns.NS
	local, remote netip.Addr // VTEPs
	vnis          int
	macs          int  // addresses that there has to be room for, in each VNI
	routed        bool // the device has routerAddr in the first VNI, and routes
}

// ip has ip(8) carry out many commands at once.
func ip(ctx context.Context, ns *netns.NS, commands []string) error {
	cmd := ns.Command(ctx, "ip", "-batch", "-")
	cmd.Stdin = strings.NewReader(strings.Join(commands, "\n") + "\n")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%v: ip -batch, %d commands: %w: %s", ns, len(commands), err, out)
	}
	return nil
}
