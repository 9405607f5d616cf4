package main

import "github.com/spf13/cobra"

// helpCommand stands in for cobra's own, which answers a question about a
// command that does not exist with the help of the one above it.
func helpCommand(root *cobra.Command) *cobra.Command {
	return &cobra.Command{
		Use:   "help [COMMAND]",
		Short: "say what a command does",
		RunE: func(_ *cobra.Command, args []string) error {
			cmd, rest, err := root.Find(args)
			switch {
			case err != nil:
				return usage(err)
			case len(rest) > 0 && cmd.HasAvailableSubCommands():
				return wantCommand(cmd, rest)
			case len(rest) > 0:
				return usagef("%s has no commands: leave %q out", cmd.CommandPath(), rest[0])
			}
			return cmd.Help()
		},
	}
}
