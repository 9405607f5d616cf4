package raw

import (
	"bufio"
	"fmt"
	"os"
	"strconv"
	"strings"
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

// LookAround finds out who else listens to the interfaces of this process's network
// namespace.
func LookAround() error {
	f, err := os.Open("/proc/self/net/packet")
	if err != nil {
		return err
	}
	defer f.Close()
	heard := make(map[int]bool)
	var own map[string]bool
	for s := bufio.NewScanner(f); s.Scan(); {
		index, inode, ok := parseListener(s.Text())
		if !ok {
			continue
		}
		if own == nil {
			if own, err = ownSockets(); err != nil {
				return err
			}
		}
		if !own[inode] {
			heard[index] = true
		}
	}
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
