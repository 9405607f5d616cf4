package xdp

import (
	"fmt"
	"testing"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// Interfaces whose frames are in one piece and those that have some in several are one
// gateway's, whichever comes first: their programs use the same map of devices.
func TestProgramsOfAllInterfacesTogether(t *testing.T) {
	needBPF(t)
	for _, order := range [][]bool{{false, true, false}, {true, false, true}} {
		p, err := NewPlane(Sizes{Ports: 1, Domains: 1, Stations: 64}, Underlay{Address: vtep4.Addr(), Port: vtep4.Port()})
		must(t, err)
		defer func() { must(t, p.Close()) }()
		for _, frags := range order {
			if frags && !p.TakesPieces() {
				continue // Linux 5.18 does
			}
			for r := range programNames {
				prog, err := p.Program(Role(r), Plain, 0, frags)
				if err != nil {
					t.Errorf("role %v, frags %t, in the order %v: %v", Role(r), frags, order, err)
					continue
				}
				must(t, prog.Close())
			}
		}
	}
}

// What a verifier does not follow is no missing capability, though the kernel's error is
// the same.
func TestIsRefused(t *testing.T) {
	needBPF(t) // without CAP_PERFMON no refusal is told apart
	for _, c := range []struct {
		name string
		err  error
		want bool
	}{
		{"nothing", nil, false},
		{"no capability", unix.EPERM, false},
		{"no capability, with a log that is empty", &ebpf.VerifierError{Cause: unix.EPERM}, false},
		{"the verifier", fmt.Errorf("program access: %w", &ebpf.VerifierError{Cause: unix.EACCES, Log: []string{"R1 max value is outside of the allowed memory range"}}), true},
	} {
		if got := IsRefused(c.err); got != c.want {
			t.Errorf("%s: %t", c.name, got)
		}
	}
}
