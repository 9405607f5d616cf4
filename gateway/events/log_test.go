package events

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// TestLogModel holds a Log against a list of all that was ever told.
func TestLogModel(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		size := rapid.IntRange(1, 8).Draw(r, "size")
		start := rapid.Uint64Range(0, 20).Draw(r, "start")
		l := NewLog(size, start)
		var all []Event
		r.Repeat(map[string]func(*rapid.T){
			"append": func(r *rapid.T) {
				var some []Event
				for range rapid.IntRange(0, 12).Draw(r, "events") {
					all = append(all, Event{ID: start + uint64(len(all)) + 1, VNI: uint32(len(all))})
					some = append(some, Event{VNI: all[len(all)-1].VNI})
				}
				changed := l.Changed()
				l.Append(some...)
				select {
				case <-changed:
					if len(some) == 0 {
						r.Fatal("woken for nothing")
					}
				default:
					if len(some) > 0 {
						r.Fatal("not woken")
					}
				}
			},
			"since": func(r *rapid.T) {
				id := rapid.Uint64Range(0, start+uint64(len(all))+3).Draw(r, "id")
				buf := make([]Event, rapid.IntRange(0, 10).Draw(r, "room"))
				n, ok := l.Since(id, buf)
				kept := min(size, len(all))
				oldest := start + uint64(len(all)-kept) // that nothing is missing after
				if want := id >= oldest && id <= start+uint64(len(all)); ok != want {
					r.Fatalf("since %d: %t, want %t", id, ok, want)
				}
				if !ok {
					return
				}
				want := all[id-start:]
				want = want[:min(len(want), len(buf))]
				if fmt.Sprint(buf[:n]) != fmt.Sprint(want) {
					r.Fatalf("since %d: %v, want %v", id, buf[:n], want)
				}
			},
			"": func(r *rapid.T) {
				if last := l.Last(); last != start+uint64(len(all)) {
					r.Fatalf("last %d", last)
				}
			},
		})
	})
}

// TestFollowers holds that who follows without pause misses nothing, whoever else does
// not.
func TestFollowers(t *testing.T) {
	const events = 5000
	l := NewLog(events, 0)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			buf := make([]Event, 7)
			for at := uint64(0); at < events; {
				changed := l.Changed()
				n, ok := l.Since(at, buf)
				for i := range buf[:n] {
					if at++; buf[i].ID != at {
						t.Errorf("%d in the place of %d", buf[i].ID, at)
						return
					}
				}
				if !ok {
					t.Errorf("missed what came after %d", at)
					return
				}
				if n == 0 {
					<-changed
				}
			}
		})
	}
	for range events {
		l.Append(Event{Type: MACLearned})
	}
	wg.Wait()
}

func TestFilter(t *testing.T) {
	all := []Event{
		{Type: MACLearned, VNI: 1}, {Type: MACGone, VNI: 2}, {Type: PortUp, VNI: 1}, {Type: VTEPAdded},
		{Type: NeighbourMoved, VNI: 2}, {Type: Reload}, {Type: Drops}, {Type: Resync}, {Type: SnapshotEnd},
	}
	const always = "resync snapshot_end"
	tests := []struct {
		name, types string
		vni         uint32
		want        string
	}{
		{"all", "", 0, "mac_learned mac_gone port_up vtep_added neighbour_moved reload drops " + always},
		{"a type", "mac_gone", 0, "mac_gone " + always},
		{"a class", "mac", 0, "mac_learned mac_gone " + always},
		{"two", "drops,port_up", 0, "port_up drops " + always},
		{"a VNI", "", 2, "mac_gone vtep_added neighbour_moved reload drops " + always},
		{"a class in a VNI", "mac,vtep", 1, "mac_learned vtep_added " + always},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			f := Filter{VNI: test.vni}
			if err := f.Want(test.types); err != nil {
				t.Fatal(err)
			}
			var passed []string
			for i := range all {
				if f.Passes(&all[i]) {
					passed = append(passed, string(all[i].Type))
				}
			}
			if got := strings.Join(passed, " "); got != test.want {
				t.Errorf("passed %s, want %s", got, test.want)
			}
		})
	}
	for _, wrong := range []string{"macs", "mac,", ",", "resync", "mac_learned mac_gone"} {
		if err := new(Filter).Want(wrong); err == nil || !strings.Contains(err.Error(), "there is mac_learned") {
			t.Errorf("%q: %v", wrong, err)
		}
	}
}

func TestText(t *testing.T) {
	at := time.Date(2025, 6, 1, 12, 0, 0, 1e6, time.Local)
	until := at.Add(time.Minute)
	for want, e := range map[string]Event{
		"12:00:00.001  mac_moved           vni 10  mac 02:00:00:00:00:01  port e?1  from 192.0.2.2  origin learned  times 3": {
			Type: MACMoved, VNI: 10, MAC: "02:00:00:00:00:01", Port: "e\n1", FromVTEP: "192.0.2.2", Origin: "learned", Times: 3},
		"12:00:00.001  drops               reason ecn  direction overlay  frames 2  in all 7  mend: look": {
			Type: Drops, Reason: "ecn", Direction: "overlay", Frames: 2, Count: 7, Mend: "look"},
		"12:00:00.001  reload              changes: + port e1; - vni 5":   {Type: Reload, Changes: []string{"+ port e1", "- vni 5"}},
		"12:00:00.001  config_unconfirmed  until 12:01:00  mend: confirm": {Type: ConfigUnconfirmed, ConfirmUntil: &until, Mend: "confirm"},
	} {
		if e.Time = at; e.String() != want {
			t.Errorf("got\n%s, want\n%s", e, want)
		}
	}
}
