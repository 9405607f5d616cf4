// Package bpf has the gateway's programs in the kernel for tests of packages that
// know only their descriptors.
package bpf

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"sync"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"

	"vxgw/gateway/xdp"
)

// Split returns a function that loads the two filters of xdp.Split for slots with
// room for frames of the given length in bytes, and returns their descriptors;
// asked again it returns the same. The programs are forgotten when the test ends;
// sockets that have them keep them. It skips the test where programs may not be
// loaded.
func Split(t testing.TB) func(room int) (ring, rest int, err error) {
	t.Helper()
	Require(t)
	loaded := make(map[int]*xdp.Split)
	return func(room int) (ring, rest int, err error) {
		s := loaded[room]
		if s == nil {
			if s, err = xdp.NewSplit(room); err != nil {
				return 0, 0, fmt.Errorf("filters for slots with room for %d bytes: %w", room, err)
			}
			loaded[room] = s
			t.Cleanup(func() {
				if err := s.Close(); err != nil {
					t.Error(err)
				}
			})
		}
		return s.Ring.FD(), s.Rest.FD(), nil
	}
}

// Require skips the test unless programs may be loaded.
func Require(t testing.TB) {
	t.Helper()
	if err := available(); errors.Is(err, os.ErrPermission) {
		t.Skipf("needs to load programs into the kernel, as root with CAP_BPF: %v", err)
	} else if err != nil {
		t.Fatal(err)
	}
}

var available = sync.OnceValue(func() error {
	s, err := xdp.NewSplit(0)
	if err != nil {
		return err
	}
	return s.Close()
})

// Divert is xdp.Divert, which returns the descriptors of its filters. stop ends it.
func Divert(index int, vtep netip.AddrPort, room int) (ring, rest int, stop func() error, err error) {
	d, err := xdp.Divert(index, vtep, room)
	if err != nil {
		return 0, 0, nil, err
	}
	return d.Split.Ring.FD(), d.Split.Rest.FD(), d.Close, nil
}

// Attached counts the programs at TCX of a device in the calling thread's network
// namespace, on its way in and on its way out.
func Attached(index int) (n int, err error) {
	for _, at := range []ebpf.AttachType{ebpf.AttachTCXIngress, ebpf.AttachTCXEgress} {
		r, err := link.QueryPrograms(link.QueryOptions{Target: index, Attach: at})
		if err != nil {
			return 0, err
		}
		n += len(r.Programs)
	}
	return n, nil
}
