package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"vxgw/config"
)

func checkCommand() *cobra.Command {
	file := config.DefaultFile
	c := &cobra.Command{
		Use:   "check",
		Short: "check a configuration, and print what it does",
		Long: `Reads a configuration, prints what a gateway with it would do, and its warnings.
Nothing is started. Exits with 2 when the file is not valid, after all that is
wrong with it, each as FILE:LINE:COL: message.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := config.Load(file)
			if err != nil {
				return invalid(err)
			}
			for _, w := range cfg.Warnings {
				fmt.Fprintf(cmd.ErrOrStderr(), "%s (warning)\n", w)
			}
			_, err = io.WriteString(cmd.OutOrStdout(), cfg.Describe())
			return err
		},
	}
	c.Flags().StringVarP(&file, "config", "c", file, "configuration `FILE`")
	return c
}
