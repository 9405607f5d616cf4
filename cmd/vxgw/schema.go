package main

import (
	"github.com/spf13/cobra"

	"vxgw/config"
)

func schemaCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "schema",
		Short: "print the configuration file's format as a JSON Schema",
		Long: `schema prints the format of the configuration file as a JSON Schema (draft 2020-12), by
which editors complete and check it. With Taplo or Even Better TOML, name the file in
the first line of the configuration:

  #:schema ./vxgw.schema.json`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := cmd.OutOrStdout().Write(config.JSONSchema())
			return err
		},
	}
}
