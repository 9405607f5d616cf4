// Package xdp is the gateway's programs in the kernel.
package xdp

import (
	"errors"
	"fmt"
	"slices"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
)

// Fields of the kernel's struct __sk_buff (linux/bpf.h), in bytes.
const (
	skbLen     = 0
	skbGSOSize = 176
)

// keepAll is how much of a frame a socket filter keeps: more than there is.
const keepAll = 1 << 20

// Split is a pair of socket filters. Of all frames Ring takes those that are no
// super-frames and not longer than a slot, and Rest the others.
type Split struct{ Ring, Rest *ebpf.Program }

// NewSplit loads a Split for slots with room for frames of the given length in
// bytes. The error wraps os.ErrPermission without CAP_BPF.
func NewSplit(room int) (*Split, error) {
	return newSplit(room, func(int16) picks { return picks{which: asm.Instructions{asm.Mov.Reg(asm.R6, asm.R1)}} })
}

// picks is the part of a filter that says which frames either filter takes. The
// kernel refuses a program of which a part is never reached, and so no is there
// only where something jumps to it.
type picks struct {
	which asm.Instructions // leaves the context in R6, and jumps to "no" with other frames
	tell  asm.Instructions // tells what R7 holds: 0 when this filter does not take the frame
	no    asm.Instructions // takes no frame
}

// newSplit loads a Split. The filters are numbered for of, from 0.
func newSplit(room int, of func(filter int16) picks) (s *Split, err error) {
	s = &Split{}
	if s.Ring, err = load("vxgw_ring", ebpf.SocketFilter, of(0).filter(room, keepAll, 0)); err != nil {
		return nil, err
	}
	if s.Rest, err = load("vxgw_rest", ebpf.SocketFilter, of(1).filter(room, 0, keepAll)); err != nil {
		return nil, errors.Join(err, s.Ring.Close())
	}
	return s, nil
}

// Close forgets the programs. Sockets that have them keep them.
func (s *Split) Close() error { return errors.Join(s.Ring.Close(), s.Rest.Close()) }

// filter returns, of a frame that p picks, ordinary when it is no super-frame and
// at most room bytes long, and special when it is not.
func (p picks) filter(room int, ordinary, special int32) asm.Instructions {
	return slices.Concat(p.which, asm.Instructions{
		asm.Mov.Imm(asm.R7, special),
		asm.LoadMem(asm.R2, asm.R6, skbGSOSize, asm.Word),
		asm.JNE.Imm(asm.R2, 0, "picked"),
		asm.LoadMem(asm.R2, asm.R6, skbLen, asm.Word),
		asm.JGT.Imm(asm.R2, int32(room), "picked"),
		asm.Mov.Imm(asm.R7, ordinary),
		asm.Mov.Reg(asm.R0, asm.R7).WithSymbol("picked"),
	}, p.tell, asm.Instructions{
		asm.Mov.Reg(asm.R0, asm.R7),
		asm.Return(),
	}, p.no)
}

func load(name string, typ ebpf.ProgramType, ins asm.Instructions) (*ebpf.Program, error) {
	p, err := ebpf.NewProgram(&ebpf.ProgramSpec{Name: name, Type: typ, Instructions: ins, License: license})
	if err != nil {
		return nil, fmt.Errorf("load program %s: %w", name, err)
	}
	return p, nil
}

// license is what the kernel is told of the programs. They call no helper that
// asks for the GPL.
const license = "Dual MIT/GPL"
