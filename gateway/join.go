package gateway

import (
	"vxgw/gateway/forward"
	"vxgw/l2/frame"
)

// write sends frames to a port, in fewer pieces where it takes super-frames. What
// is counted stays what it was: a status for each frame.
func (t *transmit) write(p *forward.Port, frames []frame.Out) error {
	if t.joiner == nil || !p.Dev.CarriesOffload() {
		return p.Dev.WriteBatch(frames)
	}
	err := p.Dev.WriteBatch(t.joiner.Coalesce(frames, p.MTU))
	t.joiner.Settle(frames)
	return err
}
