package main

import (
	"os"

	"github.com/spf13/cobra"

	"vxgw/config"
	"vxgw/gateway/api"
)

// gatewayFlags say which gateway is asked.
type gatewayFlags struct {
	socket, file string
}

func (g *gatewayFlags) add(c *cobra.Command) {
	f := c.PersistentFlags()
	f.StringVar(&g.socket, "socket", "", "control socket `PATH` (default: $VXGW_SOCKET, or "+api.DefaultSocket+")")
	f.StringVarP(&g.file, "config", "c", "", "without --socket: take it from configuration `FILE`")
}

// client returns a client of the gateway that is meant: what the command line
// says goes before the environment, and that before the default.
func (g *gatewayFlags) client() (*api.Client, error) {
	switch env := os.Getenv("VXGW_SOCKET"); {
	case g.socket != "":
		return api.NewClient(g.socket), nil
	case g.file != "":
		cfg, err := config.Load(g.file)
		if err != nil {
			return nil, invalid(err)
		}
		return api.NewClient(cfg.API.Socket), nil
	case env != "":
		return api.NewClient(env), nil
	}
	return api.NewClient(api.DefaultSocket), nil
}
