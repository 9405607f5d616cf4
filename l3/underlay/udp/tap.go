package udp

import (
	"fmt"
	"sync/atomic"

	"golang.org/x/net/bpf"

	"vxgw/l2/frame"
)

// Tap is a look at what comes in before the kernel's stack judges it.
type Tap interface {
	// ReadBatch blocks until at least one packet is there, then fills as many
	// of bufs as are ready and returns their number. The bytes start with the
	// IP header.
	ReadBatch(bufs []frame.Buffer) (int, error)

	// Close makes a ReadBatch that waits return with an error.
	Close() error
}

// tapBatch is how many suspicious packets are looked at in one go.
const tapBatch = 16

// watch counts what the kernel's stack refuses without telling the socket. It
// has a goroutine of its own, which ends when the tap fails or is closed.
type watch struct {
	tap       Tap
	judge     func(b []byte, full int) flaw
	fragments atomic.Uint64
	malformed atomic.Uint64
	done      chan struct{}
}

func openWatch(cfg *Config, groups *groupSet) (*watch, error) {
	j := judge{cfg.Address, cfg.Port, groups}
	w := &watch{judge: j.ipv4, done: make(chan struct{})}
	etherType := frame.TypeIPv4
	if cfg.Address.Is6() {
		w.judge, etherType = j.ipv6, frame.TypeIPv6
	}
	filter, err := bpf.Assemble(toThisHost(suspects(cfg.Address, cfg.Port)))
	if err != nil {
		return nil, fmt.Errorf("filter for damaged packets: %w", err)
	}
	if w.tap, err = cfg.OpenTap(etherType, filter); err != nil {
		return nil, fmt.Errorf("tap for damaged packets: %w", err)
	}
	go w.run()
	return w, nil
}

func (w *watch) run() {
	defer close(w.done)
	bufs := frame.NewBuffers(tapBatch, snapLen)
	for {
		n, err := w.tap.ReadBatch(bufs)
		if err != nil {
			return
		}
		for i := range bufs[:n] {
			w.look(&bufs[i])
		}
	}
}

func (w *watch) look(b *frame.Buffer) {
	switch w.judge(b.Bytes(), b.FullLen) {
	case fragment:
		w.fragments.Add(1)
	case malformed:
		w.malformed.Add(1)
	}
}

func (w *watch) close() error {
	err := w.tap.Close()
	<-w.done
	return err
}
