package demo

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"net/netip"
	"time"

	"github.com/mdlayher/ethernet"

	"vxgw/gateway/api"
	"vxgw/l2/frame"
	"vxgw/l3/vxlan"
	"vxgw/test/netns"
)

// traffic sends what hosts send: ARP, ping, TCP, both ways.
func (s *show) traffic(ctx context.Context) error {
	s.title("Traffic")
	if err := s.arp(ctx); err != nil {
		return err
	}
	for _, p := range []struct {
		from *netns.NS
		name string
		to   netip.Addr
	}{{s.h1, "h1 -> h2", h2Addr}, {s.h2, "h2 -> h1", h1Addr}} {
		const count = 5
		n, err := p.from.Ping(ctx, p.to, count, netns.PingOptions{})
		if err != nil {
			return err
		}
		s.print("  ping %s      %d of %d answered\n", p.name, n, count)
		if n != count {
			return fmt.Errorf("ping %s: %d of %d answered", p.name, n, count)
		}
	}
	if err := s.tcp(ctx, "h1 -> h2", s.h1, s.h2, h2Addr); err != nil {
		return err
	}
	return s.tcp(ctx, "h2 -> h1", s.h2, s.h1, h1Addr)
}

// arp lets h1 ask for h2's address, and watches the request go out by broadcast
// and the reply come back by unicast.
func (s *show) arp(ctx context.Context) error {
	requests, err := s.h2.Capture("eth0", netns.Only(isARP))
	if err != nil {
		return err
	}
	defer requests.Close()
	replies, err := s.h1.Capture("eth0", netns.Only(isARP))
	if err != nil {
		return err
	}
	defer replies.Close()
	if _, err := s.h1.Ping(ctx, h2Addr, 1, netns.PingOptions{}); err != nil {
		return err
	}
	if err := requests.Wait(1, patience); err != nil {
		return fmt.Errorf("no ARP request came to h2: %w", err)
	}
	if err := replies.Wait(1, patience); err != nil {
		return fmt.Errorf("no ARP reply came to h1: %w", err)
	}
	q, a := frame.Frame(requests.Frames()[0]), frame.Frame(replies.Frames()[0])
	s.print("  ARP  request       %s -> %s, flooded to VTEP %s\n", q.Src(), q.Dst(), kVTEP)
	s.print("  ARP  reply         %s -> %s, by unicast\n", a.Src(), a.Dst())
	return nil
}

func isARP(f []byte) bool { return len(f) >= frame.HeaderLen && frame.Frame(f).Type() == frame.TypeARP }

// tcp moves some megabytes over one connection and compares what arrived.
func (s *show) tcp(ctx context.Context, name string, from, to *netns.NS, addr netip.Addr) error {
	const size = 64 << 20
	l, err := to.Listen("tcp", netip.AddrPortFrom(addr, 7777).String())
	if err != nil {
		return err
	}
	defer l.Close()
	stop := context.AfterFunc(ctx, func() { l.Close() })
	defer stop()
	sent, got, start := sha256.New(), sha256.New(), time.Now()
	received := make(chan error, 1)
	go func() {
		c, err := l.Accept()
		if err == nil {
			defer c.Close()
			_, err = io.Copy(got, c)
		}
		received <- err
	}()
	c, err := from.Dial(ctx, "tcp", l.Addr().String())
	if err != nil {
		return fmt.Errorf("TCP %s: %w", name, err)
	}
	if err := send(ctx, c, sent, size); err != nil {
		return fmt.Errorf("TCP %s: %w", name, err)
	}
	select {
	case err = <-received:
	case <-ctx.Done():
		err = ctx.Err()
	}
	if err != nil {
		return fmt.Errorf("TCP %s: %w", name, err)
	}
	rate := size * 8 / time.Since(start).Seconds() / 1e9
	same := [32]byte(sent.Sum(nil)) == [32]byte(got.Sum(nil))
	s.print("  TCP  %s      %d MiB, same SHA-256: %t, %.1f Gb/s\n", name, size>>20, same, rate)
	if !same {
		return fmt.Errorf("TCP %s: what arrived is not what was sent", name)
	}
	return nil
}

