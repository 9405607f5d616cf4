package gateway

import (
	"runtime"
	"sync"
	"testing"

	"vxgw/gateway/events"
	"vxgw/gateway/forward"
	"vxgw/l2/fdb"
	"vxgw/l2/frame"
)

// TestMovesAllocateNothing holds that a worker that finds a station moved pays nothing
// for its being told of, whether there is room to tell of it or not.
func TestMovesAllocateNothing(t *testing.T) {
	b := newBenchWith(t, "move_limit = 0", "")
	d, at := b.tables.Snapshot().VNIs[1000], 0
	move := func() {
		at++
		b.tables.FDB().Learn(d, beside, forward.PortHop(b.ports[at%2].id), b.now)
	}
	for _, fill := range []int{0, 1 << 15} {
		for range fill {
			move()
		}
		if n := testing.AllocsPerRun(1000, move); n != 0 {
			t.Errorf("%v allocations a move after %d", n, fill)
		}
	}
	if b.watch.journal.Lost() == 0 {
		t.Error("the journal was never full")
	}
}

// TestFloodOfMoves has stations move as fast as two workers can tell, far above 100,000
// a second, while nobody reads, and while somebody does: nothing grows, the listeners
// are told that they missed something, and what they know in the end is what is so.
func TestFloodOfMoves(t *testing.T) {
	b := newBenchWith(t, "move_limit = 0", "")
	d := b.tables.Snapshot().VNIs[1000]
	const stations, moves = 2000, 50_000
	flood := func() {
		var wg sync.WaitGroup
		for w := range 2 {
			wg.Go(func() {
				for i := range moves {
					m := frame.MAC{2, 0, 1, byte(w), byte(i % stations >> 8), byte(i % stations)}
					b.tables.FDB().Learn(d, m, forward.PortHop(b.ports[i/stations%3].id), b.now)
				}
			})
		}
		wg.Wait()
	}
	for _, p := range b.ports {
		b.tables.FDB().SetHop(forward.PortHop(p.id), 0)
	}
	flood()
	b.watch.drain()
	heap := heapBytes()

	flood() // nobody reads
	lost := b.watch.journal.Lost()
	if lost < moves {
		t.Fatalf("%d changes were lost of %d: this is no flood", lost, 2*moves)
	}
	b.watch.drain()
	log := b.Events()
	if log.Lost() != lost {
		t.Errorf("%d are told of as lost, of %d", log.Lost(), lost)
	}
	one := make([]events.Event, 1)
	if n, _ := log.Since(log.Last()-1, one); n != 1 || one[0].Type != events.Resync {
		t.Errorf("the last event of a flood is %v", one[0])
	}

	stop, done := make(chan struct{}), make(chan struct{})
	go func() { // reads all along
		defer close(done)
		for {
			select {
			case <-b.watch.journal.Wake():
				b.watch.journal.Rest()
				b.watch.drain()
			case <-stop:
				b.watch.drain()
				return
			}
		}
	}()
	flood()
	close(stop)
	<-done
	if grown := int(heapBytes()) - int(heap); grown > 8<<20 {
		t.Errorf("the heap grew by %d bytes", grown)
	}

	// Once it is quiet again every move is told of.
	at := log.Last()
	b.tables.FDB().Learn(d, frame.MAC{2, 0, 1, 0, 0, 0}, forward.PortHop(b.ports[1].id), b.now)
	b.tables.FDB().Learn(d, frame.MAC{2, 0, 1, 0, 0, 0}, forward.PortHop(b.ports[2].id), b.now)
	b.watch.drain()
	if n, ok := log.Since(at, one); n != 1 || !ok || one[0].Type != events.MACMoved || one[0].Port != "e3" {
		t.Errorf("after the flood: %v, %t", one[0], ok)
	}
}

func heapBytes() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// TestUnknownDomain holds that what came and went between two looks is not told of under
// a wrong name.
func TestUnknownDomain(t *testing.T) {
	b := newBenchWith(t, "move_limit = 0", "")
	b.watch.drain()
	at := b.Events().Last()
	b.tables.FDB().Learn(fdb.Domain(77), here, forward.PortHop(b.ports[0].id), b.now)
	b.watch.drain()
	if b.Events().Last() != at {
		t.Error("a station of no VNI was told of")
	}
}
