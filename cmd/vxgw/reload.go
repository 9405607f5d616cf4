package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"vxgw/gateway/api"
)

func reloadCommand() *cobra.Command {
	var (
		g       gatewayFlags
		confirm time.Duration
	)
	c := &cobra.Command{
		Use:   "reload",
		Short: "apply the configuration file again, only what changed",
		Long: `Has the running gateway read its configuration file again and apply what is
different, as SIGHUP does. What did not change is not disturbed; what takes a
restart is named, and the rest is applied. A file that is not valid changes
nothing: every mistake is printed, and the exit code is 2.

With --confirm what ran before comes back after that time, unless vxgw confirm
follows. Until then a reload without --confirm is refused, and so is SIGHUP; one
with it replaces the first one and begins a new time, after which all comes back
that ran before the first. A gateway that ends meanwhile begins with what ran
before. A roll-back does not change the file: correct it, and reload.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if cmd.Flags().Changed("confirm") {
				if err := api.CheckConfirm(confirm); err != nil {
					return usage(err)
				}
			}
			return g.ask(cmd.Context(), func(ctx context.Context, client *api.Client) error {
				done, err := client.Reload(ctx, confirm)
				if err == nil {
					printReload(cmd.OutOrStdout(), done)
				}
				return err
			})
		},
	}
	c.Flags().DurationVar(&confirm, "confirm", 0, "roll back after `TIME` (60s, 5m), unless vxgw confirm follows")
	g.add(c)
	return c
}

func confirmCommand() *cobra.Command {
	var g gatewayFlags
	c := &cobra.Command{
		Use:   "confirm",
		Short: "keep what vxgw reload --confirm has applied",
		Args:  noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return g.ask(cmd.Context(), func(ctx context.Context, client *api.Client) error {
				is, err := client.Confirm(ctx)
				if err == nil {
					fmt.Fprintf(cmd.OutOrStdout(), "confirmed: %s stays in force\n", is.File)
				}
				return err
			})
		},
	}
	g.add(c)
	return c
}

func rollbackCommand() *cobra.Command {
	var g gatewayFlags
	c := &cobra.Command{
		Use:   "rollback",
		Short: "undo what vxgw reload --confirm has applied, at once",
		Long: `Brings back what ran before vxgw reload --confirm without waiting for the time to
be over. The file is not changed.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return g.ask(cmd.Context(), func(ctx context.Context, client *api.Client) error {
				done, err := client.Rollback(ctx)
				if err == nil {
					printReload(cmd.OutOrStdout(), done)
					fmt.Fprintln(cmd.OutOrStdout(), "rolled back: the file still has the other one, correct it before a reload")
				}
				return err
			})
		},
	}
	g.add(c)
	return c
}

// ask asks the gateway that is meant.
func (g *gatewayFlags) ask(ctx context.Context, question func(context.Context, *api.Client) error) error {
	client, err := g.client()
	if err != nil {
		return err
	}
	defer client.Close()
	if err = question(ctx, client); errors.Is(err, api.ErrInvalid) {
		return invalid(err)
	}
	return err
}

func printReload(w io.Writer, done api.Reloaded) {
	if len(done.Changes) == 0 {
		fmt.Fprintln(w, "nothing changed")
	}
	for _, line := range done.Changes {
		fmt.Fprintln(w, line)
	}
	for _, line := range done.Warnings {
		fmt.Fprintln(w, "warning:", line)
	}
	if n := len(done.RestartNeeded); n > 0 {
		fmt.Fprintln(w, "what is marked \"at the next start\" takes effect then: systemctl restart vxgw")
	}
	if until := done.ConfirmUntil; until != nil {
		fmt.Fprintf(w, "not confirmed: rolled back at %s, unless `vxgw confirm` follows\n", until.Local().Format(time.TimeOnly))
	}
}

// onHangup reloads at SIGHUP until ctx ends.
func onHangup(ctx context.Context, c api.Committer, log *slog.Logger) error {
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	defer signal.Stop(hup)
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-hup:
			if _, err := c.Reload(0); err != nil {
				log.Error("not reloaded: the gateway runs on as it was", "file", c.Config().File, "err", err)
			}
		}
	}
}
