package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"vxgw/config"
	"vxgw/gateway/api"
	"vxgw/gateway/doctor"
)

// doctorOptions are the flags of `vxgw doctor`.
type doctorOptions struct {
	file, socket  string
	json, noProbe bool
}

func doctorCommand() *cobra.Command {
	o := doctorOptions{file: config.DefaultFile}
	c := &cobra.Command{
		Use:   "doctor",
		Short: "look at the machine, and say what mends it",
		Long: `Looks at all that a gateway needs of its machine: paths and their MTU, neighbours,
sysctls, drivers, limits, rights, packet filters. Each line is OK, WARN, FAIL or NOTE
(not known), the name of the check, and what was found, with the command that mends
it. Nothing is changed.

The gateway that runs is asked, and looks itself. Where none answers, the
configuration file is gone by, and what this command may see. Packets of full length
are sent to VTEPs unless --no-probe says not to.

Exits with 1 when anything FAILs.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return o.run(cmd) },
	}
	f := c.Flags()
	f.StringVarP(&o.file, "config", "c", o.file, "configuration `FILE`: of the gateway that is asked, and gone by where none answers")
	f.StringVar(&o.socket, "socket", "", "control socket `PATH` (default: $VXGW_SOCKET, or that of the configuration)")
	f.BoolVar(&o.json, "json", false, "print a JSON array of objects")
	f.BoolVar(&o.noProbe, "no-probe", false, "send nothing to VTEPs")
	return c
}

func (o *doctorOptions) run(cmd *cobra.Command) error {
	cfg, bad := config.Load(o.file)
	found, err := o.ask(cmd, cfg, bad)
	if err != nil {
		return err
	}
	w := cmd.OutOrStdout()
	if o.json {
		e := json.NewEncoder(w)
		e.SetEscapeHTML(false) // commands are in it
		err = e.Encode(found)
	} else {
		err = doctor.Write(w, found)
	}
	if err == nil && doctor.Failed(found) {
		return coded{error: errors.New("something does not work"), code: exitFailure, said: true}
	}
	return err
}

// ask asks the gateway, or looks here where there is none. bad is why there is no
// configuration.
func (o *doctorOptions) ask(cmd *cobra.Command, cfg *config.Config, bad error) ([]api.Check, error) {
	socket := o.where(cmd, cfg)
	client := api.NewClient(socket)
	defer client.Close()
	found, err := client.Doctor(cmd.Context(), !o.noProbe)
	if err == nil {
		return found, nil
	}
	if !errors.Is(err, api.ErrNoGateway) {
		fmt.Fprintf(cmd.ErrOrStderr(), "%v: looking from here\n", err)
	}
	return o.look(cmd.Context(), &doctor.Subject{Config: cfg, Socket: socket}, bad)
}

// where is the control socket of the gateway that is meant.
func (o *doctorOptions) where(cmd *cobra.Command, cfg *config.Config) string {
	switch env := os.Getenv("VXGW_SOCKET"); {
	case o.socket != "":
		return o.socket
	case env != "" && !cmd.Flags().Changed("config"):
		return env
	case cfg != nil:
		return cfg.API.Socket
	}
	return api.DefaultSocket
}

func (o *doctorOptions) look(ctx context.Context, s *doctor.Subject, bad error) ([]api.Check, error) {
	machine, closeIt, err := doctor.Open()
	if err != nil {
		return nil, err
	}
	defer closeIt()
	s.Machine = machine
	found := doctor.Run(ctx, s, !o.noProbe)
	if bad != nil {
		found = append([]api.Check{doctor.NoConfig(o.file, bad)}, found...)
	}
	return found, ctx.Err()
}
