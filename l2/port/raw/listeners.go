package raw

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
)

// listeners are the interfaces that somebody else's packet sockets listen to, by
// index; 0 is all of them. The kernel shows them what a packet socket sends, and
// not what AF_XDP does: while somebody looks, nothing goes by that.
var listeners atomic.Pointer[map[int]bool]

// IsHeard reports whether somebody else listened to an interface when LookAround
// was last called.
func IsHeard(index int) bool {
	m := listeners.Load()
	return m != nil && len(*m) > 0 && ((*m)[index] || (*m)[0])
}

// ours tells the packet sockets of this process from others', by inode, as far as
// they were in the list when LookAround last read it. To find out what an inode is
// takes a call for each file that the process has open.
var ours struct {
	sync.Mutex
	known map[string]bool
}

// LookAround finds out who else listens to the interfaces of this process's network
// namespace.
func LookAround() error {
	ours.Lock()
	defer ours.Unlock()
	// Whole and first: a socket of ours that is in the list is then open already
	// when they are looked through.
	list, err := os.ReadFile("/proc/self/net/packet")
	if err != nil {
		return err
	}
	heard, known := make(map[int]bool), make(map[string]bool, len(ours.known))
	var own map[string]bool
	for line := range strings.Lines(string(list)) {
		index, inode, ok := parseListener(line)
		if !ok {
			continue
		}
		is, ok := ours.known[inode]
		if !ok {
			if own == nil {
				if own, err = ownSockets(); err != nil {
					return err
				}
			}
			is = own[inode]
		}
		known[inode] = is
		if !is {
			heard[index] = true
		}
	}
	ours.known = known
	listeners.Store(&heard)
	return nil
}

// parseListener reads a line of /proc/net/packet, of a socket that takes in frames
// of all protocols: address, references, type, protocol, interface, running,
// memory, user, inode.
func parseListener(line string) (index int, inode string, ok bool) {
	f := strings.Fields(line)
	if len(f) != 9 || f[3] != "0003" || f[5] != "1" {
		return 0, "", false
	}
	index, err := strconv.Atoi(f[4])
	return index, f[8], err == nil
}

// ownSockets returns the inodes of this process's sockets.
func ownSockets() (map[string]bool, error) {
	const dir = "/proc/self/fd"
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("own sockets: %w", err)
	}
	own := make(map[string]bool)
	for _, e := range entries {
		to, err := os.Readlink(dir + "/" + e.Name())
		if err != nil {
			continue // closed since
		}
		if inode, is := strings.CutPrefix(to, "socket:["); is {
			own[strings.TrimSuffix(inode, "]")] = true
		}
	}
	return own, nil
}
