package xdp

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"vxgw/l3/underlay/path"
)

// A network card hands on what is for others only while it is told to. An access port's
// sockets tell it, and with them that ends: what is left at interfaces would carry nothing
// any more. So an interface is told so by itself, and that it was by a gateway is a pin
//
//	promisc-INDEX
//
// of no use but for its name. What somebody else has told it stays as it is.

// Promiscuous has these interfaces, by index, hand on all frames, without this process
// too if there are pins, and no others any more, unless they are to be kept.
func (p *Plane) Promiscuous(want map[int]bool, keep bool) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.pinDir == "" {
		return nil
	}
	var errs []error
	for index := range want {
		if _, known := p.promisc[index]; !known {
			mine, err := p.setPromiscuous(index)
			switch {
			case err == nil:
				p.promisc[index] = mine
			case !errors.Is(err, unix.ENODEV): // it goes just now
				errs = append(errs, err)
			}
		}
	}
	for index, mine := range p.promisc {
		if want[index] || keep {
			continue
		}
		delete(p.promisc, index)
		if mine {
			errs = append(errs, endPromiscuous(p.pinDir, index))
		}
	}
	return errors.Join(errs...)
}

// setPromiscuous reports whether it was this gateway that told an interface.
func (p *Plane) setPromiscuous(index int) (mine bool, err error) {
	if is, err := path.IsPromiscuous(index); is || err != nil {
		return false, err
	}
	if err := pinMark(promiscPath(p.pinDir, index)); err != nil {
		return false, err
	}
	if err := path.SetPromiscuous(index, true); err != nil {
		return false, errors.Join(err, os.Remove(promiscPath(p.pinDir, index)))
	}
	return true, nil
}

// pinMark pins something that is of no use but for its name.
func pinMark(file string) error {
	m, err := ebpf.NewMap(&ebpf.MapSpec{Name: "vxgw_mark", Type: ebpf.Array, KeySize: 4, ValueSize: 4, MaxEntries: 1})
	if err != nil {
		return fmt.Errorf("note that an interface is promiscuous: %w", err)
	}
	return errors.Join(m.Pin(file), m.Close())
}

// adoptPromiscuous makes this gateway's what a former one has told interfaces.
func (p *Plane) adoptPromiscuous() error {
	names, err := os.ReadDir(p.pinDir)
	for _, n := range names {
		if index, ok := parsePromisc(n.Name()); ok {
			p.promisc[index] = true
		}
	}
	return err
}

// endPromiscuous tells an interface the contrary, if it is still there.
func endPromiscuous(dir string, index int) error {
	err := path.SetPromiscuous(index, false)
	if errors.Is(err, unix.ENODEV) {
		err = nil
	}
	return errors.Join(err, removePin(promiscPath(dir, index)))
}

func promiscPath(dir string, index int) string {
	return filepath.Join(dir, fmt.Sprintf("promisc-%d", index))
}

func parsePromisc(name string) (index int, ok bool) {
	rest, ok := strings.CutPrefix(name, "promisc-")
	index, err := strconv.Atoi(rest)
	return index, ok && err == nil
}
