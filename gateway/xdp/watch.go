package xdp

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"time"

	"github.com/cilium/ebpf/perf"
)

// As in bpf/layout.h.
const (
	eventOut      = 1
	eventUnderlay = 2
	eventRoute    = 4
	eventOverlay  = 8

	eventLen = 32
)

const (
	// MaxWatched is how much of a frame a Watch tells of at most, in bytes.
	MaxWatched = 16 << 10

	// watchBuffers is how much waits to be read, in bytes, of all CPUs together, of
	// which each has mostWatchBuffer at the most. The kernel lets a process without
	// CAP_IPC_LOCK have 516 KiB for each (perf_event_mlock_kb), of which a page is its
	// own: leastWatchBuffer.
	watchBuffers     = 64 << 20
	mostWatchBuffer  = 4 << 20
	leastWatchBuffer = 512 << 10

	// mostAtOnce is how much is read at once, in bytes: frames may come faster than
	// they can be read.
	mostAtOnce = 4 << 20
)

// Watched is a frame that the programs have carried or dropped.
type Watched struct {
	Time      int64 // nanoseconds since 1970
	Interface int   // that it came in by, or leaves by
	Out       bool  // it leaves
	Underlay  bool  // Interface faces the underlay
	VNI       uint32
	Len       int    // bytes of the whole frame
	Data      []byte // as much of it as is kept; borrowed

	Direction uint8 // as package forward numbers them
	Reason    uint8 // that it is dropped for; 0: it is not
}

// Watch is told of the frames that the programs carry. Its methods are for one
// goroutine.
type Watch struct {
	plane  *Plane
	reader *perf.Reader
	record perf.Record
}

// Watch begins a Watch. There may be one at a time. The error wraps os.ErrPermission
// without CAP_PERFMON.
func (p *Plane) Watch() (*Watch, error) {
	size := max(min(watchBuffers/max(p.cpus, 1), mostWatchBuffer)&^(leastWatchBuffer-1), leastWatchBuffer)
	r, err := p.openEvents(size)
	if err != nil && size > leastWatchBuffer {
		r, err = p.openEvents(leastWatchBuffer)
	}
	if err != nil {
		return nil, fmt.Errorf("ring for frames of the fast path: %w", err)
	}
	r.SetDeadline(time.Unix(1, 0)) // in the past: it never waits
	return &Watch{plane: p, reader: r}, nil
}

// openEvents opens rings of a size. Nobody is woken: they are looked at.
func (p *Plane) openEvents(size int) (*perf.Reader, error) {
	return perf.NewReaderWithOptions(p.maps[fastMapEvents], size, perf.ReaderOptions{Watermark: size / 2})
}

// Keep has the programs tell of each frame from now on, of its first n bytes, which is
// MaxWatched at the most.
func (w *Watch) Keep(n int) {
	atomic.StoreUint32(&w.plane.inForce.at[0].Capture, uint32(min(max(n, 1), MaxWatched)))
}

// Close ends it. A program that is just at a frame may still tell of it, to nobody.
func (w *Watch) Close() error {
	atomic.StoreUint32(&w.plane.inForce.at[0].Capture, 0)
	return w.reader.Close()
}

// Read calls f with what was told of since the last call, CPU by CPU. It does not wait,
// and leaves some for the next call where more comes than can be read: then more is true.
// The error says that no more can be read.
func (w *Watch) Read(f func(*Watched)) (more bool, err error) {
	offset := time.Now().UnixNano() - monotonic()
	for n := 0; n < mostAtOnce; n += len(w.record.RawSample) {
		err := w.reader.ReadInto(&w.record)
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			return false, nil
		case err != nil:
			return false, fmt.Errorf("read frames of the fast path: %w", err)
		}
		if is, ok := watched(w.record.RawSample, offset); ok {
			f(&is)
		}
	}
	return true, nil
}

// watched reads an event; offset is what makes the kernel's clock the time of day.
func watched(b []byte, offset int64) (is Watched, ok bool) {
	if len(b) < eventLen {
		return is, false // the kernel says here how much it had no room for
	}
	e, flags := binary.NativeEndian, b[22]
	is = Watched{
		Time: int64(e.Uint64(b)) + offset, Interface: int(e.Uint32(b[8:])), Len: int(e.Uint32(b[12:])),
		VNI: vniOf(e.Uint32(b[16:])), Out: flags&eventOut != 0, Underlay: flags&eventUnderlay != 0, Reason: b[23],
	}
	switch {
	case flags&eventRoute != 0:
		is.Direction = 2
	case flags&eventOverlay != 0:
		is.Direction = 1
	}
	skip, kept := int(e.Uint16(b[20:])), int(e.Uint32(b[24:]))
	if kept > len(b)-eventLen || skip > kept {
		return is, false
	}
	is.Data = b[eventLen+skip : eventLen+kept]
	return is, true
}

// Unwatched returns how many frames there was no room to tell of at an interface.
func (p *Plane) Unwatched(index int) uint64 {
	return atomic.LoadUint64(&p.unseen.at[index%maxLinks])
}
