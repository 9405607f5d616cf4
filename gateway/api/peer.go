package api

import (
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"os/user"
	"slices"
	"strconv"
	"unsafe"

	"golang.org/x/sys/unix"
)

// rights are what a peer may do. Each includes those before it.
type rights uint8

// The rights.
const (
	mayNothing rights = iota
	mayRead
	mayWrite
)

// peer is the process at the other end of the control socket, as it was when it
// connected, and as the kernel knows it (unix(7), SO_PEERCRED).
type peer struct {
	pid      int32
	uid      uint32
	gids     []uint32 // its group and its supplementary groups
	may      rights
	overfull bool // there are too many like it
}

func (p *peer) String() string { return fmt.Sprintf("uid %d, pid %d", p.uid, p.pid) }

// maxGroups bounds the groups of a peer that are looked at: as many as a process can
// have (NGROUPS_MAX).
const maxGroups = 65536

// peerOf asks the kernel who is at the other end of c.
func peerOf(c *net.UnixConn) (p peer, err error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return p, err
	}
	var cred *unix.Ucred
	ctlErr := raw.Control(func(fd uintptr) {
		if cred, err = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED); err == nil {
			p = peer{pid: cred.Pid, uid: cred.Uid, gids: append(peerGroups(int(fd)), cred.Gid)}
		}
	})
	if ctlErr != nil {
		return p, ctlErr
	}
	return p, err
}

// peerGroups returns the supplementary groups of a peer (socket(7), SO_PEERGROUPS). A
// kernel before 4.13 does not tell; then the group that the process runs in counts alone.
func peerGroups(fd int) []uint32 {
	const word = 4
	for size := uint32(64 * word); size <= maxGroups*word; {
		buf := make([]byte, size)
		_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(fd), unix.SOL_SOCKET, unix.SO_PEERGROUPS,
			uintptr(unsafe.Pointer(&buf[0])), uintptr(unsafe.Pointer(&size)), 0)
		switch {
		case errno == unix.ERANGE && size > uint32(len(buf)):
			continue // size is what it takes
		case errno != 0:
			return nil
		}
		var gids []uint32
		for i := uint32(0); i+word <= size; i += word {
			gids = append(gids, binary.NativeEndian.Uint32(buf[i:]))
		}
		return gids
	}
	return nil
}

// access says who may do what.
type access struct {
	self      uint32 // the user that this process runs as
	group     uint32 // its group, which stands in for Group where there is none
	readGroup string // "": nobody may only read
}

// of returns what a peer may do. The groups are looked up anew each time: a group may be
// made, or change its number, while the gateway runs.
func (a *access) of(p *peer) rights {
	if p.uid == 0 || p.uid == a.self {
		return mayWrite
	}
	gid, ok := groupID(Group)
	if !ok {
		gid = a.group
	}
	if slices.Contains(p.gids, gid) {
		return mayWrite
	}
	if a.readGroup == "" {
		return mayNothing
	}
	if gid, ok := groupID(a.readGroup); ok && slices.Contains(p.gids, gid) {
		return mayRead
	}
	return mayNothing
}

// need says, for who may not, how to become one who may.
func (a *access) need(r rights) string {
	if r == mayRead && a.readGroup != "" {
		return fmt.Sprintf("group %s to read, or group %s to change things too", a.readGroup, Group)
	}
	return "group " + Group
}

// groupID returns the number of a group, and false where there is none of that name.
func groupID(name string) (uint32, bool) {
	g, err := user.LookupGroup(name)
	if err != nil {
		return 0, false
	}
	n, err := strconv.ParseUint(g.Gid, 10, 32)
	return uint32(n), err == nil
}

type peerKey struct{}

// withPeer puts into the context of a connection's requests who is there.
func withPeer(ctx context.Context, c net.Conn) context.Context {
	if c, ok := c.(*gatedConn); ok {
		return context.WithValue(ctx, peerKey{}, &c.peer)
	}
	return ctx
}

// peerIn returns who asks; nil where that is not known.
func peerIn(ctx context.Context) *peer {
	p, _ := ctx.Value(peerKey{}).(*peer)
	return p
}
