// Package xdp is the gateway's programs in the kernel.
package xdp

import (
	"errors"
	"fmt"

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
	return newSplit(room, nil)
}

// newSplit loads a Split of the frames that pass which: instructions that find the
// context in R6, and jump to "no" with a frame that neither filter takes. nil: all
// pass.
func newSplit(room int, which asm.Instructions) (s *Split, err error) {
	s = &Split{}
	if s.Ring, err = load("vxgw_ring", ebpf.SocketFilter, filter(which, room, keepAll, 0)); err != nil {
		return nil, err
	}
	if s.Rest, err = load("vxgw_rest", ebpf.SocketFilter, filter(which, room, 0, keepAll)); err != nil {
		return nil, errors.Join(err, s.Ring.Close())
	}
	return s, nil
}

// Close forgets the programs. Sockets that have them keep them.
func (s *Split) Close() error { return errors.Join(s.Ring.Close(), s.Rest.Close()) }

// filter returns, of a frame that passes which, ordinary when it is no
// super-frame and at most room bytes long, and special when it is not.
func filter(which asm.Instructions, room int, ordinary, special int32) asm.Instructions {
	ins := append(asm.Instructions{asm.Mov.Reg(asm.R6, asm.R1)}, which...)
	ins = append(ins,
		asm.LoadMem(asm.R2, asm.R6, skbGSOSize, asm.Word),
		asm.JNE.Imm(asm.R2, 0, "special"),
		asm.LoadMem(asm.R2, asm.R6, skbLen, asm.Word),
		asm.JGT.Imm(asm.R2, int32(room), "special"),
		asm.Mov.Imm(asm.R0, ordinary),
		asm.Return(),
		asm.Mov.Imm(asm.R0, special).WithSymbol("special"),
		asm.Return(),
	)
	if which == nil {
		return ins // the verifier refuses what is never reached
	}
	return append(ins, asm.Mov.Imm(asm.R0, 0).WithSymbol("no"), asm.Return())
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
