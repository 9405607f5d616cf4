// Command init is the only process of the machine that `make test-kernel` starts: it runs
// the test programs that are in the machine's memory, says how each ended, and turns the
// machine off.
package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

func main() {
	for _, m := range [][2]string{{"proc", "/proc"}, {"sysfs", "/sys"}, {"devtmpfs", "/dev"}, {"tmpfs", "/tmp"}, {"bpf", "/sys/fs/bpf"}} {
		say("mount "+m[1], unix.Mount(m[0], m[1], m[0], 0, ""))
	}
	modules, _ := filepath.Glob("/modules/*.ko")
	for _, m := range modules {
		say("load "+m, load(m))
	}
	tests, err := os.ReadFile("/tests")
	say("read /tests", err)
	for line := range strings.Lines(string(tests)) {
		args := strings.Fields(line)
		test := exec.Command(args[0], args[1:]...)
		test.Stdout, test.Stderr = os.Stdout, os.Stderr
		say(args[0], test.Run())
	}
	fmt.Println("the end")
	unix.Sync()
	say("turn off", unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF))
}

func load(module string) error {
	f, err := os.Open(module)
	if err != nil {
		return err
	}
	defer f.Close()
	return unix.FinitModule(int(f.Fd()), "", 0)
}

// say says on the console what went wrong.
func say(what string, err error) {
	if err != nil {
		fmt.Printf("FAIL: %s: %v\n", what, err)
	}
}
