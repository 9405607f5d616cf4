package xdp

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"

	"vxgw/l2/frame"
)

// Heritage is what a gateway has left that does not run any more: its programs go on.
type Heritage struct {
	dir    string
	v6     bool
	tables []string // directories of tables, the oldest first
	links  map[pinnedAt]link.Link
	taps   map[tapAt]link.Link

	// Strange says that tables are of another layout: they cannot be read.
	Strange bool
}

type pinnedAt struct {
	index int
	role  Role
}

// OpenHeritage finds what is left below a directory; nil where there is nothing. v6 says
// that the underlay is IPv6.
func OpenHeritage(dir string, v6 bool) (*Heritage, error) {
	names, err := os.ReadDir(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("look for a former fast path: %w", err)
	}
	h := &Heritage{dir: dir, v6: v6, links: make(map[pinnedAt]link.Link), taps: make(map[tapAt]link.Link)}
	for _, n := range names { // by name, and so by age
		file := filepath.Join(dir, n.Name())
		if strings.HasPrefix(n.Name(), "tables-") {
			h.tables = append(h.tables, file)
			h.Strange = h.Strange || !isOurs(n.Name())
			continue
		}
		if at, ok := parseLink(n.Name()); ok {
			if l := openLink(file, at.index); l != nil {
				h.links[at] = l
			}
		} else if at, ok := parseTap(n.Name()); ok {
			if l := openLink(file, at.index); l != nil {
				h.taps[at] = l
			}
		}
	}
	return h, nil
}

func isOurs(name string) bool { return strings.HasPrefix(name, "tables-"+layoutID()+"-") }

// openLink opens a pinned link, or forgets it where its interface is gone.
func openLink(file string, index int) link.Link {
	l, err := link.LoadPinnedLink(file, nil)
	if err == nil {
		if interfaceOf(l) == index {
			return l
		}
		_ = l.Close() // it is of no use
	}
	_ = os.Remove(file) // nor is this; what stays is removed with the rest
	return nil
}

// Left is a station that a former gateway had learned.
type Left struct {
	VNI  uint32
	MAC  frame.MAC
	Port int        // index of the interface that it was behind; 0: it was behind a VTEP
	VTEP netip.Addr // that one
	Age  uint32     // seconds since it was heard
}

// Stations calls f with every station that was learned, in as far as the tables can be
// read. One that is in several tables is called for again: the last one is the newest.
func (h *Heritage) Stations(f func(Left)) error {
	var errs []error
	for _, dir := range h.tables {
		if !isOurs(filepath.Base(dir)) {
			continue
		}
		t, err := openLeft(dir)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		t.v6 = h.v6
		t.each(f)
	}
	return errors.Join(errs...)
}

// Has reports whether there is a program at an interface still that nobody has put
// another in the place of.
func (h *Heritage) Has(index int, r Role) bool { return h != nil && h.links[pinnedAt{index, r}] != nil }

// Left returns how many programs for XDP are left.
func (h *Heritage) Left() int { return len(h.links) }

// Interfaces returns how many interfaces have programs.
func (h *Heritage) Interfaces() int {
	is := make(map[int]bool)
	for at := range h.links {
		is[at.index] = true
	}
	for at := range h.taps {
		is[at.index] = true
	}
	return len(is)
}

// HasTaps reports whether there are programs at TCX.
func (h *Heritage) HasTaps() bool { return h != nil && len(h.taps) > 0 }

// CloseTaps takes away the programs at TCX.
func (h *Heritage) CloseTaps() error {
	var errs []error
	for at, l := range h.taps {
		errs = append(errs, removePin(at.path(h.dir)), l.Close())
	}
	clear(h.taps)
	return errors.Join(errs...)
}

// Close takes away the programs that are left, and the tables.
func (h *Heritage) Close() error {
	errs := []error{h.CloseTaps()}
	for at, l := range h.links {
		errs = append(errs, removePin(linkPath(h.dir, at.index, at.role)), l.Close())
	}
	for _, dir := range h.tables {
		errs = append(errs, os.RemoveAll(dir))
	}
	return errors.Join(errs...)
}

// Forget lets go of all that is left, which goes on.
func (h *Heritage) Forget() error {
	var errs []error
	for _, l := range h.links {
		errs = append(errs, l.Close())
	}
	for _, l := range h.taps {
		errs = append(errs, l.Close())
	}
	return errors.Join(errs...)
}

// left is the tables of a former gateway.
type left struct {
	links   []fastLink
	domains []fastDomain
	vteps   []fastVtep
	fdb     []fastFdbBucket
	v6      bool
}

func openLeft(dir string) (t left, err error) {
	var control shared[fastControl]
	var links shared[fastLink]
	var domains shared[fastDomain]
	var vteps shared[fastVtep]
	var fdb shared[fastFdbBucket]
	err = errors.Join(
		shareLeft(dir, fastMapInForce, &control), shareLeft(dir, fastMapLinks, &links), shareLeft(dir, fastMapDomains, &domains),
		shareLeft(dir, fastMapVteps, &vteps), shareLeft(dir, fastMapFdb, &fdb),
	)
	if err != nil {
		return t, err
	}
	half := control.at[0].Half & 1
	return left{
		links: links.half(half), domains: domains.half(half), vteps: vteps.half(half), fdb: fdb.at,
	}, nil
}

// shareLeft maps a table of a former gateway. The memory stays mapped: it is read once,
// and there is no more of it than of our own.
func shareLeft[T any](dir, name string, s *shared[T]) error {
	m, err := ebpf.LoadPinnedMap(filepath.Join(dir, name), nil)
	if err != nil {
		return fmt.Errorf("read a former fast path: %w", err)
	}
	defer m.Close()
	*s, err = share[T](m)
	return err
}

func (t *left) each(f func(Left)) {
	ports := make(map[uint16]int)
	for _, l := range t.links {
		if l.Flags&linkAccess != 0 {
			ports[l.Port] = int(l.Ifindex)
		}
	}
	now := tickNow()
	for i := range t.fdb {
		for _, s := range t.fdb[i].Way {
			d := int(s.Key >> 48)
			if s.Key == 0 || s.Flags&(stationPinned>>16) != 0 || d >= len(t.domains) || t.domains[d].Flags&domainLive == 0 {
				continue
			}
			is := Left{VNI: vniOf(t.domains[d].Vni), MAC: frame.MACFromUint64(s.Key), Age: secondsOf(now - s.Seen)}
			if s.Hop < firstVTEP {
				is.Port = ports[s.Hop]
			} else if v := int(s.Hop - firstVTEP); v < len(t.vteps) && t.vteps[v].Flags&vtepLive != 0 {
				is.VTEP = t.vteps[v].address(t.v6)
			}
			if is.Port != 0 || is.VTEP.IsValid() {
				f(is)
			}
		}
	}
}

// vniOf is the VNI that is in a VXLAN header.
func vniOf(word uint32) uint32 {
	var b [4]byte
	binary.NativeEndian.PutUint32(b[:], word)
	return binary.BigEndian.Uint32(b[:]) >> 8
}

// secondsOf turns ticks into seconds; a time that has not been is none.
func secondsOf(ticks uint32) uint32 { return uint32((uint64(max(int32(ticks), 0)) << 30) / 1e9) }

// address returns the VTEP's address. An IPv4 one takes the first word.
func (v *fastVtep) address(v6 bool) netip.Addr {
	var b [16]byte
	for i, w := range v.Addr {
		binary.NativeEndian.PutUint32(b[4*i:], w)
	}
	if !v6 {
		return netip.AddrFrom4([4]byte(b[:4]))
	}
	return netip.AddrFrom16(b)
}
