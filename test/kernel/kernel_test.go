// Package kernel has other kernels than this machine's take the fast path's programs. What
// a verifier follows differs from release to release, and no other test can tell.
package kernel

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"vxgw/l2/frame"
	"vxgw/test/packet"
	"vxgw/test/qemu"
)

// packagesEnv names directories in which a kernel package was unpacked, in a list like
// PATH.
const packagesEnv = "VXGW_TEST_KERNELS"

// cards are the models of network cards, and in which mode a gateway has them from which
// kernel on.
var cards = []struct {
	model, mode string
	since       []int
}{
	{"virtio-net-pci", "xdp", []int{5, 15}},
	{"e1000e", "tcx", []int{6, 6}}, // its driver has no XDP
}

// TestKernels starts each kernel in QEMU. It has it load all programs and put the same
// frames through them and through the workers, and then be a gateway, with each card.
func TestKernels(t *testing.T) {
	dirs := filepath.SplitList(os.Getenv(packagesEnv))
	if len(dirs) == 0 {
		t.Skip("it takes other kernels and minutes: make test-kernel")
	}
	programs := make(map[string][]byte)
	for name, args := range map[string][]string{
		"init": {"build", "vxgw/test/kernel/init"}, "vxgw": {"build", "vxgw/cmd/vxgw"},
		"xdp": {"test", "-c", "vxgw/gateway/xdp"}, "gateway": {"test", "-c", "vxgw/gateway"},
	} {
		programs[name] = built(t, args[0], args[1:]...)
	}
	for _, dir := range dirs {
		t.Run(filepath.Base(dir), func(t *testing.T) {
			for i, card := range cards {
				if slices.Compare(release(t, dir), card.since) < 0 {
					continue
				}
				t.Run(card.model, func(t *testing.T) {
					m, access, underlay := boot(t, dir, card.model, programs)
					if i == 0 {
						t.Run("programs", func(t *testing.T) { takesPrograms(t, m) })
					}
					t.Run("gateway", func(t *testing.T) { isGateway(t, m, access, underlay, card.mode) })
					m.Say("off")
					m.AwaitOff()
					if regexp.MustCompile(`(?m)^(FAIL|--- FAIL)`).MatchString(m.Text()) {
						t.Error("it did not go well")
					}
				})
			}
		})
	}
}

// release is the first two numbers of a kernel's release.
func release(t *testing.T, dir string) []int {
	t.Helper()
	is := make([]int, 2)
	if _, err := fmt.Sscanf(filepath.Base(only(t, dir, "boot/vmlinuz-*")), "vmlinuz-%d.%d", &is[0], &is[1]); err != nil {
		t.Fatal(err)
	}
	return is
}

func boot(t *testing.T, dir, card string, programs map[string][]byte) (m *qemu.Machine, access, underlay *qemu.Wire) {
	t.Helper()
	at, err := os.MkdirTemp("", "vxgw-kernel") // paths of sockets are short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(at) })
	memory := filepath.Join(at, "memory")
	if err := os.WriteFile(memory, filesystem(t, dir, programs), 0o600); err != nil {
		t.Fatal(err)
	}
	m = qemu.New(t, at)
	access, underlay = m.Wire("access", card, "52:54:00:00:00:01", 2), m.Wire("underlay", card, qemu.Site.MAC.String(), 3)
	m.Start("-m", "4096", "-no-reboot", "-kernel", only(t, dir, "boot/vmlinuz-*"), "-initrd", memory, "-append", "console=ttyS0 panic=-1 loglevel=3")
	t.Log(m.Await(`Linux \S+ is there`))
	return m, access, underlay
}

// modules are those that the machine may need, in this order, where they are none of the
// kernel itself.
var modules = []string{
	"drivers/net/veth.ko", "net/core/failover.ko", "drivers/net/net_failover.ko", "drivers/virtio/virtio_ring.ko", "drivers/virtio/virtio.ko",
	"drivers/virtio/virtio_pci_modern_dev.ko", "drivers/virtio/virtio_pci_legacy_dev.ko", "drivers/virtio/virtio_pci.ko", "drivers/net/virtio_net.ko",
	"drivers/net/ethernet/intel/e1000e/e1000e.ko",
}

// filesystem is all that the machine has.
func filesystem(t *testing.T, dir string, programs map[string][]byte) []byte {
	t.Helper()
	var a archive
	for _, name := range []string{"dev", "proc", "sys", "tmp", "run", "run/vxgw", "modules"} {
		a.add(name, directory, nil)
	}
	for name, content := range programs {
		a.add(name, program, content)
	}
	a.add("vxgw.toml", program, []byte(config))
	for i, name := range modules {
		files, err := filepath.Glob(filepath.Join(dir, "lib/modules/*/kernel", name+"*"))
		if err != nil || len(files) > 1 {
			t.Fatalf("%d files %s: %v", len(files), name, err)
		}
		for _, file := range files {
			content, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			a.add(fmt.Sprintf("modules/%02d-%s", i, filepath.Base(file)), program, content)
		}
	}
	a.end()
	return a.Bytes()
}

// built is a static program that the go command has made.
func built(t *testing.T, command string, args ...string) []byte {
	t.Helper()
	file := filepath.Join(t.TempDir(), "program")
	build := exec.CommandContext(t.Context(), "go", append([]string{command, "-o", file}, args...)...)
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// only is the one file of a pattern.
func only(t *testing.T, dir, pattern string) string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, pattern))
	if err != nil || len(files) != 1 {
		t.Fatalf("%s has %d files %s: unpack a kernel package there", dir, len(files), pattern)
	}
	return files[0]
}

