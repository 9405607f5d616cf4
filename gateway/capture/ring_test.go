package capture

import (
	"bytes"
	"encoding/binary"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"vxgw/gateway/forward"
)

// TestRingKeepsOrder: whatever is put and read in whatever order, what comes out is a
// beginning of what was taken in, whole, in order; and what was refused there was no
// room for.
func TestRingKeepsOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		notes, size := rapid.IntRange(1, 8).Draw(t, "notes"), rapid.IntRange(2, 64).Draw(t, "size")
		r := NewRing(notes, size)
		var model [][]byte // taken and not released
		published := 0
		t.Repeat(map[string]func(*rapid.T){
			"put": func(t *rapid.T) {
				parts := [3][]byte{}
				for i := range parts {
					parts[i] = rapid.SliceOfN(rapid.Byte(), 0, 12).Draw(t, "part")
				}
				snap := rapid.IntRange(0, 40).Draw(t, "snap")
				want := bytes.Join(parts[:], nil)
				want = want[:min(len(want), snap, size/2)]
				n := r.put(&Note{Len: len(want)}, snap, &parts)
				held := 0
				for _, m := range model {
					held += len(m)
				}
				if n == nil {
					if len(model) == 0 {
						t.Fatal("an empty ring has no room")
					}
					return
				}
				if len(model) == notes || held+len(want) > size {
					t.Fatal("there was room where there is none")
				}
				if !bytes.Equal(n.Data, want) {
					t.Fatalf("%x is kept of %x", n.Data, want)
				}
				model = append(model, want)
			},
			"publish": func(*rapid.T) { r.publish(); published = len(model) },
			"read": func(t *rapid.T) {
				got := r.read(nil)
				if len(got) != published {
					t.Fatalf("%d notes are read, %d were published", len(got), published)
				}
				for i := range got {
					if !bytes.Equal(got[i].Data, model[i]) {
						t.Fatalf("note %d: %x, want %x", i, got[i].Data, model[i])
					}
				}
				n := rapid.IntRange(0, len(got)).Draw(t, "released")
				r.release(n)
				model, published = model[n:], published-n
			},
		})
	})
}

// TestRingOfTwo: a worker and a reader that do not wait for each other lose nothing of
// what was taken.
func TestRingOfTwo(t *testing.T) {
	const count = 20_000
	r := NewRing(16, 512)
	var taken []uint64
	done := make(chan struct{})
	var wait sync.WaitGroup
	wait.Go(func() {
		defer close(done)
		for i := uint64(0); i < count; i++ {
			b := binary.LittleEndian.AppendUint64(nil, i)
			if r.put(&Note{}, 64, &[3][]byte{b, bytes.Repeat(b, int(i%4))}) != nil {
				taken = append(taken, i)
			}
			if i%3 == 0 {
				r.publish()
			}
		}
		r.publish()
	})
	var read []uint64
	for last := false; !last; {
		select {
		case <-done:
			last = true
		default:
		}
		notes := r.read(nil)
		for _, n := range notes {
			i := binary.LittleEndian.Uint64(n.Data)
			if want := 8 * (1 + int(i%4)); len(n.Data) != want {
				t.Fatalf("note %d has %d bytes, want %d", i, len(n.Data), want)
			}
			read = append(read, i)
		}
		r.release(len(notes))
	}
	wait.Wait()
	if len(read) != len(taken) {
		t.Fatalf("%d notes were read, %d taken", len(read), len(taken))
	}
	for i := range read {
		if read[i] != taken[i] {
			t.Fatalf("note %d is %d, want %d", i, read[i], taken[i])
		}
	}
}

// TestRecorder: what is remembered is what an obvious twin remembers, and a flood of one
// reason does not push out the rare ones.
func TestRecorder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		most := rapid.IntRange(1, 12).Draw(t, "most")
		r := NewRecorder(most)
		var model []Note
		for i := range rapid.IntRange(0, 60).Draw(t, "frames") {
			n := Note{Time: int64(i), Reason: forward.Reason(rapid.IntRange(1, 4).Draw(t, "reason")), Direction: forward.Direction(rapid.IntRange(0, 1).Draw(t, "direction"))}
			if len(model) == most {
				model = forgetOne(model)
			}
			model = append(model, n)
			r.Add(n, "")
		}
		got := r.All(forward.None)
		if len(got) != len(model) {
			t.Fatalf("%d are remembered, want %d", len(got), len(model))
		}
		for i := range got {
			if got[i].Time != model[i].Time || got[i].Reason != model[i].Reason {
				t.Fatalf("record %d is %+v, want %+v", i, got[i], model[i])
			}
		}
		for _, one := range r.All(2) {
			if one.Reason != 2 {
				t.Fatalf("asked for reason 2, got %v", one.Reason)
			}
		}
	})
}

// forgetOne gives up the oldest of those that there are most of.
func forgetOne(all []Note) []Note {
	count := make(map[cause]int)
	most := 0
	for _, n := range all {
		c := cause{n.Direction, n.Reason}
		count[c]++
		most = max(most, count[c])
	}
	for i, n := range all {
		if count[cause{n.Direction, n.Reason}] == most {
			return append(append([]Note{}, all[:i]...), all[i+1:]...)
		}
	}
	return all
}

func TestRareDropsStay(t *testing.T) {
	r := NewRecorder(MaxRecords)
	for i := range 5 {
		r.Add(Note{Time: int64(i), Reason: forward.SourceZero}, "eth1")
	}
	for i := range 10 * MaxRecords {
		r.Add(Note{Time: int64(10 + i), Reason: forward.TaggedFrame}, "eth1")
	}
	if n := len(r.All(forward.SourceZero)); n != 5 {
		t.Errorf("%d of 5 rare drops are remembered", n)
	}
	if n := len(r.All(forward.None)); n != MaxRecords {
		t.Errorf("%d are remembered, want %d", n, MaxRecords)
	}
}
