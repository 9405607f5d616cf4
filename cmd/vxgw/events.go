package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"vxgw/gateway/api"
	"vxgw/gateway/events"
)

// askAgain is how long a listener waits for a gateway that has gone.
const askAgain = time.Second

func eventsCommand() *cobra.Command {
	var (
		g      gatewayFlags
		l      api.Listening
		vni    string
		asJSON bool
	)
	c := &cobra.Command{
		Use:   "events",
		Short: "follow what happens, as it happens",
		Long: `Prints what happens in the running gateway, a line each, until interrupted: MACs
learned, moved and gone, ports up and down, VTEPs, IP neighbours, controllers, reloads
and what becomes of those that wait to be confirmed, and that frames are dropped. A
gateway that is started anew is waited for, and what was missed is told; "resync" says
that more happened than can be.

Needs to be root or in group ` + api.Group + `, or in the group of [api] read_group.`,
		Example: `  vxgw events --types mac_moved,port
  vxgw events --vni 10010 --snapshot --json`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := new(events.Filter).Want(l.Types); err != nil {
				return usage(err)
			}
			if cmd.Flags().Changed("vni") {
				var err error
				if l.VNI, err = api.ParseVNI(vni); err != nil {
					return usage(err)
				}
			}
			client, err := g.client()
			if err != nil {
				return err
			}
			defer client.Close()
			return follow(cmd.Context(), client, &l, printer(cmd.OutOrStdout(), asJSON), cmd.ErrOrStderr())
		},
	}
	f := c.Flags()
	f.StringVar(&l.Types, "types", "", "only `TYPES`, separated by commas: mac_moved, or mac for all of a kind")
	f.StringVar(&vni, "vni", "", "of what is kept by VNI only VNI `N`")
	f.BoolVar(&l.Snapshot, "snapshot", false, "begin with what there is")
	f.BoolVar(&asJSON, "json", false, "print a JSON object a line")
	g.add(c)
	return c
}

// printer returns what prints an event.
func printer(w io.Writer, asJSON bool) func(events.Event) error {
	if asJSON {
		out := json.NewEncoder(w)
		return func(e events.Event) error { return out.Encode(e) }
	}
	return func(e events.Event) error {
		_, err := fmt.Fprintln(w, e)
		return err
	}
}

// follow prints events until ctx ends. A gateway that cannot be asked at the start is an
// error; one that goes later is waited for.
func follow(ctx context.Context, c *api.Client, l *api.Listening, print func(events.Event) error, stderr io.Writer) error {
	heard, said := false, false
	for {
		var last error
		for e, err := range c.Listen(ctx, l) {
			if last = err; err != nil {
				break
			}
			heard, said = true, false
			if err := print(e); err != nil {
				return err
			}
		}
		// After an id, though nothing was told of yet.
		heard = heard || l.After != 0
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case !heard:
			return last
		case !said:
			fmt.Fprintf(stderr, "%v\nwaiting for it to be back\n", last)
			said = true
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(askAgain):
		}
	}
}
