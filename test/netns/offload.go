package netns

import (
	"encoding/binary"
	"fmt"
	"path"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// featureNames are the words of ethtool(8), each for the kernel's features
// that it stands for, as patterns of path.Match.
var featureNames = map[string]string{
	"rx":     "rx-checksum",
	"tx":     "tx-checksum-*",
	"sg":     "tx-scatter-gather*",
	"tso":    "tx-tcp*-segmentation",
	"uso":    "tx-udp-segmentation",
	"gso":    "tx-generic-segmentation",
	"gro":    "rx-gro",
	"rxvlan": "rx-vlan-hw-parse",
	"txvlan": "tx-vlan-hw-insert",
}

// defaultFeatures are what makes a virtual wire carry frames that a real one
// never would: unfinished checksums and super-frames.
var defaultFeatures = []string{"tx", "sg", "tso", "uso", "gso", "gro"}

// Offloads turns offloads of a device on or off. A feature is a word of
// `ethtool -K` (rx, tx, sg, tso, uso, gso, gro, rxvlan, txvlan) or the kernel's
// own name for one, as `ethtool -k` shows it; with none given it is tx, sg,
// tso, uso, gso and gro. What the device cannot change is left as it is, and
// an error when it was the only thing asked for under that name.
func (n *NS) Offloads(dev string, on bool, features ...string) error {
	if len(features) == 0 {
		features = defaultFeatures
	}
	err := n.Do(func() error {
		e, err := dialEthtool(dev)
		if err != nil {
			return err
		}
		defer unix.Close(e.fd)
		return e.set(on, features)
	})
	if err != nil {
		return fmt.Errorf("%v: %s: offloads: %w", n, dev, err)
	}
	return nil
}

// ethtool speaks to a device through the SIOCETHTOOL ioctl
// (include/uapi/linux/ethtool.h).
type ethtool struct {
	fd  int
	dev [unix.IFNAMSIZ]byte
}

func dialEthtool(dev string) (*ethtool, error) {
	if len(dev) >= unix.IFNAMSIZ {
		return nil, fmt.Errorf("device name %q is longer than %d bytes", dev, unix.IFNAMSIZ-1)
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	e := &ethtool{fd: fd}
	copy(e.dev[:], dev)
	return e, nil
}

// ssFeatures is ETH_SS_FEATURES: the set of strings that name the features.
const ssFeatures = 4

// call hands a command to the driver. The command's result is in place of its
// argument; positive returns are flags.
func (e *ethtool) call(arg unsafe.Pointer) (int, error) {
	ifr := struct {
		name [unix.IFNAMSIZ]byte
		data unsafe.Pointer
		_    [16]byte
	}{name: e.dev, data: arg}
	r, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(e.fd), unix.SIOCETHTOOL, uintptr(unsafe.Pointer(&ifr)))
	runtime.KeepAlive(arg)
	if errno != 0 {
		return 0, errno
	}
	return int(r), nil
}

// set changes every feature that one of the patterns means.
func (e *ethtool) set(on bool, patterns []string) error {
	names, err := e.featureNames()
	if err != nil {
		return err
	}
	changeable, err := e.changeable(len(names))
	if err != nil {
		return err
	}
	// struct ethtool_sfeatures: cmd, size, then (valid, requested) per block.
	blocks := (len(names) + 31) / 32
	req := make([]uint32, 2+2*blocks)
	req[0], req[1] = unix.ETHTOOL_SFEATURES, uint32(blocks)
	for _, p := range patterns {
		if err := choose(req[2:], names, changeable, p, on); err != nil {
			return err
		}
	}
	// The result's flags tell that something else came of the wish: a
	// feature that another one needs or forbids. Such is for the caller to
	// look at, as with ethtool.
	_, err = e.call(unsafe.Pointer(&req[0]))
	return err
}

// choose marks the features that pattern means in the (valid, requested) pairs.
func choose(pairs []uint32, names []string, changeable []bool, pattern string, on bool) error {
	if p, ok := featureNames[pattern]; ok {
		pattern = p
	}
	known, chosen := false, false
	for i, name := range names {
		if ok, err := path.Match(pattern, name); err != nil || !ok {
			continue
		}
		known = true
		if !changeable[i] {
			continue
		}
		chosen = true
		bit := uint32(1) << (i % 32)
		pairs[i/32*2] |= bit
		if on {
			pairs[i/32*2+1] |= bit
		}
	}
	switch {
	case !known:
		return fmt.Errorf("the kernel knows no feature %q", pattern)
	case !chosen:
		return fmt.Errorf("the device cannot change %q", pattern)
	}
	return nil
}

// featureNames lists the kernel's features by bit.
func (e *ethtool) featureNames() ([]string, error) {
	// struct ethtool_sset_info with room for one answer.
	info := struct {
		cmd, _ uint32
		mask   uint64
		length uint32
	}{cmd: unix.ETHTOOL_GSSET_INFO, mask: 1 << ssFeatures}
	if _, err := e.call(unsafe.Pointer(&info)); err != nil {
		return nil, err
	}
	// struct ethtool_gstrings: cmd, set, length, then the strings.
	const header, size = 12, 32 // ETH_GSTRING_LEN
	buf := make([]byte, header+int(info.length)*size)
	for i, v := range [...]uint32{unix.ETHTOOL_GSTRINGS, ssFeatures, info.length} {
		binary.NativeEndian.PutUint32(buf[4*i:], v)
	}
	if _, err := e.call(unsafe.Pointer(&buf[0])); err != nil {
		return nil, err
	}
	names := make([]string, info.length)
	for i := range names {
		names[i] = unix.ByteSliceToString(buf[header+i*size : header+(i+1)*size])
	}
	return names, nil
}

// changeable tells for each of count features whether the device can change it.
func (e *ethtool) changeable(count int) ([]bool, error) {
	// struct ethtool_gfeatures: cmd, size, then (available, requested,
	// active, never_changed) per block.
	blocks := (count + 31) / 32
	buf := make([]uint32, 2+4*blocks)
	buf[0], buf[1] = unix.ETHTOOL_GFEATURES, uint32(blocks)
	if _, err := e.call(unsafe.Pointer(&buf[0])); err != nil {
		return nil, err
	}
	can := make([]bool, count)
	for i := range can {
		can[i] = buf[2+i/32*4]&(1<<(i%32)) != 0
	}
	return can, nil
}
