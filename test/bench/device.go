package main

import "context"

// A device is what can be measured in the place of the gateway.
type device interface {
	// Title is what the report calls it.
	Title() string

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
	return []device{kernel{}, gateway{program: vxgw}}
}
