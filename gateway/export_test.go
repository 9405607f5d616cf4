package gateway

import "vxgw/config"

// Apply makes a configuration the one that frames are forwarded by. Ports that
// it adds are not opened.
func (g *Gateway) Apply(cfg *config.Config) error { return g.tables.Apply(cfg) }
