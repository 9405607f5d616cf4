package netns

import (
	"context"
	"net"
	"os/exec"
)

// Listen is net.Listen in the namespace. The address is an IP literal.
func (n *NS) Listen(network, address string) (l net.Listener, err error) {
	err = n.Do(func() error {
		l, err = net.Listen(network, address)
		return err
	})
	return l, err
}

// ListenPacket is net.ListenPacket in the namespace. The address is an IP
// literal.
func (n *NS) ListenPacket(network, address string) (c net.PacketConn, err error) {
	err = n.Do(func() error {
		c, err = net.ListenPacket(network, address)
		return err
	})
	return c, err
}

// Dial is net.Dialer.DialContext in the namespace. The address is an IP
// literal: a name would be looked up, and tried, on threads outside.
func (n *NS) Dial(ctx context.Context, network, address string) (c net.Conn, err error) {
	err = n.Do(func() error {
		c, err = new(net.Dialer).DialContext(ctx, network, address)
		return err
	})
	return c, err
}

// Cmd is an exec.Cmd whose process runs in a namespace.
type Cmd struct {
	*exec.Cmd
	ns *NS
}

// Command prepares a program to run in the namespace; it ends with ctx.
func (n *NS) Command(ctx context.Context, name string, args ...string) *Cmd {
	return &Cmd{exec.CommandContext(ctx, name, args...), n}
}

// Start starts the program; see exec.Cmd.
func (c *Cmd) Start() error { return c.ns.Do(c.Cmd.Start) }

// Run runs the program to its end; see exec.Cmd.
func (c *Cmd) Run() error {
	if err := c.Start(); err != nil {
		return err
	}
	return c.Wait()
}

// Output runs the program and returns what it wrote; see exec.Cmd.
func (c *Cmd) Output() (out []byte, err error) {
	err = c.ns.Do(func() error {
		out, err = c.Cmd.Output()
		return err
	})
	return out, err
}

// CombinedOutput runs the program and returns what it wrote, errors included;
// see exec.Cmd.
func (c *Cmd) CombinedOutput() (out []byte, err error) {
	err = c.ns.Do(func() error {
		out, err = c.Cmd.CombinedOutput()
		return err
	})
	return out, err
}
