package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"vxgw/gateway/api"
)

// maxFrameText is how much of standard input is taken for a frame, in bytes:
// the lines of tcpdump -xx for the longest frame need less.
const maxFrameText = 512 << 10

func explainCommand() *cobra.Command {
	var (
		g      gatewayFlags
		req    api.ExplainRequest
		vni    string
		asJSON bool
	)
	c := &cobra.Command{
		Use:   "explain {--port IF [--vni N] | --vtep ADDR --vni N} HEXFRAME",
		Short: "say what a frame would meet, without sending it",
		Long: `Asks the running gateway, step by step, what would become of a frame that comes
in at an access port or from a remote VTEP. Nothing is sent, learned or counted.

HEXFRAME is the frame from the destination MAC on, in hexadecimal; for a VTEP it
is the inner frame. Spaces, colons and 0x may stand in it. A single - reads it
from standard input, also as tcpdump -xx prints it.`,
		Example: `  vxgw explain --port eth1 ff:ff:ff:ff:ff:ff 02:00:00:00:01:01 0806 0001...
  vxgw explain --vtep 192.0.2.2 --vni 10010 - < frame.txt`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := fill(&req, vni, args, cmd.InOrStdin()); err != nil {
				return err
			}
			client, err := g.client()
			if err != nil {
				return err
			}
			defer client.Close()
			e, err := client.Explain(cmd.Context(), req)
			if err != nil {
				return err
			}
			if asJSON {
				return json.NewEncoder(cmd.OutOrStdout()).Encode(e)
			}
			return e.WriteText(cmd.OutOrStdout())
		},
	}
	f := c.Flags()
	f.StringVar(&req.Port, "port", "", "the frame comes in at access port `IF`")
	f.StringVar(&req.VTEP, "vtep", "", "the frame comes in from VTEP `ADDR`")
	f.StringVar(&vni, "vni", "", "... in VNI `N`; for a port it may be left out")
	f.BoolVar(&asJSON, "json", false, "print a JSON object")
	g.add(c)
	return c
}

// fill completes a request from the command line, and checks it.
func fill(req *api.ExplainRequest, vni string, args []string, stdin io.Reader) error {
	if vni != "" {
		n, err := api.ParseVNI(vni)
		if err != nil {
			return usage(err)
		}
		req.VNI = n
	}
	req.Frame = strings.Join(args, " ")
	if req.Frame == "-" {
		text, err := io.ReadAll(io.LimitReader(stdin, maxFrameText+1))
		if err != nil {
			return fmt.Errorf("reading the frame: %w", err)
		}
		if len(text) > maxFrameText {
			return usage(errors.New("standard input is longer than any frame"))
		}
		req.Frame = string(text)
	}
	if err := req.Check(); err != nil {
		return usage(err)
	}
	return nil
}
