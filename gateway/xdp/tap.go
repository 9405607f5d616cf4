package xdp

import (
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
)

// Tap has frames with a socket buffer decided about at an interface: those that its
// packet sockets see. What is certain they do not get; it is sent on from the program
// at TCX, with what its sender left undone.
//
// The sockets are to be closed before the Tap is: what a filter has decided about
// needs the program behind it. That one decides alone where there are no sockets.
type Tap struct {
	Split *Split // filters for the sockets
	link  link.Link
	pin   string // where that is pinned; "": nowhere
	at    tapAt
	plane *Plane
}

// tapKey is what the programs of a Tap depend on.
type tapKey struct {
	role Role
	room int
}

// tapPrograms are the programs of Taps.
type tapPrograms struct{ ring, rest, tcx *ebpf.Program }

// tapNames are the programs' names: the filter's and that at TCX.
var tapNames = [2][2]string{
	Access:        {fastProgPortFilter, fastProgPortTcx},
	FacesUnderlay: {fastProgUnderlayFilter, fastProgUnderlayTcx},
}

// Tap begins a Tap at the interface with an index, for rings whose slots have room for
// frames of so many bytes. The filters of one that faces the underlay take VXLAN for
// this VTEP alone, and keep it from the host's stack, as those of a Diversion do. The
// error wraps ebpf.ErrNotSupported before Linux 6.6.
func (p *Plane) Tap(index int, r Role, room int) (*Tap, error) {
	progs, err := p.tapPrograms(tapKey{r, room})
	if err != nil {
		return nil, err
	}
	t := &Tap{plane: p, at: tapAt{index, r, time.Now().UnixNano()}}
	if t.Split, err = progs.split(); err != nil {
		return nil, err
	}
	t.link, err = link.AttachTCX(link.TCXOptions{Interface: index, Program: progs.tcx, Attach: ebpf.AttachTCXIngress, Anchor: link.Head()})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("attach to TCX ingress (Linux 6.6): %w", err), t.Split.Close())
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.pinTap(t); err != nil {
		return nil, errors.Join(err, t.link.Close(), t.Split.Close())
	}
	p.tapped[index] = append(p.tapped[index], t)
	return t, nil
}

// pinTap has a Tap outlive this process, if anything is to. It needs mu.
func (p *Plane) pinTap(t *Tap) error {
	if p.pinDir == "" {
		return nil
	}
	pin := t.at.path(p.pinDir)
	if err := t.link.Pin(pin); err != nil {
		return fmt.Errorf("pin the program at TCX ingress: %w", err)
	}
	t.pin = pin
	return nil
}

// Close ends the Tap, unless Leave was called: then the program at TCX goes on, if it
// is pinned.
func (t *Tap) Close() error {
	p := t.plane
	p.mu.Lock()
	at := slices.DeleteFunc(p.tapped[t.at.index], func(is *Tap) bool { return is == t })
	if p.tapped[t.at.index] = at; len(at) == 0 {
		delete(p.tapped, t.at.index)
	}
	pin := t.pin
	if p.leaves {
		pin = ""
	}
	p.mu.Unlock()
	var err error
	if pin != "" {
		err = removePin(pin)
	}
	return errors.Join(err, t.link.Close(), t.Split.Close())
}

// Leave has the programs at TCX go on when their Taps are closed.
func (p *Plane) Leave() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.leaves = true
}

// Behind is what is at TCX behind the programs of Taps.
type Behind uint32

// What may be behind. A frame is one program's or one socket's in each of these states,
// and while one follows the other, which they do in this order.
const (
	// CarriesOn: a former gateway's programs, and they carry what those of this one do not
	// know. The filters take nothing, and decide nothing.
	CarriesOn Behind = controlQuiet

	// IsPast: those are there, but see nothing that a filter has seen.
	IsPast Behind = controlLast

	// IsNone: there are none.
	IsNone Behind = 0
)

// SetBehind has the programs go by what is behind them.
func (p *Plane) SetBehind(b Behind) {
	p.mu.Lock()
	defer p.mu.Unlock()
	atomic.StoreUint32(&p.inForce.at[0].Flags, p.inForce.at[0].Flags&^(controlQuiet|controlLast)|uint32(b))
}

// Tapped reports whether there is a Tap at an interface.
func (p *Plane) Tapped(index int) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.tapped[index]) > 0
}

// AnyTapped reports whether there is a Tap anywhere.
func (p *Plane) AnyTapped() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.tapped) > 0
}

// split returns the filters, for one who closes them.
func (t *tapPrograms) split() (*Split, error) {
	ring, err := t.ring.Clone()
	if err != nil {
		return nil, err
	}
	rest, err := t.rest.Clone()
	if err != nil {
		return nil, errors.Join(err, ring.Close())
	}
	return &Split{ring, rest}, nil
}

// TapPrograms returns the programs of a Tap: the filter for what fits a ring, and the
// one at TCX. They end with the Plane.
func (p *Plane) TapPrograms(r Role, room int) (filter, tcx *ebpf.Program, err error) {
	t, err := p.tapPrograms(tapKey{r, room})
	if err != nil {
		return nil, nil, err
	}
	return t.ring, t.tcx, nil
}

// tapPrograms loads the programs of Taps, once for all interfaces: they are the same.
func (p *Plane) tapPrograms(k tapKey) (*tapPrograms, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if t := p.taps[k]; t != nil {
		return t, nil
	}
	t, filter, err := &tapPrograms{}, tapNames[k.role][0], error(nil)
	if t.ring, err = p.load(filter, map[string]any{fastVarRoom: uint32(k.room), fastVarForRing: uint8(1)}, nil); err != nil {
		return nil, err
	}
	if t.rest, err = p.load(filter, map[string]any{fastVarRoom: uint32(k.room), fastVarForRing: uint8(0)}, nil); err != nil {
		return nil, errors.Join(err, t.ring.Close())
	}
	if t.tcx, err = p.load(tapNames[k.role][1], nil, nil); err != nil {
		return nil, errors.Join(err, t.ring.Close(), t.rest.Close())
	}
	p.taps[k] = t
	p.closing.add(t.ring.Close)
	p.closing.add(t.rest.Close)
	p.closing.add(t.tcx.Close)
	return t, nil
}
