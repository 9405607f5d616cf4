package xdp

import (
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"
)

// A fast path outlives its process by pins in the BPF file system: of the programs at
// interfaces, and of the tables that they go by. Below a directory of its own are
//
//	link-INDEX-ROLE          a program at an interface, for XDP
//	tap-INDEX-ROLE-MOMENT    one at TCX: there may be several
//	promisc-INDEX            says that a gateway has made an interface promiscuous
//	tables-LAYOUT-MOMENT/    the tables of one process, by name
//
// Who comes next reads the tables, makes new ones, and puts programs of its own in the
// place of those for XDP, and in front of those at TCX until these are of no use any more.
// No frame is between the two.

// pinHomes are where pins may be: below the usual place, which is root's, or in a BPF
// file system that was mounted for the gateway alone.
var pinHomes = []string{bpffs + "/vxgw", "/run/vxgw-bpf"}

// bpffs is where the BPF file system usually is.
const bpffs = "/sys/fs/bpf"

// layoutHeader is what the tables look like. Another one is another layout.
//
//go:embed bpf/layout.h
var layoutHeader []byte

func layoutID() string {
	sum := sha256.Sum256(layoutHeader)
	return hex.EncodeToString(sum[:6])
}

// PinDir returns where the gateway with a name of its own in this network namespace
// has its pins. The error says why there can be none.
func PinDir(name string) (string, error) {
	ns, err := thisNetns()
	if err != nil {
		return "", err
	}
	home, err := pinHome()
	if err != nil {
		return "", err
	}
	ns.forgetOthers(home)
	// The file system keeps names with a dot in them for itself.
	return filepath.Join(home, ns.String()+"-"+strings.ReplaceAll(name, ".", "_")), nil
}

// pinHome returns the first place that can be pinned to.
func pinHome() (string, error) {
	none := fmt.Errorf("there is no BPF file system at %s: mount -t bpf bpf %[1]s", bpffs)
	for _, home := range pinHomes {
		if !isBPFFS(filepath.Dir(home)) && !isBPFFS(home) {
			continue
		}
		if err := os.MkdirAll(home, 0o700); err != nil {
			none = fmt.Errorf("nothing can be pinned: %w", err)
		} else if err := unix.Access(home, unix.W_OK|unix.X_OK); err != nil {
			none = fmt.Errorf("nothing can be pinned in %s: %w", home, err)
		} else {
			return home, nil
		}
	}
	return "", none
}

func isBPFFS(dir string) bool {
	var s unix.Statfs_t
	return unix.Statfs(dir, &s) == nil && s.Type == unix.BPF_FS_MAGIC
}

// netnsID names a network namespace. The number of its inode is another one's when it
// is gone; its cookie no other one ever has, and that alone would not tell that another
// one is gone.
type netnsID struct{ inode, cookie uint64 } // cookie 0: the kernel has none

// thisNetns returns the name of the network namespace of this process.
func thisNetns() (id netnsID, err error) {
	var s unix.Stat_t
	if err := unix.Stat("/proc/self/ns/net", &s); err != nil {
		return id, fmt.Errorf("name the network namespace: %w", err)
	}
	id.inode = s.Ino
	id.cookie, err = netnsCookie()
	if errors.Is(err, unix.ENOPROTOOPT) {
		err = nil
	}
	return id, err
}

// String returns the name as names of pins begin with it.
func (id netnsID) String() string { return fmt.Sprintf("%d-%d", id.inode, id.cookie) }

// forgetOthers removes what was left in namespaces that had this one's inode: they are
// gone. What cannot be removed does no harm but for the memory that it takes.
func (id netnsID) forgetOthers(home string) {
	dirs, err := os.ReadDir(home)
	if err != nil {
		return
	}
	for _, d := range dirs {
		if strings.HasPrefix(d.Name(), fmt.Sprintf("%d-", id.inode)) && !strings.HasPrefix(d.Name(), id.String()+"-") {
			_ = removePins(filepath.Join(home, d.Name()), false)
		}
	}
}

