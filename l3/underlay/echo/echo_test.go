package echo

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"testing"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// Requests of every length are answered by this host's own stack, and replies say how
// long the request was. Another socket's are passed over. It needs root.
func TestEcho(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("raw sockets take root: make test runs this")
	}
	for _, addr := range []string{"127.0.0.1", "::1"} {
		t.Run(addr, func(t *testing.T) {
			own := netip.MustParseAddr(addr)
			s, err := Open(own)
			if errors.Is(err, unix.EADDRNOTAVAIL) {
				t.Skip("this machine has no such address")
			}
			if err != nil {
				t.Fatal(err)
			}
			other, err := Open(own)
			if err != nil {
				t.Fatal(err)
			}
			defer other.Close()
			for _, size := range []int{Least, Least + 1, 576, 1280, 1500, 9000, 30000, 65535} {
				if err := other.Send(own, 1000); err != nil {
					t.Fatal(err)
				}
				err := s.Send(own, size)
				if errors.Is(err, unix.EMSGSIZE) && size == 65535 {
					continue // the loopback device carries 65536 bytes with their header, or less
				}
				if err != nil {
					t.Fatalf("%d bytes: %v", size, err)
				}
				if from, n, err := s.Read(); err != nil || from != own || n != size {
					t.Fatalf("%d bytes from %v, %v; want %d from %v", n, from, err, size, own)
				}
			}
			for _, size := range []int{0, Least - 1, 65536, -1} {
				if s.Send(own, size) == nil {
					t.Errorf("%d bytes are sent", size)
				}
			}
			ended := make(chan error)
			go func() { _, _, err := s.Read(); ended <- err }()
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			if err := <-ended; !errors.Is(err, net.ErrClosed) {
				t.Errorf("Read ends with %v", err)
			}
		})
	}
}

// An address that nobody here holds says so.
func TestEchoFromElsewhere(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("raw sockets take root: make test runs this")
	}
	if _, err := Open(netip.MustParseAddr("203.0.113.200")); !errors.Is(err, unix.EADDRNOTAVAIL) {
		t.Errorf("%v, want EADDRNOTAVAIL", err)
	}
}
