package raw

import (
	"errors"
	"fmt"
	"sync/atomic"
)

// Reader takes in frames of one interface that a Split picks, and sends nothing.
// Others get them all the same.
type Reader struct {
	rx     queues
	closed atomic.Bool
}

// OpenReader opens a Reader on an interface in the calling thread's network
// namespace. Frames that neither filter of cfg.Split takes do not come by it. The
// error is about what a Port works without, too: the ring and virtio-net headers.
func OpenReader(cfg Config) (*Reader, error) {
	r := &Reader{}
	index, err := cfg.index()
	if err == nil {
		var got Features
		err = r.rx.open(cfg, index, setVnetHeader, &got)
		err = errors.Join(err, got.Ring)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("read from %s: %w", cfg.name(), err), r.rx.close())
	}
	return r, nil
}

// Queues returns the receive queues.
func (r *Reader) Queues() (all []Queue) {
	for _, in := range r.rx.all {
		all = append(all, Queue{in})
	}
	return all
}

// Close ends the Reader. When it returns no frame is taken in any more. Those that
// were are still handed out to whoever reads, and then he gets net.ErrClosed; where
// nobody reads they are lost. A second Close does nothing.
func (r *Reader) Close() error {
	if r.closed.Swap(true) {
		return nil
	}
	return r.rx.stop()
}
