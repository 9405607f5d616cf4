package xdp

import (
	"bytes"
	"encoding/binary"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"vxgw/l2/fdb"
	"vxgw/l2/frame"
)

// stationIs is what an oracle has of a station.
type stationIs struct{ hop, seen uint32 }

// testStations is a table that no program sees.
func testStations(buckets int, seed [4]uint64) *stations {
	return newStations(make([]fastFdbBucket, buckets), seed)
}

// holds checks what can be said of a table whatever has happened to it.
func (t *stations) holds(tb interface{ Fatalf(string, ...any) }) {
	live, perPage := 0, make([]uint16, len(t.perPage))
	keys := make(map[uint64]int)
	for i := range t.slots {
		key := t.slots[i].key.Load()
		if (key != 0) != (t.state[i] == slotLive) {
			tb.Fatalf("place %d is in state %d with key %#x", i, t.state[i], key)
		}
		if key == 0 {
			continue
		}
		if other, twice := keys[key]; twice {
			tb.Fatalf("%#x is at %d and at %d", key, other, i)
		}
		keys[key] = i
		live++
		perPage[i/pageSlots]++
	}
	if live != t.live || !slices.Equal(perPage, t.perPage) {
		tb.Fatalf("%d are live, and it counts %d; by page %v and %v", live, t.live, perPage, t.perPage)
	}
}

// TestStationsAgainstAMap: the table is a map, but for those that it has said there is no
// room for, and an empty place stays empty for as long as a program may have found it.
func TestStationsAgainstAMap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		buckets := rapid.IntRange(1, 64).Draw(t, "buckets")
		var seed [4]uint64
		for i := range seed {
			seed[i] = rapid.Uint64().Draw(t, "seed") | uint64(i&1)
		}
		table := testStations(buckets, seed)
		want := make(map[uint64]stationIs)
		was := slices.Clone(table.state)
		left := make([]uint32, len(was)) // when each place was left
		unplaced := 0
		// More stations than places: it runs full.
		places := len(table.slots)
		key := rapid.Custom(func(t *rapid.T) uint64 {
			n := rapid.IntRange(0, 2*places).Draw(t, "station")
			return stationKey(fdb.Domain(n%3), frame.MACFromUint64(2<<40|uint64(n)))
		})
		now := uint32(1000)
		t.Repeat(map[string]func(*rapid.T){
			"put": func(t *rapid.T) {
				k, hop, seen := key.Draw(t, "key"), uint32(rapid.IntRange(0, 20479).Draw(t, "hop")), rapid.Uint32().Draw(t, "seen")
				if rapid.Bool().Draw(t, "pinned") {
					hop |= stationPinned
				}
				table.put(k, hop, seen)
				want[k] = stationIs{hop, seen}
			},
			"drop": func(t *rapid.T) {
				k := key.Draw(t, "key")
				table.drop(k, now)
				delete(want, k)
			},
			"touch": func(t *rapid.T) {
				k, seen := key.Draw(t, "key"), rapid.Uint32().Draw(t, "seen")
				table.touch(k, seen)
				if _, placed := table.find(k); placed {
					want[k] = stationIs{want[k].hop, seen}
				}
			},
			"time": func(t *rapid.T) { now += uint32(rapid.IntRange(0, 3).Draw(t, "seconds")) },
			"wake": func(t *rapid.T) { table.wake(now) },
			"": func(t *rapid.T) {
				table.holds(t)
				for i, state := range table.state {
					if state == slotResting && was[i] != slotResting {
						left[i] = now
					} else if state == slotLive && was[i] != slotLive && now-left[i] < restFor {
						t.Fatalf("place %d is taken %d s after it was left", i, now-left[i])
					}
				}
				copy(was, table.state)
				placed := maps.Clone(want)
				for k, is := range want {
					w, waits := table.waiting[k]
					got := stationIs{w.hop, w.seen}
					if i, there := table.find(k); there {
						got = stationIs{table.slots[i].hop.Load(), table.slots[i].seen.Load()}
					} else if delete(placed, k); !waits {
						unplaced++ // it has given up
						delete(want, k)
						continue
					}
					if got != is {
						t.Fatalf("%#x is %+v, want %+v", k, got, is)
					}
				}
				if table.unplaced != unplaced || table.live != len(placed) || table.live+len(table.waiting) != len(want) {
					t.Fatalf("%d were not placed, %d are live and %d wait, want %d, %d and %d", table.unplaced, table.live, len(table.waiting), unplaced, len(placed), len(want)-len(placed))
				}
				told := make(map[uint64]stationIs)
				table.each(func(k uint64, hop uint16, seen uint32) { told[k] = stationIs{uint32(hop), seen} })
				learned := placed
				maps.DeleteFunc(learned, func(_ uint64, is stationIs) bool { return is.hop&stationPinned != 0 })
				if !maps.Equal(told, learned) {
					t.Fatalf("each tells of %v, want %v", told, learned)
				}
			},
		})
	})
}

