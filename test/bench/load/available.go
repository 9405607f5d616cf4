package load

import (
	"errors"
	"fmt"
	"sync"

	"vxgw/test/netns"
)

// Available says why frames cannot be generated here, nil when they can.
var Available = sync.OnceValue(func() error {
	ns, err := netns.New("")
	if err != nil {
		return err
	}
	g, err := NewGenerator(ns, Stream{Frames: [][]byte{make([]byte, minFrame)}, Devices: []string{"lo"}})
	if err == nil {
		err = errors.Join(g.Send(1), g.Close()) // lo takes no redirected frames
	}
	if err = errors.Join(err, ns.Close()); err != nil {
		return fmt.Errorf("live frames of BPF take Linux 5.18: %w", err)
	}
	return nil
})
