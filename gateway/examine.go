package gateway

import (
	"context"

	"vxgw/gateway/api"
	"vxgw/gateway/doctor"
)

// Checks looks at the machine as far as that is cheap, for the dashboard.
func (g *Gateway) Checks() []api.Check {
	if g.edges.Machine == nil {
		return nil
	}
	return doctor.Panel(context.Background(), g.subject())
}

// Doctor looks at the machine. With probes it sends packets to VTEPs too, and takes some
// seconds.
func (g *Gateway) Doctor(ctx context.Context, probes bool) []api.Check {
	if g.edges.Machine == nil {
		return []api.Check{}
	}
	return doctor.Run(ctx, g.subject(), probes)
}

func (g *Gateway) subject() *doctor.Subject {
	return &doctor.Subject{Machine: g.edges.Machine, Config: g.config(), Live: g}
}

// examineAtStart logs what of the machine loses packets that nobody counts.
func (g *Gateway) examineAtStart(ctx context.Context) {
	if g.edges.Machine != nil {
		doctor.LogStart(ctx, g.subject(), g.log)
	}
}
