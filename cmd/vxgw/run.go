package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"vxgw/config"
	"vxgw/gateway"
	"vxgw/gateway/api"
	"vxgw/systemd"
)

func runCommand() *cobra.Command {
	file := config.DefaultFile
	c := &cobra.Command{
		Use:   "run",
		Short: "carry frames until stopped",
		Long: `Runs the gateway in the foreground until SIGTERM or SIGINT.

Exits with 0 when it was stopped, 1 when it could not go on, and 2 when the
configuration is not valid; then nothing was started.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := config.Load(file)
			if err != nil {
				return invalid(err)
			}
			ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGTERM, syscall.SIGINT)
			defer stop()
			return run(ctx, cfg, newLogger(os.Stderr, cfg.Log))
		},
	}
	c.Flags().StringVarP(&file, "config", "c", file, "configuration `FILE`")
	return c
}

// run runs a gateway with its control API and its watchdog until ctx ends.
func run(ctx context.Context, cfg *config.Config, log *slog.Logger) error {
	for _, w := range cfg.Warnings {
		log.Warn(w.String())
	}
	edges, err := gateway.Linux()
	if err != nil {
		return err
	}
	gw, err := gateway.New(cfg, edges, log)
	if err != nil {
		return err
	}
	server := api.New(gw, api.Options{
		Socket: cfg.API.Socket, HTTP: cfg.API.HTTP, Version: version, Revision: revision, Log: log,
	})
	eg, ctx := errgroup.WithContext(ctx)
	eg.Go(func() error { return server.Run(ctx) })
	eg.Go(func() error {
		// The socket first: it refuses a second gateway before that touches
		// what the first one has open.
		select {
		case <-server.Ready():
		case <-ctx.Done():
			return nil
		}
		return gw.Run(ctx)
	})
	gw.OnReady(func() {
		log.Info("ready", "gateway", cfg.Name, "vtep", cfg.Underlay.Address, "vnis", len(cfg.VNIs), "ports", len(cfg.Ports))
		systemd.Ready(fmt.Sprintf("VTEP %s, %d VNIs, %d ports", cfg.Underlay.Address, len(cfg.VNIs), len(cfg.Ports)))
	})
	eg.Go(func() error { return systemd.Watchdog(ctx, gw.Alive()) })
	eg.Go(func() error {
		<-ctx.Done()
		systemd.Stopping()
		return nil
	})
	err = eg.Wait()
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}
