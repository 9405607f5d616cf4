package main

import (
	"runtime"
	"strings"
	"testing"
	"time"
)

func TestParsePing(t *testing.T) {
	const out = `PING 198.51.100.2 (198.51.100.2) 56(84) bytes of data.

--- 198.51.100.2 ping statistics ---
68031 packets transmitted, 68031 received, 0% packet loss, time 1000ms
rtt min/avg/max/mdev = 0.007/0.014/0.321/0.003 ms, ipg/ewma 0.014/0.010 ms
`
	if got, err := parsePing(out); err != nil || got != 14*time.Microsecond {
		t.Errorf("%v, %v; want 14µs", got, err)
	}
	for _, bad := range []string{"", "1000 packets transmitted, 0 received, 100% packet loss, time 1000ms\n", "rtt min/avg/max/mdev = 0.007/x/0.321/0.003 ms\n"} {
		if got, err := parsePing(bad); err == nil {
			t.Errorf("%q: %v", bad, got)
		}
	}
}

func TestParseIperf(t *testing.T) {
	const out = `{"start": {"connected": []}, "intervals": [], "end": {"streams": [],
		"sum_sent": {"bits_per_second": 14.5e9, "retransmits": 3},
		"sum_received": {"start": 0, "end": 1.000123, "bytes": 1725000000, "bits_per_second": 13.8e9}}}`
	if got, err := parseIperf([]byte(out)); err != nil || got != 13.8e9 {
		t.Errorf("%v, %v; want what was received", got, err)
	}
	for bad, want := range map[string]string{
		"": "iperf3",
		`{"start": {}, "intervals": [], "end": {}, "error": "unable to connect to server"}`: "unable to connect",
		`{"end": {"sum_received": {"bits_per_second": 0}}}`:                                 "nothing",
	} {
		if _, err := parseIperf([]byte(bad)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", bad, err, want)
		}
	}
}

func TestAwaitLine(t *testing.T) {
	const out = "-----\nServer listening on 5201 (test #1)\n-----\n"
	if err := awaitLine(strings.NewReader(out), "listening"); err != nil {
		t.Error(err)
	}
	if err := awaitLine(strings.NewReader("bind failed\n"), "listening"); err == nil {
		t.Error("it ended without listening")
	}
}

func TestParseBusy(t *testing.T) {
	const stat = "cpu  1 20 300 4000 50000 600000 7000000 80000000 9 9\ncpu0 1 1 1 1 1 1 1 1 1 1\n"
	if got, err := parseBusy(stat); err != nil || got != 87600321*clockTick {
		t.Errorf("%v, %v; want %v: all but idle and iowait", got, err, 87600321*clockTick)
	}
	for _, bad := range []string{"", "cpu 1 2 3\n", "intr 1 2 3 4 5 6 7 8\n", "cpu 1 2 3 4 5 6 7 x\n"} {
		if got, err := parseBusy(bad); err == nil {
			t.Errorf("%q: %v", bad, got)
		}
	}
}

func TestCountLearned(t *testing.T) {
	const fdb = `02:00:00:00:01:01 dev acc0 master br0 
46:04:81:6d:54:76 dev acc0 master br0 permanent
33:33:00:00:00:01 dev acc0 self permanent
02:01:00:00:00:00 dev vx0 master br0 
9e:95:61:8f:7c:e3 dev vx0 vlan 1 master br0 permanent
02:01:00:00:00:00 dev vx0 dst 192.0.2.2 self 
00:00:00:00:00:00 dev vx0 dst 192.0.2.2 self permanent
02:01:00:00:00:01 dev vx0 vlan 1 master br0 
`
	if n := countLearned(fdb); n != 3 {
		t.Errorf("%d addresses, want 3", n)
	}
}

func TestParseFDBStats(t *testing.T) {
	const out = `Statistics for bridge "br-int":
  Current/maximum MAC entries in the table: 1001/200000
  Current static MAC entries in the table : 3
  Total number of learned MAC entries     : 2002
`
	if n, err := parseFDBStats(out); err != nil || n != 1001 {
		t.Errorf("%d addresses, %v; want 1001", n, err)
	}
	for _, bad := range []string{"", "MAC entries in the table: 5\n", "MAC entries in the table: x/5\n"} {
		if n, err := parseFDBStats(bad); err == nil {
			t.Errorf("%q: %d", bad, n)
		}
	}
}

func TestCPUModel(t *testing.T) {
	for info, want := range map[string]string{
		"processor\t: 0\nvendor_id\t: x\nmodel name\t: A CPU: of 2 GHz\nmodel name\t: another\n": "A CPU: of 2 GHz",
		"processor\t: 0\nBogoMIPS\t: 50\n": runtime.GOARCH,
	} {
		if got := cpuModel(info); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestWhole(t *testing.T) {
	for d, want := range map[time.Duration]string{
		100 * time.Millisecond:  "1",
		time.Second:             "1",
		1100 * time.Millisecond: "2",
		3 * time.Second:         "3",
	} {
		if got := whole(d); got != want {
			t.Errorf("%v is %s seconds, want %s", d, got, want)
		}
	}
}