// Pin has the tables, and the programs that are attached from now on, outlive this
// process, below dir.
func (p *Plane) Pin(dir string) error {
	tables := filepath.Join(dir, fmt.Sprintf("tables-%s-%d", layoutID(), time.Now().UnixNano()))
	if err := os.MkdirAll(tables, 0o700); err != nil {
		return fmt.Errorf("pin the fast path: %w", err)
	}
	for name, m := range p.maps {
		if err := m.Pin(filepath.Join(tables, name)); err != nil {
			return errors.Join(fmt.Errorf("pin the fast path: %w", err), os.RemoveAll(tables))
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.pinDir = dir
	errs := []error{p.adoptPromiscuous()}
	for _, at := range p.tapped {
		for _, t := range at {
			errs = append(errs, p.pinTap(t))
		}
	}
	return errors.Join(errs...)
}

// Unpin takes back what Pin did. Programs that are still attached are let go of.
func (p *Plane) Unpin() error {
	p.mu.Lock()
	dir := p.pinDir
	p.pinDir = ""
	p.mu.Unlock()
	if dir == "" {
		return nil
	}
	return Remove(dir)
}

// Remove removes what a gateway of this network namespace has left below a directory.
func Remove(dir string) error { return removePins(dir, true) }

// linkPin is where the program at an interface is pinned; "" where nothing is.
func (p *Plane) linkPin(index int, r Role) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.pinDir == "" {
		return ""
	}
	return linkPath(p.pinDir, index, r)
}

func linkPath(dir string, index int, r Role) string {
	return filepath.Join(dir, fmt.Sprintf("link-%d-%s", index, r))
}

// String returns the role's stable name.
func (r Role) String() string { return [...]string{"access", "underlay"}[min(r, FacesUnderlay)] }

// parseLink reads the name of a pinned link.
func parseLink(name string) (at pinnedAt, ok bool) {
	part := strings.Split(name, "-")
	if len(part) != 3 || part[0] != "link" {
		return at, false
	}
	return parseAt(part[1], part[2])
}

func parseAt(index, role string) (at pinnedAt, ok bool) {
	i, err := strconv.Atoi(index)
	r := slices.Index([]string{Access.String(), FacesUnderlay.String()}, role)
	return pinnedAt{i, Role(max(r, 0))}, err == nil && r >= 0
}

// tapAt is where a program at TCX is pinned.
type tapAt struct {
	index  int
	role   Role
	moment int64 // that it was put there, in nanoseconds since 1970
}

func (at tapAt) path(dir string) string {
	return filepath.Join(dir, fmt.Sprintf("tap-%d-%s-%d", at.index, at.role, at.moment))
}

// parseTap reads the name of a pinned program at TCX.
func parseTap(name string) (at tapAt, ok bool) {
	part := strings.Split(name, "-")
	if len(part) != 4 || part[0] != "tap" {
		return at, false
	}
	is, ok := parseAt(part[1], part[2])
	moment, err := strconv.ParseInt(part[3], 10, 64)
	return tapAt{is.index, is.role, moment}, ok && err == nil
}

// indexOf returns the interface of a pinned program by its name, in either place.
func indexOf(name string) (index int, ok bool) {
	if at, isTap := parseTap(name); isTap {
		return at.index, true
	}
	at, isLink := parseLink(name)
	return at.index, isLink
}

// removePin removes a pin that may have been removed with all others.
func removePin(file string) error {
	if err := os.Remove(file); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// removePins removes a directory of pins. Programs that nobody else holds go with it, and
// interfaces that are here, in this network namespace, are as they were.
func removePins(dir string, here bool) error {
	// Links first: a program without its tables would hand up everything.
	names, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	errs := []error{err}
	for _, n := range names {
		if _, isLink := indexOf(n.Name()); isLink {
			errs = append(errs, os.Remove(filepath.Join(dir, n.Name())))
		} else if index, is := parsePromisc(n.Name()); is && here {
			errs = append(errs, endPromiscuous(dir, index))
		}
	}
	return errors.Join(append(errs, os.RemoveAll(dir))...)
}

// Unload removes what gateways have left in this network namespace, and of namespaces
// that are gone, and returns which interfaces had programs. It is for when no gateway
// runs here.
func Unload() (interfaces []int, err error) {
	ns, err := thisNetns()
	if err != nil {
		return nil, err
	}
	var errs []error
	for _, home := range pinHomes {
		dirs, err := os.ReadDir(home)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		errs = append(errs, err)
		for _, d := range dirs {
			dir := filepath.Join(home, d.Name())
			mine := strings.HasPrefix(d.Name(), ns.String()+"-")
			if mine {
				interfaces = append(interfaces, pinnedInterfaces(dir)...)
			}
			if mine || isDead(dir) {
				errs = append(errs, removePins(dir, mine))
			}
		}
	}
	slices.Sort(interfaces)
	return slices.Compact(interfaces), errors.Join(errs...)
}

// isDead reports whether there are programs in a directory, and all have lost their
// interface: that went with its namespace. Tables alone may be those of a gateway that
// runs and has no program at an interface yet.
func isDead(dir string) bool {
	names, err := os.ReadDir(dir)
	if err != nil {
		return false
	}
	links := 0
	for _, n := range names {
		if _, isLink := indexOf(n.Name()); isLink {
			if links++; ifindexOf(filepath.Join(dir, n.Name())) != 0 {
				return false
			}
		}
	}
	return links > 0
}

func pinnedInterfaces(dir string) (all []int) {
	names, _ := os.ReadDir(dir) // none where it cannot be read
	for _, n := range names {
		if index, isLink := indexOf(n.Name()); isLink {
			all = append(all, index)
		}
	}
	return all
}

// ifindexOf returns the index of the interface that a pinned link is at, 0 where that
// is gone or cannot be told.
func ifindexOf(file string) int {
	l, err := link.LoadPinnedLink(file, nil)
	if err != nil {
		return 0
	}
	defer l.Close()
	return interfaceOf(l)
}

// interfaceOf is ifindexOf of one that is open.
func interfaceOf(l link.Link) int {
	info, err := l.Info()
	if err != nil {
		return 0
	}
	if x := info.XDP(); x != nil {
		return int(x.Ifindex)
	}
	if x := info.TCX(); x != nil {
		return int(x.Ifindex)
	}
	return 0
}
