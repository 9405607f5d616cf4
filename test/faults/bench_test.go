package faults

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"syscall"
	"testing"
	"time"

	"vxgw/l2/frame"
	"vxgw/test/netns"
	"vxgw/test/packet"
	"vxgw/test/scale"
)

var sizes = []scale.Size{{VNIs: 100, Ports: 16, VTEPs: 32}, scale.Full}

// eachSize runs a benchmark on a farm of either size.
func eachSize(b *testing.B, run func(*testing.B, *farm)) {
	for _, s := range sizes {
		b.Run(fmt.Sprintf("vnis=%d/ports=%d/vteps=%d", s.VNIs, s.Ports, s.VTEPs), func(b *testing.B) { run(b, newFarm(b, s)) })
	}
}

// BenchmarkStart is the time from the start of the program to the first frame
// that it carries.
func BenchmarkStart(b *testing.B) {
	eachSize(b, func(b *testing.B, f *farm) {
		hello := packet.Numbered(frame.Broadcast, station(0), 1)
		for range b.N {
			b.StopTimer()
			d := prepare(b, f.gw, f.settings())
			wire, err := f.peer.Capture("und0", netns.Only(isVXLAN))
			must(b, err)
			b.StartTimer()
			d.start()
			for len(wire.Frames()) == 0 {
				must(b, f.hosts.Send("h0", hello))
				time.Sleep(time.Millisecond)
			}
			b.StopTimer()
			must(b, wire.Close())
			d.stop(syscall.SIGTERM)
			b.StartTimer()
		}
	})
}

// BenchmarkIdle is what a gateway costs that carries nothing, over half a minute:
// the share of one core and the memory.
func BenchmarkIdle(b *testing.B) {
	eachSize(b, func(b *testing.B, f *farm) {
		d := start(b, f.gw, f.settings())
		d.isUp(f.Ports)
		time.Sleep(3 * time.Second) // the start is over
		for range b.N {
			begun, used := time.Now(), d.processor()
			time.Sleep(30 * time.Second)
			share := float64(d.processor()-used) / float64(time.Since(begun))
			b.ReportMetric(100*share, "%core")
		}
		b.ReportMetric(float64(d.memory())/(1<<20), "MiB")
		b.ReportMetric(0, "ns/op")
	})
}

// processor returns how long the gateway has been running on a processor.
func (d *daemon) processor() time.Duration {
	d.t.Helper()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", d.cmd.Process.Pid))
	must(d.t, err)
	_, after, _ := bytes.Cut(stat, []byte(") "))
	fields := bytes.Fields(after)
	ticks := 0
	for _, f := range fields[11:13] { // utime and stime, proc_pid_stat(5)
		n, err := strconv.Atoi(string(f))
		must(d.t, err)
		ticks += n
	}
	return time.Duration(ticks) * time.Second / 100 // USER_HZ
}
