package xdp

import (
	"errors"
	"fmt"
	"os"
	"unsafe"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// shared is the elements of an array map, as the programs and this process have them:
// the same memory. To write there takes no system call.
type shared[T any] struct{ at []T }

// share maps the memory of an array map whose elements are Ts.
func share[T any](m *ebpf.Map) (s shared[T], err error) {
	var t T
	size := (unsafe.Sizeof(t) + 7) &^ 7
	if size != unsafe.Sizeof(t) || uint32(size) != m.ValueSize() {
		return s, fmt.Errorf("share %v: an element has %d bytes there and %d here", m, m.ValueSize(), unsafe.Sizeof(t))
	}
	n := int(m.MaxEntries())
	page := os.Getpagesize()
	length := (n*int(size) + page - 1) / page * page
	mem, err := unix.Mmap(m.FD(), 0, length, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return s, fmt.Errorf("share %v: %w", m, err)
	}
	s.at = unsafe.Slice((*T)(unsafe.Pointer(&mem[0])), n)
	return s, nil
}

// half returns the half of a table that has two.
func (s *shared[T]) half(which uint32) []T {
	n := len(s.at) / 2
	return s.at[int(which)*n : (int(which)+1)*n]
}

// closers closes what was opened, last first.
type closers []func() error

func (c *closers) add(f func() error) { *c = append(*c, f) }

func (c closers) close() error {
	var errs []error
	for i := len(c) - 1; i >= 0; i-- {
		errs = append(errs, c[i]())
	}
	return errors.Join(errs...)
}
