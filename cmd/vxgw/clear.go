package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"vxgw/gateway/api"
)

func clearCommand() *cobra.Command {
	var g gatewayFlags
	c := &cobra.Command{
		Use:   "clear",
		Short: "have the gateway forget what it has learned",
		Args:  cobra.ArbitraryArgs,
		RunE:  wantCommand,
	}
	g.add(c)
	c.AddCommand(clearMACCommand(&g))
	return c
}

func clearMACCommand(g *gatewayFlags) *cobra.Command {
	var (
		req api.ClearRequest
		vni string
	)
	c := &cobra.Command{
		Use:     "mac {MAC | --all | --port IF | --vtep ADDR} [--vni N]",
		Aliases: []string{"macs"},
		Short:   "forget learned MACs, and let go of those that are held",
		Long: `Has the running gateway forget a learned MAC address, or all of them, or those
behind an access port or a remote VTEP. A MAC that moved too often and is held is let
go. What still sends is learned again at once. Static entries stay.`,
		Example: `  vxgw clear mac 02:00:00:00:01:02
  vxgw clear mac --port eth1 --vni 10010`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				req.MAC = args[0]
			}
			if cmd.Flags().Changed("vni") {
				var err error
				if req.VNI, err = api.ParseVNI(vni); err != nil {
					return usage(err)
				}
			}
			if err := req.Check(); err != nil {
				return usage(err)
			}
			client, err := g.client()
			if err != nil {
				return err
			}
			defer client.Close()
			done, err := client.ClearMACs(cmd.Context(), req)
			if err != nil {
				return err
			}
			printCleared(cmd.OutOrStdout(), done)
			return nil
		},
	}
	f := c.Flags()
	f.BoolVar(&req.All, "all", false, "every learned MAC")
	f.StringVar(&req.Port, "port", "", "those behind access port `IF`")
	f.StringVar(&req.VTEP, "vtep", "", "those behind VTEP `ADDR`")
	f.StringVar(&vni, "vni", "", "only in VNI `N`")
	return c
}

func printCleared(w io.Writer, done api.Cleared) {
	switch {
	case done.MACs == 0:
		fmt.Fprintln(w, "nothing to forget: there is no such learned MAC")
	case done.Held > 0:
		fmt.Fprintf(w, "MACs forgotten: %d, of which %d were held\n", done.MACs, done.Held)
	default:
		fmt.Fprintf(w, "MACs forgotten: %d\n", done.MACs)
	}
}
