package xdp

import (
	"maps"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unsafe"

	"vxgw/gateway/forward"
)

var (
	comment  = regexp.MustCompile(`(?s)/\*.*?\*/|//[^\n]*`)
	define   = regexp.MustCompile(`(?m)^#define (\w+)[ \t]+(0x[0-9a-f]+|\d+)[ \t]*$`)
	enums    = regexp.MustCompile(`(?s)\benum \{(.*?)\}`)
	enumItem = regexp.MustCompile(`^(\w+)(?:\s*=\s*(\d+))?$`)
)

// constants returns what a file in bpf defines as a number.
func constants(t *testing.T, file string) map[string]uint64 {
	t.Helper()
	b, err := os.ReadFile("bpf/" + file)
	must(t, err)
	text := comment.ReplaceAllString(string(b), "")
	all := make(map[string]uint64)
	for _, m := range define.FindAllStringSubmatch(text, -1) {
		all[m[1]], err = strconv.ParseUint(m[2], 0, 64)
		must(t, err)
	}
	for _, e := range enums.FindAllStringSubmatch(text, -1) {
		next := uint64(0)
		for _, item := range strings.Split(strings.TrimRight(strings.TrimSpace(e[1]), ","), ",") {
			m := enumItem.FindStringSubmatch(strings.TrimSpace(item))
			if m == nil {
				t.Fatalf("%s: enum item %q", file, item)
			}
			if m[2] != "" {
				next, err = strconv.ParseUint(m[2], 10, 64)
				must(t, err)
			}
			all[m[1]] = next
			next++
		}
	}
	return all
}

// TestLayout: what the programs mean by a number is what the gateway means by it. Every
// number of layout.h is here.
func TestLayout(t *testing.T) {
	want := map[string][]uint64{
		"LINKS": {maxLinks}, "FIRST_VTEP": {firstVTEP, forward.MaxPorts}, "NO_PORT": {noPort, uint64(forward.NoPortID)}, "NO_VRF": {noVRF, uint64(forward.NoVRFID)},
		"CONTROL_ALL_VNIS": {controlAllVNIs}, "CONTROL_QUIET": {controlQuiet}, "CONTROL_LAST": {controlLast},
		"EVENT_OUT": {eventOut}, "EVENT_UNDERLAY": {eventUnderlay}, "EVENT_ROUTE": {eventRoute}, "EVENT_OVERLAY": {eventOverlay},
		"LINK_ACCESS": {linkAccess}, "LINK_UNDERLAY": {linkUnderlay},
		"PORT_LIVE": {portLive}, "PORT_UP": {portUp}, "PORT_SHUT": {portShut}, "PORT_ISOLATED": {portIsolated},
		"PORT_TARGET": {portTarget}, "PORT_VETH": {portVeth}, "PORT_FRAGS": {portFrags},
		"DOMAIN_LIVE": {domainLive}, "DOMAIN_HEARS": {domainHears}, "DOMAIN_CLAMP": {domainClamp},
		"VTEP_LIVE": {vtepLive}, "VTEP_HOP": {vtepHop}, "VTEP_READY": {vtepReady}, "VTEP_FRAGS": {vtepFrags},
		"STATION_PINNED": {stationPinned >> 16}, "STATION_UNSURE": {stationUnsure >> 16}, "STATION_HELD": {stationHeld >> 16},
		"DIRECTIONS": {uint64(forward.NumDirections), uint64(len(Verdicts{}.Kinds))},
		"KINDS":      {uint64(len(Verdicts{}.Kinds[0]))}, "REASONS": {uint64(len(Verdicts{}.Dropped[0]))},
	}
	is := constants(t, "layout.h")
	for name, n := range is {
		if want[name] == nil {
			t.Errorf("%s is not held against anything", name)
		}
		for _, w := range want[name] {
			if n != w {
				t.Errorf("%s is %d to the programs and %d to the gateway", name, n, w)
			}
		}
	}
	for name := range want {
		if _, ok := is[name]; !ok {
			t.Errorf("the programs do not know %s", name)
		}
	}
	if n := int(forward.NumKinds); n > len(Verdicts{}.Kinds[0]) {
		t.Errorf("there is no room to count %d kinds", n)
	}
	if n := int(forward.NumReasons); n > len(Verdicts{}.Dropped[0]) {
		t.Errorf("there is no room to count %d reasons", n)
	}
}

// TestStationLayout: one word here is hop and flags there.
func TestStationLayout(t *testing.T) {
	var c fastFdbBucket
	way := &c.Way[1]
	s := &unsafe.Slice((*station)(unsafe.Pointer(&c)), ways)[1]
	s.key.Store(1<<63 | 7)
	s.hop.Store(0x1234 | stationUnsure)
	s.seen.Store(99)
	if way.Key != 1<<63|7 || way.Hop != 0x1234 || way.Flags != stationUnsure>>16 || way.Seen != 99 || len(c.Way) != ways {
		t.Errorf("the programs see %+v", *way)
	}
}

// TestReasons: the programs' reasons, kinds and directions are forward's, by name and by
// number.
func TestReasons(t *testing.T) {
	reasons := make(map[string]uint64)
	for r := range forward.NumReasons {
		reasons[strings.ToUpper(r.String())] = uint64(r)
	}
	others := map[string]uint64{
		"ACCESS": uint64(forward.Access), "OVERLAY": uint64(forward.Overlay), "ROUTE": uint64(forward.Route),
		"KIND_DROP": uint64(forward.Drop), "KIND_PORT": uint64(forward.ToPort), "KIND_VTEP": uint64(forward.ToVTEP), "KIND_ROUTER": uint64(forward.ToRouter),
	}
	of := map[string]uint64{"OF_PORT": 0, "OF_VTEP": 1, "OF_DOMAIN": 2, "OF_VRF": 3} // as Plane.size has them
	// What is the programs' own.
	own := []string{"UP", "DROP", "TO_PORT", "TO_VTEP", "TYPE_QINQ", "TYPE_OLD_QINQ", "PLAIN", "VETH", "TAGS"}
	seen := 0
	for _, file := range []string{"decide.h", "fast.bpf.c", "tables.h"} {
		for name, n := range constants(t, file) {
			want, known := reasons[name]
			for _, m := range []map[string]uint64{others, of} {
				if w, ok := m[name]; ok {
					want, known = w, true
				}
			}
			switch {
			case known && n != want:
				t.Errorf("%s: %s is %d, and to the gateway %d", file, name, n, want)
			case !known && !slices.Contains(own, name):
				t.Errorf("%s: %s is nothing that the gateway knows", file, name)
			case known:
				seen++
			}
		}
	}
	if least := len(others) + len(of) + 10; seen < least {
		t.Errorf("found %d of at least %d: %v", seen, least, slices.Sorted(maps.Keys(others)))
	}
	for i, v := range []Variant{Plain, Veth, Tags} {
		if name := own[6+i]; constants(t, "fast.bpf.c")[name] != uint64(v) {
			t.Errorf("variant %s is not %d", name, v)
		}
	}
}
