package tables

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"vxgw/gateway/forward"
)

// A worker in the middle of a batch learns once more what was forgotten. That goes too,
// and what is learned by newer snapshots stays.
func TestForgetWhatIsLearnedInPassing(t *testing.T) {
	setup := func(t *testing.T) (tb *Tables, r *Reader, down func(), learn func()) {
		tb = tablesOf(t, base())
		p1, dev := up(tb, "acc1")
		r = tb.NewReader()
		hop, d := forward.PortHop(p1), tb.Snapshot().VNIs[1000]
		return tb, r, func() {
				tb.SetPorts([]PortChange{{ID: p1, State: PortState{Dev: dev, Up: true}, Flapped: true}})
			}, func() {
				tb.FDB().Learn(d, h1, hop, 1)
			}
	}
	t.Run("nobody is in a batch", func(t *testing.T) {
		tb, r, down, learn := setup(t)
		r.Enter()
		r.Leave()
		down()
		r.Enter()
		learn()
		tb.Sweep(2)
		if !tb.has(1000, h1) {
			t.Error("a station heard after the port came back was forgotten")
		}
	})
	t.Run("a batch ends soon", func(t *testing.T) {
		tb, r, down, learn := setup(t)
		was := r.Enter()
		learned := make(chan struct{})
		go func() {
			defer close(learned)
			for tb.Snapshot() == was {
				time.Sleep(10 * time.Microsecond)
			}
			time.Sleep(100 * time.Microsecond)
			learn()
			r.Leave()
		}()
		down()
		<-learned
		tb.Sweep(2) // where the machine was slow
		if tb.has(1000, h1) {
			t.Error("what was learned in passing is known")
		}
		learn()
		tb.Sweep(3)
		if !tb.has(1000, h1) {
			t.Error("what was learned later was forgotten")
		}
	})
	t.Run("a batch takes long", func(t *testing.T) {
		tb, r, down, learn := setup(t)
		r.Enter()
		down()
		learn()
		r.Leave()
		tb.Sweep(2)
		if tb.has(1000, h1) {
			t.Error("what was learned in passing was not forgotten at the next sweep")
		}
	})
	t.Run("another change comes meanwhile", func(t *testing.T) {
		tb, r, down, learn := setup(t)
		r.Enter()
		down()
		down() // nobody has left the first snapshot yet
		learn()
		r.Close()
		down()
		if tb.has(1000, h1) {
			t.Error("what was learned in passing is known")
		}
	})
}

// However the two meet, while a reader is in a snapshot nobody who has published a newer
// one finds that no reader is behind.
func TestReaderMeetsPublisher(t *testing.T) {
	tb := tablesOf(t, base())
	r := tb.NewReader()
	var numbers sync.Map // of the snapshots
	var alone atomic.Int64
	publish := func(n int64) {
		tb.change(func(s *forward.Snapshot) { numbers.Store(s, n) })
		if len(tb.readers.behind()) == 0 {
			alone.Store(n)
		}
	}
	publish(0)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for n := range int64(20_000) {
			publish(n + 1)
		}
	}()
	for ended := false; !ended; {
		select {
		case <-done:
			ended = true
		default:
		}
		n, _ := numbers.Load(r.Enter())
		if newest := alone.Load(); newest > n.(int64) {
			t.Errorf("in snapshot %d, and nobody is behind %d", n, newest)
			ended = true
		}
		r.Leave()
	}
	<-done
	if alone.Load() == 0 {
		t.Error("there was always a reader behind")
	}
}
