package xdp

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// compiledBy is the major version of clang that the committed programs were compiled by.
// Another one makes other programs of the same text.
const compiledBy = "14"

// TestProgramsAreCompiled: the committed programs are those in bpf.
func TestProgramsAreCompiled(t *testing.T) {
	version, err := exec.Command("clang", "--version").Output()
	if err != nil {
		t.Skipf("needs clang %s, llvm and libbpf-dev to compile the programs: %v", compiledBy, err)
	}
	if m := regexp.MustCompile(`clang version (\d+)`).FindSubmatch(version); m == nil || string(m[1]) != compiledBy {
		t.Skipf("needs clang %s: this is %s", compiledBy, bytes.TrimSpace(version))
	}
	if _, err := exec.LookPath("llvm-strip"); err != nil {
		t.Skipf("needs llvm: %v", err)
	}
	if _, err := os.Stat("/usr/include/bpf/bpf_helpers.h"); err != nil {
		t.Skipf("needs libbpf-dev: %v", err)
	}
	dir := t.TempDir()
	cmd := exec.Command("sh", "-c", strings.Replace(generateLine(t), "bpf2go", "bpf2go -output-dir "+dir, 1))
	cmd.Env = append(os.Environ(), "GOPACKAGE=xdp")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, file := range []string{"fast_bpfel.o", "fast_bpfel.go"} {
		want, err := os.ReadFile(filepath.Join(dir, file))
		must(t, err)
		is, err := os.ReadFile(file)
		must(t, err)
		if !bytes.Equal(is, want) {
			t.Errorf("%s is not what bpf/ is compiled to: run go generate ./gateway/xdp", file)
		}
	}
}

// generateLine returns the command in generate.go.
func generateLine(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile("generate.go")
	must(t, err)
	_, line, ok := strings.Cut(string(b), "//go:generate ")
	if !ok {
		t.Fatal("generate.go says nothing")
	}
	return strings.TrimSpace(line)
}
