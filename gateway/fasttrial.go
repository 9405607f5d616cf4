package gateway

import (
	"fmt"
	"time"

	"vxgw/config"
	"vxgw/gateway/xdp"
	"vxgw/l3/underlay/path"
)

// trial is what is known of who sends on a veth.
type trial struct {
	last      xdp.Load  // at the last look
	at        time.Time // of that
	notBefore time.Time // a program is tried again
	pause     time.Duration
}

const (
	// Programs are put at veths when so many frames came in fastEvery by all
	// interfaces, which is 20,000 a second, where someFrames of them did. One is taken
	// away when manyLocal of a local sender's came.
	manyFrames = 2000
	someFrames = 200
	manyLocal  = 500

	// atOnce bounds how many programs are loaded in one look: each takes some 20 ms.
	atOnce = 16

	// pauseAtFirst doubles until it is mostPause.
	pauseAtFirst = 10 * time.Second
	mostPause    = 10 * time.Minute
)

// since returns how much of what a counter counts came in fastEvery, after it went up by
// n in d. Looks are late where the machine has much to do, and not every interface is
// looked at each time.
func since(n uint64, d time.Duration) uint64 {
	return uint64(float64(n) * float64(fastEvery) / float64(max(d, fastEvery)))
}

// begin begins to count anew.
func (t *trial) begin(is xdp.Load, now time.Time) { t.last, t.at = is, now }

// next returns what came in fastEvery since the last look, on the average; nothing where
// this is the first one.
func (t *trial) next(is xdp.Load, now time.Time) (came xdp.Load) {
	was, d := t.last, now.Sub(t.at)
	if !t.at.IsZero() {
		came = xdp.Load{
			XDP: since(is.XDP-was.XDP, d), Local: since(is.Local-was.Local, d),
			Buffers: since(is.Buffers-was.Buffers, d), Undone: since(is.Undone-was.Undone, d),
		}
	}
	t.begin(is, now)
	return came
}

// isBusy reports whether much has come in since the last look, by any interface.
func (f *fast) isBusy(now time.Time) bool {
	n := f.plane.Load(0).Buffers + f.read.Load()
	for index, l := range f.with {
		if f.adapts(l) {
			n += f.plane.Load(index).XDP
		}
	}
	was, at := f.seen, f.seenAt
	f.seen, f.seenAt = n, now
	return since(n-was, now.Sub(at)) >= manyFrames
}

// adapts reports whether a program is only at an interface while it pays.
func (f *fast) adapts(l *fastLink) bool {
	return l.link.Driver == "veth" && f.gw.config().Datapath.Mode == config.ModeAuto
}

// fit says how a program can be at an interface, and why it cannot.
func fit(l path.Link) (v xdp.Variant, frags bool, why string) {
	x := l.XDP
	switch {
	case x.Known && !(x.Basic && x.Redirect):
		return 0, false, fmt.Sprintf("the driver (%s) has no XDP", l.Driver)
	case l.Shaped:
		return 0, false, "it has a queueing discipline, which XDP would go past"
	case l.Driver == "tun":
		return 0, false, "what a virtual machine leaves undone in a frame, XDP does not see"
	case l.Driver == "veth" && !x.RxTimestampHints:
		return 0, false, "what a sender on this machine leaves undone in a frame, XDP does not see before Linux 6.7"
	case l.Driver == "veth":
		return xdp.Veth, x.Frags, ""
	case l.StripsVLAN && !x.RxVLANHints:
		return 0, false, fmt.Sprintf("the device takes VLAN tags out, and XDP would not see them: ethtool -K %s rxvlan off", l.Name)
	case l.StripsVLAN:
		return xdp.Tags, x.Frags, ""
	}
	return xdp.Plain, x.Frags, ""
}

// Why there is no program at a veth for now.
const (
	localSenders = "senders on this machine use it, who leave checksums and segments undone"
	littleComes  = "little comes in that XDP would be faster for"
	captured     = "somebody captures packets there, who would not see what XDP takes"
)

// tried says why there is to be no program at a veth for now. What comes from a sender
// on this machine must go up: to have it go through XDP first costs, and while there is
// a program at a veth its peer cuts super-frames itself, which costs TCP most of its
// speed. So the sender decides.
func (f *fast) tried(l *fastLink, busy bool, now time.Time) string {
	t := &l.trial
	came := t.next(f.plane.Load(l.link.Index), now)
	if f.heard(l.link.Index) {
		return captured
	}
	if l.at == nil {
		switch {
		case now.Before(t.notBefore) && l.refused != "":
			return l.refused
		case now.Before(t.notBefore), came.Undone*8 > came.Buffers:
			return localSenders
		case !busy, came.Buffers < someFrames:
			return littleComes
		}
		return ""
	}
	if came.Local < manyLocal || came.Local*2 < came.XDP {
		return ""
	}
	t.pause = min(max(2*t.pause, pauseAtFirst), mostPause)
	t.notBefore = now.Add(t.pause)
	return localSenders
}