// TestStationsNearlyFull: with as many stations as a table is made for all have a place
// after some seconds, most at once, and a place that has rested is used again.
func TestStationsNearlyFull(t *testing.T) {
	const n, patience = 1 << 14, 30
	table := testStations(fdbBuckets(n), newSeed())
	now := uint32(100)
	for round := range uint32(3) {
		for i := range uint64(n) {
			table.put(uint64(round)<<48|2<<40|i, uint32(i%100), 1)
		}
		if len(table.waiting) > n/20 {
			t.Errorf("round %d: %d of %d have to wait", round, len(table.waiting), n)
		}
		for range patience {
			now++
			table.wake(now)
		}
		if table.live != n || len(table.waiting) != 0 || table.unplaced != 0 {
			t.Errorf("round %d: of %d stations %d have a place, %d wait, %d have none", round, n, table.live, len(table.waiting), table.unplaced)
		}
		table.holds(t)
		for i := range uint64(n) {
			table.drop(uint64(round)<<48|2<<40|i, now)
		}
		now += restFor
		table.wake(now)
	}
	if table.live != 0 || len(table.resting) != 0 {
		t.Errorf("%d are live and %d rest", table.live, len(table.resting))
	}
}

// TestStationsGiveUp: who has waited in vain for long is counted, and waits no more.
func TestStationsGiveUp(t *testing.T) {
	table := testStations(1, newSeed())
	for i := range uint64(ways + 1) {
		table.put(2<<40|i, 1, 1)
	}
	for now := range uint32(mostWakes) {
		table.wake(now)
	}
	if len(table.waiting) != 1 || table.unplaced != 0 {
		t.Errorf("%d wait and %d have given up", len(table.waiting), table.unplaced)
	}
	table.wake(mostWakes)
	if len(table.waiting) != 0 || table.unplaced != 1 {
		t.Errorf("%d wait and %d have given up", len(table.waiting), table.unplaced)
	}
	for i := range uint64(mostWaiting + 2) {
		table.put(3<<40|i, 1, 1)
	}
	if len(table.waiting) != mostWaiting || table.unplaced != 3 {
		t.Errorf("%d wait and %d have given up", len(table.waiting), table.unplaced)
	}
}

// A station that was left and learned anew again and again has a place once those that it
// left have rested.
func TestStationsThatComeAndGo(t *testing.T) {
	table := testStations(64, newSeed())
	key := stationKey(1, frame.MAC{2, 0, 0, 0, 0, 1})
	for range 3 * ways {
		table.put(key, 1, 1)
		table.drop(key, 100)
	}
	table.put(key, 7, 1)
	if _, ok := table.find(key); ok {
		t.Fatal("it has a place before one has rested")
	}
	table.wake(100 + restFor)
	if i, ok := table.find(key); !ok || table.slots[i].hop.Load() != 7 {
		t.Error("it has no place")
	}
}

