// Command vxgw is a VXLAN-to-VLAN gateway: the daemon and the tools to run it.
package main

import (
	"context"
	"io"
	"os"
	"os/signal"

	"github.com/spf13/cobra"
)

func main() {
	// An interrupt ends a question that is being asked. `run` and `demo`
	// listen for the signals that end them too.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	context.AfterFunc(ctx, stop) // and a second one ends it whatever it does
	code := execute(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	os.Exit(code)
}

// execute runs one command line and returns its exit code.
func execute(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	root := rootCommand()
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	started := false
	noteStart(root, &started)
	cmd, err := root.ExecuteContextC(ctx)
	if err != nil && !started {
		err = usage(err) // what cobra refuses before a command begins is the command line
	}
	return report(stderr, cmd, err)
}

// noteStart sets *started once any command begins its work.
func noteStart(c *cobra.Command, started *bool) {
	if work := c.RunE; work != nil {
		c.RunE = func(cmd *cobra.Command, args []string) error {
			*started = true
			return work(cmd, args)
		}
	}
	for _, sub := range c.Commands() {
		noteStart(sub, started)
	}
}

// packagers are commands that only a build for packagers has.
var packagers []func() *cobra.Command

func rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "vxgw",
		Short: "VXLAN-to-VLAN gateway",
		Long: `vxgw carries Ethernet frames between untagged access ports and VXLAN.

Begin with "vxgw sample", write /etc/vxgw/vxgw.toml from it, and let
"vxgw check" say what it means.`,
		Version:       versionText(),
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cobra.ArbitraryArgs, // so that our own error names what there is
		RunE:          func(cmd *cobra.Command, args []string) error { return wantCommand(cmd, args) },
	}
	root.SetHelpCommand(helpCommand(root))
	root.SetVersionTemplate("{{.Version}}\n")
	root.AddCommand(
		runCommand(), checkCommand(), reloadCommand(), confirmCommand(), rollbackCommand(), unloadCommand(), showCommand(), topCommand(), clearCommand(), eventsCommand(), explainCommand(), captureCommand(),
		doctorCommand(), sampleCommand(), importCommand(), schemaCommand(), demoCommand(), versionCommand(),
	)
	for _, command := range packagers {
		root.AddCommand(command())
	}
	return root
}
