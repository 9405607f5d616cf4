package load

import (
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"

	"vxgw/test/netns"
)

// Verdicts of an XDP program (include/uapi/linux/bpf.h).
const (
	xdpPass = 2
	xdpTX   = 3
)

// reflectedAt is where a reflector adds one to a frame, in bytes from its start.
const reflectedAt = 20

// reflect has a device send frames back as they come, but for one byte.
func reflect(t testing.TB, ns *netns.NS, dev string) {
	t.Helper()
	attachTo(t, ns, dev, asm.Instructions{
		asm.LoadMem(asm.R2, asm.R1, mdData, asm.Word),
		asm.LoadMem(asm.R3, asm.R1, mdDataEnd, asm.Word),
		asm.Mov.Reg(asm.R4, asm.R2),
		asm.Add.Imm(asm.R4, reflectedAt+1),
		asm.JGT.Reg(asm.R4, asm.R3, "short"),
		asm.LoadMem(asm.R3, asm.R2, reflectedAt, asm.Byte),
		asm.Add.Imm(asm.R3, 1),
		asm.StoreMem(asm.R2, reflectedAt, asm.R3, asm.Byte),
		asm.Mov.Imm(asm.R0, xdpTX),
		asm.Return(),
		asm.Mov.Imm(asm.R0, xdpDrop).WithSymbol("short"),
		asm.Return(),
	})
}

// pass attaches a program that does nothing: without one at the far end, veth
// sends nothing back.
func pass(t testing.TB, ns *netns.NS, dev string) {
	t.Helper()
	attachTo(t, ns, dev, asm.Instructions{asm.Mov.Imm(asm.R0, xdpPass), asm.Return()})
}

func attachTo(t testing.TB, ns *netns.NS, dev string, ins asm.Instructions) {
	t.Helper()
	program, err := ebpf.NewProgram(&ebpf.ProgramSpec{Type: ebpf.XDP, Instructions: ins})
	must(t, err)
	links, err := attach(ns, program, dev)
	must(t, err)
	t.Cleanup(func() { must(t, (&Sink{program, links}).Close()) })
}
