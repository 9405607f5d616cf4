package main

import (
	"io"

	"github.com/spf13/cobra"

	"vxgw/config"
)

func sampleCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "sample",
		Short: "print a commented configuration",
		Args:  noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := io.WriteString(cmd.OutOrStdout(), config.Sample())
			return err
		},
	}
}
