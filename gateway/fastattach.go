package gateway

import (
	"errors"
	"fmt"
	"io/fs"
	"runtime"
	"time"

	"golang.org/x/sys/unix"

	"vxgw/gateway/xdp"
)

// attach puts a program at an interface, and reports whether it is there.
func (f *fast) attach(l *fastLink, v xdp.Variant, frags bool, now time.Time) bool {
	at, err := f.place(l, v, frags)
	if err != nil {
		l.why = cannot(err, l.link.Name)
		l.trial.notBefore = now.Add(pauseAtFirst)
		if l.refused != l.why { // it is tried again and again
			l.refused = l.why
			f.gw.log.Warn("no XDP at an interface: its frames are carried by the workers, which is slower", "interface", l.link.Name, "reason", l.why,
				"mend", "mend the reason, or set [datapath] mode = \"raw\" to have it not tried")
		}
		return false
	}
	l.at, l.frags, l.why, l.refused = at, frags, "", ""
	f.with[l.link.Index] = l
	l.trial.begin(f.plane.Load(l.link.Index), now)
	f.gw.log.Debug("XDP attached", "interface", l.link.Name)
	f.adviseRSS(l)
	return true
}

// notPermitted is why there is no fast path where the kernel refuses programs: for want
// of a capability, or because it is locked down.
const notPermitted = "the kernel does not permit it: that takes CAP_BPF, CAP_PERFMON and CAP_NET_ADMIN, and a kernel that is not locked down"

// cannot says why a program could not be put at an interface.
func cannot(err error, name string) string {
	switch {
	case errors.Is(err, unix.EBUSY), errors.Is(err, unix.EEXIST):
		return fmt.Sprintf("another XDP program is there and stays: `ip link show %s` names it", name)
	case xdp.IsRefused(err):
		return fmt.Sprintf("this kernel's verifier refuses the program: %v", err)
	case errors.Is(err, fs.ErrPermission):
		return notPermitted
	case xdp.IsTooOld(err):
		return fmt.Sprintf("this kernel is too old: %v", err)
	case errors.Is(err, unix.EOPNOTSUPP):
		return fmt.Sprintf("the driver does not take it as the interface is (MTU, channels or offloads): %v", err)
	}
	return err.Error()
}

// adviseRSS says how packets of VTEPs are spread over the receive queues of a network
// card, and so over CPUs: the addresses of two VTEPs are always the same.
func (f *fast) adviseRSS(l *fastLink) {
	if l.role != xdp.FacesUnderlay || l.link.Kind != "" || runtime.NumCPU() < 2 {
		return
	}
	f.gw.log.Info("XDP runs on the CPU that a packet's receive queue belongs to: see that the card hashes UDP ports, in which VXLAN has its flows",
		"interface", l.link.Name, "shown_by", "ethtool -n "+l.link.Name+" rx-flow-hash udp4", "mend", "ethtool -N "+l.link.Name+" rx-flow-hash udp4 sdfn")
}

// place puts a program at an interface: in the place of a former gateway's where there
// is one.
func (f *fast) place(l *fastLink, v xdp.Variant, frags bool) (*xdp.Attachment, error) {
	index := l.link.Index
	if f.heritage.Has(index, l.role) {
		return f.plane.Inherit(f.heritage, index, l.role, v, frags)
	}
	return f.plane.Attach(index, l.role, v, frags)
}

// detach takes the program away from an interface. It needs mu.
func (f *fast) detach(index int) {
	l := f.links[index]
	if l == nil || l.at == nil {
		return
	}
	if err := l.at.Close(); err != nil {
		f.gw.log.Debug("taking XDP away", "interface", l.link.Name, "err", err)
	}
	l.at = nil
	delete(f.with, index)
	l.trial.begin(f.plane.Load(l.link.Index), time.Now())
	f.gw.log.Debug("XDP taken away", "interface", l.link.Name)
}
