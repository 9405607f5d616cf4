package gateway

import (
	"testing"

	"vxgw/gateway/forward"
	"vxgw/gateway/storm"
	"vxgw/l2/fdb"
	"vxgw/l2/frame"
	"vxgw/l2/port"
)

// Storm control, and what is dropped by it or for a held MAC, allocates nothing.
func TestStormAllocatesNothing(t *testing.T) {
	const n, low, high = port.BatchSize, "storm_control.broadcast = 1", "storm_control.broadcast = 10000000"
	broadcast := dataFrame(frame.Broadcast, here)
	for _, tt := range []struct {
		name           string
		vni, port      string
		batch          func(*bench)
		frames, dgrams int // of the second batch
	}{
		{"within all limits", high, high, fromPort(broadcast, frame.Offload{}), 2 * n, 3 * n},
		{"over the port's", "", low, fromPort(broadcast, frame.Offload{}), 0, 0},
		{"over the VNI's, into the overlay", low, high, fromPort(broadcast, frame.Offload{}), 2 * n, 0},
		{"over the VNI's, out of the overlay", low, "", fromVTEP(dataFrame(frame.Broadcast, remote), 0), 0, 0},
		{"from a held MAC", "", "", fromPort(dataFrame(frame.Broadcast, beside), frame.Offload{}), 0, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := newBenchWith(t, tt.vni, tt.port)
			d := b.tables.Snapshot().VNIs[1000]
			for o := fdb.Known; o != fdb.Duplicate; {
				b.tables.FDB().Learn(d, beside, forward.PortHop(b.ports[1].id), b.now)
				o = b.tables.FDB().Learn(d, beside, forward.PortHop(b.ports[2].id), b.now)
			}
			tt.batch(b)
			b.sink.frames, b.sink.dgrams = 0, 0
			tt.batch(b)
			if b.sink.frames != tt.frames || b.sink.dgrams != tt.dgrams {
				t.Fatalf("a batch sends %d frames and %d datagrams, want %d and %d", b.sink.frames, b.sink.dgrams, tt.frames, tt.dgrams)
			}
			if k := testing.AllocsPerRun(100, func() { tt.batch(b) }); k != 0 {
				t.Errorf("%v allocations for a batch of %d frames, want none", k, n)
			}
		})
	}
}

// The clock is read once a batch, and not at all where nothing is limited that is
// flooded.
func TestPoliceReadsTheClockOnceABatch(t *testing.T) {
	reads := 0
	p := police{clock: func() int64 { reads++; return 1 }}
	var limited, other, free storm.Control
	limited.Set(storm.Limits{storm.Broadcast: 1})
	other.Set(storm.Limits{storm.Broadcast: 1})
	for batch := range 3 {
		for range 100 {
			p.lets(&free, frame.Broadcast, 1, 1)
			p.lets(nil, frame.Broadcast, 1, 1)
			p.lets(&limited, here, 1, 1)
		}
		if reads != batch {
			t.Fatalf("read %d times where nothing is limited", reads-batch)
		}
		for range 100 {
			p.lets(&limited, frame.Broadcast, 1, 1)
			p.lets(&other, frame.Broadcast, 3, 2)
		}
		p.settle()
		if reads != batch+1 {
			t.Fatalf("read %d times in a batch", reads-batch)
		}
	}
	if n, m := limited.Dropped(storm.Broadcast), other.Dropped(storm.Broadcast); n != 290 || m != 2*296 {
		t.Errorf("%d and %d are counted", n, m)
	}
}
