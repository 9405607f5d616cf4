package main

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"vxgw/config"
	"vxgw/gateway"
	"vxgw/gateway/api"
	"vxgw/systemd"
)

func runCommand() *cobra.Command {
	file, detach := config.DefaultFile, false
	c := &cobra.Command{
		Use:   "run",
		Short: "carry frames until stopped",
		Long: `Runs the gateway in the foreground until SIGTERM or SIGINT.

SIGHUP applies the file again, as vxgw reload does.

Exits with 0 when it was stopped, 1 when it could not go on, and 2 when the
configuration is not valid; then nothing was started. An interface or an address
that is not there yet is waited for.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := config.Load(file)
			if err != nil {
				return invalid(err)
			}
			// Whoever reads the log may go away; frames are carried all the same.
			signal.Ignore(syscall.SIGPIPE)
			ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGTERM, syscall.SIGINT)
			defer stop()
			context.AfterFunc(ctx, stop) // a second one ends it whatever it does
			level := new(slog.LevelVar)
			level.Set(logLevel(cfg.Log.Level))
			log := newLogger(os.Stderr, cfg.Log, level)
			err = run(ctx, cfg, log, level, detach)
			// One who reads the log by program, or by priority, is told there.
			if err != nil && cfg.Log.Format != "text" {
				log.Error("stopped: " + err.Error())
				return coded{error: err, code: exitFailure, said: true}
			}
			return err
		},
	}
	c.Flags().StringVarP(&file, "config", "c", file, "configuration `FILE`")
	c.Flags().BoolVar(&detach, "detach-on-exit", false, "take the fast path along at the end; otherwise it carries what it knows until the next start, or vxgw unload")
	return c
}

// run runs a gateway with its control API and its watchdog until ctx ends. level
// is the log's, which a reload may change; detach has nothing left behind.
func run(ctx context.Context, cfg *config.Config, log *slog.Logger, level *slog.LevelVar, detach bool) error {
	logWarnings(cfg.Warnings, log)
	if err := gateway.CheckRights(log); err != nil {
		return err
	}
	edges, err := gateway.Linux()
	if err != nil {
		return err
	}
	gw, err := gateway.New(cfg, edges, log)
	if err != nil {
		return err
	}
	if detach {
		gw.LeaveNothing()
	}
	again := &reloader{file: cfg.File, gw: gw, log: log, level: level}
	server := api.New(gw, api.Options{
		Socket: cfg.API.Socket, HTTP: cfg.API.HTTP, Version: version, Revision: revision, Log: log, Reload: again.reload, Origins: gw,
	})
	eg, working := errgroup.WithContext(ctx)
	ready := make(chan struct{})
	gw.OnReady(func() { close(ready) })
	eg.Go(func() error { return server.Run(working) })
	eg.Go(func() error {
		// The socket first: it refuses a second gateway before that touches
		// what the first one has open.
		select {
		case <-server.Ready():
		case <-working.Done():
			return nil
		}
		return gw.Run(working)
	})
	eg.Go(func() error { return tellStatus(working, gw, ready, log) })
	eg.Go(func() error { return systemd.Watchdog(working, gw.Alive()) })
	eg.Go(func() error { return again.onHangup(working) })
	eg.Go(func() error {
		<-working.Done()
		if ctx.Err() != nil {
			log.Info("stopping", "reason", context.Cause(ctx))
		}
		_ = systemd.Stopping() // it ends either way
		return nil
	})
	err = eg.Wait()
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// maxWarnings is how many warnings of a configuration are logged at the start: of
// four thousand VNIs as many may have no port yet.
const maxWarnings = 20

func logWarnings(all []config.Problem, log *slog.Logger) {
	for _, w := range all[:min(len(all), maxWarnings)] {
		log.Warn(w.String())
	}
	if more := len(all) - maxWarnings; more > 0 {
		log.Warn("there is more in the configuration that is likely to surprise", "warnings", more, "mend", "`vxgw check` prints all of them")
	}
}

// statusEvery is how often the service manager's status line is compared with
// how the gateway does.
const statusEvery = time.Second

// tellStatus says that the gateway is ready once it is, and from then on how it
// does whenever that changes.
func tellStatus(ctx context.Context, gw *gateway.Gateway, ready <-chan struct{}, log *slog.Logger) error {
	select {
	case <-ready:
	case <-ctx.Done():
		return nil
	}
	was := gw.Status()
	log.Info("ready", "gateway", gw.Name(), "vtep", was.VTEP, "underlay", upOrDown(was.Underlay),
		"vnis", was.VNIs, "ports", was.Ports, "ports_up", was.PortsUp)
	if err := systemd.Ready(was.String()); err != nil {
		log.Warn(err.Error())
	}
	tick := time.NewTicker(statusEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if is := gw.Status(); is != was {
			was = is
			_ = systemd.Status(is.String()) // a line for people, who see the log too
		}
	}
}

func upOrDown(up bool) string {
	if up {
		return "up"
	}
	return "down"
}
