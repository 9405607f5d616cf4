package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"golang.org/x/net/icmp"
	"golang.org/x/net/ipv4"
	"golang.org/x/sys/unix"

	"vxgw/test/bench/report"
)

// pingFlood returns the mean round-trip time that `ping -f` finds in d.
func (b *bed) pingFlood(ctx context.Context, d time.Duration) (report.Sample, error) {
	out, err := b.h1.Command(ctx, "ping", "-f", "-q", "-n", "-w", whole(d), h2Addr.String()).Output()
	if err != nil {
		return report.Sample{}, fmt.Errorf("ping -f: %w: %s", err, out)
	}
	mean, err := parsePing(string(out))
	return report.Sample{Value: mean.Seconds()}, err
}

// parsePing returns the mean from a line as
// "rtt min/avg/max/mdev = 0.010/0.014/0.217/0.004 ms, ipg/ewma 0.018/0.013 ms".
func parsePing(out string) (time.Duration, error) {
	for line := range strings.Lines(out) {
		times, ok := strings.CutPrefix(line, "rtt min/avg/max/mdev = ")
		if !ok {
			continue
		}
		if parts := strings.Split(times, "/"); len(parts) > 1 {
			ms, err := strconv.ParseFloat(parts[1], 64)
			return time.Duration(ms * float64(time.Millisecond)), err
		}
	}
	return 0, fmt.Errorf("ping -f says no round-trip time: %q", out)
}

// roundTrips sends echo requests from h1 to h2 for d, each when the last one was
// answered, and returns how long each answer took.
func (b *bed) roundTrips(ctx context.Context, d time.Duration) (times []time.Duration, err error) {
	err = b.h1.Do(func() error {
		e, err := newEcho()
		if err != nil {
			return err
		}
		defer unix.Close(e.fd)
		for began := time.Now(); time.Since(began) < d && ctx.Err() == nil; {
			t, err := e.once()
			if err != nil {
				return err
			}
			times = append(times, t)
		}
		return ctx.Err()
	})
	if err != nil {
		return nil, fmt.Errorf("echo: %w", err)
	}
	return times, nil
}

// echo is a socket for echo requests to h2. It blocks, as ping's does: to be
// woken by the runtime would be a part of the time.
type echo struct {
	fd  int
	seq uint16
	buf [2048]byte
}

// echoData is how much data a request carries, in bytes: as much as ping's.
const echoData = 56

func newEcho() (*echo, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_ICMP)
	if err != nil {
		return nil, err
	}
	second := unix.Timeval{Sec: 1}
	err = errors.Join(
		unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &second),
		unix.Connect(fd, &unix.SockaddrInet4{Addr: h2Addr.As4()}),
	)
	if err != nil {
		unix.Close(fd)
		return nil, err
	}
	return &echo{fd: fd}, nil
}

// once sends a request and waits for its answer.
func (e *echo) once() (time.Duration, error) {
	e.seq++
	request := icmp.Message{Type: ipv4.ICMPTypeEcho, Body: &icmp.Echo{ID: 1, Seq: int(e.seq), Data: make([]byte, echoData)}}
	b, err := request.Marshal(nil)
	if err != nil {
		return 0, err
	}
	began := time.Now()
	if _, err := unix.Write(e.fd, b); err != nil {
		return 0, err
	}
	for {
		n, err := unix.Read(e.fd, e.buf[:])
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return 0, fmt.Errorf("no answer: %w", err)
		}
		if e.answers(e.buf[:n]) {
			return time.Since(began), nil
		}
	}
}

// answers reports whether an IPv4 packet is the answer to the last request.
func (e *echo) answers(p []byte) bool {
	const header, seq = 20, 6
	return len(p) == header+8+echoData && p[header] == byte(ipv4.ICMPTypeEchoReply) &&
		binary.BigEndian.Uint16(p[header+seq:]) == e.seq
}
