package xdp

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"
	"net/netip"
	"os"
	"strings"
	"sync"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"vxgw/l2/fdb"
	"vxgw/l2/frame"
)

// Sizes is how much a Plane has room for. What there is no room for is not wrong: it
// is left to whoever gets what the programs hand up.
type Sizes struct {
	Ports, Domains, VTEPs, VNIs, VRFs int
	Stations                          int // MACs
	Routes                            int // routed destinations
}

// Underlay is what the programs know of the underlay that does not change.
type Underlay struct {
	Address       netip.Addr
	Port          uint16
	VLAN          uint16 // outer VLAN ID; 0: none
	TTL           uint8
	DF            bool
	Checksum      bool // IPv4: the UDP checksum is filled in
	ZeroChecksum6 bool // IPv6: it is not, and need not be
	Strict        bool // reserved bits of VXLAN headers must be zero

	InheritDSCP bool
	DSCP        uint8 // 0..63, where it is not inherited

	SourcePorts [2]uint16 // first and last
	EntropySeed uint64
}

// sums reports whether outer UDP checksums are filled in.
func (u *Underlay) sums() bool {
	if u.Address.Is6() {
		return !u.ZeroChecksum6
	}
	return u.Checksum
}

// Plane is the fast path: the tables that the programs decide by, and the programs.
// Methods may be called from any goroutine; Close last.
type Plane struct {
	// set once
	sizes    Sizes
	underlay Underlay
	spec     *ebpf.CollectionSpec
	maps     map[string]*ebpf.Map
	closing  closers
	cpus     int
	base     [4]uint32 // of the counters of ports, VTEPs, domains and VRFs
	perCPU   uint32    // counters of one CPU
	pieces   bool      // the kernel has frames in several pieces (Linux 5.18)

	inForce  shared[fastControl]
	links    shared[fastLink]
	ports    shared[fastPort]
	domains  shared[fastDomain]
	vteps    shared[fastVtep]
	hops     shared[fastHop]
	vnis     shared[fastVniBucket]
	fdb      shared[fastFdbBucket]
	traffics shared[fastTraffic]
	verdicts shared[fastVerdicts]
	loads    shared[fastLoad]
	own      shared[uint64]
	lost     shared[uint64]
	unseen   shared[uint64]
	routeMem shared[fastRoute]

	stations *stations
	routes   *routes
	grace    *grace

	mu     sync.Mutex // guards everything below
	devs   map[uint32]int
	taps   map[tapKey]*tapPrograms
	pinDir string         // where pins are; "": nowhere
	tapped map[int][]*Tap // by interface
	leaves bool           // see Leave

	// promisc is the interfaces that Promiscuous was asked for, by index, and whether it
	// was this gateway, or a former one, that told them.
	promisc map[int]bool
}

// Devices that frames are redirected to: ports by number, and then maxUnderlays
// interfaces of the underlay.
const maxUnderlays = 64

// hopsPerVTEP is how many hops there is room for, for each VTEP that there is room for:
// most have one, which takes none of it.
const hopsPerVTEP = 4

// NewPlane makes the tables of a fast path. Nothing is attached yet. The error wraps
// os.ErrPermission without CAP_BPF, CAP_PERFMON and CAP_NET_ADMIN, and ebpf.ErrNotSupported where
// the kernel is too old.
func NewPlane(sizes Sizes, u Underlay) (p *Plane, err error) {
	p = &Plane{sizes: sizes, underlay: u, maps: make(map[string]*ebpf.Map), devs: make(map[uint32]int), taps: make(map[tapKey]*tapPrograms), tapped: make(map[int][]*Tap), promisc: make(map[int]bool)}
	defer func() {
		if err != nil {
			err = errors.Join(err, p.closing.close())
		}
	}()
	if p.cpus, err = ebpf.PossibleCPU(); err != nil {
		return p, fmt.Errorf("count CPUs: %w", err)
	}
	if p.spec, err = loadFast(); err != nil {
		return p, err
	}
	seed := newSeed()
	if err := p.size(seed); err != nil {
		return p, err
	}
	if err := p.makeMaps(); err != nil {
		return p, err
	}
	if err := p.shareAll(); err != nil {
		return p, err
	}
	if err := p.tryProgram(); err != nil {
		return p, err
	}
	p.stations = newStations(p.fdb.at, seed)
	p.routes = newRoutes(p.routeMem.at, seed)
	if p.grace, err = newGrace(); err != nil {
		return p, err
	}
	p.closing.add(p.grace.close)
	return p, nil
}

