package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"vxgw/test/netns"
)

// kernel is Linux's own bridge + vxlan: a bridge and a vxlan device for each
// VNI. One bridge of many VLANs and one vxlan device of many VNIs would be
// another way, but it takes 802.1Q in the kernel, which is not everywhere.
type kernel struct{}

func (kernel) Title() string         { return "Linux" }
func (kernel) About() string         { return "" }
func (kernel) Without(string) string { return "" }
func (kernel) Bare() bool            { return false }
func (kernel) Missing() error        { return nil }

// ownGroup marks the links that a device made (ip-link(8), group), so that they
// can be deleted together.
const ownGroup = "8"

func (kernel) Start(ctx context.Context, s site) (running, error) {
	var commands []string
	for i := range s.vnis {
		bridge, vxlan := fmt.Sprintf("br%d", i), fmt.Sprintf("vx%d", i)
		commands = append(commands,
			fmt.Sprintf("link add %s group %s type bridge stp_state 0 mcast_snooping 0", bridge, ownGroup),
			fmt.Sprintf("link add %s group %s mtu 1500 type vxlan id %d local %v remote %v dstport %d dev %s noudpcsum",
				vxlan, ownGroup, firstVNI+i, s.local, s.remote, vxlanPort, underlay),
			fmt.Sprintf("link set %s master %s up", vxlan, bridge),
			fmt.Sprintf("link set %s master %s", access(i), bridge),
			fmt.Sprintf("link set %s up", bridge),
		)
	}
	if s.routed {
		commands = append(commands,
			fmt.Sprintf("link set br0 address %v", routerMAC), fmt.Sprintf("addr add %v/24 dev br0", routerAddr))
		for key, value := range map[string]string{"ipv4/ip_forward": "1", "ipv4/conf/all/send_redirects": "0", "ipv4/conf/default/send_redirects": "0"} {
			if err := s.ns.Sysctl(key, value); err != nil {
				return nil, err
			}
		}
	}
	return kernelVTEP{s.ns}, ip(ctx, s.ns, commands)
}

type kernelVTEP struct{ ns *netns.NS }

func (k kernelVTEP) MACs(ctx context.Context) (int, error) {
	out, err := k.ns.Command(ctx, "bridge", "fdb", "show").Output()
	if err != nil {
		return 0, fmt.Errorf("%v: bridge fdb show: %w", k.ns, err)
	}
	return countLearned(string(out)), nil
}

// countLearned counts the entries that bridges have learned in the output of
// `bridge fdb show`. A vxlan device's own, of which VTEP is behind it, are marked
// "self".
func countLearned(fdb string) (n int) {
	for line := range strings.Lines(fdb) {
		words := " " + strings.TrimSpace(line) + " "
		if strings.Contains(words, " master ") && !strings.Contains(words, " permanent ") && !strings.Contains(words, " self ") {
			n++
		}
	}
	return n
}

func (kernelVTEP) Processes() []int { return nil }

// removal bounds how long it may take to delete some thousand links.
const removal = 2 * time.Minute

func (k kernelVTEP) Stop() error { return deleteGroup(k.ns, ownGroup) }

// deleteGroup deletes the links of a group together: one after the other the
// kernel takes many times as long.
func deleteGroup(ns *netns.NS, group string) error {
	ctx, cancel := context.WithTimeout(context.Background(), removal)
	defer cancel()
	return ip(ctx, ns, []string{"link del group " + group})
}
