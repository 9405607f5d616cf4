// Command bench measures the gateway against the Linux kernel's own bridge +
// vxlan in the same place of the same topology, and writes docs/performance.md.
// It is run by `make bench`, as root. Everything it makes is in network
// namespaces of its own, and is taken away again.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"vxgw/test/bench/load"
	"vxgw/test/bench/report"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, unix.SIGTERM, unix.SIGHUP)
	defer stop()
	if err := execute(ctx, os.Args[1:], os.Stdout); err != nil {
		if ctx.Err() != nil {
			err = fmt.Errorf("interrupted: %w", err) // which may tell of what could not be taken away
		}
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// options are what is on the command line.
type options struct {
	vxgw    string
	rounds  int
	secs    float64
	figures string
	file    string
}

func execute(ctx context.Context, args []string, out io.Writer) error {
	o, err := parse(args)
	if err != nil {
		return err
	}
	chosen, err := choose(measurements(), o.figures)
	if err != nil {
		return err
	}
	if err := able(); err != nil {
		return err
	}
	others, err := busyBefore(ctx)
	if err != nil {
		return err
	}
	began := time.Now()
	here, missing := present(devices(o.vxgw))
	s := session{devices: here, measurements: chosen, rounds: o.rounds, window: o.window(), out: out}
	figures, err := s.run(ctx)
	if err != nil {
		return err
	}
	r := report.Report{Figures: figures, Notes: notes(chosen, here)}
	for _, d := range s.devices {
		r.Devices = append(r.Devices, d.Title())
	}
	if r.Facts, err = facts(o, others, began); err != nil {
		return err
	}
	r.Facts = append(r.Facts, missing...)
	return write(r, o, out)
}

func parse(args []string) (o options, err error) {
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.StringVar(&o.vxgw, "vxgw", "bin/vxgw", "the gateway's program")
	flags.IntVar(&o.rounds, "rounds", 5, "how often everything is measured")
	flags.Float64Var(&o.secs, "secs", 2, "how long each figure is measured, in seconds")
	flags.StringVar(&o.figures, "figures", "", "measure these only, by name and with commas between, and print them")
	flags.StringVar(&o.file, "report", "docs/performance.md", "the document to write the figures into")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if flags.NArg() > 0 {
		return o, fmt.Errorf("%q: there are only flags", flags.Arg(0))
	}
	if o.rounds < 1 || !(o.secs >= 0.1 && o.secs <= 3600) { // NaN is neither
		return o, errors.New("at least 1 round, of 0.1 to 3600 seconds")
	}
	return o, nil
}

func (o options) window() time.Duration { return time.Duration(o.secs * float64(time.Second)) }

// choose returns the measurements that are named, in their own order: all where
// none is.
func choose(all []measurement, names string) ([]measurement, error) {
	if names == "" {
		return all, nil
	}
	wanted := strings.Split(names, ",")
	var known []string
	var chosen []measurement
	for _, m := range all {
		known = append(known, m.name)
		if slices.Contains(wanted, m.name) {
			chosen = append(chosen, m)
		}
	}
	for _, w := range wanted {
		if !slices.Contains(known, w) {
			return nil, fmt.Errorf("nothing is called %q: there are %s", w, strings.Join(known, ", "))
		}
	}
	return chosen, nil
}

// able says what is missing. Programs for administrators are found also where the
// user's own PATH does not lead to them.
func able() error {
	if os.Geteuid() != 0 {
		return errors.New("network namespaces take root: run it as root")
	}
	if err := os.Setenv("PATH", os.Getenv("PATH")+":/usr/sbin:/sbin"); err != nil {
		return err
	}
	if err := have(tool{"ip", "iproute2"}, tool{"bridge", "iproute2"}, tool{"iperf3", "iperf3"}, tool{"ping", "iputils-ping"}); err != nil {
		return err
	}
	return load.Available()
}

// facts are what has to be known of a run.
func facts(o options, others float64, began time.Time) ([]string, error) {
	m, err := machine(o.vxgw, began)
	if err != nil {
		return nil, err
	}
	command := fmt.Sprintf("make bench ROUNDS=%d SECS=%v", o.rounds, o.secs)
	if o.figures != "" {
		command += " FIGURES=" + o.figures
	}
	all := []string{m, fmt.Sprintf("`%s`, in %v; before it %.1f CPUs were busy with something else", command, time.Since(began).Round(time.Second), others)}
	if o.rounds < 5 {
		all = append(all, "**Fewer than five rounds: an example of the form, not figures to quote**")
	}
	return all, nil
}

// notes say what was measured and how, what of, and what of not.
func notes(chosen []measurement, devices []device) (all []string) {
	for _, m := range chosen {
		all = append(all, fmt.Sprintf("`%s`: %s", m.name, m.how))
	}
	for _, d := range devices {
		if d.About() != "" {
			all = append(all, fmt.Sprintf("%s: %s", d.Title(), d.About()))
		}
		all = append(all, absences(chosen, d)...)
	}
	return all
}

// absences say why measurements were not made of a device: a sentence for each
// reason.
func absences(chosen []measurement, d device) (all []string) {
	names := make(map[string][]string)
	var reasons []string
	for _, m := range chosen {
		why := d.Without(m.name)
		if why == "" {
			continue
		}
		if names[why] == nil {
			reasons = append(reasons, why)
		}
		names[why] = append(names[why], "`"+m.name+"`")
	}
	for _, why := range reasons {
		all = append(all, fmt.Sprintf("%s is not in %s: %s", d.Title(), strings.Join(names[why], ", "), why))
	}
	return all
}

// write puts the report into the document, and the charts into a directory beside it
// that has its name; or prints it where it is a part.
func write(r report.Report, o options, out io.Writer) error {
	if o.figures != "" {
		_, err := fmt.Fprint(out, "\n", r.Markdown(""))
		return err
	}
	old, err := os.ReadFile(o.file)
	if err != nil {
		return err
	}
	dir := strings.TrimSuffix(o.file, filepath.Ext(o.file))
	text, err := r.Into(string(old), filepath.Base(dir))
	if err != nil {
		return fmt.Errorf("%s: %w", o.file, err)
	}
	if err := draw(r.Charts(), dir); err != nil {
		return err
	}
	// In place, so that the file stays its owner's.
	if err := os.WriteFile(o.file, []byte(text), 0o644); err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "\nwritten to %s, with charts in %s\n", o.file, dir)
	return err
}

// draw writes charts into a directory.
func draw(charts []report.Chart, dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for _, c := range charts {
		if err := os.WriteFile(filepath.Join(dir, c.Name), []byte(c.SVG), 0o644); err != nil {
			return err
		}
	}
	return nil
}
