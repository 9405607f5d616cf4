package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"vxgw/gateway/api"
	"vxgw/test/netns"
)

// gateway is vxgw.
type gateway struct{ program string }

func (gateway) Title() string { return "vxgw" }

func (g gateway) Start(ctx context.Context, s site) (running, error) {
	dir, err := os.MkdirTemp("", "vxgw-bench-")
	if err != nil {
		return nil, err
	}
	p := &process{dir: dir, ended: make(chan error, 1)}
	socket, file := filepath.Join(dir, "control.sock"), filepath.Join(dir, "vxgw.toml")
	if err := os.WriteFile(file, []byte(configuration(s, socket)), 0o644); err != nil {
		return p, err
	}
	// It outlives ctx, to be stopped in good order.
	p.cmd = s.ns.Command(context.WithoutCancel(ctx), g.program, "run", "-c", file)
	p.cmd.Stdout, p.cmd.Stderr = &p.log, &p.log
	// A process group of its own keeps the terminal's Ctrl-C away from it.
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := p.cmd.Start(); err != nil {
		p.cmd = nil
		return p, fmt.Errorf("start %s: %w", g.program, err)
	}
	go func() { p.ended <- p.cmd.Wait() }()
	p.client = api.NewClient(socket)
	return p, nil
}

// configuration is what the gateway runs with: what a site needs, and the
// defaults.
func configuration(s site, socket string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "[underlay]\naddress = %q\ninterface = %q\n", s.local, underlay)
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
	cmd    *netns.Cmd // nil when it was never started
	ended  chan error
	client *api.Client
	log    bytes.Buffer // to be read when it has ended
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

func (p *process) Processes() []int { return []int{p.cmd.Process.Pid} }

// patience is how long something may take that ought to be at once, to open a
// thousand ports included.
const patience = time.Minute

func (p *process) Stop() error {
	var err error
	if p.cmd != nil {
		p.client.Close()
		err = p.end()
	}
	return errors.Join(err, os.RemoveAll(p.dir))
}

// end ends it in good order, or by force when it does not.
func (p *process) end() error {
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	force := time.AfterFunc(patience, func() { _ = p.cmd.Process.Kill() })
	defer force.Stop()
	if err := <-p.ended; err != nil {
		return fmt.Errorf("the gateway did not end in good order: %w\n%s", err, p.log.String())
	}
	return nil
}
