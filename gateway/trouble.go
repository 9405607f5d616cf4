package gateway

import (
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// quiet is how long a trouble that was told of is not told of again. What was
// left out is counted, and said with the next line.
const quiet = 30 * time.Second

// maxTroubles bounds the memory of what was said: beyond it the least recent
// is forgotten, and may be said again sooner.
const maxTroubles = 1024

// trouble logs what goes wrong while frames move, without letting a thousand
// frames a second become a thousand lines a second.
type trouble struct {
	log *slog.Logger

	mu   sync.Mutex // guards said; only taken when something went wrong
	said map[string]*said
}

type said struct {
	at      time.Time
	skipped int
}

// once logs a warning unless the same key was logged less than quiet ago.
func (t *trouble) once(key, msg string, args ...any) {
	skipped, ok := t.due(key, time.Now())
	if !ok {
		return
	}
	if skipped > 0 {
		args = append(args, "not_shown", skipped)
	}
	t.log.Warn(msg, args...)
}

func (t *trouble) due(key string, now time.Time) (skipped int, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.said[key]
	if s == nil {
		if t.said == nil {
			t.said = make(map[string]*said)
		}
		if len(t.said) >= maxTroubles {
			t.forgetOldest()
		}
		t.said[key] = &said{at: now}
		return 0, true
	}
	if now.Sub(s.at) < quiet {
		s.skipped++
		return 0, false
	}
	skipped, s.skipped, s.at = s.skipped, 0, now
	return skipped, true
}

func (t *trouble) forgetOldest() {
	oldest := ""
	for key, s := range t.said {
		if oldest == "" || s.at.Before(t.said[oldest].at) {
			oldest = key
		}
	}
	delete(t.said, oldest)
}

// port tells of an error in sending to, or reading from, an access port.
func (t *trouble) port(name string, err error) {
	t.once("port "+name+errno(err).Error(), "frames lost at an access port", "port", name, "err", err, "mend", mendPort(err, name))
}

// underlay tells of an error in sending to, or reading from, the underlay.
func (t *trouble) underlay(err error) {
	t.once("underlay "+errno(err).Error(), "packets lost at the underlay", "err", err, "mend", mendUnderlay(err))
}

// mendLacks is about what the kernel has not or does not let this process have.
const mendLacks = "frames are carried all the same, slower: CAP_NET_ADMIN, CAP_BPF and CAP_PERFMON (the systemd unit has them) or a newer kernel lift it; `vxgw show datapath` has the rest"

func errno(err error) error {
	var e unix.Errno
	if errors.As(err, &e) {
		return e
	}
	return err
}

func isDown(err error) bool {
	return errors.Is(err, unix.ENETDOWN)
}

func mendPort(err error, name string) string {
	switch {
	case errors.Is(err, unix.EMSGSIZE):
		return fmt.Sprintf("the frames are longer than %s takes: raise its MTU, or lower the hosts'", name)
	case errors.Is(err, unix.ENOBUFS), errors.Is(err, unix.EAGAIN):
		return fmt.Sprintf("%s sends slower than frames come: look at its speed and at `ip -s link show %s`", name, name)
	case errors.Is(err, unix.ENETDOWN), errors.Is(err, unix.ENODEV), errors.Is(err, unix.ENXIO):
		return fmt.Sprintf("%s is down or gone: ip link show %s", name, name)
	}
	return fmt.Sprintf("look at `ip -s link show %s`", name)
}

func mendUnderlay(err error) string {
	switch {
	case errors.Is(err, unix.EPERM), errors.Is(err, unix.EACCES):
		return "a firewall or policy rule refuses it: `nft list ruleset` (output), `ip rule`"
	case errors.Is(err, unix.ENETUNREACH), errors.Is(err, unix.EHOSTUNREACH):
		return "there is no route to a VTEP: `ip route get ADDRESS`"
	case errors.Is(err, unix.EMSGSIZE):
		return "packets are longer than the underlay MTU: raise it by 50 (IPv4) or 70 (IPv6)"
	case errors.Is(err, unix.ENOBUFS), errors.Is(err, unix.EAGAIN):
		return "the underlay sends slower than frames come: look at its speed and queues"
	}
	return "look at `ip route` and `ip -s link`"
}

// answersPerSecond bounds the ICMP errors that the gateway sends in a bridge's
// place (RFC 1812 section 4.3.2.8).
const answersPerSecond = 100

// heartbeat shows that a worker still goes round.
type heartbeat struct{ beats atomic.Uint64 }

func (h *heartbeat) tick() { h.beats.Add(1) }
