// Command init is the only process of the machines that `make test-kernel` starts, but for
// those that it is told to start. It loads the modules that are in the machine's memory,
// and does what is typed at the console, a line at a time:
//
//	run PROGRAM ARGUMENTS     and wait for its end
//	start PROGRAM ARGUMENTS   and go on
//	kill                      the one that was started last, with SIGKILL
//	up INTERFACE [ADDRESS]
//	off                       turn the machine off
//
// After each line it says "done: " and the line.
package main

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

func main() {
	for _, m := range [][2]string{{"proc", "/proc"}, {"sysfs", "/sys"}, {"devtmpfs", "/dev"}, {"tmpfs", "/tmp"}, {"bpf", "/sys/fs/bpf"}} {
		say("mount "+m[1], unix.Mount(m[0], m[1], m[0], 0, ""))
	}
	modules, _ := filepath.Glob("/modules/*") // by name, and so by number
	slices.Sort(modules)
	for _, m := range modules {
		say("load "+m, load(m))
	}
	say("up lo", up("lo"))
	var name unix.Utsname
	say("uname", unix.Uname(&name))
	fmt.Printf("Linux %s is there\n", unix.ByteSliceToString(name.Release[:]))
	var m machine
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		if words := strings.Fields(lines.Text()); len(words) > 0 {
			say(lines.Text(), m.do(words[0], words[1:]))
			fmt.Println("done:", lines.Text())
		}
	}
}

// machine is what goes on here.
type machine struct{ started *exec.Cmd }

func (m *machine) do(what string, args []string) error {
	switch {
	case what == "off":
		fmt.Println("the end")
		unix.Sync()
		return unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF)
	case what == "kill" && m.started != nil:
		if err := m.started.Process.Kill(); err != nil {
			return err
		}
		_ = m.started.Wait() // by the signal
		return nil
	case len(args) == 0:
		return errors.New("no such command")
	case what == "up":
		return up(args[0], args[1:]...)
	case what == "run":
		return command(args).Run()
	case what == "start":
		m.started = command(args)
		return m.started.Start()
	}
	return errors.New("no such command")
}

func command(args []string) *exec.Cmd {
	c := exec.Command(args[0], args[1:]...)
	c.Stdout, c.Stderr = os.Stdout, os.Stderr
	return c
}

func up(name string, addrs ...string) error {
	l, err := netlink.LinkByName(name)
	if err != nil {
		return err
	}
	for _, a := range addrs {
		addr, err := netlink.ParseAddr(a)
		if err != nil {
			return err
		}
		if err := netlink.AddrAdd(l, addr); err != nil {
			return err
		}
	}
	return netlink.LinkSetUp(l)
}

func load(module string) error {
	f, err := os.Open(module)
	if err != nil {
		return err
	}
	defer f.Close()
	flags := 0
	if filepath.Ext(module) != ".ko" {
		flags = unix.MODULE_INIT_COMPRESSED_FILE
	}
	if err := unix.FinitModule(int(f.Fd()), "", flags); !errors.Is(err, unix.EEXIST) {
		return err
	}
	return nil
}

// say says on the console what went wrong.
func say(what string, err error) {
	if err != nil {
		fmt.Printf("FAIL: %s: %v\n", what, err)
	}
}
