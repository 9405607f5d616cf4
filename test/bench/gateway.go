package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"vxgw/gateway/api"
)

// gateway is vxgw.
type gateway struct {
	program string
	mode    string // of its data path; "" leaves it to vxgw
}

func (g gateway) Title() string { return strings.TrimSpace("vxgw " + g.mode) }

func (g gateway) About() string {
	if g.mode == "" {
		return ""
	}
	return fmt.Sprintf("vxgw with `[datapath] mode = %q`", g.mode)
}

// Without leaves to one mode what is no matter of the mode, or not worth the time.
func (g gateway) Without(measurement string) string {
	switch measurement {
	case "vnis-1000":
		if g.mode != "" {
			return "1,000 ports take a minute to build"
		}
	case "tcp", "tcp-wire", "rtt", "start":
		if g.mode == "xdp" {
			return "of the fast path alone only rates of frames are of interest"
		}
	}
	return ""
}

func (gateway) Bare() bool { return false }

func (gateway) Missing() error { return nil }

func (g gateway) Start(ctx context.Context, s site) (running, error) {
	dir, err := os.MkdirTemp("", "vxgw-bench-")
	if err != nil {
		return nil, err
	}
	p := &process{dir: dir}
	socket, file := filepath.Join(dir, "control.sock"), filepath.Join(dir, "vxgw.toml")
	if err := os.WriteFile(file, []byte(g.configuration(s, socket)), 0o644); err != nil {
		return p, err
	}
	if p.daemon, err = startDaemon(ctx, s.ns, nil, g.program, "run", "-c", file); err != nil {
		return p, err
	}
	p.client = api.NewClient(socket)
	return p, nil
}

// configuration is what the gateway runs with: what a site needs, and the
// defaults.
func (g gateway) configuration(s site, socket string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "[underlay]\naddress = %q\ninterface = %q\n", s.local, underlay)
	if g.mode != "" {
		fmt.Fprintf(&b, "\n[datapath]\nmode = %q\n", g.mode)
	}
	for i := range s.vnis {
		fmt.Fprintf(&b, "\n[[vni]]\nid = %d\nflood = [%q]\n", firstVNI+i, s.remote)
		if s.macs > 1 {
			fmt.Fprintf(&b, "mac_limit = %d\n", s.macs+1)
		}
		if s.routed {
			fmt.Fprintf(&b, "vrf = \"bench\"\ngateway = [\"%v/24\"]\ngateway_mac = %q\n", routerAddr, routerMAC)
		}
		fmt.Fprintf(&b, "\n[[port]]\ninterface = %q\nvni = %d\n", access(i), firstVNI+i)
	}
	if s.routed {
		b.WriteString("\n[[vrf]]\nname = \"bench\"\n")
	}
	fmt.Fprintf(&b, "\n[api]\nsocket = %q\nhttp = \"\"\n", socket)
	return b.String()
}

// process is a running vxgw.
type process struct {
	dir    string
	daemon *daemon // nil when it was never started
	client *api.Client
}

func (p *process) MACs(ctx context.Context) (n int, err error) {
	for v, err := range api.Rows[api.VNIRow](ctx, p.client, "vnis", 0) {
		if err != nil {
			return 0, err
		}
		n += v.MACs
	}
	return n, nil
}

func (p *process) Processes() []int { return []int{p.daemon.pid()} }

func (p *process) Stop() error {
	var err error
	if p.daemon != nil {
		p.client.Close()
		err = p.daemon.stop(false)
	}
	return errors.Join(err, os.RemoveAll(p.dir))
}
