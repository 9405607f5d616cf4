package netns

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Sysctl writes a setting of the namespace's own network stack. The key is
// what follows /proc/sys/net/, as in "ipv4/ip_forward".
func (n *NS) Sysctl(key, value string) error {
	return n.Do(func() error { return sysctl(key, value) })
}

// sysctl writes a setting of the calling thread's namespace: that is the one
// /proc/sys/net shows, whoever mounted it.
func sysctl(key, value string) error {
	path := filepath.Join("/proc/sys/net", key)
	if !strings.HasPrefix(path, "/proc/sys/net/") {
		return fmt.Errorf("sysctl %q is not below /proc/sys/net", key)
	}
	if err := os.WriteFile(path, []byte(value), 0); err != nil {
		return fmt.Errorf("sysctl net/%s = %s: %w", key, value, err)
	}
	return nil
}

// quiet makes a new namespace speak only when spoken to. IPv4 settings are
// inherited from the host's namespace (net.core.devconf_inherit_init_net), so
// those that change what is forwarded are written out.
func quiet() error {
	for _, s := range [...][2]string{
		{"ipv4/ip_forward", "0"}, // first: it resets the others
		{"ipv4/conf/all/rp_filter", "0"},
		{"ipv4/conf/default/rp_filter", "0"},
		{"ipv4/conf/all/arp_notify", "0"},
		{"ipv4/conf/default/arp_notify", "0"},
	} {
		if err := sysctl(s[0], s[1]); err != nil {
			return err
		}
	}
	if !hasIPv6() {
		return nil
	}
	return sysctl("ipv6/conf/default/disable_ipv6", "1")
}

func hasIPv6() bool {
	_, err := os.Stat("/proc/sys/net/ipv6")
	return err == nil
}

// enableIPv6 turns IPv6 on for dev, without duplicate address detection, router
// solicitations, autoconfiguration and a link-local address of its own.
func enableIPv6(dev string) error {
	conf := "ipv6/conf/" + dev + "/"
	for _, s := range [...][2]string{
		{"accept_dad", "0"},
		{"accept_ra", "0"},
		{"autoconf", "0"},
		{"router_solicitations", "0"},
		{"addr_gen_mode", "1"}, // IN6_ADDR_GEN_MODE_NONE
		{"disable_ipv6", "0"},  // last: it starts all of the above
	} {
		if err := sysctl(conf+s[0], s[1]); err != nil {
			return err
		}
	}
	return nil
}

// Forward makes the namespace a router, for IPv4 and, where the kernel has it,
// IPv6.
func (n *NS) Forward() error {
	return n.Do(func() error {
		if err := sysctl("ipv4/ip_forward", "1"); err != nil || !hasIPv6() {
			return err
		}
		return sysctl("ipv6/conf/all/forwarding", "1")
	})
}