// TakesPieces reports whether the kernel has frames in several pieces (Linux 5.18).
func (p *Plane) TakesPieces() bool { return p.pieces }

// Close forgets the tables. Programs that are attached keep them, and so does the
// memory that is shared with them: who is told to stop may be late.
func (p *Plane) Close() error { return p.closing.close() }

// fdbBuckets returns how many buckets there are for n stations: at most three quarters of
// the places are taken. A larger table is slower, since less of it is in a CPU's cache.
func fdbBuckets(n int) int { return max(n/(ways-1)+1, 64) }

// power returns the power of two that is at least n.
func power(n int) uint32 { return 1 << bits.Len(uint(max(n, 1)-1)) }

// size gives maps and programs their sizes, and the programs what does not change.
func (p *Plane) size(seed [4]uint64) error {
	s, u := &p.sizes, &p.underlay
	for _, n := range []*int{&s.Ports, &s.VTEPs, &s.Domains, &s.VNIs, &s.VRFs} {
		*n = max(*n, 1)
	}
	vnis := power(s.VNIs/2 + 1) // of 8 places each: a quarter of them taken
	routes := power(max(s.Routes, 64))
	for i, n := range []int{s.Ports, s.VTEPs, s.Domains, s.VRFs} { // as OF_PORT and the others
		p.base[i] = p.perCPU
		p.perCPU += uint32(n)
	}
	for name, n := range map[string]uint32{
		fastMapInForce: 1, fastMapLinks: 2 * maxLinks, fastMapLoads: maxLinks, fastMapLost: maxLinks, fastMapUnseen: maxLinks,
		fastMapPorts: 2 * uint32(s.Ports), fastMapDomains: 2 * uint32(s.Domains), fastMapVteps: 2 * uint32(s.VTEPs),
		fastMapHops: 2 * hopsPerVTEP * uint32(s.VTEPs),
		fastMapVnis: 2 * vnis, fastMapFdb: uint32(fdbBuckets(s.Stations)), fastMapRoutes: routes,
		fastMapTraffics: uint32(p.cpus) * p.perCPU, fastMapVerdictCounts: uint32(p.cpus),
		fastMapOwn: uint32(s.VRFs) * OwnWords, fastMapSamples: 3 * 64,
		fastMapDevs: uint32(s.Ports) + maxUnderlays,
	} {
		p.spec.Maps[name].MaxEntries = n
		p.spec.Maps[name].Name = "vxgw_" + name[:min(len(name), 10)]
	}
	var first, last = u.SourcePorts[0], u.SourcePorts[1]
	return p.set(map[string]any{
		fastVarMaxPorts: uint32(s.Ports), fastVarMaxDomains: uint32(s.Domains), fastVarMaxVteps: uint32(s.VTEPs),
		fastVarMaxVniBuckets: vnis, fastVarFdbBuckets: uint64(fdbBuckets(s.Stations)), fastVarRouteMask: routes - 1,
		fastVarTrafficBase: p.base, fastVarTrafficLen: p.perCPU, fastVarHashSeed: seed,
		fastVarEntropySeed: u.EntropySeed, fastVarEntropyFirst: first, fastVarEntropySpan: uint64(last) - uint64(first) + 1,
		fastVarDscpInherit: truth(u.InheritDSCP), fastVarDscpBits: u.DSCP << 2,
		fastVarUnderlayV6: truth(u.Address.Is6()), fastVarOuterVlan: u.VLAN, fastVarDf: truth(u.DF),
		fastVarSums: truth(u.sums()), fastVarZeroSum6: truth(u.ZeroChecksum6), fastVarStrict: truth(u.Strict),
		fastVarVxlanPort: inOrder(u.Port), fastVarLocalAddr: addrWords(u.Address), fastVarAgainMark: randomMark(),
	})
}

// set gives the programs constants.
func (p *Plane) set(values map[string]any) error {
	for name, v := range values {
		if err := p.spec.Variables[name].Set(v); err != nil {
			return fmt.Errorf("set %s: %w", name, err)
		}
	}
	return nil
}

func truth(b bool) uint8 {
	if b {
		return 1
	}
	return 0
}

// inOrder is a number as it is in a packet.
func inOrder(n uint16) uint16 {
	var b [2]byte
	binary.BigEndian.PutUint16(b[:], n)
	return binary.NativeEndian.Uint16(b[:])
}

func (p *Plane) makeMaps() error {
	for name, spec := range p.spec.Maps {
		if name == ".rodata" {
			continue // each program has its own
		}
		m, err := ebpf.NewMap(spec)
		if err != nil {
			return fmt.Errorf("make map %s: %w", spec.Name, err)
		}
		p.maps[name] = m
		p.closing.add(m.Close)
	}
	return nil
}

