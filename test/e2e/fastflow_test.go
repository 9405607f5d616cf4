package e2e

import (
	"encoding/binary"
	"slices"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"

	"vxgw/test/bench/load"
	"vxgw/test/netns"
)

// tally counts the frames that come in at a device by a number in them, in the driver
// and without a loss, whoever sends them and however fast. What has no such number
// passes.
type tally struct {
	t     testing.TB
	mem   *ebpf.Memory
	count int
}

// numberRange is where in a frame the number is, and which numbers count.
type numberRange struct {
	offset int    // bytes, of the four that have the number
	first  uint32 // it counts as 0
	count  int
}

// newTally counts until the test ends.
func newTally(t testing.TB, ns *netns.NS, dev string, r numberRange) *tally {
	t.Helper()
	m, err := ebpf.NewMap(&ebpf.MapSpec{
		Name: "tally", Type: ebpf.Array, KeySize: 4, ValueSize: 8, MaxEntries: uint32(r.count), Flags: unix.BPF_F_MMAPABLE,
	})
	must(t, err)
	mem, err := m.Memory()
	must(t, err)
	const hasFrags = 1 << 5 // BPF_F_XDP_HAS_FRAGS: a veth with a large MTU takes no other
	prog, err := ebpf.NewProgram(&ebpf.ProgramSpec{Name: "tally", Type: ebpf.XDP, License: "MIT", Flags: hasFrags, Instructions: tallyProgram(m, r)})
	must(t, err)
	attachXDP(t, ns, dev, prog, m)
	return &tally{t, mem, r.count}
}

// attachXDP has a program, with its map, at a device until the test ends.
func attachXDP(t testing.TB, ns *netns.NS, dev string, prog *ebpf.Program, m *ebpf.Map) {
	t.Helper()
	index, err := ns.Indexes(dev)
	must(t, err)
	must(t, ns.Do(func() error {
		l, err := link.AttachXDP(link.XDPOptions{Program: prog, Interface: index[0], Flags: link.XDPDriverMode})
		if err == nil {
			t.Cleanup(func() { _ = l.Close() })
		}
		return err
	}))
	t.Cleanup(func() { prog.Close(); m.Close() })
}

func tallyProgram(m *ebpf.Map, r numberRange) asm.Instructions {
	const drop, pass = 1, 2
	return asm.Instructions{
		asm.LoadMem(asm.R2, asm.R1, 0, asm.Word), asm.LoadMem(asm.R3, asm.R1, 4, asm.Word), // data and data_end
		asm.Mov.Reg(asm.R4, asm.R2),
		asm.Add.Imm(asm.R4, int32(r.offset+4)),
		asm.JGT.Reg(asm.R4, asm.R3, "pass"),
		asm.LoadMem(asm.R5, asm.R2, int16(r.offset), asm.Word),
		asm.HostTo(asm.BE, asm.R5, asm.Word),
		asm.LoadImm(asm.R4, int64(r.first), asm.DWord),
		asm.Sub.Reg(asm.R5, asm.R4),
		asm.JGE.Imm(asm.R5, int32(r.count), "pass"),
		asm.StoreMem(asm.RFP, -4, asm.R5, asm.Word),
		asm.LoadMapPtr(asm.R1, m.FD()),
		asm.Mov.Reg(asm.R2, asm.RFP),
		asm.Add.Imm(asm.R2, -4),
		asm.FnMapLookupElem.Call(),
		asm.JEq.Imm(asm.R0, 0, "pass"),
		asm.Mov.Imm(asm.R1, 1),
		asm.StoreXAdd(asm.R0, asm.R1, asm.DWord),
		asm.Mov.Imm(asm.R0, drop),
		asm.Return(),
		asm.Mov.Imm(asm.R0, pass).WithSymbol("pass"),
		asm.Return(),
	}
}

// counts returns how often each number came.
func (c *tally) counts() []uint64 {
	c.t.Helper()
	b := make([]byte, 8*c.count)
	_, err := c.mem.ReadAt(b, 0)
	must(c.t, err)
	n := make([]uint64, c.count)
	for i := range n {
		n[i] = binary.NativeEndian.Uint64(b[8*i:])
	}
	return n
}

// all returns how many frames came.
func (c *tally) all() (sum int) {
	for _, n := range c.counts() {
		sum += int(n)
	}
	return sum
}

// sender is where frames are sent.
type sender struct {
	ns  *netns.NS
	dev string
}

// firstNumber is the number of a flow's first frame, which stands for 0: nothing else
// that is sent has such bytes in that place.
const firstNumber = 0x5a3c0000

// flow is frames that differ in their numbers: 0, 1, 2 and so on. Where there is no
// room for those, period frames take turns, and a number is whose turn it is.
type flow struct {
	t      testing.TB
	from   sender
	frames [][]byte
	field  int // where the number is
	gen    *load.Generator
	to     *tally
	sent   int
}

// newFlow makes a flow of frames that arrive at to. live has it sent without socket
// buffers. field is where in a frame the number is to be; 0: the frames have theirs.
func newFlow(t testing.TB, from sender, live bool, field int, to *tally, frames ...[]byte) *flow {
	t.Helper()
	f := &flow{t: t, from: from, frames: frames, field: field, to: to}
	if !live {
		return f
	}
	s := load.Stream{Frames: frames, Devices: []string{from.dev}}
	if field != 0 {
		s.Fields = []load.Field{{Offset: field, Size: 4, First: firstNumber, Count: 1 << 24}}
	}
	var err error
	f.gen, err = load.NewGenerator(from.ns, s)
	must(t, err)
	t.Cleanup(func() { must(t, f.gen.Close()) })
	return f
}

// send sends the next n frames.
func (f *flow) send(n int) {
	f.t.Helper()
	if f.gen != nil {
		must(f.t, f.gen.Send(n))
		f.sent += n
		return
	}
	const chunk = 256
	for n > 0 {
		all := make([][]byte, min(n, chunk))
		for i := range all {
			k := f.sent + i
			all[i] = slices.Clone(f.frames[k%len(f.frames)])
			if f.field != 0 {
				binary.BigEndian.PutUint32(all[i][f.field:], firstNumber+uint32(k))
			}
		}
		must(f.t, f.from.ns.Send(f.from.dev, all...))
		f.sent += len(all)
		n -= len(all)
	}
}

// wantNow wants the first n frames to have come, each once.
func (f *flow) wantNow(n int) {
	f.t.Helper()
	period := f.to.count
	if f.field == 0 {
		period = len(f.frames)
	}
	wrong := 0
	for i, have := range f.to.counts() {
		want := 0
		if i < period {
			want = (n + period - 1 - i) / period
		}
		if int(have) == want {
			continue
		}
		if wrong++; wrong <= 3 {
			f.t.Errorf("number %d came %d times, want %d", i, have, want)
		}
	}
	if wrong > 0 {
		f.t.Errorf("%d numbers of %d frames came not as often as they were sent; %d frames in all", wrong, n, f.to.all())
	}
}

// isFast waits until frames of a flow are carried while the gateway does not run.
func (g *gateway) isFast(t testing.TB, f *flow) {
	t.Helper()
	eventually(t, "frames are carried in the kernel", func() bool {
		carried := false
		g.pause(func() {
			f.send(1)
			for range 20 {
				if carried = f.to.all() == f.sent; carried {
					return
				}
				time.Sleep(time.Millisecond)
			}
		})
		if !carried { // by the gateway then
			eventually(t, "a frame is carried", func() bool { return f.to.all() == f.sent })
		}
		return carried
	})
}
