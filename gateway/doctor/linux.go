package doctor

import (
	"os"
	"runtime"

	"golang.org/x/sys/unix"

	"vxgw/l3/underlay/path"
	"vxgw/l3/underlay/path/nftables"
	"vxgw/l3/underlay/probe"
)

// Open returns this machine where no gateway follows it, and what gives it back.
func Open() (m *Machine, closeIt func(), err error) {
	network, err := path.Open()
	if err != nil {
		return nil, nil, err
	}
	return Linux(network), func() { _ = network.Close() }, nil
}

// Linux returns this machine, as it is in the network namespace of the calling thread.
func Linux(network Network) *Machine {
	return &Machine{
		Files: os.DirFS("/"), CPUs: runtime.NumCPU(), Network: network,
		Buffers: buffers, Synchronised: synchronised,
		Rules: nftables.Read, Probe: probe.Ask, WhoHas: probe.WhoHas,
	}
}

// buffers has a socket ask for room as those of the gateway do.
func buffers(want int) (receive, send int, err error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, 0, os.NewSyscallError("socket", err)
	}
	defer unix.Close(fd)
	if receive, err = granted(fd, unix.SO_RCVBUFFORCE, unix.SO_RCVBUF, want); err != nil {
		return 0, 0, err
	}
	send, err = granted(fd, unix.SO_SNDBUFFORCE, unix.SO_SNDBUF, want)
	return receive, send, err
}

func granted(fd, force, usual, want int) (int, error) {
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, force, want) != nil {
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, usual, want)
	}
	doubled, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, usual) // socket(7)
	return doubled / 2, os.NewSyscallError("getsockopt", err)
}

// synchronised asks the kernel, which is told by whatever keeps the time.
func synchronised() (bool, error) {
	state, err := unix.ClockAdjtime(unix.CLOCK_REALTIME, &unix.Timex{})
	if err != nil {
		return false, os.NewSyscallError("clock_adjtime", err)
	}
	return state != unix.TIME_ERROR, nil
}
