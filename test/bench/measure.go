package main

import (
	"context"
	"errors"
	"time"

	"vxgw/test/bench/report"
)

// A measurement is made of each device in the same kind of bed, once a round.
type measurement struct {
	name    string // what FIGURES calls it
	how     string // what it does, for the report
	group   report.Group
	spec    spec
	figures []figure
	run     func(ctx context.Context, b *bed, d time.Duration) ([]report.Sample, error)
}

// figure is one number that comes of a measurement.
type figure struct {
	title      string
	unit       report.Unit
	lessIsGood bool
}

var (
	plain     = spec{vnis: 1, macs: 1}
	withHosts = spec{vnis: 1, macs: 1, hosts: true}
)

// The charts of the report.
var (
	bridged  = report.Group{Name: "bridged", Title: "Bridged frames a second, as many as can be made"}
	lossless = report.Group{Name: "lossless", Title: "Bridged frames a second, without loss"}
	larger   = report.Group{Name: "larger", Title: "60-byte frames a second with more to look up"}
	tcp      = report.Group{Name: "tcp", Title: "TCP, bits a second"}
	delays   = report.Group{Name: "times", Title: "Round trips and start"}
)

// measurements returns everything that is measured, in the order of the report.
// Those in the same kind of bed are made in the same beds, if they are next to
// each other.
func measurements() []measurement {
	return []measurement{
		{
			"small", "60-byte frames as fast as they can be made, 64 flows",
			bridged, plain, bothWays("60-byte frames"), floodBothWays(small),
		},
		{
			"imix", "60-, 566- and 1514-byte frames, 7 : 4 : 1",
			bridged, plain, bothWays("IMIX"), floodBothWays(imix),
		},
		{
			"large", "1514-byte frames, which is IP packets of 1500 bytes",
			bridged, plain, bothWays("1500-byte packets"), floodBothWays(large),
		},
		{
			"at-once", "60-byte frames in both directions at once, from two generators; what came through of both together",
			bridged, plain, []figure{{"60-byte frames, both directions at once", report.FramesPerSecond, false}}, floodAtOnce,
		},
		{
			"loss-free", "60-byte frames at rising and falling rates until the highest without a single loss is known to 2 % (after RFC 2544 section 26.1, with trials of a quarter of SECS)",
			lossless, plain, bothWays("60-byte frames without loss"), lossFreeBothWays,
		},
		{
			"macs-1000", "as `small`, 1,000 MACs behind the VTEP, each frame to or from the next one",
			larger, spec{vnis: 1, macs: 1000}, bothWays("60-byte frames, 1,000 MACs"), floodBothWays(small),
		},
		{
			"macs-100000", "the same with 100,000",
			larger, spec{vnis: 1, macs: 100_000}, bothWays("60-byte frames, 100,000 MACs"), floodBothWays(small),
		},
		{
			"routed", "as `small`, to the MAC of a router in the VNI, which sends them on in the same VNI; Linux has its address on the bridge. SECS of 4 at most: nobody answers when it asks for neighbours",
			larger, spec{vnis: 1, macs: 1, routed: true}, bothWays("60-byte frames, routed"), floodBothWays(small),
		},
		{
			"vnis-1000", "as `small`, 1,000 VNIs with an access port each, 16 frames in a row in each; Linux has 1,000 bridges of one vxlan device and one port each",
			larger, spec{vnis: 1000, macs: 1}, bothWays("60-byte frames, 1,000 VNIs"), floodBothWays(small),
		},
		{
			"tcp", "`iperf3 --client 198.51.100.2`, and with `-R`: one TCP connection, the hosts' offloads as veth has them",
			tcp, withHosts, tcpFigures("TCP"), tcpBothWays,
		},
		{
			"tcp-wire", "the same, the hosts with `ethtool -K eth0 tx off gso off gro off`: frames as a wire carries them",
			tcp, withHosts, tcpFigures("TCP, 1500-byte frames"), wireBothWays,
		},
		{
			"rtt", "`ping -f 198.51.100.2` for the mean; an echo client of our own, one request at a time, for the percentiles",
			delays, withHosts, []figure{
				{"round trip, mean of ping -f", report.Seconds, true},
				{"round trip, median", report.Seconds, true},
				{"round trip, 99th percentile", report.Seconds, true},
			}, roundTrip,
		},
		{
			"start", "a start with 100 VNIs, probed each millisecond until a broadcast has come through every one of them; then the process is left alone. Linux, set up by one `ip -batch`, has no process",
			delays, spec{vnis: 100, macs: 1, hosts: true}, []figure{
				{"from start to forwarding, 100 VNIs", report.Seconds, true},
				{"memory (RSS), 100 VNIs", report.Bytes, true},
				{"idle CPU, 100 VNIs", report.CPUs, true},
			}, startAndIdle,
		},
	}
}

func bothWays(title string) []figure {
	return []figure{
		{title + ", encapsulated", report.FramesPerSecond, false},
		{title + ", decapsulated", report.FramesPerSecond, false},
	}
}

func tcpFigures(title string) []figure {
	return []figure{
		{title + ", encapsulated", report.BitsPerSecond, false},
		{title + ", decapsulated", report.BitsPerSecond, false},
	}
}

// floodBothWays measures one direction after the other.
func floodBothWays(m mix) func(context.Context, *bed, time.Duration) ([]report.Sample, error) {
	return func(ctx context.Context, b *bed, d time.Duration) ([]report.Sample, error) {
		return inTurn(
			func() (report.Sample, error) { return b.flood(ctx, d, b.encap(m)) },
			func() (report.Sample, error) { return b.flood(ctx, d, b.decap(m)) },
		)
	}
}

func floodAtOnce(ctx context.Context, b *bed, d time.Duration) ([]report.Sample, error) {
	return inTurn(func() (report.Sample, error) { return b.flood(ctx, d, b.encap(small), b.decap(small)) })
}

func lossFreeBothWays(ctx context.Context, b *bed, d time.Duration) ([]report.Sample, error) {
	return inTurn(
		func() (report.Sample, error) { return b.lossFree(ctx, d/4, b.encap(small)) },
		func() (report.Sample, error) { return b.lossFree(ctx, d/4, b.decap(small)) },
	)
}

func tcpBothWays(ctx context.Context, b *bed, d time.Duration) ([]report.Sample, error) {
	return inTurn(
		func() (report.Sample, error) { return b.iperf(ctx, d) },
		func() (report.Sample, error) { return b.iperf(ctx, d, "--reverse") },
	)
}

func wireBothWays(ctx context.Context, b *bed, d time.Duration) ([]report.Sample, error) {
	if err := b.wireLike(true); err != nil {
		return nil, err
	}
	samples, err := tcpBothWays(ctx, b, d)
	return samples, errors.Join(err, b.wireLike(false))
}

func roundTrip(ctx context.Context, b *bed, d time.Duration) ([]report.Sample, error) {
	mean, err := b.pingFlood(ctx, d)
	if err != nil {
		return nil, err
	}
	times, err := b.roundTrips(ctx, d)
	if err != nil {
		return nil, err
	}
	return []report.Sample{
		mean,
		{Value: report.Percentile(times, 50).Seconds()},
		{Value: report.Percentile(times, 99).Seconds()},
	}, nil
}

// inTurn takes one sample after the other.
func inTurn(fs ...func() (report.Sample, error)) ([]report.Sample, error) {
	var all []report.Sample
	for _, f := range fs {
		s, err := f()
		if err != nil {
			return nil, err
		}
		all = append(all, s)
	}
	return all, nil
}