// TestStationsRace: whoever looks while others write finds what was there at some moment,
// and never what was another's.
func TestStationsRace(t *testing.T) {
	const keys, writers, each = 400, 4, 3000
	table := testStations(128, newSeed())
	// A station's hop and when it was seen tell whose they are.
	hopOf := func(k uint64) uint32 { return uint32(k % 4096) }
	key := func(i int) uint64 { return stationKey(1, frame.MACFromUint64(2<<40|uint64(i))) }
	var writing, reading sync.WaitGroup
	stop := make(chan struct{})
	for w := range writers {
		writing.Go(func() {
			r := rand.New(rand.NewPCG(1, uint64(w)))
			for now := range uint32(each) {
				// Each writer has stations of its own, as each is in one shard of the FDB.
				k := key(r.IntN(keys/writers)*writers + w)
				switch r.IntN(4) {
				case 0:
					table.drop(k, now/100)
				case 1:
					table.touch(k, now)
				default:
					table.put(k, hopOf(k), now)
				}
				if now%100 == 0 {
					table.wake(now / 100)
				}
			}
		})
	}
	for range 2 {
		reading.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				table.each(func(k uint64, hop uint16, seen uint32) {
					if uint32(hop) != hopOf(k) || seen > each {
						t.Errorf("%#x is at hop %d and was seen at %d", k, hop, seen)
					}
				})
				k := key(rand.IntN(keys))
				if i, ok := table.find(k); ok {
					if hop := table.slots[i].hop.Load(); hop != hopOf(k) {
						t.Errorf("found %#x at hop %d", k, hop)
					}
				}
			}
		})
	}
	writing.Wait()
	close(stop)
	reading.Wait()
	table.holds(t)
}

// TestProgramsFindStations: what the gateway puts where, the programs look for there, and
// what it has dropped they do not find. Those that are found are carried, and those that
// are not go up.
func TestProgramsFindStations(t *testing.T) {
	needBPF(t)
	const n = 3000
	p, err := NewPlane(Sizes{Ports: 2, Domains: 3, Stations: n}, Underlay{Address: vtep4.Addr(), Port: vtep4.Port()})
	must(t, err)
	defer func() { must(t, p.Close()) }()
	const lo = 1
	v := &View{Links: []Link{{Index: lo, Access: true}}, Domains: []Domain{{}, {Live: true, VNI: 7}}}
	for range 2 {
		v.Ports = append(v.Ports, Port{Live: true, Up: true, Domain: 1, MaxFrame: 1514, Index: lo, Target: true})
	}
	must(t, p.Publish(v))
	prog, err := p.Program(Access, Plain, 0, false)
	must(t, err)
	defer func() { must(t, prog.Close()) }()

	src := frame.MAC{2, 0, 0, 0, 0, 1}
	mac := func(i int) frame.MAC { return frame.MACFromUint64(6<<40 | uint64(i)) }
	sent := func(i int) bool {
		t.Helper()
		m := mac(i)
		got, out, err := prog.Test(slices.Concat(m[:], src[:], binary.BigEndian.AppendUint16(nil, 0x88b5), make([]byte, 46)))
		must(t, err)
		if (got != 2 && got != 4) || !bytes.Equal(out[:6], m[:]) {
			t.Fatalf("XDP returns %d", got)
		}
		return got == 4
	}
	p.Learned(fdb.Entry{Domain: 1, MAC: src, Hop: 0}, false)
	for i := range n - 1 {
		p.Learned(fdb.Entry{Domain: 1, MAC: mac(i), Hop: 1}, false)
		p.Learned(fdb.Entry{Domain: 2, MAC: mac(i + n), Hop: 1}, false) // another domain's; too many
	}
	for now := range uint32(2 * restFor) {
		p.stations.wake(uint32(monotonic()/1e9) + now) // some are moved
	}
	placed := func(i int) bool { _, ok := p.stations.find(stationKey(1, mac(i))); return ok }
	for i := range n - 1 {
		if is := sent(i); is != placed(i) {
			t.Fatalf("station %d: sent %t, and it is there: %t", i, is, placed(i))
		}
		if sent(i + n) {
			t.Fatalf("sent to station %d of another domain", i+n)
		}
	}
	for i := 0; i < n-1; i += 2 {
		p.Forgotten(1, mac(i))
	}
	for i := range n - 1 {
		if is := sent(i); is != (i%2 == 1 && placed(i)) {
			t.Fatalf("station %d: sent %t after every other one was forgotten", i, is)
		}
	}
}

// What the programs take for known has not expired by any clock, and 0 is never.
func TestAgeingTicks(t *testing.T) {
	for _, seconds := range []uint32{2, 3, 10, 30, 300, 86400, 1 << 30} {
		// One more, for a station was seen at some moment of a tick.
		if n := uint64(ageingTicks(seconds)); n<<30 > uint64(seconds)*1e9 || (n+3)<<30 < uint64(seconds)*1e9 {
			t.Errorf("%d s are %d ticks", seconds, n)
		}
	}
	if never, least := ageingTicks(0), ageingTicks(1); never != 0 || least == 0 {
		t.Errorf("0 s are %d ticks and 1 s is %d", never, least)
	}
}
