package main

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"vxgw/config"
	"vxgw/gateway"
	"vxgw/gateway/api"
	"vxgw/gateway/commit"
	"vxgw/systemd"
)

func runCommand() *cobra.Command {
	file, o := config.DefaultFile, runOptions{state: stateDir()}
	c := &cobra.Command{
		Use:   "run",
		Short: "carry frames until stopped",
		Long: `Runs the gateway in the foreground until SIGTERM or SIGINT.

SIGHUP applies the file again, as vxgw reload does. A file that was applied with
vxgw reload --confirm and was not confirmed is not taken at a start: the gateway
runs by the one before, and says so.

Exits with 0 when it was stopped, 1 when it could not go on, and 2 when the
configuration is not valid; then nothing was started. An interface or an address
that is not there yet is waited for.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			begin, err := commit.Begin(file, o.state)
			if err != nil {
				return invalid(err)
			}
			cfg := begin.Config
			// Whoever reads the log may go away; frames are carried all the same.
			signal.Ignore(syscall.SIGPIPE)
			ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGTERM, syscall.SIGINT)
			defer stop()
			context.AfterFunc(ctx, stop) // a second one ends it whatever it does
			level := new(slog.LevelVar)
			level.Set(logLevel(cfg.Log.Level))
			format := logFormat(cfg.Log.Format)
			log := newLogger(os.Stderr, format, level)
			err = run(ctx, begin, log, level, o)
			// One who reads the log by program, or by priority, is told there.
			if err != nil && format != "text" {
				log.Error("stopped: " + err.Error())
				return coded{error: err, code: exitFailure, said: true}
			}
			return err
		},
	}
	c.Flags().StringVarP(&file, "config", "c", file, "configuration `FILE`")
	c.Flags().StringVar(&o.state, "state", o.state, "`DIR` to keep in what was confirmed last, while something else waits to be")
	c.Flags().BoolVar(&o.detach, "detach-on-exit", false, "take the fast path along at the end; otherwise it carries what it knows until the next start, or vxgw unload")
	return c
}

// runOptions are the flags of `vxgw run`.
type runOptions struct {
	state  string
	detach bool // leave nothing behind
}

// stateDir is where state is kept: what the service manager says, or its usual place.
func stateDir() string {
	if dir, _, _ := strings.Cut(os.Getenv("STATE_DIRECTORY"), ":"); dir != "" {
		return dir
	}
	return "/var/lib/vxgw"
}

// run runs a gateway with its control API and its watchdog until ctx ends. level
// is the log's, which a reload may change.
func run(ctx context.Context, begin *commit.Beginning, log *slog.Logger, level *slog.LevelVar, o runOptions) error {
	cfg := begin.Config
	begin.Tell(log)
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
	if o.detach {
		gw.LeaveNothing()
	}
	again := commit.New(begin, commit.Options{
		Gateway: gw, Log: log, Tell: gw.Tell, Applied: func(c *config.Config) { level.Set(logLevel(c.Log.Level)) },
	})
	defer again.Close()
	server := api.New(gw, api.Options{
		Socket: cfg.API.Socket, HTTP: cfg.API.HTTP, ReadGroup: cfg.API.ReadGroup, HTTPHosts: cfg.API.HTTPHosts,
		Version: version, Revision: revision, Log: log, Commit: again,
		ClearMACs: gw.ClearMACs, Origins: gw, Checks: gw.Checks, Doctor: gw.Doctor,
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
	eg.Go(func() error { return onHangup(working, again, log) })
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
		log.Warn("the service manager was not told that the gateway is ready", "err", err, "mend", "see that $NOTIFY_SOCKET is its socket; with systemd, Type=notify")
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
