package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"time"

	"vxgw/test/bench/report"
	"vxgw/test/netns"
)

// whole returns d in seconds as tools take them: a whole number, at least one.
func whole(d time.Duration) string { return strconv.Itoa(max(1, int(math.Ceil(d.Seconds())))) }

// iperf measures one TCP connection from h1 to h2 for d, or with "-R" from h2 to
// h1.
func (b *bed) iperf(ctx context.Context, d time.Duration, options ...string) (report.Sample, error) {
	ctx, cancel := context.WithTimeout(ctx, d+patience)
	defer cancel()
	server := b.h2.Command(ctx, "iperf3", "--server", "--one-off", "--forceflush")
	said, err := server.StdoutPipe()
	if err != nil {
		return report.Sample{}, err
	}
	if err := server.Start(); err != nil {
		return report.Sample{}, err
	}
	sample, err := b.iperfClient(ctx, d, said, options)
	if err != nil {
		cancel() // or the server would wait for another client
		_ = server.Wait()
		return report.Sample{}, err
	}
	return sample, server.Wait()
}

// iperfClient runs the client, once the server says that it listens.
func (b *bed) iperfClient(ctx context.Context, d time.Duration, server io.Reader, options []string) (report.Sample, error) {
	if err := awaitLine(server, "listening"); err != nil {
		return report.Sample{}, fmt.Errorf("iperf3 --server: %w", err)
	}
	// What else it says is not read: it is less than a pipe holds.
	before, err := machineBusy()
	if err != nil {
		return report.Sample{}, err
	}
	began := time.Now()
	args := append([]string{"--client", h2Addr.String(), "--time", whole(d), "--json"}, options...)
	out, failed := b.h1.Command(ctx, "iperf3", args...).Output()
	took := time.Since(began)
	after, err := machineBusy()
	if err != nil {
		return report.Sample{}, err
	}
	rate, err := parseIperf(out)
	if err != nil {
		return report.Sample{}, errors.Join(err, failed)
	}
	return report.Sample{Value: rate, CPUs: (after - before).Seconds() / took.Seconds()}, failed
}

// awaitLine reads until a line has a word in it.
func awaitLine(r io.Reader, word string) error {
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		if strings.Contains(lines.Text(), word) {
			return nil
		}
	}
	return errors.Join(fmt.Errorf("it ended and never said %q", word), lines.Err())
}

// parseIperf returns what was received, in bits per second, from the output of
// `iperf3 --json`.
func parseIperf(out []byte) (float64, error) {
	var result struct {
		Error string
		End   struct {
			Received struct {
				Rate float64 `json:"bits_per_second"`
			} `json:"sum_received"`
		}
	}
	if err := json.Unmarshal(out, &result); err != nil {
		return 0, fmt.Errorf("iperf3: %w in %q", err, out)
	}
	if result.Error != "" {
		return 0, fmt.Errorf("iperf3: %s", result.Error)
	}
	if result.End.Received.Rate <= 0 {
		return 0, errors.New("iperf3 received nothing")
	}
	return result.End.Received.Rate, nil
}

// wireLike has the hosts send what a wire would carry: no super-frames and
// no unfinished checksums. TSO goes with the checksums; where the other end has an
// XDP program it is off anyhow, and cannot be asked for.
func (b *bed) wireLike(on bool) error {
	for _, ns := range []*netns.NS{b.h1, b.h2} {
		if err := ns.Offloads(hostDev(0), !on, "tx", "gso", "gro"); err != nil {
			return err
		}
	}
	return nil
}