// tests are those that need neither files of this repository nor what kernels before 6.6
// do not have.
var tests = map[string]string{
	"xdp":     "ProgramsOfAllInterfacesTogether|ProgramsFindStations|TestEncap|TestSplit|TestDiversion|TestTooShort|TestTakenOrLeft",
	"gateway": "TestTwinsRandom|TestTwinsHear|TestTwinsRouted|TestTwinsReroute|TestTap",
}

func takesPrograms(t *testing.T, m *qemu.Machine) {
	for name, run := range tests {
		m.Say("run /" + name + " -test.v -test.run " + run)
		m.Await(`done: run /` + name)
		for test := range strings.SplitSeq(run, "|") {
			if !regexp.MustCompile(`(?m)^--- PASS: \w*` + test).MatchString(m.Text()) {
				t.Errorf("no test %s of %s has passed", test, name)
			}
		}
	}
}

const config = `[underlay]
address = "192.0.2.1"
[[vni]]
id = 10010
vlan = 10
flood = ["192.0.2.2"]
[[port]]
interface = "eth0"
vlan = 10
`

// isGateway holds that the kernel takes the programs in a mode and that they carry frames,
// without the gateway's process too, and none twice.
func isGateway(t *testing.T, m *qemu.Machine, access, underlay *qemu.Wire, mode string) {
	m.Say("up eth0")
	m.Say("up eth1 192.0.2.1/24")
	m.Say("start /vxgw run -c /vxgw.toml")
	m.Await(`msg=ready`)
	if strings.Contains(m.Text(), "are not counted") {
		t.Error("the kernel does not tell of all that it drops")
	}
	there, back := numbered(qemu.RemoteMAC, qemu.HostMAC, 1), numbered(qemu.HostMAC, qemu.RemoteMAC, 2)
	if !qemu.Site.Exchange(access, underlay, there, qemu.Site.Out(there), time.Minute) || !qemu.Site.Exchange(underlay, access, qemu.Site.In(back), back, time.Minute) {
		t.Fatal("frames do not pass at all")
	}
	m.Say("run /vxgw show datapath")
	for _, dev := range []string{"eth0", "eth1"} {
		m.Await(dev + ` +` + mode + ` +yes`)
	}
	m.Say("run /vxgw show macs")
	m.Await(qemu.HostMAC.String())
	time.Sleep(time.Second) // what is listed the programs know a moment later
	carry(t, access, underlay, 1000)
	m.Say("kill")
	m.Await(`done: kill`)
	carry(t, access, underlay, 2000)
	m.Say("start /vxgw run -c /vxgw.toml")
	m.Await(`is taken over`)
	m.Await(`(?s)is taken over.*msg=ready`)
	carry(t, access, underlay, 3000)
	there, back = numbered(qemu.RemoteMAC, frame.MAC{2, 0, 0, 0, 1, 3}, 1), numbered(qemu.HostMAC, frame.MAC{2, 0, 0, 0, 1, 4}, 2)
	if !qemu.Site.Exchange(access, underlay, there, qemu.Site.Out(there), time.Minute) || !qemu.Site.Exchange(underlay, access, qemu.Site.In(back), back, time.Minute) {
		t.Error("frames of new stations do not pass")
	}
}

// numbered returns a frame with a number in it that no card has to pad.
func numbered(dst, src frame.MAC, n int) []byte {
	payload := binary.BigEndian.AppendUint32(make([]byte, 60), uint32(n))
	return packet.UDP(dst, src, netip.MustParseAddrPort("203.0.113.1:9"), netip.MustParseAddrPort("203.0.113.2:9"), payload)
}

// carry sends frames in both directions, numbered from a number on, and holds that each
// comes out once, as it is to be.
func carry(t *testing.T, access, underlay *qemu.Wire, from int) {
	t.Helper()
	var there, back [][]byte
	for i := range 100 {
		there, back = append(there, numbered(qemu.RemoteMAC, qemu.HostMAC, from+i)), append(back, numbered(qemu.HostMAC, qemu.RemoteMAC, from+i))
	}
	out := func(frames [][]byte) (all [][]byte) {
		for _, f := range frames {
			all = append(all, qemu.Site.Out(f))
		}
		return all
	}
	in := make([][]byte, len(back))
	for i, f := range back {
		in[i] = qemu.Site.In(f)
	}
	for _, way := range []struct {
		name       string
		from, to   *qemu.Wire
		sent, want [][]byte
	}{{"encapsulated", access, underlay, there, out(there)}, {"decapsulated", underlay, access, in, back}} {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		go func() {
			for _, f := range way.sent {
				way.from.Send(f)
			}
		}()
		came := receive(ctx, way.to, way.want)
		cancel()
		for i, n := range came {
			if n != 1 {
				t.Errorf("frame %d, %s: came %d times", from+i, way.name, n)
			}
		}
	}
}

// receive counts how often each frame comes, until all have, and for a second more.
func receive(ctx context.Context, w *qemu.Wire, want [][]byte) []int {
	came, missing := make([]int, len(want)), len(want)
	for ctx.Err() == nil {
		got := w.Receive(time.Now().Add(time.Second))
		if got == nil && missing == 0 {
			break
		}
		for i := range want {
			if bytes.Equal(got, want[i]) {
				if came[i]++; came[i] == 1 {
					missing--
				}
			}
		}
	}
	return came
}