func (p *Plane) shareAll() error {
	return errors.Join(
		open(p, &p.inForce, fastMapInForce), open(p, &p.links, fastMapLinks), open(p, &p.ports, fastMapPorts),
		open(p, &p.domains, fastMapDomains), open(p, &p.vteps, fastMapVteps), open(p, &p.hops, fastMapHops), open(p, &p.vnis, fastMapVnis),
		open(p, &p.fdb, fastMapFdb), open(p, &p.traffics, fastMapTraffics), open(p, &p.verdicts, fastMapVerdictCounts),
		open(p, &p.loads, fastMapLoads), open(p, &p.own, fastMapOwn), open(p, &p.lost, fastMapLost), open(p, &p.unseen, fastMapUnseen), open(p, &p.routeMem, fastMapRoutes),
	)
}

// tryProgram loads a program to find out what the kernel takes. The error wraps
// os.ErrPermission where that takes tables but no programs: it wants another capability
// for those.
func (p *Plane) tryProgram() error {
	p.pieces = true
	prog, err := p.Program(Access, Plain, 0, true)
	if errors.Is(err, unix.EINVAL) {
		p.pieces = false
		prog, err = p.Program(Access, Plain, 0, false)
	}
	switch {
	case errors.Is(err, os.ErrPermission) && !IsRefused(err):
		return err
	case err != nil:
		return nil // it may yet take others
	}
	return prog.Close()
}

func open[T any](p *Plane, s *shared[T], name string) (err error) {
	*s, err = share[T](p.maps[name])
	return err
}

// Crowded names what of v there is no room for, which is left to whoever gets what the
// programs hand up; "" where there is room for all of it.
func (p *Plane) Crowded(v *View) string {
	var all []string
	for _, of := range []struct {
		what     string
		is, room int
	}{
		{"ports", len(v.Ports), p.sizes.Ports}, {"VNIs", len(v.Domains), p.sizes.Domains},
		{"VTEPs", len(v.VTEPs), p.sizes.VTEPs}, {"VRFs", len(v.Own), p.sizes.VRFs},
	} {
		if of.is > of.room {
			all = append(all, fmt.Sprintf("more than %d %s", of.room, of.what))
		}
	}
	return strings.Join(all, ", ")
}

// Learned is told where a station of the FDB is now, whenever it is heard there first.
// unsure has frames from it handed up.
func (p *Plane) Learned(e fdb.Entry, unsure bool) {
	hop := uint32(e.Hop)
	if e.Origin != fdb.Learned {
		hop |= stationPinned
	}
	if unsure {
		hop |= stationUnsure
	}
	if e.Held {
		hop |= stationHeld
	}
	p.stations.put(stationKey(e.Domain, e.MAC), hop, tickNow())
}

// Seen is told that a station was seen this second.
func (p *Plane) Seen(d fdb.Domain, m frame.MAC) { p.stations.touch(stationKey(d, m), tickNow()) }

// Forgotten is told that a station left the FDB.
func (p *Plane) Forgotten(d fdb.Domain, m frame.MAC) {
	p.stations.drop(stationKey(d, m), uint32(monotonic()/1e9))
}

// Wake is to be called about once a second.
func (p *Plane) Wake() { p.stations.wake(uint32(monotonic() / 1e9)) }

// Unplaced returns how many stations there was no room for, in all.
func (p *Plane) Unplaced() int {
	p.stations.mu.Lock()
	defer p.stations.mu.Unlock()
	return p.stations.unplaced
}

// EachSeen calls f with every learned station, and when a frame was last heard from it
// as seconds of a clock that is at now.
func (p *Plane) EachSeen(now uint32, f func(d fdb.Domain, m frame.MAC, h fdb.Hop, seen uint32)) {
	tick := tickNow()
	p.stations.each(func(key uint64, hop uint16, seen uint32) {
		ago := secondsOf(tick - seen)
		f(fdb.Domain(key>>48), frame.MACFromUint64(key), fdb.Hop(hop), now-min(ago, now))
	})
}

// monotonic returns the kernel's clock that programs have, in nanoseconds.
func monotonic() int64 {
	var t unix.Timespec
	if unix.ClockGettime(unix.CLOCK_MONOTONIC, &t) != nil {
		return 0
	}
	return t.Nano()
}

// tickNow returns the programs' time: 2^30 ns each.
func tickNow() uint32 { return uint32(monotonic() >> 30) }
