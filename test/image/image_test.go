package image

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"vxgw/test/packet"
	"vxgw/test/qemu"
)

// configAt is where the image's partition for the operator begins, in bytes, as
// packaging/image/disk has it.
const configAt = 34 << 20

// TestImage starts an appliance twice. VXGW_TEST_IMAGE is an image to test, or "build".
// It takes minutes, and so `make test-image` runs it and `make test` does not.
func TestImage(t *testing.T) {
	image := os.Getenv("VXGW_TEST_IMAGE")
	if image == "" {
		t.Skip("it takes minutes: make test-image")
	}
	for _, tool := range []string{"qemu-system-x86_64", "mmdebstrap", "mcopy", "ssh", "ssh-keygen"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("%v; test/provide image installs it", err)
		}
	}
	if os.Getuid() != 0 {
		t.Skip("needs root: an image has files of several users")
	}
	dir, err := os.MkdirTemp("", "vxgw-image") // paths of sockets are short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if image == "build" {
		image = build(t, dir)
	}
	disk := filepath.Join(dir, "disk")
	output(t, "cp", "--sparse=always", image, disk)
	info, err := os.Stat(disk)
	if err != nil {
		t.Fatal(err)
	}
	const more = 1 << 30 // of a disk that is larger than the image
	if err := os.Truncate(disk, info.Size()+more); err != nil {
		t.Fatal(err)
	}
	newKey(t, dir)
	port := freePort(t)
	if !t.Run("first start", func(t *testing.T) { firstStart(t, dir, disk, port) }) {
		return // it would not be a second one
	}
	t.Run("second start", func(t *testing.T) { secondStart(t, dir, disk, port) })
}

// build makes package and image.
func build(t *testing.T, dir string) string {
	t.Helper()
	began := time.Now()
	deb := output(t, "../../packaging/deb/build", dir)
	image := output(t, "../../packaging/image/build", dir, deb)
	t.Logf("built in %v", time.Since(began).Round(time.Second))
	return image
}

// output runs a program and returns what it has written to its standard output.
func output(t *testing.T, name string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s", name, err, errs.String())
	}
	return strings.TrimSpace(string(out))
}

func newKey(t *testing.T, dir string) {
	t.Helper()
	output(t, "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", filepath.Join(dir, "key"))
}

// freePort returns a port of the loopback interface that nobody listens on.
func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// firstStart is by BIOS, with everything on the image's own partition.
func firstStart(t *testing.T, dir, disk string, port int) {
	put(t, fmt.Sprintf("%s@@%d", disk, configAt), dir, map[string]string{
		"vxgw.toml": good, "underlay.network": network, "hostname": "edge-1\n", "authorized_keys": read(t, filepath.Join(dir, "key.pub")),
	})
	m, access, underlay := start(t, dir, disk, port)
	m.Await(`vxgw\.toml: taken`)
	m.Await(`vxgw .* on edge-1\r?\n\s+gateway\s+active`)
	m.Await(`enp0s4 .* 10\.0\.2\.15/24`)
	m.Await(`edge-1 login:`)
	carries(t, access, underlay)

	out := m.ssh(port, `vxgw show ports && vxgw show vnis && vxgw doctor; df -m --output=size / | tail -n 1; grep ^root: /etc/shadow; systemctl --failed --no-legend; journalctl -b -p warning --no-pager`)
	t.Logf("%s", out)
	if !regexp.MustCompile(`enp0s2 +10 +10010 +up`).MatchString(out) {
		t.Error("the access port is not up")
	}
	if size := regexp.MustCompile(`(?m)^ *(\d{4})$`).FindStringSubmatch(out); size == nil || size[1] < "2300" {
		t.Errorf("the root file system has not grown: %q", size)
	}
	if !regexp.MustCompile(`root:[!*]`).MatchString(out) {
		t.Error("root has a password")
	}
	if regexp.MustCompile(`\.service +loaded +failed`).MatchString(out) {
		t.Error("services have failed")
	}
	m.powerDown()
}

