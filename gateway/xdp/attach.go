package xdp

import (
	"errors"
	"fmt"
	"os"
	"runtime/debug"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"
)

// Variant is what an interface can tell of a frame besides its bytes.
type Variant uint8

// The variants, as the programs have them.
const (
	Plain Variant = iota // nothing: all there is to know is in the bytes
	Veth                 // that it comes from a sender on this machine (Linux 6.3)
	Tags                 // the VLAN tag that the hardware took out (Linux 6.8)
)

// Flags of a program (linux/bpf.h).
const (
	hasFrags     = 1 << 5 // BPF_F_XDP_HAS_FRAGS
	devBoundOnly = 1 << 6 // BPF_F_XDP_DEV_BOUND_ONLY
)

// Role is what an interface is to the gateway.
type Role uint8

// The roles.
const (
	Access Role = iota
	FacesUnderlay
)

// programNames is by role and variant.
var programNames = [2][3]string{
	Access:        {fastProgAccess, fastProgAccessVeth, fastProgAccessTags},
	FacesUnderlay: {fastProgUnderlay, fastProgUnderlayVeth, fastProgUnderlayTags},
}

// Program loads the XDP program for an interface. index binds it to that one, where the
// variant asks for it.
//
// frags says that frames come in several pieces there. All programs of a Plane can take
// such where the kernel has them: it lets a map of devices be used by programs that are
// alike in this only (bpf_prog_map_compatible), and drivers that have no such frames do
// not mind.
func (p *Plane) Program(r Role, v Variant, index int, frags bool) (*ebpf.Program, error) {
	frags = frags || p.pieces
	return p.load(programNames[r][v], map[string]any{fastVarFrags: truth(frags)}, func(is *ebpf.ProgramSpec) {
		if v != Plain {
			is.Ifindex, is.Flags = uint32(index), is.Flags|devBoundOnly
		}
		if frags {
			is.Flags |= hasFrags
		}
	})
}

// load loads one program, with constants of its own, as edit has it.
func (p *Plane) load(name string, constants map[string]any, edit func(*ebpf.ProgramSpec)) (*ebpf.Program, error) {
	spec := p.spec.Copy()
	for other := range spec.Programs {
		if other != name {
			delete(spec.Programs, other)
		}
	}
	is := spec.Programs[name]
	is.Name = "vxgw_" + name[:min(len(name), 10)]
	if edit != nil {
		edit(is)
	}
	for c, v := range constants {
		if err := spec.Variables[c].Set(v); err != nil {
			return nil, fmt.Errorf("set %s: %w", c, err)
		}
	}
	c, err := ebpf.NewCollectionWithOptions(spec, ebpf.CollectionOptions{MapReplacements: p.maps})
	if err != nil {
		return nil, fmt.Errorf("load program %s: %w", name, err)
	}
	defer c.Close()
	prog := c.Programs[name]
	delete(c.Programs, name) // it is the caller's now
	return prog, nil
}

// Attachment is a program at an interface.
type Attachment struct {
	link link.Link
	pin  string // where it is pinned; "": nowhere
}

// Attach has the interface with an index decided about by the programs: in its
// driver. The error says why that cannot be.
func (p *Plane) Attach(index int, r Role, v Variant, frags bool) (*Attachment, error) {
	prog, err := p.Program(r, v, index, frags)
	if err != nil {
		return nil, err
	}
	l, err := link.AttachXDP(link.XDPOptions{Program: prog, Interface: index, Flags: link.XDPDriverMode})
	if err = errors.Join(err, prog.Close()); err != nil {
		return nil, fmt.Errorf("attach XDP: %w", err)
	}
	a := &Attachment{link: l}
	if pin := p.linkPin(index, r); pin != "" {
		if err := l.Pin(pin); err != nil {
			return nil, errors.Join(fmt.Errorf("pin XDP: %w", err), l.Close())
		}
		a.pin = pin
	}
	return a, nil
}

// Inherit puts a program in the place of a former gateway's at an interface, which h
// must have: no frame is between the two.
func (p *Plane) Inherit(h *Heritage, index int, r Role, v Variant, frags bool) (*Attachment, error) {
	at := pinnedAt{index, r}
	l := h.links[at]
	prog, err := p.Program(r, v, index, frags)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(l.Update(prog), prog.Close()); err != nil {
		return nil, fmt.Errorf("replace XDP: %w", err)
	}
	delete(h.links, at)
	return &Attachment{link: l, pin: linkPath(h.dir, index, r)}, nil
}

// Close takes the program away.
func (a *Attachment) Close() error {
	var err error
	if a.pin != "" {
		err = os.Remove(a.pin)
	}
	return errors.Join(err, a.link.Close())
}

// Leave lets go of the program. One that is pinned stays at its interface.
func (a *Attachment) Leave() error { return a.link.Close() }

// Forget gives back the memory that it took to load programs, of which the kernel's own
// types are the most: some 30 MiB that nobody needs until the next one is loaded.
func Forget() { debug.FreeOSMemory() }

// IsRefused reports whether the kernel's verifier does not follow a program, whoever
// loads it. Its error is that of a missing capability (EACCES) then, too; without
// CAP_PERFMON it follows no pointers, so there it is that.
func IsRefused(err error) bool {
	var v *ebpf.VerifierError
	return errors.As(err, &v) && len(v.Log) > 0 && mayWatch()
}

// mayWatch reports whether this process has CAP_PERFMON.
func mayWatch() bool {
	head := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var has [2]unix.CapUserData
	return unix.Capget(&head, &has[0]) == nil && has[unix.CAP_PERFMON/32].Effective&(1<<(unix.CAP_PERFMON%32)) != 0
}

// IsTooOld reports whether an error says that the kernel lacks what it takes.
func IsTooOld(err error) bool { return errors.Is(err, ebpf.ErrNotSupported) }
