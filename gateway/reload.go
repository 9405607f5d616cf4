package gateway

import (
	"maps"
	"slices"

	"vxgw/config"
)

// Reload makes next the configuration that runs and returns what that changed.
// What the two have in common is not disturbed: its frames, counters, devices
// and learned MACs. Settings that take effect at a start only stay as they are
// and are named in Changes.RestartNeeded. The error names a bound that next
// exceeds, or what of it cannot run beside those settings; then nothing has changed.
func (g *Gateway) Reload(next *config.Config) (config.Changes, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	was := g.config()
	changes := config.Diff(was, next)
	is, err := config.Live(was, next)
	if err == nil {
		err = g.tables.Apply(is)
	}
	if err != nil {
		return config.Changes{}, err
	}
	g.cfg.Store(is)
	g.reloadPorts(is.Ports)
	g.paths.ask(allPaths)
	g.nudge()
	return changes, nil
}

// reloadPorts brings the list of ports into line with a configuration that is in
// force already. Those that it adds are opened by the supervisor.
func (g *Gateway) reloadPorts(want []config.Port) {
	had := make(map[string]*portState, len(g.ports))
	for _, p := range g.ports {
		had[p.cfg.Interface] = p
	}
	ports := make([]*portState, 0, len(want))
	for _, c := range want {
		p := had[c.Interface]
		if p == nil {
			p = g.newPort(c)
		}
		p.cfg = c
		ports = append(ports, p)
		delete(had, c.Interface)
	}
	g.ports = ports
	gone := slices.Collect(maps.Values(had))
	g.closePorts(gone)
	for _, p := range gone {
		g.log.Info("port removed", "port", p.cfg.Interface)
	}
}