// send writes size bytes that are not all alike to c and to sum.
func send(ctx context.Context, c net.Conn, sum io.Writer, size int) error {
	defer c.Close()
	stop := context.AfterFunc(ctx, func() { c.Close() })
	defer stop()
	block := make([]byte, 1<<16)
	for n := 0; n < size; n += len(block) {
		for i := range block {
			block[i] = byte(i*7 + n>>16)
		}
		sum.Write(block)
		if _, err := c.Write(block); err != nil {
			return err
		}
	}
	return nil
}

// refusals sends a frame that is refused at the port and one that is refused at
// the VTEP, and asks the gateway why.
func (s *show) refusals(ctx context.Context) error {
	s.title("Refused, and why")
	tagged, err := taggedFrame(h2MAC, h1MAC)
	if err != nil {
		return err
	}
	s.print("  h1 sends a frame with an 802.1Q tag (VID 20) to the access port.\n")
	if err := s.h1.Send("eth0", tagged); err != nil {
		return err
	}
	if err := s.dropped(ctx, "tagged_frame", "access"); err != nil {
		return err
	}
	inner, err := taggedFrame(h1MAC, h2MAC)
	if err != nil {
		return err
	}
	packet := make([]byte, vxlan.HeaderLen, vxlan.HeaderLen+len(inner))
	vxlan.Put(packet, vni)
	s.print("  The VTEP sends a VXLAN packet whose inner frame is tagged.\n")
	if err := s.vtep.SendUDP(netip.AddrPortFrom(kVTEP, 50000), netip.AddrPortFrom(gwVTEP, vxlanPort), append(packet, inner...)); err != nil {
		return err
	}
	if err := s.dropped(ctx, "inner_vlan", "overlay"); err != nil {
		return err
	}
	s.print("\n  $ vxgw explain --port eth1 %s...\n", hex.EncodeToString(tagged[:18]))
	x, err := s.client.Explain(ctx, api.ExplainRequest{Port: "eth1", Frame: hex.EncodeToString(tagged)})
	if err != nil {
		return err
	}
	for i, step := range x.Steps {
		s.print("  %d. %-12s %s\n", i+1, step.Question, step.Answer)
	}
	s.print("  => %s: %s\n", x.Verdict, x.Mend)
	return nil
}

func taggedFrame(dst, src frame.MAC) ([]byte, error) {
	f := ethernet.Frame{
		Destination: dst[:], Source: src[:],
		VLAN:      &ethernet.VLAN{ID: 20},
		EtherType: 0x88b5, // local experiments (IEEE 802)
		Payload:   []byte("a frame that must not pass"),
	}
	return f.MarshalBinary()
}

// dropped waits until a drop counter says exactly 1.
func (s *show) dropped(ctx context.Context, reason, direction string) error {
	err := s.until(ctx, "one frame dropped as "+reason, func(ctx context.Context) (bool, error) {
		for d, err := range api.Rows[api.DropRow](ctx, s.client, "drops", 0) {
			if err != nil {
				return false, err
			}
			if d.Reason == reason && d.Direction == direction {
				return d.Count == 1, nil
			}
		}
		return false, nil
	})
	if err == nil {
		s.print("  Dropped: %s (%s) 1\n", reason, direction)
	}
	return err
}

// learned prints what an operator sees.
func (s *show) learned(ctx context.Context) error {
	return s.tables(ctx, "ports", "vteps", "macs", "drops")
}

func (s *show) tables(ctx context.Context, names ...string) error {
	for _, what := range names {
		s.title("$ vxgw show " + what)
		out, err := s.gw.Command(ctx, s.binary, "show", what, "--socket", s.socket).CombinedOutput()
		if err != nil {
			return fmt.Errorf("vxgw show %s: %w: %s", what, err, out)
		}
		s.print("%s", indent(string(out)))
	}
	return nil
}
