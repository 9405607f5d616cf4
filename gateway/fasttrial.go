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

// isBusy reports whether much has come in since the last look, by any interface.
func (f *fast) isBusy() bool {
	n := f.plane.Load(0).Buffers + f.read.Load()
	for _, l := range f.links {
		if l.at == nil || !f.adapts(l) {
			continue
		}
		n += f.plane.Load(l.link.Index).XDP
	}
	was := f.seen
	f.seen = n
	return n-was >= manyFrames
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
func (f *fast) tried(l *fastLink, now time.Time) string {
	is, t := f.plane.Load(l.link.Index), &l.trial
	was := t.last
	t.last = is
	if f.heard(l.link.Index) {
		return captured
	}
	if l.at == nil {
		frames, undone := is.Buffers-was.Buffers, is.Undone-was.Undone
		switch {
		case now.Before(t.notBefore) && l.refused != "":
			return l.refused
		case now.Before(t.notBefore), undone*8 > frames:
			return localSenders
		case frames < someFrames:
			return littleComes
		}
		return ""
	}
	if local := is.Local - was.Local; local < manyLocal || local*2 < is.XDP-was.XDP {
		return ""
	}
	t.pause = min(max(2*t.pause, pauseAtFirst), mostPause)
	t.notBefore = now.Add(t.pause)
	return localSenders
}
