package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"vxgw/config"
	"vxgw/gateway/api"
)

// checkOptions are the flags of `vxgw check`.
type checkOptions struct {
	file, socket string
	diff, json   bool
}

func checkCommand() *cobra.Command {
	o := checkOptions{file: config.DefaultFile}
	c := &cobra.Command{
		Use:   "check",
		Short: "check a configuration, and print what it does",
		Long: `Reads a configuration, prints what a gateway with it would do, and its warnings.
Nothing is started. Exits with 2 when the file is not valid, after all that is
wrong with it, each as FILE:LINE:COL: message.

With --diff it prints what a reload would change in the running gateway, which
is asked, and what traffic each change touches: THING: CHANGE: EFFECT. Nothing
is changed. What is not named is not touched.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return o.run(cmd) },
	}
	f := c.Flags()
	f.StringVarP(&o.file, "config", "c", o.file, "configuration `FILE`")
	f.BoolVar(&o.diff, "diff", false, "print what a reload of it would change in the running gateway")
	f.BoolVar(&o.json, "json", false, "with --diff: print a JSON object")
	f.StringVar(&o.socket, "socket", "", "with --diff: control socket `PATH` of the gateway (default: $VXGW_SOCKET, or that of the configuration)")
	return c
}

func (o *checkOptions) run(cmd *cobra.Command) error {
	if !o.diff && (o.json || o.socket != "") {
		return usage(errors.New("--json and --socket go with --diff"))
	}
	text, err := config.Read(o.file)
	if err != nil {
		return invalid(err)
	}
	cfg, err := config.Parse(o.file, text)
	if err != nil {
		return invalid(err)
	}
	for _, w := range cfg.Warnings {
		fmt.Fprintf(cmd.ErrOrStderr(), "%s (warning)\n", w)
	}
	if o.diff {
		return o.printDiff(cmd, cfg, text)
	}
	_, err = io.WriteString(cmd.OutOrStdout(), cfg.Describe())
	return err
}

// client returns a client of the gateway that the file is for.
func (o *checkOptions) client(cmd *cobra.Command, cfg *config.Config) *api.Client {
	switch env := os.Getenv("VXGW_SOCKET"); {
	case o.socket != "":
		return api.NewClient(o.socket)
	case env != "" && !cmd.Flags().Changed("config"):
		return api.NewClient(env)
	}
	return api.NewClient(cfg.API.Socket)
}

func (o *checkOptions) printDiff(cmd *cobra.Command, cfg *config.Config, text []byte) error {
	client := o.client(cmd, cfg)
	defer client.Close()
	is, err := client.Diff(cmd.Context(), o.file, text)
	switch {
	case errors.Is(err, api.ErrInvalid):
		return invalid(err)
	case err != nil:
		return fmt.Errorf("%w\nThe file is valid. What it changes only a running gateway can tell: name the control socket of one with --socket; `vxgw check -c %s` prints what the file does by itself", err, o.file)
	}
	w := cmd.OutOrStdout()
	if o.json {
		e := json.NewEncoder(w)
		e.SetEscapeHTML(false) // arrows are in it
		return e.Encode(is)
	}
	restart := false
	for _, i := range is.Impacts {
		fmt.Fprintln(w, i)
		restart = restart || i.Restart
	}
	if restart {
		fmt.Fprintln(w, "what takes a restart: systemctl restart vxgw")
	}
	if len(is.Impacts) == 0 {
		fmt.Fprintln(w, "nothing changes")
		return nil
	}
	fmt.Fprintln(w, "nothing else is touched")
	return nil
}
