// Package kernel has another kernel than this machine's take the fast path's programs.
// What a verifier follows differs from release to release, and no other test can tell.
package kernel

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// packageEnv names a directory in which a kernel package of Debian was unpacked.
const packageEnv = "VXGW_TEST_KERNEL"

// tests are the packages whose tests run there, and which of them: those that need
// neither files of this repository nor what kernels before 6.6 do not have.
var tests = []struct{ name, of, run string }{
	{"xdp", "vxgw/gateway/xdp", "ProgramsOfAllInterfacesTogether|ProgramsFindStations|TestEncap|TestSplit|TestDiversion|TestTooShort|TestTakenOrLeft"},
	{"gateway", "vxgw/gateway", "TestTwinsRandom|TestTwinsHear|TestTwinsRouted|TestTwinsReroute"},
}

// TestPrograms starts the kernel in QEMU, and has it load the programs and put the same
// frames through them and through the workers.
func TestPrograms(t *testing.T) {
	dir := os.Getenv(packageEnv)
	if dir == "" {
		t.Skip("it takes another kernel and minutes: make test-kernel")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Minute)
	defer cancel()
	memory := filepath.Join(t.TempDir(), "memory")
	if err := os.WriteFile(memory, filesystem(t, ctx, dir), 0o600); err != nil {
		t.Fatal(err)
	}
	qemu := exec.CommandContext(ctx, "qemu-system-x86_64", "-machine", "q35", "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
		"-accel", "kvm", "-accel", "tcg", "-cpu", "max,la57=off", "-m", "4096", "-serial", "stdio",
		"-kernel", only(t, dir, "boot/vmlinuz-*"), "-initrd", memory, "-append", "console=ttyS0 panic=-1 loglevel=3")
	out, err := qemu.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	console := strings.ReplaceAll(string(out), "\r\n", "\n")
	for _, p := range tests {
		for name := range strings.SplitSeq(p.run, "|") {
			if !regexp.MustCompile(`(?m)^--- PASS: \w*` + name).MatchString(console) {
				t.Errorf("no test %s of %s has passed", name, p.of)
			}
		}
	}
	if !strings.Contains(console, "\nthe end\n") || strings.Contains(console, "FAIL") {
		t.Error("it did not go well")
	}
	if t.Failed() {
		t.Log(console)
	}
}

// filesystem is all that the machine has.
func filesystem(t *testing.T, ctx context.Context, dir string) []byte {
	t.Helper()
	var a archive
	for _, name := range []string{"dev", "proc", "sys", "tmp", "modules"} {
		a.add(name, directory, nil)
	}
	a.add("init", program, built(t, ctx, "build", "vxgw/test/kernel/init"))
	var lines strings.Builder
	for _, p := range tests {
		a.add(p.name, program, built(t, ctx, "test", "-c", p.of))
		lines.WriteString("/" + p.name + " -test.v -test.run " + p.run + "\n")
	}
	a.add("tests", program, []byte(lines.String()))
	module, err := os.ReadFile(only(t, dir, "lib/modules/*/kernel/drivers/net/veth.ko"))
	if err != nil {
		t.Fatal(err)
	}
	a.add("modules/veth.ko", program, module)
	a.end()
	return a.Bytes()
}

// built is a static program that the go command has made.
func built(t *testing.T, ctx context.Context, command string, args ...string) []byte {
	t.Helper()
	file := filepath.Join(t.TempDir(), "program")
	build := exec.CommandContext(ctx, "go", append([]string{command, "-o", file}, args...)...)
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
