package raw

import (
	"encoding/binary"

	"golang.org/x/sys/unix"

	"vxgw/l2/frame"
)

// auxdataLen is the size of the kernel's struct tpacket_auxdata (packet(7)).
const auxdataLen = 20

// controlLen is the room for the control messages of one frame, in bytes. The
// two that are asked for take 72.
const controlLen = 128

// auxdata is what the kernel tells of a frame beside its bytes.
type auxdata struct {
	status  uint32 // TP_STATUS_*
	length  uint32 // bytes of the frame when it came in
	snapped uint32 // bytes that a socket filter left of it
	tci     uint16
	tpid    uint16

	// stamp is when the kernel took it in, in nanoseconds of its real-time clock;
	// 0 where that was not asked for. It says which of two frames came first.
	stamp uint64
}

// parseControl reads the control messages of a frame. It reports false when
// PACKET_AUXDATA is not among them.
func parseControl(control []byte) (a auxdata, ok bool) {
	const header = unix.SizeofCmsghdr
	var stamp uint64
	for len(control) >= header {
		n := controlMessageLen(control)
		if n < header || n > uint64(len(control)) {
			return a, false
		}
		level := binary.NativeEndian.Uint32(control[header-8:])
		kind := binary.NativeEndian.Uint32(control[header-4:])
		switch data := control[header:n]; {
		case level == unix.SOL_PACKET && kind == unix.PACKET_AUXDATA && len(data) >= auxdataLen:
			a, ok = decodeAuxdata(data), true
		case level == unix.SOL_SOCKET && kind == unix.SO_TIMESTAMPNS_NEW && len(data) >= 16:
			stamp = binary.NativeEndian.Uint64(data)*1e9 + binary.NativeEndian.Uint64(data[8:])
		}
		control = control[min(unix.CmsgSpace(int(n)-header), len(control)):]
	}
	a.stamp = stamp
	return a, ok
}

// controlMessageLen reads cmsg_len, a size_t.
func controlMessageLen(b []byte) uint64 {
	if unix.SizeofCmsghdr == 12 {
		return uint64(binary.NativeEndian.Uint32(b))
	}
	return binary.NativeEndian.Uint64(b)
}

func decodeAuxdata(b []byte) auxdata {
	return auxdata{
		status:  binary.NativeEndian.Uint32(b[0:]),
		length:  binary.NativeEndian.Uint32(b[4:]),
		snapped: binary.NativeEndian.Uint32(b[8:]),
		tci:     binary.NativeEndian.Uint16(b[16:]),
		tpid:    binary.NativeEndian.Uint16(b[18:]),
	}
}

// tag returns the VLAN tag that the kernel took out of the frame. The flag says
// whether there was one: a TCI of zero is a tag as well.
func (a auxdata) tag() frame.Tag {
	if a.status&unix.TP_STATUS_VLAN_VALID == 0 {
		return frame.Tag{}
	}
	t := frame.Tag{Present: true, TPID: frame.TypeVLAN, TCI: a.tci}
	if a.status&unix.TP_STATUS_VLAN_TPID_VALID != 0 {
		t.TPID = a.tpid
	}
	return t
}

// unfinished reports whether the frame is not fit for a wire as it is, whatever
// a virtio-net header says.
func (a auxdata) unfinished() bool {
	return a.status&(unix.TP_STATUS_CSUMNOTREADY|unix.TP_STATUS_GSO_TCP) != 0
}
