package kernel

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"vxgw/l2/frame"
)

// readTries is how often reading is begun anew because things changed meanwhile.
const readTries = 5

// extFilterSkipStats is RTEXT_FILTER_SKIP_STATS.
const extFilterSkipStats = 1 << 3

// Read returns what the network namespace of the calling thread has. The error says
// which part could not be read, or that it kept changing.
func Read() (*Setup, error) {
	var err error
	for range readTries {
		var s *Setup
		if s, err = read(); !errors.Is(err, netlink.ErrDumpInterrupted) {
			return s, err
		}
	}
	return nil, fmt.Errorf("%w: something changes devices or forwarding tables all the time; try again", err)
}

func read() (*Setup, error) {
	r := newReader()
	for _, part := range []struct {
		what string
		read func() error
	}{
		{"devices", r.readLinks},
		{"addresses", r.readAddrs},
		{"VLANs of bridges", r.readVLANs},
		{"VNI filters", r.readVNIs},
		{"forwarding tables", r.readFDB},
		{"static routes", r.readRoutes},
	} {
		if err := part.read(); err != nil {
			return nil, fmt.Errorf("read the kernel's %s: %w", part.what, err)
		}
	}
	return r.done(), nil
}

// reader puts the parts together.
type reader struct {
	setup   Setup
	byIndex map[int]*Link // into setup.Links, once all are there
}

func newReader() *reader { return &reader{byIndex: map[int]*Link{}} }

// dump asks for everything of one type and calls f for each message.
func dump(ask, answer uint16, f func(b []byte), args ...nl.NetlinkRequestData) error {
	req := nl.NewNetlinkRequest(int(ask), unix.NLM_F_DUMP)
	for _, a := range args {
		req.AddData(a)
	}
	return req.ExecuteIter(unix.NETLINK_ROUTE, answer, func(b []byte) bool {
		f(b)
		return true
	})
}

func (r *reader) readLinks() error {
	err := dump(unix.RTM_GETLINK, unix.RTM_NEWLINK, r.addLink, nl.NewIfInfomsg(unix.AF_UNSPEC),
		nl.NewRtAttr(unix.IFLA_EXT_MASK, nl.Uint32Attr(extFilterSkipStats)))
	r.index()
	return err
}

func (r *reader) addLink(b []byte) {
	if l, ok := parseLink(b); ok {
		r.setup.Links = append(r.setup.Links, l)
	}
}

// index is called when all links are there.
func (r *reader) index() {
	slices.SortFunc(r.setup.Links, func(a, b Link) int { return cmp.Compare(a.Index, b.Index) })
	for i := range r.setup.Links {
		r.byIndex[r.setup.Links[i].Index] = &r.setup.Links[i]
	}
}

func (r *reader) readAddrs() error {
	return dump(unix.RTM_GETADDR, unix.RTM_NEWADDR, r.addAddr, nl.NewIfAddrmsg(unix.AF_UNSPEC))
}

func (r *reader) addAddr(b []byte) {
	if index, p, ok := parseAddr(b); ok && r.byIndex[index] != nil {
		l := r.byIndex[index]
		l.Addrs = append(l.Addrs, p)
	}
}

// readVLANs asks with ranges joined: four thousand VLANs of a port are too long for
// the kernel's answer otherwise.
func (r *reader) readVLANs() error {
	if !r.any(func(l *Link) bool { return l.Bridge != nil }) {
		return nil
	}
	return dump(unix.RTM_GETLINK, unix.RTM_NEWLINK, r.addVLANs, nl.NewIfInfomsg(unix.AF_BRIDGE),
		nl.NewRtAttr(unix.IFLA_EXT_MASK, nl.Uint32Attr(nl.RTEXT_FILTER_BRVLAN_COMPRESSED)))
}

func (r *reader) addVLANs(b []byte) {
	index, vlans, tunnels, ok := parseVLANs(b)
	l := r.byIndex[index]
	if !ok || l == nil {
		return
	}
	if len(vlans) > 0 {
		l.VLANs = vlans
	}
	if len(tunnels) > 0 {
		l.Tunnels = tunnels
	}
}

// readVNIs asks only where a device has a filter: kernels before 5.18 know none.
func (r *reader) readVNIs() error {
	if !r.any(func(l *Link) bool { return l.VXLAN != nil && l.VXLAN.VNIFilter }) {
		return nil
	}
	return dump(unix.RTM_GETTUNNEL, unix.RTM_NEWTUNNEL, r.addVNIs, tunnelMsg())
}

func (r *reader) addVNIs(b []byte) {
	index, all, ok := parseVNIs(b)
	if l := r.byIndex[index]; ok && l != nil && l.VXLAN != nil {
		l.VXLAN.VNIs = append(l.VXLAN.VNIs, all...)
	}
}

// tunnelMsg asks for the filters of all devices.
func tunnelMsg() rawData {
	b := make(rawData, sizeofTunnelMsg)
	b[0] = unix.AF_BRIDGE
	return b
}

// rawData is the header of a request that the library has no type for.
type rawData []byte

func (d rawData) Len() int          { return len(d) }
func (d rawData) Serialize() []byte { return d }

func (r *reader) readFDB() error {
	return dump(unix.RTM_GETNEIGH, unix.RTM_NEWNEIGH, r.addRow, &netlink.Ndmsg{Family: unix.AF_BRIDGE})
}

func (r *reader) addRow(b []byte) {
	if row, ok := parseRow(b); ok && r.byIndex[row.index] != nil {
		r.byIndex[row.index].keep(row)
	}
}

func (r *reader) any(is func(*Link) bool) bool {
	for i := range r.setup.Links {
		if is(&r.setup.Links[i]) {
			return true
		}
	}
	return false
}

// done returns the whole, after the kernel was asked which address it takes for
// devices that have none.
func (r *reader) done() *Setup {
	r.dropOwn()
	for i := range r.setup.Links {
		if x := r.setup.Links[i].VXLAN; x != nil && !x.Local.IsValid() {
			x.Chosen = source(r.setup.Links[i].destination())
		}
	}
	return &r.setup
}

// dropOwn takes out the rows by which a bridge takes in what is for its own devices:
// nobody wrote these.
func (r *reader) dropOwn() {
	own := map[frame.MAC]bool{}
	for i := range r.setup.Links {
		own[r.setup.Links[i].MAC] = true
	}
	for i := range r.setup.Links {
		l := &r.setup.Links[i]
		l.FDB = slices.DeleteFunc(l.FDB, func(e Entry) bool { return e.Local && own[e.MAC] })
	}
}

// destination returns a VTEP that a vxlan device sends to; the zero Addr: none.
func (l *Link) destination() netip.Addr {
	if l.VXLAN.Remote.IsValid() {
		return l.VXLAN.Remote
	}
	for _, e := range l.FDB {
		if e.Remote.IsValid() {
			return e.Remote
		}
	}
	for _, e := range l.VXLAN.VNIs {
		if e.Remote.IsValid() {
			return e.Remote
		}
	}
	return netip.Addr{}
}

// source returns the address that the kernel would send from; the zero Addr where
// there is no route.
func source(dst netip.Addr) netip.Addr {
	if !dst.IsValid() {
		return netip.Addr{}
	}
	routes, err := netlink.RouteGet(dst.AsSlice())
	if err != nil || len(routes) == 0 {
		return netip.Addr{}
	}
	a, _ := netip.AddrFromSlice(routes[0].Src)
	return a.Unmap()
}
