package main

import (
	"strings"
	"time"

	"github.com/spf13/cobra"

	"vxgw/cmd/vxgw/top"
	"vxgw/gateway/api"
)

func topCommand() *cobra.Command {
	var (
		g     gatewayFlags
		o     top.Options
		batch bool
		times int
	)
	c := &cobra.Command{
		Use:   "top",
		Short: "a live terminal view: rates, drops and what they mean, MACs",
		Long: `Shows the running gateway live: tables of ports, VNIs, VTEPs, drops and MACs, with
rates of what came in (rx) and went out (tx) since the poll before. ? lists the keys. A
gateway that is started anew is waited for. Without colours where NO_COLOR is set.

With -b it writes plain text for scripts: all rows of one table, -n times.

Needs to be root or in group ` + api.Group + `, or in the group of [api] read_group.`,
		Example: `  vxgw top
  vxgw top --tab drops -d 5s
  vxgw top -b -n 1 --tab vteps --sort tx-bit/s`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := o.Check(); err != nil {
				return usage(err)
			}
			in, out := cmd.InOrStdin(), cmd.OutOrStdout()
			switch {
			case times < 0:
				return usagef("-n %d: write how many times, or 0 for no end", times)
			case cmd.Flags().Changed("times") && !batch:
				return usagef("-n goes with -b: in a terminal q ends it")
			case !batch && !(isTerminal(in) && isTerminal(out)):
				return usagef("top needs a terminal to read keys from and to draw in: `vxgw top -b` writes text, and `vxgw show ports` (vnis, vteps, drops, macs) the counters")
			}
			client, err := g.client()
			if err != nil {
				return err
			}
			defer client.Close()
			if batch {
				return top.Batch(cmd.Context(), client, out, cmd.ErrOrStderr(), o, times, width(out))
			}
			return top.Run(cmd.Context(), client, in, out, o)
		},
	}
	f := c.Flags()
	f.DurationVarP(&o.Every, "delay", "d", 2*time.Second, "`TIME` between polls, 1s or more")
	f.StringVarP(&o.Tab, "tab", "t", "", "begin with table `NAME`: "+strings.Join(top.TabNames(), ", "))
	f.StringVar(&o.Filter, "filter", "", "only rows that have all `WORDS` in them; of macs: digits of a MAC, a port, a VTEP")
	f.StringVar(&o.Sort, "sort", "", "sort by `COLUMN`, as its head has it: numbers from the largest")
	f.BoolVarP(&o.Reverse, "reverse", "r", false, "sort the other way round")
	f.BoolVarP(&batch, "batch", "b", false, "write plain text instead of drawing, for scripts")
	f.IntVarP(&times, "times", "n", 0, "with -b: `N` times; 0: for ever")
	g.add(c)
	return c
}
