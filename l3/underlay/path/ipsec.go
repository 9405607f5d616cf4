package path

import (
	"errors"
	"fmt"
	"os"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// IPsec reports whether the host has IPsec policies (RFC 4301 section 4.4.1): then
// only its own stack knows which packets are to be encrypted, and which may come in
// that are not. A kernel without IPsec has none. The error wraps unix.EPERM without
// CAP_NET_ADMIN.
func (m *Monitor) IPsec() (bool, error) {
	m.requests.RLock()
	defer m.requests.RUnlock()
	if m.handle == nil {
		return false, os.ErrClosed
	}
	policies, err := m.handle.XfrmPolicyList(netlink.FAMILY_ALL)
	switch {
	case errors.Is(err, unix.EPROTONOSUPPORT), errors.Is(err, unix.EINVAL), errors.Is(err, unix.ECONNREFUSED):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("ask for IPsec policies: %w", err)
	}
	for i := range policies {
		// A socket's own policy is nobody else's.
		if d := policies[i].Dir; d == netlink.XFRM_DIR_OUT || d == netlink.XFRM_DIR_IN {
			return true, nil
		}
	}
	return false, nil
}
