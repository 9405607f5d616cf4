package main

import (
	"context"
	"fmt"
	"os/exec"
)

// A device is what can be measured in the place of the gateway.
type device interface {
	// Title is what the report calls it, About what it is, in one sentence of the
	// report; "" where the title says it.
	Title() string
	About() string

	// Without says why a measurement, by its name, is not made of it: "" when it
	// is made.
	Without(measurement string) string

	// Bare reports whether frames leave it as they came. Such a device has no VNI
	// and learns nothing.
	Bare() bool

	// Missing says what it takes that this machine does not have.
	Missing() error

	// Start puts it to work in a site. It need not forward yet when Start
	// returns.
	Start(context.Context, site) (running, error)
}

// running is a device at work.
type running interface {
	// MACs returns how many addresses it has learned, in all VNIs together.
	MACs(context.Context) (int, error)

	// Processes returns the processes it consists of: none when it is the
	// kernel's.
	Processes() []int

	// Stop ends it and takes its links away.
	Stop() error
}

// devices returns what is measured. All are compared with the first.
func devices(vxgw string) []device {
	return []device{
		kernel{},
		gateway{program: vxgw},
		gateway{program: vxgw, mode: "raw"},
		gateway{program: vxgw, mode: "xdp"},
		openVSwitch{},
		redirect{},
	}
}

// present returns the devices that this machine has what they take, and a
// sentence about each of the others.
func present(all []device) (here []device, missing []string) {
	for _, d := range all {
		if err := d.Missing(); err != nil {
			missing = append(missing, fmt.Sprintf("%s was not measured: %v", d.Title(), err))
			continue
		}
		here = append(here, d)
	}
	return here, missing
}

// tool is a program, and the package that it comes with.
type tool struct{ program, from string }

// have returns an error that names the first of the tools that is not there.
func have(tools ...tool) error {
	for _, t := range tools {
		if _, err := exec.LookPath(t.program); err != nil {
			return fmt.Errorf("there is no %s: install %s", t.program, t.from)
		}
	}
	return nil
}
