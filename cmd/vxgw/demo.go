package main

import (
	"errors"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"vxgw/test/demo"
)

func demoCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "demo",
		Short: "show a gateway at work, in network namespaces of its own",
		Long: `Builds two hosts, a gateway and a Linux kernel VTEP in network namespaces, sends
ARP, ping and TCP through them, shows two frames being refused and why, prints
what was learned and dropped, and takes everything away again. Needs root.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if os.Geteuid() != 0 {
				return errors.New("the demo makes network namespaces, which takes root: run it with sudo")
			}
			self, err := os.Executable()
			if err != nil {
				return err
			}
			ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP)
			defer stop()
			return demo.Run(ctx, cmd.OutOrStdout(), self)
		},
	}
}
