package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"vxgw/test/netns"
)

// A daemon is a program that runs until it is told to end.
type daemon struct {
	cmd   *netns.Cmd
	ended chan struct{} // closed when it has
	err   error         // of its end; to be read then, as is log
	log   bytes.Buffer
}

// startDaemon starts a program in a namespace, with more in its environment. It
// outlives ctx, to be stopped in good order.
func startDaemon(ctx context.Context, ns *netns.NS, env []string, program string, args ...string) (*daemon, error) {
	d := &daemon{cmd: ns.Command(context.WithoutCancel(ctx), program, args...), ended: make(chan struct{})}
	d.cmd.Env = append(os.Environ(), env...)
	d.cmd.Stdout, d.cmd.Stderr = &d.log, &d.log
	// A process group of its own keeps the terminal's Ctrl-C away from it.
	d.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := d.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", program, err)
	}
	go func() {
		d.err = d.cmd.Wait()
		close(d.ended)
	}()
	return d, nil
}

func (d *daemon) pid() int { return d.cmd.Process.Pid }

// patience is how long something may take that ought to be at once, to open a
// thousand ports included.
const patience = time.Minute

// stop ends it in good order, or by force when it does not. A program that has no
// other way to end than by the signal may end by it.
func (d *daemon) stop(bySignal bool) error {
	if err := d.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	force := time.AfterFunc(patience, func() { _ = d.cmd.Process.Kill() })
	defer force.Stop()
	<-d.ended
	if d.err == nil || bySignal && terminated(d.cmd.ProcessState) {
		return nil
	}
	return fmt.Errorf("%s did not end in good order: %w\n%s", d.cmd.Path, d.err, d.log.String())
}

// terminated reports whether SIGTERM ended a process.
func terminated(s *os.ProcessState) bool {
	status, ok := s.Sys().(syscall.WaitStatus)
	return ok && status.Signaled() && status.Signal() == syscall.SIGTERM
}

// awaitFile returns when a file is there that the daemon makes.
func (d *daemon) awaitFile(ctx context.Context, name string) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		if _, err := os.Stat(name); !errors.Is(err, os.ErrNotExist) {
			return err
		}
		select {
		case <-d.ended:
			return fmt.Errorf("%s has ended: %w\n%s", d.cmd.Path, d.err, d.log.String())
		case <-ctx.Done():
			return fmt.Errorf("%s makes no %s: %w", d.cmd.Path, name, context.Cause(ctx))
		case <-time.After(time.Millisecond):
		}
	}
}
