package image

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"testing"

	"vxgw/test/qemu"
)

// machine is an appliance in QEMU.
type machine struct {
	*qemu.Machine
	t       *testing.T
	dir     string
	control net.Listener
}

// start starts an appliance with three network cards, which it calls enp0s2 (access),
// enp0s3 (underlay) and enp0s4 (management, with a DHCP server and a way in by SSH, but
// none out).
func start(t *testing.T, dir, disk string, sshPort int, more ...string) (m *machine, access, underlay *qemu.Wire) {
	t.Helper()
	m = &machine{Machine: qemu.New(t, dir), t: t, dir: dir}
	m.control = m.Listen("qmp")
	access, underlay = m.Wire("access", "virtio-net-pci", "52:54:00:00:00:01", 2), m.Wire("underlay", "virtio-net-pci", qemu.Site.MAC.String(), 3)
	m.Start(append([]string{
		"-m", "1024", "-object", "rng-random,id=rng,filename=/dev/urandom", "-device", "virtio-rng-pci,rng=rng,addr=6",
		"-chardev", "socket,id=qmp,path=" + filepath.Join(dir, "qmp"), "-mon", "chardev=qmp,mode=control",
		"-drive", "file=" + disk + ",format=raw,if=none,id=disk,cache=unsafe,discard=unmap", "-device", "virtio-blk-pci,drive=disk,bootindex=1,addr=7",
		"-netdev", fmt.Sprintf("user,id=management,restrict=on,hostfwd=tcp:127.0.0.1:%d-:22", sshPort),
		"-device", "virtio-net-pci,netdev=management,addr=4,romfile=",
	}, more...)...)
	return m, access, underlay
}

// powerDown presses the button and waits for the machine to be off.
func (m *machine) powerDown() {
	m.t.Helper()
	conn, err := m.control.Accept()
	if err != nil {
		m.t.Fatal(err)
	}
	defer conn.Close()
	go io.Copy(io.Discard, conn) //nolint:errcheck // what it answers is of no interest
	for _, command := range []string{"qmp_capabilities", "system_powerdown"} {
		if err := json.NewEncoder(conn).Encode(map[string]string{"execute": command}); err != nil {
			m.t.Fatal(err)
		}
	}
	m.AwaitOff()
}
