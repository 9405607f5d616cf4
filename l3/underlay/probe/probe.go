// Package probe finds out, when somebody asks, whether VTEPs answer and whether packets
// of a length get to them whole. It claims only what it was told:
//
//   - An echo reply to a request of the length: it got there, and back.
//   - ICMP port unreachable to a datagram of the length, from the VTEP: it got there,
//     and nobody has the port.
//   - ICMP fragmentation needed, or packet too big, to either: it did not.
//
// Silence is none of them. A VTEP drops the datagrams, which have no I flag (RFC 7348
// section 5), without a word: what gets there and is taken is not answered.
package probe

import (
	"context"
	"net/netip"
	"sync"
	"time"

	"vxgw/l3/underlay/echo"
)

// Target is a VTEP, and the length of IP packet, in bytes, that is to get there.
type Target struct {
	Addr netip.Addr
	Size int // echo.Least..65535
}

// Answer is what came back for one target.
type Answer struct {
	Target
	Replied bool // to a short echo request
	Whole   bool // to one of the length
	Refused bool // it got a datagram of the length, and nobody has the port there

	// Narrow is the longest IP packet, in bytes, that a router on the way, or this
	// host, says is carried; 0: nobody said that the length is too much.
	Narrow int
	// By is who said so; the zero Addr: this host.
	By netip.Addr
}

// Carried reports whether a packet of the length got there for certain.
func (a *Answer) Carried() bool { return a.Whole || a.Refused }

// settled reports whether nothing more can be learned.
func (a *Answer) settled() bool { return a.Replied && (a.Whole || a.Narrow > 0) }

const (
	// rounds is how often a target is asked that has not answered, roundEvery apart.
	rounds     = 3
	roundEvery = 500 * time.Millisecond

	// aTime targets are asked, and then there is a pause: the answers of many would
	// come faster than sockets have room for.
	aTime = 32
	pause = 10 * time.Millisecond

	// linger is how long is listened on when all replied: that nobody has the port is
	// said a little later or sooner.
	linger = 100 * time.Millisecond
)

// Ask probes from own, an address of this host, in the network namespace of the calling
// thread; port is the UDP port of VXLAN. It takes rounds times roundEvery where somebody
// is silent. The error wraps unix.EPERM without CAP_NET_RAW.
func Ask(ctx context.Context, own netip.Addr, port uint16, targets []Target) ([]Answer, error) {
	echoes, err := echo.Open(own)
	if err != nil {
		return nil, err
	}
	datagrams, err := openDatagrams(own, port)
	if err != nil {
		_ = echoes.Close()
		return nil, err
	}
	a := newAsking(targets)
	var readers sync.WaitGroup
	readers.Go(func() { a.hearEchoes(echoes) })
	readers.Go(func() { datagrams.hear(a) })
	for range rounds {
		a.send(ctx, echoes, datagrams)
		if a.wait(ctx, roundEvery) {
			sleep(ctx, linger)
			break
		}
	}
	_ = echoes.Close()
	_ = datagrams.close()
	readers.Wait()
	return a.answers, ctx.Err()
}

// asking is one Ask under way.
type asking struct {
	at   map[netip.Addr]int // in answers
	news chan struct{}

	mu      sync.Mutex // guards answers
	answers []Answer
}

func newAsking(targets []Target) *asking {
	a := &asking{at: make(map[netip.Addr]int, len(targets)), news: make(chan struct{}, 1)}
	for _, t := range targets {
		if _, twice := a.at[t.Addr]; !twice {
			a.at[t.Addr] = len(a.answers)
			a.answers = append(a.answers, Answer{Target: t})
		}
	}
	return a
}

// note changes what is known of a target.
func (a *asking) note(of netip.Addr, f func(*Answer)) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if i, ok := a.at[of]; ok {
		f(&a.answers[i])
		select {
		case a.news <- struct{}{}:
		default:
		}
	}
}

// send asks those of whom something is not known yet.
func (a *asking) send(ctx context.Context, echoes *echo.Socket, datagrams *datagrams) {
	for i, t := range a.open() {
		if i%aTime == aTime-1 && !sleep(ctx, pause) {
			return
		}
		// What cannot be sent is not answered either, but for what this host itself
		// says is too long.
		datagrams.send(t)
		_ = echoes.Send(t.Addr, t.Size)
		_ = echoes.Send(t.Addr, echo.Least)
	}
}

func (a *asking) open() (targets []Target) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for i := range a.answers {
		if !a.answers[i].settled() {
			targets = append(targets, a.answers[i].Target)
		}
	}
	return targets
}

// wait reports whether everything is known, after d at the latest.
func (a *asking) wait(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	for {
		if len(a.open()) == 0 || ctx.Err() != nil {
			return true
		}
		select {
		case <-a.news:
		case <-ctx.Done():
		case <-t.C:
			return false
		}
	}
}

// hearEchoes hears replies until the socket is closed.
func (a *asking) hearEchoes(s *echo.Socket) {
	for {
		from, size, err := s.Read()
		if isClosed(err) {
			return
		} else if err != nil {
			continue // of a packet that went out before
		}
		a.note(from, func(is *Answer) {
			is.Replied = true
			is.Whole = is.Whole || size == is.Size
		})
	}
}

// tooBig notes that somebody says what the path carries.
func (a *asking) tooBig(of netip.Addr, mtu int, by netip.Addr) {
	a.note(of, func(is *Answer) {
		if mtu > 0 && mtu < is.Size && (is.Narrow == 0 || mtu < is.Narrow) {
			is.Narrow, is.By = mtu, by
		}
	})
}

func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
