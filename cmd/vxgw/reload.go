package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"sync"
	"syscall"

	"github.com/spf13/cobra"

	"vxgw/config"
	"vxgw/gateway"
	"vxgw/gateway/api"
)

func reloadCommand() *cobra.Command {
	var g gatewayFlags
	c := &cobra.Command{
		Use:   "reload",
		Short: "apply the configuration file again, only what changed",
		Long: `Has the running gateway read its configuration file again and apply what is
different, as SIGHUP does. What did not change is not disturbed. A file that is
not valid changes nothing: every mistake is printed, and the exit code is 2.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			client, err := g.client()
			if err != nil {
				return err
			}
			defer client.Close()
			done, err := client.Reload(cmd.Context())
			if errors.Is(err, api.ErrInvalid) {
				return invalid(err)
			}
			if err != nil {
				return err
			}
			printReload(cmd.OutOrStdout(), done)
			return nil
		},
	}
	g.add(c)
	return c
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
}

// reloader applies the file that a gateway runs by, again.
type reloader struct {
	file  string
	gw    *gateway.Gateway
	log   *slog.Logger
	level *slog.LevelVar

	mu sync.Mutex // one reload at a time, from the file to the last change
}

func (r *reloader) reload() (api.Reloaded, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	cfg, err := config.Load(r.file)
	if err != nil {
		return api.Reloaded{}, notValid{err}
	}
	changes, err := r.gw.Reload(cfg)
	if err != nil {
		return api.Reloaded{}, notValid{err}
	}
	r.level.Set(logLevel(cfg.Log.Level))
	done := api.Reloaded{
		Changes:       append([]string{}, changes.Lines()...), // an empty list and not null
		RestartNeeded: append([]string{}, changes.RestartNeeded...),
		Warnings:      []string{},
	}
	for _, w := range cfg.Warnings {
		done.Warnings = append(done.Warnings, w.String())
	}
	r.log.Info("configuration reloaded", "file", r.file, "changes", len(done.Changes), "restart_needed", len(done.RestartNeeded))
	r.logChanges(done.Changes)
	return done, nil
}

// maxChanges is how many changes of a reload are logged one by one. A VNI with a
// thousand VTEPs is a thousand changes.
const maxChanges = 100

func (r *reloader) logChanges(all []string) {
	for _, line := range all[:min(len(all), maxChanges)] {
		r.log.Info("changed: " + line)
	}
	if more := len(all) - maxChanges; more > 0 {
		r.log.Info("changed: and more", "changes", more)
	}
}

// notValid is an error of the file, in the file's own words.
type notValid struct{ error }

func (e notValid) Is(target error) bool { return target == api.ErrInvalid }

func (e notValid) Unwrap() error { return e.error }

// onHangup reloads at SIGHUP until ctx ends.
func (r *reloader) onHangup(ctx context.Context) error {
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	defer signal.Stop(hup)
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-hup:
			if _, err := r.reload(); err != nil {
				r.log.Error("not reloaded: the gateway runs on as it was", "file", r.file, "err", err)
			}
		}
	}
}