// secondStart is by UEFI, with Secure Boot where there is firmware for that, and with a
// stick that has a bad configuration.
func secondStart(t *testing.T, dir, disk string, port int) {
	stick := filepath.Join(dir, "stick")
	if err := os.WriteFile(stick, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(stick, 8<<20); err != nil {
		t.Fatal(err)
	}
	output(t, "mformat", "-i", stick, "-v", "VXGW", "-T", "16384", "-h", "16", "-s", "32", "::")
	put(t, stick, dir, map[string]string{"vxgw.toml": strings.Replace(good, "vlan = 10\n", "vlan = 4095\n", 1)})
	args := append(firmware(t, dir), "-device", "qemu-xhci,addr=8", "-drive", "file="+stick+",format=raw,if=none,id=stick", "-device", "usb-storage,drive=stick,removable=on")
	m, access, underlay := start(t, dir, disk, port, args...)
	m.Await(`vxgw\.toml: REFUSED`)
	m.Await(`vxgw\.toml:6:\d+: .*4095.*1\.\.4094`)
	m.Await(`vxgw .* on edge-1\r?\n\s+gateway\s+active`)
	carries(t, access, underlay)
	if out := m.ssh(port, "cat /etc/vxgw/vxgw.toml; [ -d /sys/firmware/efi ] && echo by UEFI"); !strings.Contains(out, good+"by UEFI") {
		t.Errorf("after the second start there is\n%s", out)
	}
	m.powerDown()
}

// put writes files to a FAT file system.
func put(t *testing.T, image, dir string, files map[string]string) {
	t.Helper()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		output(t, "mcopy", "-o", "-i", image, path, "::"+name)
	}
}

func read(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// firmware returns the options for UEFI.
func firmware(t *testing.T, dir string) []string {
	t.Helper()
	const code, vars = "/usr/share/OVMF/OVMF_CODE_4M.ms.fd", "/usr/share/OVMF/OVMF_VARS_4M.ms.fd"
	if _, err := os.Stat(code); errors.Is(err, fs.ErrNotExist) {
		t.Skip("needs ovmf; test/provide image installs it")
	}
	mine := filepath.Join(dir, "vars")
	output(t, "cp", vars, mine)
	return []string{
		"-machine", "q35,smm=on", "-global", "driver=cfi.pflash01,property=secure,value=on",
		"-drive", "if=pflash,format=raw,unit=0,readonly=on,file=" + code, "-drive", "if=pflash,format=raw,unit=1,file=" + mine,
	}
}

// ssh runs a command in the machine, as its operator would.
func (m *machine) ssh(port int, command string) string {
	m.t.Helper()
	var out []byte
	var err error
	for deadline := time.Now().Add(qemu.Limit); time.Now().Before(deadline); time.Sleep(time.Second) {
		cmd := exec.CommandContext(m.Context(), "ssh", "-i", filepath.Join(m.dir, "key"), "-p", fmt.Sprint(port), "-o", "BatchMode=yes", "-o", "IdentitiesOnly=yes", "-F", "none",
			"-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR", "-o", "ConnectTimeout=60", "root@127.0.0.1", command)
		out, err = cmd.CombinedOutput()
		if exit := (*exec.ExitError)(nil); !errors.As(err, &exit) || exit.ExitCode() != 255 {
			return string(out)
		}
	}
	m.t.Fatalf("nobody gets in: %v\n%s", err, out)
	return ""
}

// carries holds that a frame of the access port comes out of the underlay as it has to,
// byte for byte, and one from there at the access port.
func carries(t *testing.T, access, underlay *qemu.Wire) {
	t.Helper()
	inner, back := packet.Numbered(qemu.RemoteMAC, qemu.HostMAC, 1), packet.Numbered(qemu.HostMAC, qemu.RemoteMAC, 2)
	if !qemu.Site.Exchange(access, underlay, inner, qemu.Site.Out(inner), qemu.Limit) {
		t.Fatalf("no such packet at the underlay:\n%x", qemu.Site.Out(inner))
	}
	if !qemu.Site.Exchange(underlay, access, qemu.Site.In(back), back, qemu.Limit) {
		t.Fatalf("no such frame at the access port:\n%x", back)
	}
}
