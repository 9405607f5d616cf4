package load

import (
	"encoding/binary"
	"fmt"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
)

// Verdicts of an XDP program, and where struct xdp_md has what it reads
// (include/uapi/linux/bpf.h).
const (
	xdpAborted = 0
	xdpDrop    = 1

	mdData    = 0
	mdDataEnd = 4
)

// What the program keeps in registers that calls leave alone.
const (
	regContext = asm.R6 // struct xdp_md
	regNumber  = asm.R8 // number of the frame
)

// program writes the stream's next frame over the one it is given, which is as
// long as the longest, and redirects it. sent has the number of frames so far,
// devices the indexes of the stream's devices.
func program(s Stream, sent, devices *ebpf.Map) asm.Instructions {
	ins := asm.Instructions{
		asm.Mov.Reg(regContext, asm.R1),
		asm.LoadMapValue(asm.R1, sent.FD(), 0),
		asm.LoadMem(regNumber, asm.R1, 0, asm.DWord),
		asm.Mov.Reg(asm.R2, regNumber),
		asm.Add.Imm(asm.R2, 1),
		asm.StoreMem(asm.R1, 0, asm.R2, asm.DWord),
	}
	ins = append(ins, turn(asm.R9, 1, len(s.Frames))...)
	for i := range s.Frames {
		ins = append(ins, asm.JEq.Imm(asm.R9, int32(i), frameLabel(i)))
	}
	ins = append(ins, asm.Ja.Label("abort"))
	for i, f := range s.Frames {
		write := writeFrame(f, len(s.longest()), s.Fields)
		write[0] = write[0].WithSymbol(frameLabel(i))
		ins = append(ins, write...)
		ins = append(ins, asm.Ja.Label("redirect"))
	}
	ins = append(ins, redirect(devices, s.Train, len(s.Devices))...)
	return append(ins,
		asm.Mov.Imm(asm.R0, xdpAborted).WithSymbol("abort"),
		asm.Return(),
	)
}

func frameLabel(i int) string { return fmt.Sprintf("frame%d", i) }

// turn sets dst to whose turn it is, from 0 to count - 1, when each has train
// frames in a row.
func turn(dst asm.Register, train, count int) asm.Instructions {
	return asm.Instructions{
		asm.Mov.Reg(dst, regNumber),
		asm.Div.Imm(dst, int32(max(train, 1))),
		asm.Mod.Imm(dst, int32(count)),
	}
}

// writeFrame makes the packet as long as f, writes the head of f into it, and
// the fields.
func writeFrame(f []byte, longest int, fields []Field) asm.Instructions {
	ins := asm.Instructions{
		asm.Mov.Reg(asm.R1, regContext),
		asm.Mov.Imm(asm.R2, int32(len(f)-longest)),
	}
	if len(f) < longest {
		ins = append(ins,
			asm.FnXdpAdjustTail.Call(),
			asm.JNE.Imm(asm.R0, 0, "abort"),
		)
	}
	h := head(f)
	ins = append(ins,
		asm.LoadMem(asm.R2, regContext, mdData, asm.Word),
		asm.LoadMem(asm.R3, regContext, mdDataEnd, asm.Word),
		asm.Mov.Reg(asm.R4, asm.R2),
		asm.Add.Imm(asm.R4, int32(len(h))),
		asm.JGT.Reg(asm.R4, asm.R3, "abort"),
	)
	ins = append(ins, writeBytes(h)...)
	for _, field := range fields {
		ins = append(ins, writeField(field)...)
	}
	return ins
}

// writeBytes writes b to where R2 points.
func writeBytes(b []byte) (ins asm.Instructions) {
	at := int16(0)
	for ; len(b) >= 4; b, at = b[4:], at+4 {
		ins = append(ins, asm.StoreImm(asm.R2, at, int64(int32(binary.NativeEndian.Uint32(b))), asm.Word))
	}
	for ; len(b) > 0; b, at = b[1:], at+1 {
		ins = append(ins, asm.StoreImm(asm.R2, at, int64(b[0]), asm.Byte))
	}
	return ins
}

// writeField writes a field of the packet that R2 points to.
func writeField(f Field) asm.Instructions {
	size := asm.Half
	if f.Size == 4 {
		size = asm.Word
	}
	ins := turn(asm.R1, f.Train, int(f.Count))
	return append(ins,
		// An immediate is 32 bits with a sign; what the sign puts above them
		// is not stored.
		asm.Add.Imm(asm.R1, int32(f.First)),
		asm.LSh.Imm(asm.R1, int32(f.Shift)),
		asm.HostTo(asm.BE, asm.R1, size),
		asm.StoreMem(asm.R2, int16(f.Offset), asm.R1, size),
	)
}

// redirect sends the packet out of the device whose turn it is.
func redirect(devices *ebpf.Map, train, count int) asm.Instructions {
	ins := turn(asm.R3, train, count)
	ins[0] = ins[0].WithSymbol("redirect")
	return append(ins,
		asm.JGE.Imm(asm.R3, int32(count), "abort"), // for the verifier
		asm.LSh.Imm(asm.R3, 2),
		asm.LoadMapValue(asm.R1, devices.FD(), 0),
		asm.Add.Reg(asm.R1, asm.R3),
		asm.LoadMem(asm.R1, asm.R1, 0, asm.Word),
		asm.Mov.Imm(asm.R2, 0),
		asm.FnRedirect.Call(),
		asm.Return(),
	)
}

// dropping is the program of a sink.
var dropping = asm.Instructions{asm.Mov.Imm(asm.R0, xdpDrop), asm.Return()}
