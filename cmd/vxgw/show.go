package main

import (
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"vxgw/gateway/api"
)

// fileWidth is how wide a table is made that goes to a file or a pipe, in
// characters.
const fileWidth = 120

// narrowest is how narrow a table is made for a small terminal.
const narrowest = 80

// aliases are other names that people know things by.
var aliases = map[string][]string{
	"ports":      {"port"},
	"vnis":       {"vni"},
	"vteps":      {"vtep"},
	"macs":       {"mac", "fdb"},
	"neighbours": {"neighbour", "neighbors", "neigh"},
	"routes":     {"route"},
	"origins":    {"origin", "controllers"},
	"drops":      {"drop"},
}

// showOptions are the flags of `vxgw show`.
type showOptions struct {
	gatewayFlags
	json, all bool
	vni       string

	// of show drops
	frames bool
	reason string
}

func showCommand() *cobra.Command {
	o := &showOptions{}
	c := &cobra.Command{
		Use:   "show",
		Short: "show the live state of the gateway",
		Long: `Shows the live state of the running gateway as a table, or with --json as an
array of objects, one to a line. Needs to be root or in group ` + api.Group + `.`,
		Args: cobra.ArbitraryArgs,
		RunE: wantCommand,
	}
	c.PersistentFlags().BoolVar(&o.json, "json", false, "print a JSON array of objects")
	o.add(c)
	for _, r := range api.Resources {
		c.AddCommand(o.command(r))
	}
	return c
}

func (o *showOptions) command(r api.Resource) *cobra.Command {
	c := &cobra.Command{
		Use:     r.Name,
		Aliases: aliases[r.Name],
		Short:   r.Title,
		Args:    noArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return o.run(cmd, r) },
	}
	only := "only VNI `N`"
	if !r.ByVNI {
		only = "taken and not heeded: these are not kept by VNI `N`"
	}
	c.Flags().StringVar(&o.vni, "vni", "", only)
	if r.Name == "drops" {
		c.Flags().BoolVar(&o.all, "all", false, "also the reasons that did not occur (always in JSON)")
		c.Flags().BoolVar(&o.frames, "frames", false, "the frames that were dropped last: when, why, where, and what was in them")
		c.Flags().StringVar(&o.reason, "reason", "", "with --frames: only those of `REASON`")
	}
	return c
}

func (o *showOptions) run(cmd *cobra.Command, r api.Resource) error {
	v := api.View{Zeros: o.all, Width: width(cmd.OutOrStdout()), Now: time.Now()}
	if cmd.Flags().Changed("vni") {
		var err error
		if v.VNI, err = api.ParseVNI(o.vni); err != nil {
			return usage(err)
		}
		if !r.ByVNI {
			fmt.Fprintf(cmd.ErrOrStderr(), "%s are not kept by VNI: all are shown\n", r.Name)
			v.VNI = 0
		}
	}
	if o.reason != "" && !o.frames {
		return usagef("--reason goes with --frames: the counters are few enough to be shown all")
	}
	c, err := o.client()
	if err != nil {
		return err
	}
	defer c.Close()
	if o.frames {
		return o.dropFrames(cmd, c, v)
	}
	if o.json {
		return c.Copy(cmd.Context(), cmd.OutOrStdout(), r.Name, v.VNI)
	}
	return api.WriteTable(cmd.Context(), cmd.OutOrStdout(), c, r.Name, v)
}

// dropFrames shows the frames that were dropped last.
func (o *showOptions) dropFrames(cmd *cobra.Command, c *api.Client, v api.View) error {
	if o.json {
		body, err := c.DropFrames(cmd.Context(), o.reason)
		if err != nil {
			return err
		}
		return c.CopyAnswer(cmd.OutOrStdout(), body)
	}
	rows, err := api.ReadDropFrames(cmd.Context(), c, o.reason)
	if err != nil {
		return err
	}
	var counts []api.DropRow
	for row, err := range api.Rows[api.DropRow](cmd.Context(), c, "drops", 0) {
		if err != nil {
			return err
		}
		counts = append(counts, row)
	}
	return api.WriteDropFrames(cmd.OutOrStdout(), rows, counts, o.reason, v.Width)
}

// width is how wide the terminal behind w is, in characters; fileWidth where it
// is none.
func width(w any) int {
	if f, ok := w.(*os.File); ok {
		if ws, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ); err == nil && ws.Col > 0 {
			return max(narrowest, int(ws.Col))
		}
	}
	return fileWidth
}
