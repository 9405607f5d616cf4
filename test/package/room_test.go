package pkg

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"vxgw/test/netns"
)

// room is this machine's root as it would be with nothing of ours on it: what is
// written there is in memory, and gone with the test. Its init is nobody, so packages
// start nothing.
type room struct {
	t    *testing.T
	pid  int
	root string
}

// furnish makes a room: %s is an empty directory. A BPF file system is where the unit
// would have put it. What the machine has of ours, and its wish to have no manual
// pages, are taken out.
const furnish = `set -e
mount -t tmpfs tmpfs %[1]s
mkdir %[1]s/upper %[1]s/work %[1]s/root
mount -t overlay overlay -o lowerdir=/,upperdir=%[1]s/upper,workdir=%[1]s/work %[1]s/root
cd %[1]s/root
mount --rbind /proc proc
mount --rbind /dev dev
mount --rbind /sys sys
mount -t tmpfs tmpfs sys/fs/bpf 2>/dev/null || true
mount -t tmpfs tmpfs run
mount -t tmpfs tmpfs tmp
rm -f etc/dpkg/dpkg.cfg.d/docker etc/dpkg/dpkg.cfg.d/excludes
chroot . dpkg --purge vxgw >/dev/null 2>&1 || true
rm -rf etc/vxgw usr/share/man/man8/vxgw*
mkdir run/vxgw-bpf
mount -t bpf bpf run/vxgw-bpf
echo ready
exec sleep 900
`

// newRoom skips the test without root.
func newRoom(t *testing.T) *room {
	t.Helper()
	netns.Require(t)
	dir := t.TempDir()
	cmd := exec.Command("unshare", "--mount", "--propagation", "private", "sh", "-c", fmt.Sprintf(furnish, dir))
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || line != "ready\n" {
		_ = cmd.Wait()
		t.Fatalf("no room: %q, %v\n%s", line, err, errs.String())
	}
	return &room{t, cmd.Process.Pid, filepath.Join(dir, "root")}
}

// inside returns the command line of a command in the room.
func (r *room) inside(args ...string) []string {
	return append([]string{"nsenter", fmt.Sprintf("--mount=/proc/%d/ns/mnt", r.pid), "chroot", r.root}, args...)
}

// try runs a command in the room.
func (r *room) try(args ...string) (string, error) {
	args = r.inside(args...)
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C.UTF-8", "DEBIAN_FRONTEND=noninteractive"}
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func (r *room) run(args ...string) string {
	r.t.Helper()
	out, err := r.try(args...)
	if err != nil {
		r.t.Fatalf("%s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

// install installs a package file; what dpkg asks it is told to keep.
func (r *room) install(file string) string {
	r.t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		r.t.Fatal(err)
	}
	name := "/tmp/" + filepath.Base(file)
	r.write(name, string(text))
	return r.run("dpkg", "--force-confold", "--no-triggers", "-i", name)
}

func (r *room) write(file, text string) {
	r.t.Helper()
	args := r.inside("tee", file)
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Stdin = strings.NewReader(text)
	if err := cmd.Run(); err != nil {
		r.t.Fatal(err)
	}
}

func (r *room) has(path string) bool {
	_, err := r.try("test", "-e", path)
	return err == nil
}

// command returns a command of the room that is run in a network namespace.
func (r *room) command(ctx context.Context, ns *netns.NS, args ...string) *netns.Cmd {
	args = r.inside(args...)
	return ns.Command(ctx, args[0], args[1:]...)
}
