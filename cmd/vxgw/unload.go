package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"strings"

	"github.com/spf13/cobra"

	"vxgw/gateway"
)

func unloadCommand() *cobra.Command {
	var g gatewayFlags
	c := &cobra.Command{
		Use:   "unload",
		Short: "end the fast path that a stopped gateway has left",
		Long: `A gateway that was stopped, or ended otherwise, leaves its XDP programs at the
interfaces: what they know they carry until it runs again. This takes them away, with
all that they have pinned in the BPF file system. It is refused while a gateway
runs: end that with run --detach-on-exit, or stop it first.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			client, err := g.client()
			if err != nil {
				return err
			}
			defer client.Close()
			if client.Copy(cmd.Context(), io.Discard, "datapath", 0) == nil {
				return errors.New("a gateway is running: stop it first")
			}
			interfaces, err := gateway.Unload()
			if err != nil {
				return err
			}
			printUnloaded(cmd, interfaces)
			return nil
		},
	}
	g.add(c)
	return c
}

func printUnloaded(cmd *cobra.Command, interfaces []int) {
	if len(interfaces) == 0 {
		fmt.Fprintln(cmd.OutOrStdout(), "nothing was left")
		return
	}
	names := make([]string, len(interfaces))
	for i, index := range interfaces {
		names[i] = fmt.Sprintf("interface %d, which is gone", index)
		if l, err := net.InterfaceByIndex(index); err == nil {
			names[i] = l.Name
		}
	}
	fmt.Fprintln(cmd.OutOrStdout(), "XDP taken away from "+strings.Join(names, ", "))
}
