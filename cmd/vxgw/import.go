package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"vxgw/gateway/migrate"
)

func importCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "import [BRIDGE...]",
		Short: "print the configuration that does what the kernel's bridges and vxlan devices do",
		Long: `Reads the bridges, vxlan devices, VLANs, forwarding tables, addresses and static
routes that the kernel of this machine has, and prints a configuration that does the
same. With BRIDGE it is of these bridges alone. Nothing is changed, and no rights are
needed.

What cannot be carried over is in it as comments that begin with "# !", each with what
to do. docs/migration.md has the way from one to the other and back.`,
		Example: `  vxgw import > vxgw.toml
  vxgw check -c vxgw.toml`,
		RunE: func(cmd *cobra.Command, bridges []string) error {
			is, err := migrate.FromKernel(bridges)
			if err != nil {
				return err
			}
			if _, err := io.WriteString(cmd.OutOrStdout(), is.TOML); err != nil {
				return err
			}
			if is.Notes > 0 {
				fmt.Fprintf(cmd.ErrOrStderr(), "Not carried over as it is: %d. The comments that begin with \"# !\" say what, and what to do.\n", is.Notes)
			}
			return nil
		},
	}
}
