package kernel

import (
	"encoding/binary"
	"slices"

	"golang.org/x/sys/unix"
)

// row is one row of a forwarding table.
type row struct {
	Entry
	index   int
	learned bool // it ages
}

// ndaNexthop is NDA_NH_ID of linux/neighbour.h.
const ndaNexthop = 13

// parseRow reads an RTM_NEWNEIGH of the family AF_BRIDGE (struct ndmsg: family, 3
// bytes of padding, ifindex, state, flags, type).
func parseRow(b []byte) (r row, ok bool) {
	rest := body(b, unix.SizeofNdMsg)
	if rest == nil || b[0] != unix.AF_BRIDGE {
		return row{}, false
	}
	state, flags := binary.NativeEndian.Uint16(b[8:]), b[10]
	r.index = int(int32(binary.NativeEndian.Uint32(b[4:])))
	r.Bridge = flags&unix.NTF_SELF == 0
	r.Daemon = flags&unix.NTF_EXT_LEARNED != 0
	r.Local = r.Bridge && state&unix.NUD_PERMANENT != 0
	r.learned = state&(unix.NUD_PERMANENT|unix.NUD_NOARP) == 0
	ok = r.index > 0
	for typ, v := range attrs(rest) {
		switch typ {
		case unix.NDA_LLADDR:
			r.MAC = v.mac()
			ok = ok && len(v) == len(r.MAC)
		case unix.NDA_DST:
			r.Remote = v.addr()
		case unix.NDA_VLAN:
			r.VLAN = uint16(v.number())
		case unix.NDA_PORT:
			r.Port = v.port()
		case unix.NDA_VNI:
			r.VNI = uint32(v.number())
		case unix.NDA_SRC_VNI:
			r.Source = uint32(v.number())
		case ndaNexthop:
			r.Daemon = true // nobody writes these by hand
		}
	}
	return r, ok
}

// keep puts a row where it belongs. There may be a million of learned ones, of which
// only the VTEPs are of use.
func (l *Link) keep(r row) {
	switch {
	case r.Bridge && (r.learned && !r.Daemon || l.Master == 0):
	case r.Bridge:
		l.FDB = append(l.FDB, r.Entry)
	case l.VXLAN == nil: // what a device itself takes in
	case !r.learned || r.Daemon:
		l.FDB = append(l.FDB, r.Entry)
	case r.Remote.IsValid():
		if h := (Heard{r.Source, r.Remote}); !slices.Contains(l.Heard, h) {
			l.Heard = append(l.Heard, h)
		}
	}
}
